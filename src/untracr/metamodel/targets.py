"""What decoding shall write for a program, and the values it then knows of each variable.

For a program over the closed lists these are its own functions and values. A
function outside the lists is written as the first listed one that explains
the weights as well, and only where there is none as a table. Either way the
names of categorical results may be others than the program's, and what reads
them is written in these names, as it is when a model is decoded.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from untracr.arrays import Bools, Floats, Ints
from untracr.compile.compiler import Compiled
from untracr.compile.values import ValueSet
from untracr.errors import ProgramError
from untracr.rasp.functions import Function, Predicate, Value, number_or
from untracr.rasp.known_tables import call
from untracr.rasp.listed_functions import LISTED
from untracr.rasp.naming import is_listed, predicate_of_table
from untracr.rasp.nodes import (
    CATEGORICAL,
    INDICES,
    TOKENS,
    Aggregate,
    Map,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
)
from untracr.rasp.program import Program
from untracr.read.components import Lookup, StairToNumber, StairToValues, Sum
from untracr.read.frame import Variable
from untracr.read.matching import MapForm
from untracr.read.operations import Operation, operation_of
from untracr.read.unlisted_functions import binary_of_groups, unary_of_groups, unary_of_numbers


@dataclass(frozen=True)
class Answer:
    """What is wanted of a compiled program.

    Attributes:
        operations: of each operation.
        variables: as decoding knows them, with their directions.
    """

    operations: dict[Ref, Operation]
    variables: list[Variable]


def answer(
    program: Program, compiled: Compiled, order: Sequence[Ref], variables: list[Variable]
) -> Answer:
    """What decoding shall write for a compiled program.

    Args:
        program: without composite selectors.
        compiled: its weights.
        order: its operations in decoding order (slot 2 + n).
        variables: those that it computes.

    Raises:
        ProgramError: it holds an operation that the meta-model's language does not know.
    """
    slots = {TOKENS: 0, INDICES: 1, **{ref: 2 + n for n, ref in enumerate(order)}}
    if is_listed(program):
        return Answer({ref: operation_of(program, ref, slots) for ref in order}, variables)
    names = _Names(program, compiled)
    for ref in order:
        names.follow(ref)
    refs = {slot: ref for ref, slot in slots.items()}
    return Answer(
        {ref: operation_of(program, ref, slots, names.read) for ref in order},
        [_renamed(v, names.values.get(refs[v.slot])) for v in variables],
    )


def _renamed(variable: Variable, values: tuple[Value, ...] | None) -> Variable:
    """A variable with other names of its values, in their order."""
    if values is None or not variable.is_categorical or values == variable.values:
        return variable
    ordered = ValueSet.of(set(values)).ordered
    rows = [values.index(value) for value in ordered]
    return replace(variable, values=ordered, directions=variable.directions[rows])


class _Names:
    """The names of values that decoding knows, operation by operation.

    Attributes:
        values: of each SOp so far, in the order of its true values.
        read: what is written for the functions of operations, and the predicates of Selects.
    """

    def __init__(self, program: Program, compiled: Compiled) -> None:
        self.program = program
        self.in_order = _read_in_order(program)
        self.true = {ref: values.ordered for ref, values in compiled.value_sets.items()}
        self.values: dict[Ref, tuple[Value, ...]] = {
            ref: self.true[ref] for ref in (TOKENS, INDICES) if ref in self.true
        }
        self.read: dict[Ref, Predicate] = {}

    def follow(self, ref: Ref) -> None:
        """Finds what is written for an operation, and the names of its results."""
        node = self.program.nodes[ref]
        self.values[ref] = self.true[ref]
        match node:
            case Map(function, inner):
                self._function(ref, function, (inner,))
            case SequenceMap(function, fst, snd):
                self._function(ref, function, (fst, snd))
            case Aggregate(selector, sop, _, encoding):
                self._predicate(selector)
                if encoding is CATEGORICAL:
                    self.values[ref] = self.values[sop]
            case SelectorWidth(selector):
                self._predicate(selector)

    def _function(self, ref: Ref, function: Function, inner: tuple[Ref, ...]) -> None:
        if function in LISTED and all(self.values[i] == self.true[i] for i in inner):
            return
        if len(set(inner)) != len(inner):
            raise ProgramError(f"{self.program.labels[ref]} combines a variable with itself")
        # Arguments in the order in which decoding knows their values.
        known = [_by_name(self.values[i], self.true[i]) for i in inner]
        arguments = list(itertools.product(*known))
        true = [call(function, *(value for _, value in a)) for a in arguments]
        named = [tuple(name for name, _ in a) for a in arguments]
        form = _Form.of(self.program, ref, inner, ref in self.in_order)
        results = [call(function, *a) for a in named] if function in LISTED else []
        if not form.is_alike(results, true):
            listed = form.find([tuple(name for name, _ in values) for values in known], true)
            self.read[ref] = listed
            results = [call(listed, *a) for a in named]
        if form.is_categorical:
            renamed = dict(zip(true, results, strict=True))
            self.values[ref] = tuple(renamed[value] for value in self.true[ref])

    def _predicate(self, ref: Ref) -> None:
        node = self.program.nodes[ref]
        assert isinstance(node, Select)
        keys, queries = (_by_name(self.values[i], self.true[i]) for i in (node.keys, node.queries))
        names = tuple(name for name, _ in keys), tuple(name for name, _ in queries)
        wanted = _selected(node.predicate, [v for _, v in keys], [v for _, v in queries])
        if node.predicate in LISTED and np.array_equal(wanted, _selected(node.predicate, *names)):
            return
        listed = predicate_of_table(*names, wanted)
        assert listed is not None
        self.read[ref] = listed


@dataclass(frozen=True)
class _Form:
    """What weights show of a Map's or SequenceMap's results.

    Attributes:
        form: of the component of a Map; None for a SequenceMap.
        in_order: whether they show the order of categorical results.
    """

    form: MapForm | None
    in_order: bool

    @classmethod
    def of(cls, program: Program, ref: Ref, inner: tuple[Ref, ...], in_order: bool) -> _Form:
        if len(inner) == 2:
            return cls(None, in_order)
        to_values = program.encoding(ref) is CATEGORICAL
        if program.encoding(inner[0]) is CATEGORICAL:
            return cls(Lookup, True) if to_values else cls(Sum, False)
        return cls(StairToValues if to_values else StairToNumber, in_order)

    @property
    def is_categorical(self) -> bool:
        return self.form in (None, Lookup, StairToValues)

    def is_alike(self, fst: list[Value], snd: list[Value]) -> bool:
        """Whether weights show the same of two lists of results."""
        if len(fst) != len(snd):
            return False
        return [r is None for r in fst] == [r is None for r in snd] and np.array_equal(
            self.shown(fst), self.shown(snd)
        )

    def shown(self, results: list[Value]) -> Floats | Ints:
        """What weights show of results: numbers, or places, or names by first appearance."""
        if not self.is_categorical:
            return np.array([number_or(r, 0.0) for r in results], dtype=np.float64)
        seen = [r for r in dict.fromkeys(results) if r is not None]
        ordered = ValueSet.of(set(seen)).ordered if self.in_order else seen
        return np.array([-1 if r is None else ordered.index(r) for r in results], dtype=np.int64)

    def find(self, names: list[tuple[Value, ...]], results: list[Value]) -> Function:
        """What is read off for a function with these results on arguments of these names."""
        shown, form = self.shown(results), self.form
        if form is None:
            groups = np.asarray(shown, dtype=np.int64)
            return binary_of_groups(
                names[0], names[1], groups, in_order=self.in_order, is_whole=True
            )
        if not self.is_categorical:
            return unary_of_numbers(form, names[0], np.asarray(shown, dtype=np.float64))
        groups = np.asarray(shown, dtype=np.int64)
        return unary_of_groups(form, names[0], groups, in_order=self.in_order, is_whole=True)


def _by_name(names: tuple[Value, ...], true: tuple[Value, ...]) -> list[tuple[Value, Value]]:
    """Names with the true values, in the order of the names."""
    found = dict(zip(names, true, strict=True))
    return [(name, found[name]) for name in ValueSet.of(set(names)).ordered]


def _read_in_order(program: Program) -> frozenset[Ref]:
    """The SOps that a later part reads in the order of their values; see `order`."""
    in_order: set[Ref] = set()
    for ref in program.reachable:
        match program.nodes[ref]:
            case Select(keys=keys):
                in_order.add(keys)
            case Aggregate(sop=sop, encoding=encoding) if encoding is CATEGORICAL:
                in_order.add(sop)
            case SequenceMap(fst=fst, snd=snd) if fst != snd:
                in_order |= {fst, snd}
    return frozenset(in_order)


def _selected(predicate: Predicate, keys: Sequence[Value], queries: Sequence[Value]) -> Bools:
    rows = [[bool(call(predicate, k, q)) for q in queries] for k in keys]
    return np.array(rows, dtype=np.bool_).reshape(len(keys), len(queries))
