"""Deciding whether two programs behave the same, on every input of a domain."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.errors import InputError
from untracr.rasp.domain import Domain
from untracr.rasp.functions import Value
from untracr.rasp.interpreter import LARGEST_EXACT_INTEGER, Batch, Column, Failure, distinct_codes
from untracr.rasp.program import HoldsProgram, Program, program_of
from untracr.short_repr import short_repr
from untracr.shown_text import count

EQUAL_WITHIN = 1e-9
"""Numbers this close count as equal, unless both are whole numbers (Python's ``int``)."""

ROUNDED_SHARE_OF_LARGER = 1e-12
"""Large numbers count as equal where they are this close relative to the larger: some thousand
times what one operation rounds away."""

INPUTS_AT_ONCE = 8192
"""Inputs evaluated at a time: bounds memory on large domains."""

DEFAULT_LIMIT = 5_000_000


@dataclass(frozen=True)
class CounterExample:
    """An input on which two programs differ."""

    input: tuple[Value, ...]
    fst_output: tuple[Value, ...]
    snd_output: tuple[Value, ...]

    __repr__ = short_repr


@dataclass(frozen=True)
class Equivalence:
    """The outcome of comparing two programs.

    Attributes:
        equal: no input tells them apart.
        inputs_checked: how many inputs were compared; the whole domain when ``equal``.
        counterexample: the first input that differs, else None.
    """

    equal: bool
    inputs_checked: int
    counterexample: CounterExample | None = None

    __repr__ = short_repr


def decide_equivalence(
    fst: Program | HoldsProgram,
    snd: Program | HoldsProgram,
    domain: Domain,
    *,
    limit: int = DEFAULT_LIMIT,
    causal: bool = False,
) -> Equivalence:
    """Compares two programs on every input of a domain.

    With ``causal`` a selector only selects keys up to the query's position.

    What counts as the same value is told at `same_value`.

    Raises:
        InputError: the domain has more than ``limit`` inputs.
        EvaluationError: one of the programs fails on some input.
    """
    if domain.size > limit:
        raise InputError(
            f"a domain of {count(domain.size)} inputs is more than the limit of {limit:,} that are "
            "compared one by one; raise the limit or shorten max_seq_len"
        )
    left_program, right_program = program_of(fst), program_of(snd)
    for start in range(0, domain.size, INPUTS_AT_ONCE):
        batch = Batch.of_domain(domain, start, start + INPUTS_AT_ONCE, causal=causal)
        left, right = batch.evaluate(left_program), batch.evaluate(right_program)
        differs = np.flatnonzero((columns_differ(left, right) & batch.valid).any(axis=1))
        if len(differs):
            row = int(differs[0])
            example = CounterExample(
                tuple(batch.input(row)),
                tuple(batch.row(left, row)),
                tuple(batch.row(right, row)),
            )
            return Equivalence(False, start + len(batch), example)
    return Equivalence(True, domain.size)


def columns_differ(left: Column, right: Column) -> npt.NDArray[np.bool_]:
    """Where two columns of one batch hold different values, [batch, position]."""
    n = len(right.values)
    pairs, used = distinct_codes(left.codes * n + right.codes, len(left.values) * n)
    differs = [not same_value(left.values[p // n], right.values[p % n]) for p in used.tolist()]
    return np.array(differs, dtype=np.bool_)[pairs]


def same_value(a: Value | Failure, b: Value | Failure) -> bool:
    """Whether two values count as equal.

    Python's equality (so True and 1, 0.0 and -0.0 are the same, integers of any size
    only themselves), and besides: fractions within `EQUAL_WITHIN`, or within
    `ROUNDED_SHARE_OF_LARGER`, which rounding may have parted; and "not a number" and
    itself. Infinity is no other number, nor the other infinity. Tuples are compared part
    by part.
    """
    if isinstance(a, (bool, int, float)) and isinstance(b, (bool, int, float)):
        return _same_number(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same_value, a, b))
    return a == b


def _same_number(a: float, b: float) -> bool:
    if a == b or (isinstance(a, int) and isinstance(b, int)):
        return a == b
    try:
        x, y = float(a), float(b)
    except OverflowError:  # an integer that no float comes near
        return False
    if not (math.isfinite(x) and math.isfinite(y)):
        return math.isnan(x) and math.isnan(y)
    return abs(x - y) <= max(EQUAL_WITHIN, ROUNDED_SHARE_OF_LARGER * max(abs(x), abs(y)))


def numbers_agree(
    given: npt.NDArray[np.floating], wanted: npt.NDArray[np.floating], tolerance: float
) -> npt.NDArray[np.bool_]:
    """Where numbers that weights give are the wanted ones; what is not finite never is.

    Args:
        given: what weights give.
        wanted: of the same shape.
        tolerance: how far a number may be off, relative to the larger of 1 and itself.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        close = np.abs(given - wanted) <= tolerance * np.maximum(1.0, np.abs(wanted))
    return np.asarray(close & np.isfinite(given) & np.isfinite(wanted))


def behaviour_key(program: Program, domain: Domain) -> bytes:
    """A digest of a program's outputs on every input of a domain.

    Programs of equal behaviour have equal keys, up to numbers that straddle a
    rounding boundary at nine decimals.

    Raises:
        EvaluationError: the program fails on some input.
    """
    digest = hashlib.blake2b(digest_size=16)
    for start in range(0, domain.size, INPUTS_AT_ONCE):
        batch = Batch.of_domain(domain, start, start + INPUTS_AT_ONCE)
        column = batch.evaluate(program)
        # Only values that occur may count: they are numbered in the order of their names.
        here, used = distinct_codes(column.codes[batch.valid], len(column.values))
        names = [_canonical(column.values[code]) for code in used.tolist()]
        order = {name: position for position, name in enumerate(sorted(set(names)))}
        table = np.array([order[name] for name in names], dtype="<i4")
        digest.update(table[here].tobytes())
        digest.update(repr(list(order)).encode())
    return digest.digest()


def _canonical(value: Value | Failure) -> str:
    if isinstance(value, tuple):
        return f"({','.join(map(_canonical, value))})"
    if not isinstance(value, (bool, int, float)):
        return repr(value)
    if isinstance(value, int) and abs(value) > LARGEST_EXACT_INTEGER:
        return f"n{int(value):x}"
    number = round(float(value), 9) + 0.0
    return f"n{int(number):x}" if LARGEST_EXACT_INTEGER < abs(number) < math.inf else f"n{number!r}"
