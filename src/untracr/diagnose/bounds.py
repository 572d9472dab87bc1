"""How far what weights hold may be from what a program means, told without running either.

A SOp's dimensions hold its value up to an error, which is followed from operation to
operation: attention that is not quite sharp, steps that are not quite steep, sums in
single precision. What is said here holds on every input on which nothing comes up that
weights cannot hold (`untracr.diagnose.doubts`), and for weights that
`untracr.compile.compiler.compile_program` made.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from untracr.arrays import Floats
from untracr.compile.blocks import COLDNESS
from untracr.compile.compiler import Compiled
from untracr.compile.layers import half_layers
from untracr.compile.values import ValueSet, without_arithmetic_errors
from untracr.diagnose.blur import AS_COMPILED, UNITS_OF_LOGIT, Blur
from untracr.diagnose.precision import tolerances
from untracr.diagnose.steps import Staircase
from untracr.rasp.functions import Comparison, Function, Predicate, Value, number_or
from untracr.rasp.nodes import (
    CATEGORICAL,
    Aggregate,
    Indices,
    LinearSequenceMap,
    Map,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
    Tokens,
)
from untracr.rasp.program import Program
from untracr.rasp.tabulating import FAILURES

HALF_LEAD = 1e-4
"""A value that is off by less than one half less this is told from others: it is read out more
strongly than they are by twice as much."""

ROUGH = 1e-3
"""A value is rough where a staircase is off by more at it."""


@dataclass(frozen=True)
class Off:
    """How far a SOp's dimensions may be off.

    Attributes:
        one: any one of them.
        all: all of them together.
    """

    one: float
    all: float


NO_ERROR = Off(0.0, 0.0)
UNKNOWN_OFF = Off(math.inf, math.inf)


@dataclass(frozen=True)
class Bounds:
    """What is known of weights without running them.

    Attributes:
        off: how far each SOp may be off, where no value that it rests on is rough.
        rough: values of the SOp that a Map reads (of a SelectorWidth its own) at which
            its staircase is off by too much; empty where none was left out.
        right: whether the output is right wherever nothing is in doubt.
    """

    off: dict[Ref, Off]
    rough: dict[Ref, tuple[Value, ...]]
    right: bool


def bounds(
    program: Program, compiled: Compiled, max_seq_len: int, blur: Blur = AS_COMPILED
) -> Bounds:
    """Follows errors through a program's weights.

    Args:
        program: the program; composite selectors lowered.
        compiled: its weights, as compiled.
        max_seq_len: the longest input.
        blur: what is off besides in weights that are not quite these.
    """
    whole = _Analysis(program, compiled, max_seq_len, blur, leave_out=False).bounds()
    if whole.right:
        return whole
    return _Analysis(program, compiled, max_seq_len, blur, leave_out=True).bounds()


def sufficient_exactness(program: Program, compiled: Compiled) -> float:
    """The mlp_exactness from which all steps are clear; inf where no slope can be."""
    slope = 0.0
    for ref in program.sops:
        stairs = staircase_of(program, compiled, ref)
        if stairs is not None:
            slope = max(slope, stairs[0].sufficient())
    return slope


def steepest_exactness(program: Program, compiled: Compiled) -> float:
    """The mlp_exactness up to which single precision does not blur steps; inf without steps."""
    slope = math.inf
    for ref in program.sops:
        stairs = staircase_of(program, compiled, ref)
        if stairs is not None:
            slope = min(slope, stairs[0].steepest())
    return slope


def staircase_of(
    program: Program, compiled: Compiled, ref: Ref
) -> tuple[Staircase, tuple[Value, ...]] | None:
    """An operation's staircase and the value that each of its points stands for.

    The values are those that it reads, a SelectorWidth's its own. None where there is no
    staircase, or it has no point.
    """
    node, sets = program.nodes[ref], compiled.value_sets
    match node:
        case SelectorWidth():
            values = [v for v in sets[ref].unordered if isinstance(v, int)]
            results_at: list[tuple[float, Value, Value]] = [
                (1 / (width + 1), width, width) for width in values
            ]
        case Map(function, inner) | SequenceMap(function, inner):
            if program.encoding(inner) is CATEGORICAL:
                return None
            results = _results(function, sets[inner])
            results_at = [(number_or(x, math.nan), y, x) for x, y in results if y is not None]
        case _:
            return None
    if not results_at:
        return None
    results_at.sort(key=lambda step: step[0])
    points = np.array([point for point, _, _ in results_at])
    if program.encoding(ref) is CATEGORICAL:
        places = {value: i for i, value in enumerate(sets[ref].ordered)}
        written = np.array([float(places[y]) for _, y, _ in results_at])
    else:
        written = np.array([number_or(y, math.nan) for _, y, _ in results_at])
    is_categorical = program.encoding(ref) is CATEGORICAL
    stairs = Staircase(points, written, is_categorical, compiled.mlp_exactness)
    return stairs, tuple(value for _, _, value in results_at)


def _results(function: Function, inner: ValueSet) -> tuple[tuple[Value, Value], ...]:
    return _pairs_of(function, inner.unordered, inner.types)


@functools.lru_cache(maxsize=4096)
def _pairs_of(
    function: Function, values: tuple[Value, ...], types: tuple[type, ...]
) -> tuple[tuple[Value, Value], ...]:
    """Each value with a function's result on it."""
    each = ((x, (x,) * function.arity) for x in values)
    return tuple((x, without_arithmetic_errors(function, *args)) for x, args in each)


