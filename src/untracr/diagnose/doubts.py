"""Inputs on which weights might miss a program's meaning, by what the program computes on them.

Weights hold fewer things than RASP means: no None, no value outside a value set, nothing
below zero after a ReLU, no several values at once; and they hold something at BOS, which
RASP does not have. Where nothing of that comes up, they are right as far as
`untracr.diagnose.bounds` tells. A program in which nothing of that can come up
needs no run at all.
"""

from __future__ import annotations

import functools

import numpy as np

from untracr.compile.compiler import Compiled
from untracr.compile.values import ValueSet
from untracr.diagnose.bounds import Bounds, clean_at_bos
from untracr.diagnose.precision import SAME_SHARE_OF_NUMBER
from untracr.diagnose.program_run import ProgramRun
from untracr.diagnose.selections import Selections
from untracr.rasp.functions import Function, Value, number_or
from untracr.rasp.interpreter import Entry, Mask
from untracr.rasp.nodes import (
    CATEGORICAL,
    NUMERICAL,
    SOP_TYPES,
    Aggregate,
    LinearSequenceMap,
    Map,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
    children,
)
from untracr.rasp.program import Program
from untracr.rasp.tabulating import FAILURES


class Doubts:
    """What may come up in one program that its weights cannot hold.

    Args:
        program: the program; composite selectors lowered.
        compiled: its weights, as compiled.
        bounds: how far they may be off otherwise.
        max_seq_len: the longest input.

    Attributes:
        nodes: expressions at which something may come up; without them, and with
            ``bounds.right``, the weights are right on all inputs.
    """

    def __init__(
        self, program: Program, compiled: Compiled, bounds: Bounds, max_seq_len: int
    ) -> None:
        self._program, self._sets, self._bounds = program, compiled.value_sets, bounds
        self._clean = clean_at_bos(program)
        causal = compiled.transformer.causal
        self._selections = Selections(program, self._sets, max_seq_len, causal=causal)
        self._none = may_be_none(self._selections)
        self._exact = exact_values(self._selections)
        self.nodes = tuple(ref for ref in sorted(program.reachable) if self._may_come_up(ref))

    @property
    def none(self) -> bool:
        """Whether the weights are right on all inputs, by what was told without a run."""
        return self._bounds.right and not self.nodes

    def _may_come_up(self, ref: Ref) -> bool:
        node, none = self._program.nodes[ref], self._none
        if ref == self._program.output and ref in none:
            return True
        match node:
            case Select(keys, queries):
                return keys in none or queries in none
            case Aggregate(selector, sop):
                if sop in none:
                    return True
                if sop not in self._clean and not self._selections.never_empty(selector):
                    return True
                is_categorical = self._program.encoding(ref) is CATEGORICAL
                return is_categorical and self._selections.may_mix(node)
            case SelectorWidth():
                return ref in self._bounds.rough
            case Map(inner=inner) if self._program.encoding(inner) is NUMERICAL:
                return (
                    inner in none or ref in none or ref in self._bounds.rough
                ) or inner not in self._exact
            case Map() | SequenceMap():
                return is_clipped(self._program, ref, self._sets)
            case _:
                return False

    def rows(self, run: ProgramRun) -> Mask:
        """The inputs of a run on which something does come up, [batch]."""
        if not self._bounds.right:
            return np.asarray(run.batch.valid.any(axis=1))
        at: Mask = np.zeros(run.batch.valid.shape, dtype=np.bool_)
        for ref in self.nodes:
            at |= self._comes_up(run, ref)
            if ref == self._program.output:
                at |= run.is_none(ref)
        return np.asarray((at & run.batch.valid).any(axis=1))

    def _comes_up(self, run: ProgramRun, ref: Ref) -> Mask:
        """Where it does at one expression, [batch, position] (or [batch, 1])."""
        node = self._program.nodes[ref]
        match node:
            case Select(keys, queries):
                return _row_has_none(run, keys) | _row_has_none(run, queries)
            case Aggregate(sop=sop):
                at = _row_has_none(run, sop)
                if sop not in self._clean:
                    at = at | run.selects_nothing(node)
                if self._program.encoding(ref) is CATEGORICAL:
                    at = at | run.mixes(node)
                return at
            case SelectorWidth():
                return run.where(ref, functools.partial(_is_one_of, self._bounds.rough[ref]))
            case Map(inner=inner) if self._program.encoding(inner) is NUMERICAL:
                rough = self._bounds.rough.get(ref, ())
                known = [v for v in self._sets[inner].unordered if v not in rough]
                return run.is_none(ref) | run.is_none(inner) | _outside(run, inner, known)
            case Map() | SequenceMap():
                return run.where(ref, _is_negative)
            case _:
                return np.zeros((1, 1), dtype=np.bool_)


