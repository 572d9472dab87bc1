"""Common functions and predicates by which a program may become shorter.

Beside those of the closed lists and those that name tables while weights are read, these are
linear ones, powers, and whether a value is one of a few.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

from untracr.rasp.functions import Formula, Function, Predicate, Value, formula, formulas
from untracr.rasp.listed_functions import (
    BINARY,
    MORE_BINARY,
    MORE_PREDICATES,
    MORE_UNARY,
    PREDICATES,
    UNARY,
)

_FEW = range(1, 6)

_FURTHER_UNARY = formulas(
    *("0", "1", "x ** 2", "x ** 3", "2 ** x", "10 ** x", "x * x + x", "10 * x"),
    *(f"{a} * x {sign} {b}" for a in range(2, 6) for sign in "+-" for b in _FEW),
    *(f"{b} - {a} * x" for a in range(2, 6) for b in _FEW),
    arity=1,
)
_FURTHER_BINARY = formulas(
    *("x - y", "x * y + x", "x * y + y", "x ** y", "y ** x", "x * x - y", "x * x + y", "y * y - x"),
    *(f"{a} * x - {b} * y" for a in _FEW for b in _FEW if (a, b) != (1, 1)),
    *(f"{a} * x + {b} * y" for a in _FEW[1:] for b in _FEW[1:]),
    *(f"{b} * y - {a} * x" for a in _FEW[1:] for b in _FEW[1:]),
    *(f"x {sign} y {more} {k}" for sign in "+-*" for more in "+-" for k in range(1, 4)),
    arity=2,
)

FUNCTIONS: dict[int, tuple[Function, ...]] = {
    1: (*UNARY, *MORE_UNARY, *_FURTHER_UNARY),
    2: (*BINARY, *MORE_BINARY, *_FURTHER_BINARY),
}
"""What may name results, by the number of arguments."""

PREDICATES_TRIED: tuple[Predicate, ...] = (*PREDICATES, *MORE_PREDICATES)
"""What may say which keys are selected."""

MOST_NAMED = 30
"""A variable of more values has no functions that name them."""


def of_some(
    argument: str, values: Sequence[Value], results: Sequence[Value], arity: int
) -> Iterator[Formula]:
    """Whether an argument is one of those with a certain result, where there are two results."""
    kinds = list(dict.fromkeys(results))
    if len(kinds) != 2 or len(values) > MOST_NAMED:
        return
    if not all(isinstance(value, (int, float, str)) for value in values):
        return
    for kind in kinds:
        inside = [v for v, result in zip(values, results, strict=True) if result == kind]
        outside = [v for v, result in zip(values, results, strict=True) if result != kind]
        if len(inside) <= len(outside):
            yield _formula(" or ".join(f"{argument} == {v!r}" for v in inside), arity)
        else:
            yield _formula(" and ".join(f"{argument} != {v!r}" for v in outside), arity)


@functools.lru_cache(maxsize=16_384)
def _formula(source: str, arity: int) -> Formula:
    return formula(source, arity)
