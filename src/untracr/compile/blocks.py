"""The weights of each operation: attention heads and groups of MLP neurons.

A block says where its non-zero weights go, in residual dimensions; assembly
copies them into the arrays. The constructions are Tracr's (`craft/chamber`),
number by number: hard attention with a BOS fallback, one-hot lookups, pairwise
ANDs for SequenceMap, and staircases of ReLU pairs for functions of a number.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

import numpy as np
import numpy.typing as npt

from untracr.compile.residual import Dims
from untracr.compile.values import ValueSet, without_arithmetic_errors
from untracr.errors import ProgramError
from untracr.rasp.functions import Function, Predicate, Value, brief, types_of
from untracr.rasp.tabulating import PYTHON_FAILURES
from untracr.rasp.values import tracr_sorted
from untracr.shown_text import shown

MAX_TRUTH = 1e36
"""The largest number that a predicate may give in place of a truth value."""

COLDNESS = 100.0
"""Inverse temperature of the attention softmax (Tracr's softmax_coldness)."""

Weights = npt.NDArray[np.float64]
Sparse = tuple[Dims, Dims, Weights]
"""Rows, columns and values of the non-zero entries of a matrix."""


@dataclass(frozen=True)
class Head:
    """One attention head.

    Attributes:
        query: entries of W_Q [D, K]; key: of W_K; value: of W_V [D, K];
            out: of W_O [K, D].
        d_head: columns the queries and keys need, as Tracr counts them.
        d_value: columns the values need.
    """

    query: Sparse
    key: Sparse
    value: Sparse
    out: Sparse
    d_head: int
    d_value: int


@dataclass(frozen=True)
class Neurons:
    """A run of hidden neurons that stay together when a layer is sorted.

    Attributes:
        name: Tracr's hidden name; runs are ordered by it.
        count: how many neurons.
        read: entries of W_in [D, count]; write: of W_out [count, D].
    """

    name: str
    count: int
    read: Sparse
    write: Sparse


class StaircaseTarget(TypedDict):
    """Where a `staircase` writes, and how steep it is."""

    exactness: float
    out_dim: NotRequired[int]
    out_dims: NotRequired[dict[Value, int]]


@dataclass
class Entries:
    """Collects the non-zero entries of a matrix."""

    rows: list[Dims] = field(default_factory=list)
    columns: list[Dims] = field(default_factory=list)
    values: list[Weights] = field(default_factory=list)

    def add(self, rows: npt.ArrayLike, columns: npt.ArrayLike, values: npt.ArrayLike) -> None:
        """Adds entries; the three are broadcast against each other."""
        r, c, v = np.broadcast_arrays(rows, columns, values)
        self.rows.append(np.asarray(r, dtype=np.int64).ravel())
        self.columns.append(np.asarray(c, dtype=np.int64).ravel())
        self.values.append(np.asarray(v, dtype=np.float64).ravel())

    def sparse(self) -> Sparse:
        """All entries added so far."""
        if not self.rows:
            empty = np.zeros(0, dtype=np.int64)
            return empty, empty, np.zeros(0)
        return (
            np.concatenate(self.rows),
            np.concatenate(self.columns),
            np.concatenate(self.values),
        )


def attention_head(
    predicate: Predicate,
    keys: tuple[Value, ...],
    key_dims: Dims,
    queries: tuple[Value, ...],
    query_dims: Dims,
    *,
    bos_dim: int,
    one_dim: int,
    bos_logit: float,
    value_dims: Dims,
    out_dims: Dims,
) -> Head:
    """A head that attends where ``predicate(key, query)`` holds, else to BOS.

    Args:
        predicate: the selector.
        keys, queries: values of the two variables, with their dimensions.
        bos_dim: dimension of the BOS token. one_dim: the constant direction.
        bos_logit: logit of BOS: 50 attends to it only when nothing else is
            selected, 100 attends to it always (SelectorWidth).
        value_dims, out_dims: what is moved, and where to, pairwise.
    """
    # Tracr's key space is sorted: BOS goes where its dimension falls.
    before = int(np.searchsorted(key_dims, bos_dim))
    key_columns = np.arange(len(keys)) + (np.arange(len(keys)) >= before)
    key_rows = np.concatenate([key_dims, [bos_dim]])
    key_entries = (
        key_rows,
        np.concatenate([key_columns, [before]]),
        np.ones(len(key_rows)),
    )
    # Entries of W_Q [D, K], a column for each key: 100 at queries for which the predicate
    # holds; BOS's column reads the constant, so that its logit is the same for all queries
    # (Tracr, craft/chamber/categorical_attn).
    logits = COLDNESS * _predicate_logits(
        predicate, keys, queries, types_of(keys), types_of(queries)
    )
    k, q = np.nonzero(logits)
    query_entries = (
        np.concatenate([query_dims[q], [one_dim]]),
        np.concatenate([key_columns[k], [before]]),
        np.concatenate([logits[k, q], [bos_logit]]),
    )
    moved = np.arange(len(value_dims))
    ones = np.ones(len(value_dims))
    return Head(
        query=query_entries,
        key=key_entries,
        value=(value_dims, moved, ones),
        out=(moved, out_dims, ones),
        d_head=key_size(len(keys), len(queries)),
        d_value=len(value_dims),
    )


def key_size(n_keys: int, n_queries: int) -> int:
    """Columns that Tracr counts for a head's keys and queries of so many values."""
    return max(n_queries + 2, n_keys + 1)


@functools.lru_cache(maxsize=16384)
def _predicate_logits(
    predicate: Predicate,
    keys: tuple[Value, ...],
    queries: tuple[Value, ...],
    key_types: tuple[type, ...],
    query_types: tuple[type, ...],
) -> Weights:
    table = np.zeros((len(keys), len(queries)))
    for k, key in enumerate(keys):
        for q, query in enumerate(queries):
            try:
                table[k, q] = float(predicate(key, query))  # type: ignore[arg-type]
            except PYTHON_FAILURES as error:
                raise ProgramError(
                    f"{brief(predicate)} fails on key {shown(key)} and query {shown(query)}, "
                    f"which the variables may take: {error}"
                ) from None
    largest = float(np.abs(table).max(initial=0.0))
    if not largest <= MAX_TRUTH:
        raise ProgramError(
            f"weights are float32, so a predicate may give numbers up to {MAX_TRUTH:.0e}, "
            f"not {largest:.0e}: {brief(predicate)}"
        )
    return table


def lookup(
    function: Function, label: str, inner: ValueSet, inner_dims: Dims, out: ValueSet, out_dims: Dims
) -> Neurons:
    """Categorical to categorical Map: one neuron an output value.

    A SequenceMap of a variable with itself is such a Map, of ``f(x, x)``.
    """
    position = {value: i for i, value in enumerate(out.ordered)}
    written = [
        (dim, position[result])
        for value, dim in zip(inner.ordered, inner_dims, strict=True)
        if (result := _call(function, label, *(value,) * function.arity)) in position
    ]
    rows = np.array([dim for dim, _ in written], dtype=np.int64)
    columns = np.array([column for _, column in written], dtype=np.int64)
    each = np.arange(len(out_dims))
    return Neurons(
        label,
        len(out_dims),
        (rows, columns, np.ones(len(rows))),
        (each, out_dims, np.ones(len(each))),
    )


def weighted_sum(
    function: Function, label: str, inner: ValueSet, inner_dims: Dims, out_dim: int
) -> Neurons:
    """Categorical to numerical Map: one neuron that sums ``f(value)``.

    A SequenceMap of a variable with itself is such a Map, of ``f(x, x)``.
    """
    results = [_call(function, label, *(value,) * function.arity) for value in inner.ordered]
    factors = np.array([_number(result, function, label) for result in results])
    zero = np.zeros(len(inner_dims), dtype=np.int64)
    return Neurons(
        label,
        1,
        (inner_dims, zero, factors),
        (np.zeros(1, dtype=np.int64), np.array([out_dim]), np.ones(1)),
    )


def staircase(
    function: Callable[[Value], Value],
    label: str,
    inputs: ValueSet,
    input_dim: int,
    one_dim: int,
    *,
    exactness: float,
    out_dim: int | None = None,
    out_dims: dict[Value, int] | None = None,
) -> list[Neurons]:
    """A function of a number: two ReLUs a threshold between neighbouring values.

    Args:
        function: applied to each value of ``inputs``; values where it divides
            by zero or gives None are left out.
        exactness: slope of the steps (Tracr's mlp_exactness).
        out_dim: where a number is written; or
        out_dims: where each categorical output value is written.
    """
    results: list[Value] = []
    points: list[float] = []
    for x in _sorted_numbers(inputs, label):
        result = without_arithmetic_errors(function, x)
        if result is not None:
            results.append(result)
            points.append(x)
    if not results:
        raise ProgramError(f"{label}: {function} gives no value on any of {list(inputs.ordered)}")
    steps = len(points) - 1
    thresholds = np.array([(a + b) / 2 for a, b in itertools.pairwise(points)])
    up, down = 2 * np.arange(steps), 2 * np.arange(steps) + 1
    read = Entries()
    # A step at t rises from 0 to 1: relu(e x - e t + 1) - relu(e x - e t), for slope e (Tracr,
    # craft/chamber/numerical_mlp). It is written times what the result changes by there.
    read.add(input_dim, np.arange(2 * steps), float(exactness))
    read.add(one_dim, up, 1 - exactness * thresholds)
    read.add(one_dim, down, -exactness * thresholds)
    write, start = Entries(), Entries()
    if out_dims is None:
        assert out_dim is not None
        heights = np.array([_number(result, function, label) for result in results])
        write.add(up, out_dim, np.diff(heights))
        write.add(down, out_dim, -np.diff(heights))
        start.add(0, out_dim, heights[0])
    else:
        places = np.array([out_dims[result] for result in results], dtype=np.int64)
        moves = np.flatnonzero(places[1:] != places[:-1])
        after, before = places[1:][moves], places[:-1][moves]
        write.add(up[moves], after, 1.0)
        write.add(up[moves], before, -1.0)
        write.add(down[moves], after, -1.0)
        write.add(down[moves], before, 1.0)
        start.add(0, places[0], 1.0)
    always: Sparse = (np.array([one_dim]), np.zeros(1, dtype=np.int64), np.ones(1))
    hidden = f"_hidden_{label}_"
    runs = [Neurons(f"{hidden}start", 1, always, start.sparse())]
    if steps:
        runs.append(Neurons(hidden, 2 * steps, read.sparse(), write.sparse()))
    return runs


def linear(
    label: str, fst_dim: int, snd_dim: int, fst_factor: float, snd_factor: float, out_dim: int
) -> list[Neurons]:
    """LinearSequenceMap: negative and positive part of each input."""
    # a x + b y = a (relu(x) - relu(-x)) + b (relu(y) - relu(-y)).
    pair = np.arange(2)
    signs = np.array([-1.0, 1.0])
    return [
        Neurons(
            f"_hidden_{label}_{part}",
            2,
            (np.array([dim, dim]), pair, signs),
            (pair, np.array([out_dim, out_dim]), factor * signs),
        )
        for part, dim, factor in (("x", fst_dim, fst_factor), ("y", snd_dim, snd_factor))
    ]


def pairwise_and(
    function: Function,
    label: str,
    fst: ValueSet,
    fst_dims: Dims,
    snd: ValueSet,
    snd_dims: Dims,
    one_dim: int,
    out_dims: dict[Value, int],
) -> Neurons:
    """SequenceMap: one neuron ``relu(x_i + y_j - 1)`` a pair of values (`_neuron_of_pair`)."""
    n, m = len(fst.ordered), len(snd.ordered)
    count = n * m
    each = _neuron_of_pair(fst, snd)
    # Three entries a neuron of W_in [D, n m]: x_i, y_j and -1 of the constant.
    rows = np.concatenate([np.repeat(fst_dims, m), np.tile(snd_dims, n), np.full(count, one_dim)])
    values = np.ones(3 * count)
    values[2 * count :] = -1.0
    codes, results = _pair_results(
        function, fst.ordered, snd.ordered, types_of(fst.ordered), types_of(snd.ordered)
    )
    places = np.array([-1 if r is None else out_dims[r] for r in results], dtype=np.int64)[codes]
    written = np.flatnonzero(places >= 0)
    return Neurons(
        f"_hidden_{label}_",
        count,
        (rows, np.concatenate([each, each, each]), values),
        (each[written], places[written], np.ones(len(written))),
    )


def _neuron_of_pair(fst: ValueSet, snd: ValueSet) -> Dims:
    """Which neuron each pair of values has, pairs with the first value major.

    Tracr sorts the neurons by their pairs: first value major, unless values cannot be
    compared (texts and numbers), where the pairs are compared as Python prints them.
    """
    try:
        for values in (fst, snd):
            sorted(values.ordered)  # type: ignore[type-var]
        return np.arange(len(fst.ordered) * len(snd.ordered))
    except TypeError:
        pairs = [_Pair(x, y) for x in fst.ordered for y in snd.ordered]
        order = sorted(range(len(pairs)), key=pairs.__getitem__)
        return np.argsort(order)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Values of a SequenceMap, ordered as Tracr orders its hidden neurons."""

    fst: Value
    snd: Value

    def __lt__(self, other: _Pair) -> bool:
        try:
            return bool((self.fst, self.snd) < (other.fst, other.snd))
        except TypeError:
            return str(("", self.fst, "", self.snd)) < str(("", other.fst, "", other.snd))


@functools.lru_cache(maxsize=16384)
def _pair_results(
    function: Function,
    fst: tuple[Value, ...],
    snd: tuple[Value, ...],
    fst_types: tuple[type, ...],
    snd_types: tuple[type, ...],
) -> tuple[Dims, tuple[Value, ...]]:
    numbers: dict[Value, int] = {}
    codes = np.array(
        [
            numbers.setdefault(_call(function, "SequenceMap", x, y), len(numbers))
            for x in fst
            for y in snd
        ],
        dtype=np.int64,
    )
    return codes, tuple(numbers)


def _call(function: Function, label: str, *args: Value) -> Value:
    """A function's result where Tracr does not guard against arithmetic errors."""
    try:
        return function(*args)
    except PYTHON_FAILURES as error:
        shown = ", ".join(map(repr, args))
        raise ProgramError(
            f"{label}: {function} fails on {shown}, a value the variable may take: {error}"
        ) from None


def _number(value: Value, function: object, label: str) -> float:
    if not isinstance(value, (bool, int, float)):
        raise ProgramError(
            f"{label}: a numerical SOp holds numbers, but {function} gives {value!r}; make it "
            "categorical"
        )
    try:
        return float(value)
    except OverflowError:
        raise ProgramError(f"{label}: {function} gives a number too large for weights") from None


def _sorted_numbers(values: ValueSet, label: str) -> list[float]:
    for value in values.unordered:
        if not isinstance(value, (bool, int, float)):
            raise ProgramError(f"{label}: a numerical SOp holds numbers, not {value!r}")
    return list(tracr_sorted(values.unordered))  # type: ignore[arg-type]
