"""RASP's semantics, over a whole batch of inputs at once.

A SOp over a batch is a `Column`: a table of the distinct values it takes and
an integer code per position. A function is then applied to its few distinct
arguments, not to every position, which makes all 3,905 inputs of the paper's
domain a matter of milliseconds. The rules are Tracr's evaluator's: None passes
through Map and SequenceMap, a single selected value is returned as it is,
several are averaged left to right, none gives the default, and a comparison
with None is an error.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.errors import EvaluationError, InputError, ProgramError
from untracr.rasp.domain import Domain
from untracr.rasp.functions import (
    Comparison,
    Function,
    Predicate,
    Value,
    brief,
    types_of,
    weighted_sum,
)
from untracr.rasp.program import (
    SOP_TYPES,
    Aggregate,
    HoldsProgram,
    Indices,
    LinearSequenceMap,
    Map,
    Node,
    Program,
    Ref,
    Select,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    SequenceMap,
    Tokens,
    program_of,
)
from untracr.rasp.spent import Held, Spent
from untracr.rasp.values import type_of
from untracr.shown_text import shown

Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Failure:
    """Stands for a value that could not be computed; an error only where it occurs."""

    reason: str


Entry = Value | Failure


@dataclass(frozen=True, slots=True)
class Column:
    """A SOp over a batch.

    Attributes:
        codes: [batch, position], index into ``values``; meaningless where the
            batch has no token.
        values: the distinct values, told apart by type as well (1, True, 1.0).
        fails: whether ``values`` holds a `Failure` (at no position that counts).
    """

    codes: Codes
    values: tuple[Entry, ...]
    fails: bool = False


MAX_BATCH = 100_000_000
"""Cells of one selector, [input, query, key]."""

CELLS_AT_A_TIME = 4_000_000
"""Cells of a selector that are worked on at a time: each needs some numbers then."""

CELLS_OF_A_VALUE = 8
"""As how many cells of a selector a value at one position counts."""

AT_ONCE = 16
"""Comparisons that cost as much as a call of a function: numbers are compared all at once."""

MAX_CACHED = 10_000
"""Values, or pairs, of the largest table that is kept."""


def _require_size(inputs: int, width: int) -> None:
    if inputs * width**2 > MAX_BATCH:
        raise InputError(
            f"inputs times the square of their length may be at most {MAX_BATCH:,}, "
            f"not {inputs:,} times {width:,} squared"
        )


class Batch:
    """Inputs of mixed lengths, padded into one array.

    Args:
        inputs: token sequences, each of at least one token.
        causal: whether a selector only sees keys up to the query's position.

    Attributes:
        tokens: the `Column` of the input tokens.
        indices: the `Column` of their positions.
        lengths: [batch], tokens of each input.
        valid: [batch, position], whether the position holds a token.
        causal: as given.
        failed: [batch], inputs that were left out since a step failed on them; None where
            that is an error (see `leave_out_failures`).

    Raises:
        InputError: there is no input, or one of them is empty.
    """

    def __init__(self, inputs: Sequence[Sequence[Value]], *, causal: bool = False) -> None:
        lengths = np.array([len(tokens) for tokens in inputs], dtype=np.int64)
        if len(inputs) == 0 or int(lengths.min()) == 0:
            raise InputError("an input must hold at least one token")
        width = int(lengths.max())
        _require_size(len(inputs), width)
        table = _Distinct()
        codes = np.zeros((len(inputs), width), dtype=np.int64)
        for row, tokens in enumerate(inputs):
            codes[row, : len(tokens)] = [table.code(token) for token in tokens]
        self._set(codes, table.values(), lengths, causal)

    def _set(self, codes: Codes, values: tuple[Entry, ...], lengths: Codes, causal: bool) -> None:
        width = codes.shape[1]
        _require_size(*codes.shape)
        self.tokens = Column(codes, values)
        self.lengths = lengths
        self.valid: Mask = np.arange(width)[None, :] < lengths[:, None]
        self.indices = Column(
            np.broadcast_to(np.arange(width, dtype=np.int64), codes.shape), tuple(range(width))
        )
        self._pairs: Mask = self.valid[:, :, None] & self.valid[:, None, :]
        if causal:
            self._pairs &= np.tri(width, dtype=np.bool_)
        self.failed: Mask | None = None
        self.causal = causal

    @classmethod
    def of_domain(
        cls, domain: Domain, start: int = 0, stop: int | None = None, *, causal: bool = False
    ) -> Batch:
        """Inputs ``start`` to ``stop`` of a domain, in the domain's order."""
        sizes = [len(domain.vocab) ** n for n in range(1, domain.max_seq_len + 1)]
        ends = np.cumsum(sizes)
        rows = np.arange(start, domain.size if stop is None else min(stop, domain.size))
        lengths = np.searchsorted(ends, rows, side="right").astype(np.int64) + 1
        rank = rows - (ends - sizes)[lengths - 1]
        width = int(lengths.max())
        codes = np.zeros((len(rows), width), dtype=np.int64)
        for position in range(width):
            power = lengths - 1 - position
            digit = rank // len(domain.vocab) ** np.maximum(power, 0) % len(domain.vocab)
            codes[:, position] = np.where(power >= 0, digit, 0)
        batch = cls.__new__(cls)
        batch._set(codes, tuple(domain.vocab), lengths, causal)
        return batch

    @classmethod
    def of_codes(
        cls, domain: Domain, codes: Codes, lengths: Codes, *, causal: bool = False
    ) -> Batch:
        """Inputs by the places of their tokens in a domain's vocabulary.

        Args:
            domain: of the inputs.
            codes: [batch, position]; any place behind the end of an input.
            lengths: [batch], at least 1.
            causal: see `Batch`.
        """
        batch = cls.__new__(cls)
        batch._set(codes, tuple(domain.vocab), lengths, causal)
        return batch

    @classmethod
    def sampled(
        cls, domain: Domain, count: int, rng: np.random.Generator, *, causal: bool = False
    ) -> Batch:
        """Inputs of a domain drawn at random: all lengths, then all tokens, equally likely."""
        lengths = rng.integers(1, domain.max_seq_len + 1, size=count)
        codes = rng.integers(len(domain.vocab), size=(count, domain.max_seq_len))
        codes[np.arange(domain.max_seq_len) >= lengths[:, None]] = 0
        return cls.of_codes(domain, codes, lengths, causal=causal)

    def __len__(self) -> int:
        return len(self.lengths)

    def leave_out_failures(self) -> None:
        """From now on an input on which a step fails is left out of all later ones, and noted.

        Its row of ``failed`` is set, it has no valid position any more, and its values
        mean nothing.
        """
        self.failed = np.zeros(len(self), dtype=np.bool_)

    def _fail(self, rows: Mask, reason: str) -> None:
        """Leaves out some inputs [batch].

        Raises:
            EvaluationError: failing is an error here.
        """
        if self.failed is None:
            raise EvaluationError(reason)
        self.failed |= rows
        self.valid &= ~rows[:, None]
        self._pairs &= ~rows[:, None, None]

    def input(self, row: int) -> list[Value]:
        """The tokens of one row."""
        return self.row(self.tokens, row)

    def row(self, column: Column, row: int) -> list[Value]:
        """A column's values for one input."""
        codes = column.codes[row, : self.lengths[row]]
        return [_require(column.values[code]) for code in codes]

    def evaluate(self, program: Program, spent: Spent | None = None) -> Column:
        """Runs a program on every input.

        Args:
            program: the program.
            spent: what was spent on it before; nothing if not given.

        Raises:
            EvaluationError: a function or comparison fails on some input.
            TooCostly: it asks for more than is spent on a program.
        """
        states: dict[Ref, Column | Mask] = {}
        spent = Spent() if spent is None else spent
        for ref in sorted(program.reachable):
            node = program.nodes[ref]
            self.count(node, states, spent, program.labels[ref])
            states[ref] = self.step(node, states)
        output = states[program.output]
        assert isinstance(output, Column)
        return output

    def count(
        self, node: Node, states: Mapping[Ref, Column | Mask], spent: Spent, label: str = "it"
    ) -> None:
        """Adds what one step will cost, before it is taken.

        Raises:
            TooCostly: it is too much.
        """
        positions, cells = self.valid.size, self._pairs.size
        match node:
            case Tokens() | Indices():
                return
            case Map(function, inner):
                spent.call(function, len(_column(states, inner).values), label)
            case SequenceMap(function, fst, snd):
                spent.call(function, _pairs(states, fst, snd, positions), label)
            case LinearSequenceMap(fst, snd):
                spent.call(None, _pairs(states, fst, snd, positions), label)
            case Select(keys, queries, predicate):
                calls = _pairs(states, keys, queries, cells)
                at_once = isinstance(predicate, Comparison)
                spent.call(predicate, calls // AT_ONCE if at_once else calls, label)
            case _:
                pass
        is_sop = isinstance(node, SOP_TYPES) and not isinstance(node, Aggregate)
        spent.fill(CELLS_OF_A_VALUE * positions if is_sop else cells, label)

    def step(self, node: Node, states: dict[Ref, Column | Mask]) -> Column | Mask:
        """Evaluates one node, given the states of those it reads.

        Returns:
            A `Column` for a SOp; for a selector a bool array [batch, query, key].

        Raises:
            EvaluationError: a function or comparison fails on some input.
        """
        match node:
            case Tokens():
                return self.tokens
            case Indices():
                return self.indices
            case Map(function, inner):
                return self._map(function, _column(states, inner))
            case SequenceMap(function, fst, snd):
                return self._sequence_map(function, _column(states, fst), _column(states, snd))
            case LinearSequenceMap(fst, snd):
                return self._linear(node, _column(states, fst), _column(states, snd))
            case Select(keys, queries, predicate):
                return self._select(predicate, _column(states, keys), _column(states, queries))
            case SelectorAnd(fst, snd):
                return _mask(states, fst) & _mask(states, snd)
            case SelectorOr(fst, snd):
                return _mask(states, fst) | _mask(states, snd)
            case SelectorNot(inner):
                return ~_mask(states, inner) & self._pairs
            case SelectorWidth(selector):
                widths = np.count_nonzero(_mask(states, selector), axis=2)
                return Column(widths, tuple(range(self.valid.shape[1] + 1)))
            case Aggregate(selector, sop, default):
                return self._aggregate(_mask(states, selector), _column(states, sop), default)

    def _map(self, function: Function, inner: Column) -> Column:
        table, values, fails = unary_table(function, inner.values, types_of(inner.values))
        return self._checked(table.take(inner.codes), values, fails)

    def _sequence_map(self, function: Function | _Linear, fst: Column, snd: Column) -> Column:
        x, y = fst.values, snd.values
        if not is_few(len(x) * len(y), fst.codes.size):  # each pair that occurs, once
            pairs, used = distinct_codes(fst.codes * len(y) + snd.codes, len(x) * len(y))
            places = used.tolist()
            table, values, fails = _results(
                function, ((x[p // len(y)], y[p % len(y)]) for p in places), len(places)
            )
            return self._checked(table.take(pairs), values, fails)
        table, values, fails = binary_table(
            function, fst.values, snd.values, types_of(fst.values), types_of(snd.values)
        )
        pairs = fst.codes * len(snd.values) + snd.codes
        return self._checked(table.take(pairs), values, fails)

    def _linear(self, node: LinearSequenceMap, fst: Column, snd: Column) -> Column:
        (x, x_numeric), (y, y_numeric) = numeric_values(fst.values), numeric_values(snd.values)
        slowly = _Linear(node.fst_factor, node.snd_factor)
        factors = (node.fst_factor, node.snd_factor)
        if not (_plain(fst.values) and _plain(snd.values) and _plain(factors)):
            return self._sequence_map(slowly, fst, snd)
        # Sums of the pairs that occur, each pair once.
        pairs, used = distinct_codes(fst.codes * len(y) + snd.codes, len(x) * len(y))
        with np.errstate(over="ignore", invalid="ignore"):
            sums = node.fst_factor * x[used // len(y)] + node.snd_factor * y[used % len(y)]
        if not (np.abs(sums) <= EXACT).all():
            return self._sequence_map(slowly, fst, snd)
        found, inverse = distinct_numbers(sums)
        codes = inverse[pairs]
        values: list[Value] = found.tolist()
        if not any(isinstance(v, float) for v in (*fst.values, *snd.values, *factors)):
            values = [int(v) for v in found]
        if not (x_numeric.all() and y_numeric.all()):
            present = x_numeric[fst.codes] & y_numeric[snd.codes]
            codes = np.where(present, codes, len(values))
            values.append(None)
        return Column(codes, tuple(values))

    def _checked(self, codes: Codes, values: tuple[Entry, ...], fails: bool) -> Column:
        if fails:
            for code in np.unique(codes[self.valid]).tolist():
                value = values[code]
                if isinstance(value, Failure):
                    self._fail((self.valid & (codes == code)).any(axis=1), value.reason)
        return Column(codes, values, fails)

    def _select(self, predicate: Predicate, keys: Column, queries: Column) -> Mask:
        parts = [self._select_rows(predicate, keys, queries, rows) for rows in self._parts()]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _parts(self) -> Iterator[slice]:
        """Rows that are worked on at a time where each needs more than a cell of memory."""
        step = max(1, CELLS_AT_A_TIME // (self.valid.shape[1] ** 2))
        return (slice(start, start + step) for start in range(0, len(self), step))

    def _select_rows(
        self, predicate: Predicate, keys: Column, queries: Column, rows: slice
    ) -> Mask:
        k, q, allowed = keys.values, queries.values, self._pairs[rows]
        pairs = keys.codes[rows, None, :] * len(q) + queries.codes[rows, :, None]
        if is_few(len(k) * len(q), pairs.size):
            table, reasons = _few_predicates(predicate, k, q)
        else:  # each pair that occurs, once
            pairs, used = distinct_codes(pairs, len(k) * len(q))
            places = used.tolist()
            table, reasons = _truths(
                predicate, ((k[p // len(q)], q[p % len(q)]) for p in places), len(places)
            )
        found = table.take(pairs)
        if reasons:
            failed = np.zeros(len(self), dtype=np.bool_)
            failed[rows] = ((found == _FAILED) & allowed).any(axis=(1, 2))
            if bool(failed.any()):
                self._fail(failed, reasons[0])
        selected: Mask = (found == 1) & allowed
        return selected

    def _aggregate(self, selected: Mask, sop: Column, default: Value) -> Column:
        numbers, numeric = numeric_values(sop.values)
        # One product counts what is selected and adds up its codes and numbers.
        columns = np.empty((*sop.codes.shape, 3))
        columns[..., 0] = 1.0
        columns[..., 1] = sop.codes
        columns[..., 2] = numbers.take(sop.codes)
        sums = np.empty((*sop.codes.shape, 3))
        with np.errstate(over="ignore", invalid="ignore"):
            for rows in self._parts():
                sums[rows] = selected[rows].astype(np.float64) @ columns[rows]
        count, single, total = sums[..., 0], sums[..., 1].astype(np.int64), sums[..., 2]
        several = count > 1
        table = _Distinct(sop.values)
        codes = np.where(count == 1, single, table.code(default))
        if bool(several.any()):
            if not numeric.all():
                self._require_numbers(selected, several, sop, numeric)
            if not _plain(sop.values) or not (numbers % 1 == 0).all():
                total = _sum_left_to_right(selected, columns[..., 2])
            means, inverse = distinct_numbers(total[several] / count[several])
            codes[several] = np.array([table.code(mean) for mean in means.tolist()])[inverse]
        return self._checked(codes, table.values(), sop.fails)

    def _require_numbers(self, selected: Mask, several: Mask, sop: Column, numeric: Mask) -> None:
        odd = ~numeric[sop.codes][:, None, :]
        failed = np.asarray(((selected & odd).any(axis=2) & several).any(axis=1))
        if bool(failed.any()):
            met = [v for v, n in zip(sop.values, numeric, strict=True) if not n]
            self._fail(
                failed,
                "an Aggregate that selects several values needs numbers to average; it met "
                f"{shown(met)}",
            )


def _sum_left_to_right(selected: Mask, numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Sums of the selected numbers in the order in which Python's ``sum`` adds them."""
    total = np.zeros(selected.shape[:2])
    with np.errstate(over="ignore", invalid="ignore"):
        for position in range(selected.shape[2]):
            total += np.where(selected[:, :, position], numbers[:, position, None], 0.0)
    return total


def run(
    program: Program | HoldsProgram, inputs: Sequence[Sequence[Value]], *, causal: bool = False
) -> list[list[Value]]:
    """Runs a program on a batch of inputs.

    Args:
        program: the program, or a named one.
        inputs: token sequences of any lengths of at least one.
        causal: whether a selector only selects keys up to the query's position.

    Returns:
        One output sequence an input.

    Raises:
        InputError: an input is empty.
        EvaluationError: a function or comparison fails on some input.
    """
    whole, found = program_of(program), list[list[Value]]()
    for part in _of_like_size(inputs):
        batch = Batch(part, causal=causal)
        column = batch.evaluate(whole)
        found += [batch.row(column, row) for row in range(len(batch))]
    return found


def _of_like_size(inputs: Sequence[Sequence[Value]]) -> Iterator[Sequence[Sequence[Value]]]:
    """The inputs in order, as many at a time as are run together."""
    start, longest = 0, 0
    for row, tokens in enumerate(inputs):
        longest = max(longest, len(tokens))
        if row > start and (row + 1 - start) * longest**2 > CELLS_AT_A_TIME:
            yield inputs[start:row]
            start, longest = row, len(tokens)
    if len(inputs):
        yield inputs[start:]


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
class _Linear:
    fst_factor: int | float
    snd_factor: int | float

    def __call__(self, x: Value, y: Value) -> Value:
        return weighted_sum(x, y, self.fst_factor, self.snd_factor)


EXACT = 2**53
"""Integers up to this size are exact as floats."""


@functools.lru_cache(maxsize=4096)
def _plain(values: tuple[Entry, ...]) -> bool:
    """Whether all values are None or numbers of ordinary size, fit for array arithmetic."""
    return all(
        v is None or (isinstance(v, (bool, int, float)) and -EXACT <= v <= EXACT) for v in values
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


class _Distinct:
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


FAILURES = (TypeError, ArithmeticError, ValueError, ProgramError)
"""What a function raises on a value that it is not made for."""


def is_few(pairs: int, codes: int) -> bool:
    """Whether all pairs of two columns' values are tried, and not only those that occur."""
    return pairs <= FEW_CODES * codes + 64


def _pairs(states: Mapping[Ref, Column | Mask], fst: Ref, snd: Ref, codes: int) -> int:
    """On how many pairs a function of two columns is called."""
    pairs = len(_column(states, fst).values) * len(_column(states, snd).values)
    return pairs if is_few(pairs, codes) else codes


def _apply(function: Function | Predicate | _Linear, *args: Entry) -> Entry:
    for arg in args:
        if isinstance(arg, Failure):
            return arg
    try:
        return function(*args)  # type: ignore[arg-type]
    except FAILURES as error:
        listed = ", ".join(shown(arg) for arg in args)
        return Failure(f"{brief(function)} fails on {listed}: {error}")


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
        return _coded((None if v is None else _apply(function, v) for v in values), len(values))


def binary_table(
    function: Function | _Linear,
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
    function: Function | _Linear,
    fst: tuple[Entry, ...],
    snd: tuple[Entry, ...],
    fst_types: tuple[type, ...],
    snd_types: tuple[type, ...],
) -> Results:
    codes, values, fails = _results(function, itertools.product(fst, snd), len(fst) * len(snd))
    return codes.reshape(len(fst), len(snd)), values, fails


def _results(
    function: Function | _Linear, pairs: Iterable[tuple[Entry, Entry]], count: int
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
        return _coded(
            (None if x is None or y is None else _apply(function, x, y) for x, y in pairs), count
        )


def _coded(found: Iterable[Entry], count: int) -> Results:
    out = _Distinct()
    codes = np.fromiter(map(out.code, found), dtype=np.int64, count=count)
    results = out.values()
    return codes, results, Failure in map(type, results)


_FAILED = 2

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


def _few_predicates(
    predicate: Predicate, keys: tuple[Entry, ...], queries: tuple[Entry, ...]
) -> Truths:
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
    table, reasons = _truths(predicate, itertools.product(keys, queries), len(keys) * len(queries))
    return table.reshape(len(keys), len(queries)), reasons


def _truths(predicate: Predicate, pairs: Iterable[tuple[Entry, Entry]], count: int) -> Truths:
    """A predicate on some pairs of a key and a query."""
    table = np.zeros(count, dtype=np.int8)
    reasons: list[str] = []
    for place, (key, query) in enumerate(pairs):
        if isinstance(predicate, Comparison) and (key is None or query is None):
            result: Entry = Failure(_cannot_compare_none(predicate))
        else:
            result = _apply(predicate, key, query)
        if isinstance(result, Failure):
            table[place] = _FAILED
            reasons = reasons or [result.reason]
        else:
            table[place] = bool(result)
    return table, tuple(reasons)


def _compare_numbers(
    predicate: Comparison, keys: tuple[Entry, ...], queries: tuple[Entry, ...]
) -> tuple[npt.NDArray[np.int8], tuple[str, ...]] | None:
    """`predicate_table` of numbers and None at once; None where there are other values."""
    if not (_plain(keys) and _plain(queries)):
        return None
    (k_numbers, k_numeric), (q_numbers, q_numeric) = numeric_values(keys), numeric_values(queries)
    if predicate in _ARRAY_COMPARISONS:
        compare = _ARRAY_COMPARISONS[predicate]
        table = compare(k_numbers[:, None], q_numbers[None, :]).astype(np.int8)
    else:
        table = np.full((len(keys), len(queries)), predicate is Comparison.TRUE, dtype=np.int8)
    if k_numeric.all() and q_numeric.all():
        return table, ()
    table[~k_numeric] = _FAILED
    table[:, ~q_numeric] = _FAILED
    return table, (_cannot_compare_none(predicate),)


def _cannot_compare_none(predicate: Comparison) -> str:
    return (
        f"{predicate!r} cannot compare None: a Select's keys and queries must always have a value"
    )


def _column(states: Mapping[Ref, Column | Mask], ref: Ref) -> Column:
    state = states[ref]
    assert isinstance(state, Column)
    return state


def _mask(states: Mapping[Ref, Column | Mask], ref: Ref) -> Mask:
    state = states[ref]
    assert not isinstance(state, Column)
    return state


def _require(value: Entry) -> Value:
    assert not isinstance(value, Failure)
    return value