def _row_has_none(run: ProgramRun, ref: Ref) -> Mask:
    return np.asarray((run.is_none(ref) & run.batch.valid).any(axis=1, keepdims=True))


def _is_one_of(values: tuple[Value, ...], value: Entry) -> bool:
    return value in values


def _is_negative(value: Entry) -> bool:
    return isinstance(value, (bool, int, float)) and value < 0


def _outside(run: ProgramRun, ref: Ref, known: list[Value]) -> Mask:
    """Where a SOp's number is none of some."""
    column = run.column(ref)
    numbers = np.array([number_or(v, np.nan) for v in column.values])
    ordered = np.unique([number_or(v, np.nan) for v in known])
    if not len(ordered):
        return np.ones(column.codes.shape, dtype=np.bool_)
    place = np.searchsorted(ordered, numbers)
    near = [ordered[np.clip(place + step, 0, len(ordered) - 1)] for step in (-1, 0)]
    gap = np.minimum(np.abs(near[0] - numbers), np.abs(near[1] - numbers))
    flags = ~(gap <= SAME_SHARE_OF_NUMBER * np.maximum(1.0, np.abs(numbers)))
    return np.asarray(flags[column.codes])


def may_be_none(selections: Selections) -> set[Ref]:
    """SOps that may have no value at some position of some input."""
    program, sets = selections.program, selections.sets
    none: set[Ref] = set()
    for ref in program.sops:
        match program.nodes[ref]:
            case Map(function, inner):
                is_none = inner in none or _has_gap(
                    function, sets[inner].unordered, sets[inner].types
                )
            case SequenceMap(function, fst, snd):
                a, b = sets[fst], sets[snd]
                is_none = not none.isdisjoint((fst, snd)) or _has_pair_gap(
                    function, a.unordered, b.unordered, a.types, b.types, fst == snd
                )
            case LinearSequenceMap(fst, snd):
                is_none = not none.isdisjoint((fst, snd))
            case Aggregate(selector, sop, default):
                is_empty = default is None and not selections.never_empty(selector)
                is_none = is_empty or sop in none
            case _:
                is_none = False
        if is_none:
            none.add(ref)
    return none


@functools.lru_cache(maxsize=16384)
def _has_gap(function: Function, values: tuple[Value, ...], types: tuple[type, ...]) -> bool:
    """Whether a function gives None, or fails, on some value."""
    try:
        return any(function(value) is None for value in values)
    except FAILURES:
        return True


@functools.lru_cache(maxsize=16384)
def _has_pair_gap(
    function: Function,
    fst: tuple[Value, ...],
    snd: tuple[Value, ...],
    fst_types: tuple[type, ...],
    snd_types: tuple[type, ...],
    same: bool,
) -> bool:
    pairs = ((x, y) for x in fst for y in ((x,) if same else snd))
    try:
        return any(function(x, y) is None for x, y in pairs)
    except FAILURES:
        return True


def is_clipped(program: Program, ref: Ref, sets: dict[Ref, ValueSet]) -> bool:
    """Whether a categorical to numerical Map has negative values: its ReLU clips them to 0."""
    node = program.nodes[ref]
    if isinstance(node, Map):
        inner = node.inner
    elif isinstance(node, SequenceMap) and node.fst == node.snd:
        inner = node.fst
    else:
        return False
    return (
        program.encoding(ref) is NUMERICAL
        and program.encoding(inner) is CATEGORICAL
        and any(isinstance(v, (int, float)) and v < 0 for v in sets[ref].unordered)
    )


def exact_values(selections: Selections) -> set[Ref]:
    """SOps that take no value outside their value set unless values mix before them.

    Not all means of numbers are in their value set, nor is the default of an Aggregate
    that may select nothing.
    """
    exact: set[Ref] = set()
    program = selections.program
    for ref in program.sops:
        node = program.nodes[ref]
        is_mean = (
            isinstance(node, Aggregate)
            and program.encoding(ref) is NUMERICAL
            and selections.may_mix(node)
        )
        is_default = (
            isinstance(node, Aggregate)
            and node.default not in selections.sets[ref].unordered
            and not selections.never_empty(node.selector)
        )
        if not is_mean and not is_default and all(sop in exact for sop in sops_read(program, ref)):
            exact.add(ref)
    return exact


def sops_read(program: Program, ref: Ref) -> list[Ref]:
    """The SOps a node reads, through its selector."""
    sops: list[Ref] = []
    for child in children(program.nodes[ref]):
        if isinstance(program.nodes[child], SOP_TYPES):
            sops.append(child)
        else:
            sops += sops_read(program, child)
    return sops
