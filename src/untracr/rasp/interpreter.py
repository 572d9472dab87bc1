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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.bounds import MAX_SELECTOR_CELLS
from untracr.errors import EvaluationError, InputError
from untracr.rasp.domain import Domain, plain_inputs
from untracr.rasp.functions import Comparison, Function, Predicate, Value, types_of
from untracr.rasp.nodes import (
    SOP_TYPES,
    Aggregate,
    Indices,
    LinearSequenceMap,
    Map,
    Node,
    Ref,
    Select,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    SequenceMap,
    Tokens,
)
from untracr.rasp.program import HoldsProgram, Program, program_of
from untracr.rasp.spent import Spent
from untracr.rasp.tabulating import (
    CALL_FAILED,
    Distinct,
    Linear,
    binary_table,
    few_truths,
    is_few,
    is_plain,
    pair_results,
    pair_truths,
    unary_table,
)
from untracr.rasp.tabulating import LARGEST_EXACT_INTEGER as LARGEST_EXACT_INTEGER
from untracr.rasp.tabulating import Codes as Codes
from untracr.rasp.tabulating import Entry as Entry
from untracr.rasp.tabulating import Failure as Failure
from untracr.rasp.tabulating import Mask as Mask
from untracr.rasp.tabulating import distinct_codes as distinct_codes
from untracr.rasp.tabulating import distinct_numbers as distinct_numbers
from untracr.rasp.tabulating import numeric_values as numeric_values
from untracr.shown_text import shown


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


CELLS_AT_A_TIME = 4_000_000
"""Cells of a selector that are worked on at a time: each needs some numbers then."""

CELLS_OF_A_VALUE = 8
"""As how many cells of a selector a value at one position counts."""

CELLS_OF_A_DISTINCT_VALUE = 200
"""As how many cells of a selector a distinct value that is averaged counts."""

COMPARISONS_A_CALL = 16
"""Comparisons that cost as much as a call of a function: numbers are compared all at once."""


def _require_size(inputs: int, width: int) -> None:
    if inputs * width**2 > MAX_SELECTOR_CELLS:
        raise InputError(
            f"inputs times the square of their length may be at most {MAX_SELECTOR_CELLS:,}, "
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
        table = Distinct()
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
                spent.call(predicate, calls // COMPARISONS_A_CALL if at_once else calls, label)
            case Aggregate(_, sop):
                spent.fill(CELLS_OF_A_DISTINCT_VALUE * len(_column(states, sop).values), label)
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

    def _sequence_map(self, function: Function | Linear, fst: Column, snd: Column) -> Column:
        x, y = fst.values, snd.values
        if not is_few(len(x) * len(y), fst.codes.size):  # each pair that occurs, once
            pairs, used = distinct_codes(fst.codes * len(y) + snd.codes, len(x) * len(y))
            places = used.tolist()
            table, values, fails = pair_results(
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
        slowly = Linear(node.fst_factor, node.snd_factor)
        factors = (node.fst_factor, node.snd_factor)
        if not (is_plain(fst.values) and is_plain(snd.values) and is_plain(factors)):
            return self._sequence_map(slowly, fst, snd)
        # Sums of the pairs that occur, each pair once.
        pairs, used = distinct_codes(fst.codes * len(y) + snd.codes, len(x) * len(y))
        with np.errstate(over="ignore", invalid="ignore"):
            sums = node.fst_factor * x[used // len(y)] + node.snd_factor * y[used % len(y)]
        if not (np.abs(sums) <= LARGEST_EXACT_INTEGER).all():
            return self._sequence_map(slowly, fst, snd)
        numbers, inverse = distinct_numbers(sums)
        codes = inverse[pairs]
        values: list[Value] = numbers.tolist()
        if not any(isinstance(v, float) for v in (*fst.values, *snd.values, *factors)):
            values = [int(v) for v in numbers]
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
            table, reasons = few_truths(predicate, k, q)
        else:  # each pair that occurs, once
            pairs, used = distinct_codes(pairs, len(k) * len(q))
            places = used.tolist()
            table, reasons = pair_truths(
                predicate, ((k[p // len(q)], q[p % len(q)]) for p in places), len(places)
            )
        truths = table.take(pairs)
        if reasons:
            failed = np.zeros(len(self), dtype=np.bool_)
            failed[rows] = ((truths == CALL_FAILED) & allowed).any(axis=(1, 2))
            if bool(failed.any()):
                self._fail(failed, reasons[0])
        selected: Mask = (truths == 1) & allowed
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
        table = Distinct(sop.values)
        codes = np.where(count == 1, single, table.code(default))
        if bool(several.any()):
            if not numeric.all():
                self._require_numbers(selected, several, sop, numeric)
            if not is_plain(sop.values) or not (numbers % 1 == 0).all():
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
        InputError: an input is empty, or no sequence of tokens.
        EvaluationError: a function or comparison fails on some input.
    """
    whole, outputs = program_of(program), list[list[Value]]()
    for part in _of_like_size(plain_inputs(inputs)):
        batch = Batch(part, causal=causal)
        column = batch.evaluate(whole)
        outputs += [batch.row(column, row) for row in range(len(batch))]
    return outputs


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


def _pairs(states: Mapping[Ref, Column | Mask], fst: Ref, snd: Ref, codes: int) -> int:
    """On how many pairs a function of two columns is called."""
    pairs = len(_column(states, fst).values) * len(_column(states, snd).values)
    return pairs if is_few(pairs, codes) else codes


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
