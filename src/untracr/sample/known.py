"""What sampled SOps hold on the test inputs, computed once and remembered.

Random programs repeat themselves: most draws read `tokens`, `indices` and
their simplest functions. Results are remembered by the identity of what they
are computed from, so that a draw which was made before, in this program or in
an earlier one, costs a look-up. Nothing here depends on what is remembered.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Literal

import numpy as np

from untracr.arrays import Floats
from untracr.errors import EvaluationError
from untracr.rasp.functions import Function, Predicate, types_of
from untracr.rasp.interpreter import Batch, Column, Entry, Mask, numeric_values
from untracr.rasp.nodes import (
    CATEGORICAL,
    NUMERICAL,
    TOKENS,
    Aggregate,
    LinearSequenceMap,
    Map,
    Node,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
)
from untracr.sample.acceptance import mostly_none, moves_values, none_positions

REMEMBERED = 4_096
"""Results kept of each kind; one takes about 2 kB."""


class Known:
    """A SOp on the test inputs; one object is equal only to itself.

    Attributes:
        column: its values.
        has_none: whether a value is None.
        mostly_none: whether on some input more than half of the values are None.
    """

    @classmethod
    def of(cls, batch: Batch, column: Column) -> Known:
        """One object for all columns that hold the same values where there are tokens."""
        codes = np.where(batch.valid, column.codes, column.codes[:, :1])
        used = list(dict.fromkeys(codes.ravel().tolist()))
        renumber = np.empty(len(column.values), dtype=np.int64)
        renumber[used] = range(len(used))
        codes = renumber[codes]
        values = tuple([column.values[code] for code in used])
        key = batch, codes.tobytes(), values, types_of(values)
        known = _KNOWN.get(key)
        if known is None:
            if len(_KNOWN) >= REMEMBERED:
                _KNOWN.clear()
            known = _KNOWN[key] = cls(batch, Column(codes, values))
        return known

    def __init__(self, batch: Batch, column: Column) -> None:
        self.column = column
        missing = none_positions(column, batch)
        self.has_none = missing is not None and bool(missing.any())
        self.mostly_none = self.has_none and mostly_none(column, batch)
        self._valid = batch.valid

    @functools.cached_property
    def numbers(self) -> tuple[Floats, Floats] | None:
        """[batch, position] as floats: 0, and in the second array NaN, where there is no token.

        None if not all values are numbers.
        """
        numbers, numeric = numeric_values(self.column.values)
        if not numeric.all():
            return None
        here = numbers[self.column.codes]
        return np.where(self._valid, here, 0.0), np.where(self._valid, here, np.nan)

    @functools.cached_property
    def fingerprint(self) -> bytes:
        """A digest of 16 bytes of the values, the same for values that count as equal.

        Numbers are rounded to six decimals and seven digits, far wider than
        `untracr.rasp.equivalence.EQUAL_WITHIN`. Sums and means of small integers,
        which is what the sampler makes, do not lie where that rounding turns.
        """
        order: dict[str, int] = {}
        names = [rounded_name(value) for value in self.column.values]
        table = np.array([order.setdefault(name, len(order)) for name in names], dtype="<i4")
        digest = hashlib.blake2b(table[self.column.codes].tobytes(), digest_size=16)
        digest.update(repr(list(order)).encode())
        return digest.digest()


def rounded_name(value: Entry) -> str:
    """One text for all values that count as equal: True, 1 and 1 + 1e-12 have the same."""
    if not isinstance(value, (bool, int, float)):
        return repr(value)
    try:
        return f"{round(float(value), 6) + 0.0:.7g}"
    except OverflowError:  # an integer beyond any float
        return repr(value)


class Selection:
    """A selector on the test inputs; one object is equal only to itself.

    Attributes:
        mask: [batch, query, key].
        none: [batch, query], where nothing is selected.
        divisor: how many are selected, at least 1.
    """

    __slots__ = ("divisor", "mask", "none")

    @classmethod
    def of(cls, batch: Batch, mask: Mask) -> Selection:
        """One object for all selectors that select the same."""
        key = batch, mask.tobytes()
        selection = _SELECTIONS.get(key)
        if selection is None:
            if len(_SELECTIONS) >= REMEMBERED:
                _SELECTIONS.clear()
            selection = _SELECTIONS[key] = cls(mask)
        return selection

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        count = np.count_nonzero(mask, axis=2)
        self.none: Mask = count == 0
        self.divisor: Floats = np.maximum(count, 1.0)


_KNOWN: dict[tuple[Batch, bytes, tuple[Entry, ...], tuple[type, ...]], Known] = {}
_SELECTIONS: dict[tuple[Batch, bytes], Selection] = {}


@functools.lru_cache(maxsize=64)
def known_input(batch: Batch, ref: Ref) -> Known:
    """`TOKENS` or `INDICES`."""
    return Known.of(batch, batch.tokens if ref == TOKENS else batch.indices)


@functools.lru_cache(maxsize=REMEMBERED)
def mapped(batch: Batch, function: Function, inner: Known) -> Known | None:
    """A Map; None if it fails, here and below."""
    return _evaluate(batch, Map(function, 0), inner.column)


@functools.lru_cache(maxsize=REMEMBERED)
def combined(batch: Batch, function: Function, fst: Known, snd: Known) -> Known | None:
    """A SequenceMap."""
    return _evaluate(batch, SequenceMap(function, 0, 1), fst.column, snd.column)


@functools.lru_cache(maxsize=REMEMBERED)
def added(batch: Batch, fst_factor: int, snd_factor: int, fst: Known, snd: Known) -> Known | None:
    """A LinearSequenceMap."""
    node = LinearSequenceMap(0, 1, fst_factor, snd_factor)
    return _evaluate(batch, node, fst.column, snd.column)


@functools.lru_cache(maxsize=REMEMBERED)
def selected(batch: Batch, predicate: Predicate, keys: Known, queries: Known) -> Selection | None:
    """A Select."""
    try:
        mask = batch.step(Select(0, 1, predicate), {0: keys.column, 1: queries.column})
    except EvaluationError:
        return None
    assert not isinstance(mask, Column)
    return Selection.of(batch, mask)


@functools.lru_cache(maxsize=REMEMBERED)
def averaged(batch: Batch, selection: Selection, sop: Known) -> Known | None:
    """A numerical Aggregate."""
    return _evaluate(batch, Aggregate(0, 1, 0, NUMERICAL), selection.mask, sop.column)


@functools.lru_cache(maxsize=REMEMBERED)
def moved(batch: Batch, selection: Selection, sop: Known) -> Known | Literal["averages", "fails"]:
    """A categorical Aggregate, if every output is one of the same input's values or None."""
    if sop.numbers is not None and not _would_move(selection, *sop.numbers):
        return "averages"
    known = _evaluate(batch, Aggregate(0, 1, None, CATEGORICAL), selection.mask, sop.column)
    if known is None:
        return "fails"
    return known if moves_values(known.column, sop.column, batch) else "averages"


@functools.lru_cache(maxsize=REMEMBERED)
def width(batch: Batch, selection: Selection) -> Known:
    """A SelectorWidth."""
    known = _evaluate(batch, SelectorWidth(0), selection.mask)
    assert known is not None
    return known


def _would_move(selection: Selection, numbers: Floats, present: Floats) -> bool:
    """`moves_values` of numbers (see `Known.numbers`), before evaluating; rounding may differ."""
    sums = np.matmul(selection.mask.astype(np.float64), numbers[:, :, None])[:, :, 0]
    mean = sums / selection.divisor
    found = np.logical_or.reduce(mean[:, :, None] == present[:, None, :], axis=2)
    return bool(np.logical_and.reduce(found | selection.none, axis=None))


def _evaluate(batch: Batch, node: Node, *states: Column | Mask) -> Known | None:
    try:
        column = batch.step(node, dict(enumerate(states)))
    except EvaluationError:
        return None
    assert isinstance(column, Column)
    return Known.of(batch, column)
