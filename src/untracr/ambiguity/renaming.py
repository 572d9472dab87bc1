"""Giving the values of a program's output other names, without changing what it does otherwise.

The results of a Map or SequenceMap are called as a read-out says. Whatever else reads
them, moved or not, is made to read the new names: functions and predicates keep what
they give for each value. Where a common function has such a table it is written as that.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from untracr.compile.values import ValueSet, value_sets
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import same_value
from untracr.rasp.functions import Function, Predicate, Value
from untracr.rasp.known_tables import call
from untracr.rasp.naming import function_of_results, predicate_of_table
from untracr.rasp.nodes import CATEGORICAL, Aggregate, Map, Node, Ref, Select, SequenceMap
from untracr.rasp.program import Program
from untracr.rasp.values import tracr_sorted

MAX_REWRITTEN_ENTRIES = 20_000
"""Entries of a function that is written anew."""

Names = Mapping[Value, Value]


def source_of(program: Program) -> Ref | None:
    """The operation whose results are the output, moved at most; None if it cannot name them."""
    ref = program.output
    while True:
        match program.nodes[ref]:
            case Aggregate(sop=sop, encoding=encoding) if encoding is CATEGORICAL:
                ref = sop
            case Map(encoding=encoding) if encoding is CATEGORICAL:
                return ref
            case SequenceMap():
                return ref
            case _:
                return None


def renamed(program: Program, names: Names, domain: Domain) -> Program:
    """The program with its output's values called otherwise.

    Args:
        program: with a categorical output.
        names: old to new; values that it lacks keep their names, unless those are taken.
        domain: the inputs.

    Returns:
        The program itself where its values cannot be named, or are called so already.

    Raises:
        ProgramError: it fails on some value, or takes too many.
    """
    source = source_of(program)
    if source is None:
        return program
    sets = value_sets(program, domain.vocab, domain.max_seq_len)
    full = _full(names, sets[source].ordered)
    if all(same_value(old, new) for old, new in full.items()):
        return program
    return _Renaming(program, source, sets, full).program()


def _full(names: Names, values: Sequence[Value]) -> dict[Value, Value]:
    """A name for each value; what has none keeps apart from the rest."""
    taken = {names[value] for value in values if value in names}
    numbers = (n for n in itertools.count() if n not in taken)
    full: dict[Value, Value] = {}
    for value in values:
        if value in names:
            full[value] = names[value]
        else:
            full[value] = value if value not in taken else next(numbers)
        taken.add(full[value])
    return full


@dataclass(frozen=True)
class _Renaming:
    """Gives the results of one operation other names wherever they are read.

    Attributes:
        ref: the operation.
        sets: the values of each SOp under their old names.
        names: old to new, for each result.
    """

    old: Program
    ref: Ref
    sets: Mapping[Ref, ValueSet]
    names: Names

    def program(self) -> Program:
        moved = {self.ref}
        nodes = list(self.old.nodes)
        for ref in sorted(self.old.reachable):
            node = self._node(ref, nodes[ref], moved)
            if node is None:
                return self.old
            nodes[ref] = node
        return replace(self.old, nodes=tuple(nodes))

    def _node(self, ref: Ref, node: Node, moved: set[Ref]) -> Node | None:
        """A node under the new names; None if it cannot be written. Adds to what is ``moved``."""
        match node:
            case Map(function=function, inner=inner) if ref == self.ref or inner in moved:
                written = self._function(ref, function, (inner,), moved)
                return None if written is None else replace(node, function=written)
            case SequenceMap(function=function, fst=fst, snd=snd) if (
                ref == self.ref or fst in moved or snd in moved
            ):
                written = self._function(ref, function, (fst, snd), moved)
                return None if written is None else replace(node, function=written)
            case Aggregate(sop=sop, encoding=encoding, default=default) if sop in moved:
                if encoding is not CATEGORICAL:
                    return None
                moved.add(ref)
                return replace(node, default=self.names.get(default, default))
            case Select(keys=keys, queries=queries) if keys in moved or queries in moved:
                predicate = self._predicate(node, moved)
                return None if predicate is None else replace(node, predicate=predicate)
            case _:
                return node

    def _function(
        self, ref: Ref, function: Function, inner: tuple[Ref, ...], moved: set[Ref]
    ) -> Function | None:
        pairs = [self._values(i, moved) for i in inner]
        arguments = list(itertools.product(*pairs))
        if len(arguments) > MAX_REWRITTEN_ENTRIES:
            return None
        results = [call(function, *(old for old, _ in each)) for each in arguments]
        if ref == self.ref:
            results = [self.names.get(result, result) for result in results]
        new = [tuple(name for _, name in each) for each in arguments]
        if all(map(_alike, (call(function, *each) for each in new), results)):
            return function
        return function_of_results([tuple(name for _, name in each) for each in pairs], results)

    def _predicate(self, select: Select, moved: set[Ref]) -> Predicate | None:
        keys, queries = (self._values(i, moved) for i in (select.keys, select.queries))
        if len(keys) * len(queries) > MAX_REWRITTEN_ENTRIES:
            return None
        selected = [[call(select.predicate, k, q) for q, _ in queries] for k, _ in keys]
        if any(value not in (False, True) for row in selected for value in row):
            return None  # weights would select by a number, or fail
        keys_new, queries_new = (tuple(new for _, new in each) for each in (keys, queries))
        if selected == [[call(select.predicate, k, q) for q in queries_new] for k in keys_new]:
            return select.predicate
        table = np.array(selected, dtype=np.bool_).reshape(len(keys), len(queries))
        return predicate_of_table(keys_new, queries_new, table)

    def _values(self, ref: Ref, moved: set[Ref]) -> list[tuple[Value, Value]]:
        """The old and new names of a SOp's values, in the order of the new ones."""
        old = self.sets[ref].ordered
        if ref not in moved:
            return [(value, value) for value in old]
        by_new = {self.names[value]: value for value in old}
        return [(by_new[name], name) for name in tracr_sorted(tuple(by_new))]


def _alike(fst: Value, snd: Value) -> bool:
    """Whether two results are the same, and of one type as they are printed."""
    return same_value(fst, snd) and isinstance(fst, str) == isinstance(snd, str)
