"""A function or predicate on all values, or pairs of values, that a batch has: each once.

Values are numbered by codes. Small tables are kept for the next program; of large
ones only the pairs that occur are tried.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.errors import ProgramError
from untracr.rasp.functions import (
    Comparison,
    Function,
    Predicate,
    Value,
    brief,
    types_of,
    weighted_sum,
)
from untracr.rasp.spent import Held
from untracr.rasp.values import type_of
from untracr.shown_text import shown

Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MAX_CACHED = 10_000
"""Values, or pairs, of the largest table that is kept."""


@dataclass(frozen=True)
class Failure:
    """Stands for a value that could not be computed; an error only where it occurs."""

    reason: str


Entry = Value | Failure


@functools.lru_cache(maxsize=4096)
def numeric_values(values: tuple[Entry, ...]) -> tuple[npt.NDArray[np.float64], Mask]:
    """Values as floats (0 where not a number), and which of them are numbers."""
    found = [_as_float(value) for value in values]
    numeric = [number is not None for number in found]
    numbers = [number or 0.0 for number in found]
    return np.array(numbers, dtype=np.float64), np.array(numeric, dtype=np.bool_)


def _as_float(value: Entry) -> float | None:
    """A number as a float; None for anything else, and for integers beyond any float."""
    if not isinstance(value, (bool, int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


@dataclass(frozen=True, slots=True)
class Linear:
    fst_factor: int | float
    snd_factor: int | float

    def __call__(self, x: Value, y: Value) -> Value:
        return weighted_sum(x, y, self.fst_factor, self.snd_factor)


LARGEST_EXACT_INTEGER = 2**53
"""Integers up to this size are exact as floats."""


@functools.lru_cache(maxsize=4096)
def is_plain(values: tuple[Entry, ...]) -> bool:
    """Whether all values are None or numbers of ordinary size, fit for array arithmetic."""
    return all(
        v is None
        or (
            isinstance(v, (bool, int, float))
            and -LARGEST_EXACT_INTEGER <= v <= LARGEST_EXACT_INTEGER
        )
        for v in values
    )


FEW_CODES = 4
"""Codes are counted in a table when it is no larger than this many times their number."""


def distinct_codes(codes: Codes, stop: int) -> tuple[Codes, Codes]:
    """Renumbers codes, all in ``range(stop)``, without gaps.

    Returns:
        The new codes, in the shape of ``codes``, and the old code of each; both
        in ascending order of the old.
    """
    if not is_few(stop, codes.size):
        used, new = np.unique(codes, return_inverse=True)
        return new.reshape(codes.shape), used
    present = np.zeros(stop, dtype=np.bool_)
    present[codes] = True
    used = present.nonzero()[0]
    table = np.empty(stop, dtype=np.int64)
    table[used] = np.arange(len(used))
    return table[codes], used


def distinct_numbers(numbers: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], Codes]:
    """The distinct numbers of a vector in ascending order, and the place of each among them."""
    order = numbers.argsort()
    ascending = numbers[order]
    first = np.empty(len(numbers), dtype=np.bool_)
    first[:1] = True
    np.not_equal(ascending[1:], ascending[:-1], out=first[1:])
    codes = np.empty(len(numbers), dtype=np.int64)
    codes[order] = first.cumsum() - 1
    return ascending[first], codes


class Distinct:
    """Numbers distinct values, told apart by type."""

    def __init__(self, values: Iterable[Entry] = ()) -> None:
        self._codes: dict[tuple[type, Entry], int] = {}
        self._held = Held()
        for value in values:
            self.code(value)

    def code(self, value: Entry) -> int:
        key = (type_of(value), value)
        code = self._codes.get(key)
        if code is None:
            self._held.add(value)
            code = self._codes[key] = len(self._codes)
        return code

    def values(self) -> tuple[Entry, ...]:
        return tuple(value for _, value in self._codes)


PYTHON_FAILURES = (TypeError, ArithmeticError, ValueError)
"""What a function raises on a value that it is not made for, without saying which function it is:
who calls it does."""

FAILURES = (*PYTHON_FAILURES, ProgramError)
"""... and, with its own words, on a value that its table lacks."""


def result_or_none(function: Callable[..., Value], *args: Value) -> Value:
    """A function's result; None where it fails."""
    try:
        return function(*args)
    except FAILURES:
        return None


def is_few(pairs: int, codes: int) -> bool:
    """Whether all pairs of two columns' values are tried, and not only those that occur."""
    return pairs <= FEW_CODES * codes + 64


MAX_TOLD = 1_000
"""Failures of one function that say what it failed on: to say it costs more than to fail."""


class _Tried:
    """A function whose failures are values."""

    def __init__(self, function: Function | Predicate | Linear) -> None:
        self._function = function
        self._failures = 0
        self._untold = Failure(f"{brief(function)} fails on more than {MAX_TOLD:,} values")

    def __call__(self, *args: Entry) -> Entry:
        for arg in args:
            if isinstance(arg, Failure):
                return arg
        try:
            return self._function(*args)  # type: ignore[arg-type]
        except FAILURES as error:
            return self._failure(args, error)

    def _failure(self, args: tuple[Entry, ...], error: Exception) -> Failure:
        self._failures += 1
        if self._failures > MAX_TOLD:
            return self._untold
        listed = ", ".join(shown(arg) for arg in args)
        return Failure(f"{brief(self._function)} fails on {listed}: {error}")


Results = tuple[Codes, tuple[Entry, ...], bool]
"""A code for each argument, distinct results, and whether any of them failed."""