class _Analysis:
    def __init__(
        self, program: Program, compiled: Compiled, max_seq_len: int, blur: Blur, *, leave_out: bool
    ) -> None:
        self.program, self.compiled, self.length = program, compiled, max_seq_len
        self.sets = compiled.value_sets
        self.sharpness = COLDNESS / math.sqrt(compiled.transformer.d_head)
        self.clean = clean_at_bos(program)
        self.leave_out, self.blur = leave_out, blur
        self.off: dict[Ref, Off] = {}
        self.rough: dict[Ref, tuple[Value, ...]] = {}

    def bounds(self) -> Bounds:
        """All SOps, in node order."""
        with np.errstate(all="ignore"):
            for ref in self.program.sops:
                off = self._with_crosstalk(ref, self._of(ref))
                known = math.isfinite(off.one) and math.isfinite(off.all)
                self.off[ref] = off if known else UNKNOWN_OFF
        return Bounds(self.off, self.rough, self._is_right())

    def _with_crosstalk(self, ref: Ref, off: Off) -> Off:
        """With what is written into a SOp's dimensions besides."""
        more = self.blur.crosstalk
        dims = len(self.sets[ref].ordered) if self.program.encoding(ref) is CATEGORICAL else 1
        return Off(off.one + more, off.all + dims * more) if more else off

    def _is_right(self) -> bool:
        output = self.program.output
        if output not in self.off:
            return False
        off = self.off[output].one
        if self.program.encoding(output) is CATEGORICAL:
            return off < 0.5 - HALF_LEAD
        return off <= float(tolerances(self.sets[output].unordered).min())

    def _of(self, ref: Ref) -> Off:
        node, program = self.program.nodes[ref], self.program
        match node:
            case Tokens() | Indices():
                return NO_ERROR
            case Aggregate(selector, sop):
                return self._aggregate(selector, sop, program.encoding(ref) is CATEGORICAL)
            case SelectorWidth(selector):
                return self._width(ref, selector)
            case LinearSequenceMap(fst, snd, a, b):
                size = abs(a) * self._size(fst) + abs(b) * self._size(snd)
                off = (
                    abs(a) * self.off[fst].one
                    + abs(b) * self.off[snd].one
                    + 4 * self.blur.unit * size
                )
                off += self.blur.slip * (1 + abs(a) + abs(b))
                return Off(off, off)
            case SequenceMap(_, fst, snd) if fst != snd:
                return self._pairs(fst, snd)
            case SequenceMap(function, inner) | Map(function, inner):
                if program.encoding(inner) is not CATEGORICAL:
                    off = self.off[inner].one
                    return self._staircase(ref, lambda points: (points - off, points + off))
                results = _results(function, self.sets[inner])
                if program.encoding(ref) is CATEGORICAL:
                    return self._lookup(inner, [y for _, y in results])
                largest = max(abs(number_or(y, math.inf)) for _, y in results)
                off = largest * (self.off[inner].all + 4 * self.blur.unit)
                off += max(1.0, largest) * len(results) * self.blur.slip
                return Off(off, off)
            case _:
                return UNKNOWN_OFF

    def _size(self, ref: Ref) -> float:
        """The largest number of a SOp."""
        return max(abs(number_or(v, 1.0)) for v in self.sets[ref].unordered)

    def _lookup(self, inner: Ref, results: list[Value]) -> Off:
        counts: dict[Value, int] = {}
        for result in results:
            counts[result] = counts.get(result, 0) + 1
        off, slips = self.off[inner], len(results) * self.blur.slip
        return Off(min(off.all, max(counts.values()) * off.one) + slips, off.all + slips)

    def _pairs(self, fst: Ref, snd: Ref) -> Off:
        x, y = self.off[fst], self.off[snd]
        if x.one + y.one >= 1:  # neurons of pairs that do not hold may be active
            return UNKNOWN_OFF
        n, m = len(self.sets[fst].ordered), len(self.sets[snd].ordered)
        off = x.all + y.all + (m - 1) * x.one + (n - 1) * y.one
        off += (
            2 * (n + m - 1) * self.blur.slip
        )  # of pairs that share a value with the one that holds
        return Off(off, off)

    def _logit_off(self, selector: Ref) -> float:
        """How far a logit may be off."""
        select = self.program.nodes[selector]
        if not isinstance(select, Select) or select.keys not in self.clean:
            return math.inf
        if not isinstance(select.predicate, Comparison):
            keys, queries = self.sets[select.keys], self.sets[select.queries]
            if _is_graded(
                select.predicate, keys.unordered, queries.unordered, keys.types, queries.types
            ):
                return math.inf
        k, q = self.off[select.keys].all, self.off[select.queries].all
        return self.sharpness * (k + q + k * q + UNITS_OF_LOGIT * self.blur.unit)

    def _aggregate(self, selector: Ref, sop: Ref, is_categorical: bool) -> Off:
        off, inner = self._logit_off(selector), self.off[sop]
        if off > 1 or not math.isfinite(inner.all):
            return UNKNOWN_OFF
        bos = math.exp(-self.sharpness / 2 + 2 * off)
        leak = (
            bos * max(1.0, self.length) + 16 * self.blur.unit
        )  # to BOS, or where nothing is selected
        if is_categorical:
            return Off(inner.one + leak * (1 + inner.one), inner.all + 2 * leak * (1 + inner.all))
        size = self._size(sop) + inner.one
        number = inner.one + (2 * leak + math.expm1(2 * off)) * size
        return Off(number, number)

    def _width(self, ref: Ref, selector: Ref) -> Off:
        off = self._logit_off(selector)
        if off > 1:
            return UNKNOWN_OFF

        def read(points: Floats) -> tuple[Floats, Floats]:
            widths = np.round(1 / points - 1)
            others = self.length * math.exp(-self.sharpness + 2 * off)
            low = 1 / (1 + widths * math.exp(2 * off) + others)
            aside = 8 * self.blur.unit + self.blur.crosstalk
            return low - aside, 1 / (1 + widths * math.exp(-2 * off)) + aside

        return self._staircase(ref, read)

    def _staircase(self, ref: Ref, read: object) -> Off:
        stairs = staircase_of(self.program, self.compiled, ref)
        if stairs is None:
            return UNKNOWN_OFF
        assert callable(read)
        staircase, values = stairs
        low, high = read(staircase.points)
        one, every = staircase.off(low, high, self.blur)
        if self.leave_out:
            size = 1.0 if staircase.is_categorical else np.maximum(1.0, np.abs(staircase.results))
            rough = ~(every <= ROUGH * size)
            if rough.any():
                self.rough[ref] = tuple(v for v, r in zip(values, rough, strict=True) if r)
            one, every = one[~rough], every[~rough]
        return Off(float(one.max()), float(every.max())) if len(one) else NO_ERROR


