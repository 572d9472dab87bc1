"""Functions that are known by their results: the common ones that give them, else tables."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import numpy as np

from untracr.arrays import Bools
from untracr.rasp.functions import Function, Predicate, Table, Value, formula, number_or, types_of
from untracr.rasp.known_tables import call
from untracr.rasp.listed_functions import (
    BINARY,
    LISTED,
    MORE_BINARY,
    MORE_PREDICATES,
    MORE_UNARY,
    PREDICATES,
    UNARY,
)
from untracr.rasp.nodes import Map, Select, SequenceMap
from untracr.rasp.program import Program

MAX_NAMED = 2_500
"""Entries of a table for which a name is sought."""

MAX_STEPS = 40
"""Steps that a formula may have; a function with more is written as a table."""

_PREDICATE_NAMES: tuple[Predicate, ...] = (*PREDICATES, *MORE_PREDICATES)

PAIR = formula("(x, y)", 2)
"""Told only where results have names: weights hold none, and any numbering will do."""


def function_of_results(values: Sequence[tuple[Value, ...]], results: Sequence[Value]) -> Function:
    """The function with these very results: a common one if there is one, else a table.

    Args:
        values: those of one argument or of two; the function is known on all combinations.
        results: on each combination, the first argument major.
    """
    arguments = list(itertools.product(*values))
    pool = (*UNARY, *MORE_UNARY) if len(values) == 1 else (*BINARY, *MORE_BINARY, PAIR)
    if len(arguments) <= MAX_NAMED:
        for function in pool:
            if all(call(function, *a) == r for a, r in zip(arguments, results, strict=True)):
                return function
    if len(values) == 1:
        return steps_or_table(tuple(values[0]), results)
    return Table(tuple(zip(arguments, results, strict=True)), 2)


def steps_or_table(values: tuple[Value, ...], results: Sequence[Value]) -> Function:
    """A table; for fractions steps between them, since averages of others may occur as well."""
    numbers = [number_or(value, 0.0) for value in values]
    places = [n for n in range(1, len(values)) if results[n] != results[n - 1]]
    are_numbers = all(isinstance(value, (bool, int, float)) for value in values)
    if are_numbers and any(n % 1 for n in numbers) and len(places) <= MAX_STEPS:
        text = repr(results[-1])
        for n in reversed(places):
            text = f"{results[n - 1]!r} if x < {(numbers[n - 1] + numbers[n]) / 2!r} else {text}"
        return formula(text)
    return Table(tuple(((v,), result) for v, result in zip(values, results, strict=True)), 1)


def predicate_of_table(
    keys: tuple[Value, ...], queries: tuple[Value, ...], table: Bools
) -> Predicate | None:
    """A predicate of its table, [keys, queries]; None for a table of another size."""
    if table.shape != (len(keys), len(queries)):
        return None
    if table.size <= MAX_NAMED:
        names = _predicate_names(keys, queries, types_of(keys), types_of(queries))
        fits = np.flatnonzero((names == table.ravel()).all(axis=1))
        if len(fits):
            return _PREDICATE_NAMES[int(fits[0])]
    pairs = itertools.product(keys, queries)
    return Table(tuple(zip(pairs, table.ravel().tolist(), strict=True)), 2)


def is_listed(program: Program) -> bool:
    """Whether a program holds only functions and predicates of the closed lists."""
    for ref in program.reachable:
        node = program.nodes[ref]
        if isinstance(node, (Map, SequenceMap)) and node.function not in LISTED:
            return False
        if isinstance(node, Select) and node.predicate not in LISTED:
            return False
    return True


@functools.lru_cache(maxsize=1024)
def _predicate_names(
    keys: tuple[Value, ...],
    queries: tuple[Value, ...],
    key_types: tuple[type, ...],
    query_types: tuple[type, ...],
) -> Bools:
    pairs = list(itertools.product(keys, queries))
    rows = [[bool(call(p, k, q)) for k, q in pairs] for p in _PREDICATE_NAMES]
    return np.array(rows, dtype=np.bool_).reshape(len(rows), -1)
