"""Known functions as tables, to be compared with tables read off the weights.

For given argument values each known function has a table of results. Weights
show results only up to names: which arguments share a result (a partition),
in which order results are laid out, or, for numbers, the results themselves.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from untracr.arrays import Bools, Floats, Ints
from untracr.bounds import MAX_TEXT
from untracr.rasp.functions import Formula, Value, number_or, types_of
from untracr.rasp.listed_functions import BINARY, PREDICATES, UNARY
from untracr.rasp.tabulating import result_or_none


@dataclass(frozen=True)
class Tables:
    """Results of several functions on the same n arguments (or pairs of them).

    Attributes:
        results: per function the results, None where it fails.
        numbers: [functions, n], NaN where the result is not a number.
        groups: [functions, n], results numbered by first appearance.
        first: [functions, n], where the same result came first.
        ranks: [functions, n], place of the result among the sorted results; -1
            where they cannot be sorted.
    """

    results: tuple[tuple[Value, ...], ...]
    numbers: Floats
    groups: Ints
    first: Ints
    ranks: Ints


def unary_tables(values: tuple[Value, ...]) -> Tables:
    """`UNARY` functions on each value."""
    return _unary(values, types_of(values))


def binary_tables(fst: tuple[Value, ...], snd: tuple[Value, ...]) -> Tables:
    """`BINARY` functions on each pair, first argument major."""
    return _binary(fst, snd, types_of(fst), types_of(snd))


def predicate_tables(keys: tuple[Value, ...], queries: tuple[Value, ...]) -> Bools:
    """`PREDICATES` on each pair, [predicate, key, query]; False where one fails."""
    return _predicates(keys, queries, types_of(keys), types_of(queries))


@functools.lru_cache(maxsize=8192)
def _unary(values: tuple[Value, ...], types: tuple[type, ...]) -> Tables:
    return tabulate([[call(f, v) for v in values] for f in UNARY])


@functools.lru_cache(maxsize=8192)
def _binary(
    fst: tuple[Value, ...],
    snd: tuple[Value, ...],
    fst_types: tuple[type, ...],
    snd_types: tuple[type, ...],
) -> Tables:
    return tabulate([[call(f, x, y) for x in fst for y in snd] for f in BINARY])


@functools.lru_cache(maxsize=8192)
def _predicates(
    keys: tuple[Value, ...],
    queries: tuple[Value, ...],
    key_types: tuple[type, ...],
    query_types: tuple[type, ...],
) -> Bools:
    return np.array(
        [[[bool(call(p, k, q)) for q in queries] for k in keys] for p in PREDICATES]
    ).reshape(len(PREDICATES), len(keys), len(queries))


def call(function: Callable[..., Value], *args: Value) -> Value:
    """A function's result; None where it fails or would give an endless text."""
    if isinstance(function, Formula) and any(isinstance(arg, str) for arg in args):
        sizes = [len(a) if isinstance(a, (str, tuple)) else abs(a or 0) for a in args]
        if math.prod(max(size, 2) for size in sizes) > MAX_TEXT:
            return None
    return result_or_none(function, *args)


def tabulate(results: list[list[Value]]) -> Tables:
    """Tables of functions by their results, None where one fails."""
    numbers = np.array([[number_or(r, math.nan) for r in row] for row in results], dtype=np.float64)
    groups = np.array([group_numbers(row) for row in results], dtype=np.int64)
    ranks = np.array([_ranks(row) for row in results], dtype=np.int64)
    first = np.array([first_places(row) for row in groups], dtype=np.int64)
    return Tables(tuple(map(tuple, results)), numbers, groups, first, ranks)


def first_places(groups: Ints) -> Ints:
    """For each place the first one that holds the same: [5, 2, 5] becomes [0, 1, 0]."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.asarray(first[inverse], dtype=np.int64)


def group_numbers(results: list[Value]) -> list[int]:
    """Numbers results by first appearance: [7, 3, 7] becomes [0, 1, 0]."""
    seen: dict[Value, int] = {}
    return [seen.setdefault(result, len(seen)) for result in results]


def _ranks(results: list[Value]) -> list[int]:
    try:
        order = {value: rank for rank, value in enumerate(sorted(set(results)))}  # type: ignore[type-var]
    except TypeError:
        return [-1] * len(results)
    return [order[result] for result in results]