@functools.lru_cache(maxsize=16384)
def _is_graded(
    predicate: Predicate,
    keys: tuple[Value, ...],
    queries: tuple[Value, ...],
    key_types: tuple[type, ...],
    query_types: tuple[type, ...],
) -> bool:
    """Whether a predicate gives something else than a truth value: weights take it as a number."""
    try:
        return any(predicate(key, query) not in (0, 1) for key in keys for query in queries)
    except FAILURES:
        return True


def clean_at_bos(program: Program) -> set[Ref]:
    """SOps whose dimensions surely hold zeros at BOS, to which empty selections attend."""
    layers = half_layers(program)
    widths = [layers[ref] for ref in layers if isinstance(program.nodes[ref], SelectorWidth)]
    clean: set[Ref] = set()
    for ref in program.sops:
        match program.nodes[ref]:
            case Tokens() | Indices():
                is_clean = True
            case Map(inner=inner):
                is_clean = inner in clean and program.encoding(inner) is CATEGORICAL
            case SequenceMap(fst=fst, snd=snd):
                is_clean = fst in clean or snd in clean
            case LinearSequenceMap(fst=fst, snd=snd):
                is_clean = fst in clean and snd in clean
            case SelectorWidth(selector=selector):
                is_clean = widths.count(layers[ref]) == 1 and _queries(program, selector) in clean
            case Aggregate(selector=selector, sop=sop):
                is_clean = sop in clean and _queries(program, selector) in clean
            case _:
                is_clean = False
        if is_clean:
            clean.add(ref)
    return clean


def _queries(program: Program, selector: Ref) -> Ref:
    select = program.nodes[selector]
    assert isinstance(select, Select)
    return select.queries