def unary_table(function: Function, values: tuple[Entry, ...], types: tuple[type, ...]) -> Results:
    """A function's results on each value."""
    table = _unary_table if len(values) <= MAX_CACHED else _unary_table.__wrapped__
    return table(function, values, types)


@functools.lru_cache(maxsize=16384)
def _unary_table(function: Function, values: tuple[Entry, ...], types: tuple[type, ...]) -> Results:
    try:
        return _coded(
            (None if v is None else function(v) for v in values),  # type: ignore[arg-type]
            len(values),
        )
    except FAILURES:
        tried = _Tried(function)
        return _coded((None if v is None else tried(v) for v in values), len(values))


def binary_table(
    function: Function | Linear,
    fst: tuple[Entry, ...],
    snd: tuple[Entry, ...],
    fst_types: tuple[type, ...],
    snd_types: tuple[type, ...],
) -> Results:
    """A function's results on each pair of values; codes [fst, snd]."""
    table = _binary_table if len(fst) * len(snd) <= MAX_CACHED else _binary_table.__wrapped__
    return table(function, fst, snd, fst_types, snd_types)


@functools.lru_cache(maxsize=16384)
def _binary_table(
    function: Function | Linear,
    fst: tuple[Entry, ...],
    snd: tuple[Entry, ...],
    fst_types: tuple[type, ...],
    snd_types: tuple[type, ...],
) -> Results:
    codes, values, fails = pair_results(function, itertools.product(fst, snd), len(fst) * len(snd))
    return codes.reshape(len(fst), len(snd)), values, fails


def pair_results(
    function: Function | Linear, pairs: Iterable[tuple[Entry, Entry]], count: int
) -> Results:
    """A function's results on some pairs of values."""
    pairs = list(pairs)
    try:
        return _coded(
            (
                None if x is None or y is None else function(x, y)  # type: ignore[arg-type]
                for x, y in pairs
            ),
            count,
        )
    except FAILURES:
        tried = _Tried(function)
        return _coded((None if x is None or y is None else tried(x, y) for x, y in pairs), count)


def _coded(found: Iterable[Entry], count: int) -> Results:
    out = Distinct()
    codes = np.fromiter(map(out.code, found), dtype=np.int64, count=count)
    results = out.values()
    return codes, results, Failure in map(type, results)


CALL_FAILED = 2

_ARRAY_COMPARISONS: dict[Comparison, np.ufunc] = {
    Comparison.EQ: np.equal,
    Comparison.NEQ: np.not_equal,
    Comparison.LT: np.less,
    Comparison.LEQ: np.less_equal,
    Comparison.GT: np.greater,
    Comparison.GEQ: np.greater_equal,
}


Truths = tuple[npt.NDArray[np.int8], tuple[str, ...]]
"""For each pair of a key and a query 0, 1, or 2 for failed; and how the first failed."""


def few_truths(predicate: Predicate, keys: tuple[Entry, ...], queries: tuple[Entry, ...]) -> Truths:
    """A predicate on each pair, [key, query]."""
    few = len(keys) * len(queries) <= MAX_CACHED
    table = predicate_table if few else predicate_table.__wrapped__
    return table(predicate, keys, queries, types_of(keys), types_of(queries))


@functools.lru_cache(maxsize=16384)
def predicate_table(
    predicate: Predicate,
    keys: tuple[Entry, ...],
    queries: tuple[Entry, ...],
    key_types: tuple[type, ...],
    query_types: tuple[type, ...],
) -> Truths:
    """A predicate on each pair, [key, query]."""
    if isinstance(predicate, Comparison):
        compared = _compare_numbers(predicate, keys, queries)
        if compared is not None:
            return compared
    table, reasons = pair_truths(
        predicate, itertools.product(keys, queries), len(keys) * len(queries)
    )
    return table.reshape(len(keys), len(queries)), reasons


def pair_truths(predicate: Predicate, pairs: Iterable[tuple[Entry, Entry]], count: int) -> Truths:
    """A predicate on some pairs of a key and a query."""
    table = np.zeros(count, dtype=np.int8)
    reasons: list[str] = []
    tried = _Tried(predicate)
    for row, (key, query) in enumerate(pairs):
        if isinstance(predicate, Comparison) and (key is None or query is None):
            result: Entry = Failure(_cannot_compare_none(predicate))
        else:
            result = tried(key, query)
        if isinstance(result, Failure):
            table[row] = CALL_FAILED
            reasons = reasons or [result.reason]
        else:
            table[row] = bool(result)
    return table, tuple(reasons)


def _compare_numbers(
    predicate: Comparison, keys: tuple[Entry, ...], queries: tuple[Entry, ...]
) -> tuple[npt.NDArray[np.int8], tuple[str, ...]] | None:
    """`predicate_table` of numbers and None at once; None where there are other values."""
    if not (is_plain(keys) and is_plain(queries)):
        return None
    (k_numbers, k_numeric), (q_numbers, q_numeric) = numeric_values(keys), numeric_values(queries)
    if predicate in _ARRAY_COMPARISONS:
        compare = _ARRAY_COMPARISONS[predicate]
        table = compare(k_numbers[:, None], q_numbers[None, :]).astype(np.int8)
    else:
        table = np.full((len(keys), len(queries)), predicate is Comparison.TRUE, dtype=np.int8)
    if k_numeric.all() and q_numeric.all():
        return table, ()
    table[~k_numeric] = CALL_FAILED
    table[:, ~q_numeric] = CALL_FAILED
    return table, (_cannot_compare_none(predicate),)


def _cannot_compare_none(predicate: Comparison) -> str:
    return (
        f"{predicate!r} cannot compare None: a Select's keys and queries must always have a value"
    )
