"""The shortest of the programs that a program's weights leave open.

Names of results are not in the weights, and functions read off under made-up names
are long: what adds the square of a token and an index is a table of them all, until the
square is called a square. So the results of one operation at a time are given the names
that another common function gives them; all that reads them is written anew, as short as
it can be, what that gives may be renamed in turn, and the shortest program of all stays.
Length is `description_length`; among equally short ones the first stays.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from untracr.ambiguity.description_length import (
    LENGTH_OF_LISTED,
    description_length,
    function_length,
)
from untracr.ambiguity.renaming import source_of
from untracr.ambiguity.short_functions import FUNCTIONS, PREDICATES_TRIED, of_some
from untracr.bounds import MAX_NUMBER
from untracr.compile.values import ValueSet, value_sets
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import same_value
from untracr.rasp.functions import Function, Predicate, Table, Value, types_of
from untracr.rasp.known_tables import call
from untracr.rasp.nodes import CATEGORICAL, Aggregate, Map, Node, Ref, Select, SequenceMap, children
from untracr.rasp.program import Program
from untracr.rasp.values import tracr_sorted

MAX_ARGUMENTS = 400
"""A function of more arguments is left as it is, and so are the names that it reads."""

MAX_CALLS = 300_000
"""Calls of functions that looking for a shorter program may take: about half a second."""

Results = tuple[Value, ...]


def shortest(program: Program, domain: Domain, *, shown: bool, in_order: bool) -> Program:
    """The shortest program found with the same weights, or the program itself.

    Args:
        program: without composite selectors.
        domain: the inputs.
        shown: whether the output's values are called as they are for a reason, such
            as a read-out, and keep their names.
        in_order: whether results keep their order, so that weights stay the same to the
            last bit; else they may be laid out in another order.

    Raises:
        ProgramError: it takes too many values.
    """
    if not _may_be_shorter(program):
        return program
    kept = source_of(program) if shown else None
    return _Shortening(domain, kept, in_order, _Calls(MAX_CALLS)).of(program)


def _may_be_shorter(program: Program) -> bool:
    """Whether a function or predicate is not as short as they can be."""
    return any(function_length(f) > LENGTH_OF_LISTED for f in _functions(program))


def _functions(program: Program) -> Iterator[Predicate]:
    for ref in program.reachable:
        match program.nodes[ref]:
            case Map(function=function) | SequenceMap(function=function):
                yield function
            case Select(predicate=predicate):
                yield predicate


@dataclass
class _Calls:
    """Calls of functions that are left."""

    left: int

    def take(self, calls: int) -> None:
        """Counts some.

        Raises:
            _Spent: there are none left.
        """
        self.left -= calls
        if self.left < 0:
            raise _Spent


class _Spent(Exception):
    """All calls are used up."""


@dataclass(frozen=True)
class _Shortening:
    """Shortens a program, one operation's names after another.

    Attributes:
        domain: the inputs.
        kept: the operation whose results keep their names, if any.
        in_order: whether results keep their order.
        calls: that may still be made.
    """

    domain: Domain
    kept: Ref | None
    in_order: bool
    calls: _Calls

    def of(self, program: Program) -> Program:
        """The shortest one that is reached."""
        best = program
        try:
            while True:
                shorter = min(self._others(best), key=description_length, default=best)
                if description_length(shorter) >= description_length(best):
                    return best
                best = shorter
        except _Spent:
            return best

    def _others(self, program: Program) -> Iterator[Program]:
        """The program with the results of one operation called as another function calls them."""
        sets = value_sets(program, self.domain.vocab, self.domain.max_seq_len)
        for ref in sorted(program.reachable):
            node = program.nodes[ref]
            if isinstance(node, Select):
                yield from _Writing(self, program, sets).with_select(ref, node)
            if not isinstance(node, (Map, SequenceMap)):
                continue
            most = function_length(node.function) + _to_be_gained(program, ref)
            if most <= LENGTH_OF_LISTED:
                continue
            for function in _Writing(self, program, sets).alike(ref, node):
                if function_length(function) < most:
                    other = _Writing(self, program, sets).with_function(ref, function)
                    if other is not None:
                        yield other


def _to_be_gained(program: Program, ref: Ref) -> int:
    """By how much all functions behind an operation may become shorter, at most."""
    behind, gained = {ref}, 0
    for reader in sorted(program.reachable):
        node = program.nodes[reader]
        if behind & set(children(node)):
            behind.add(reader)
            if isinstance(node, (Map, SequenceMap)):
                gained += function_length(node.function) - LENGTH_OF_LISTED
            elif isinstance(node, Select):
                gained += function_length(node.predicate) - LENGTH_OF_LISTED
    return gained


@dataclass
class _Writing:
    """Writes a program anew under other names of some results.

    Attributes:
        sets: the values of each SOp of the old program.
        names: what these values are now called, where that is another name.
        results: what functions give under the old names, for each of their arguments.
    """

    shortening: _Shortening
    old: Program
    sets: Mapping[Ref, ValueSet]
    names: dict[Ref, Results] = field(default_factory=dict)
    results: dict[Ref, list[Value]] = field(default_factory=dict)

    def with_function(self, ref: Ref, function: Function) -> Program | None:
        """The program in which one operation has this function; None if it cannot be written."""
        nodes = list(self.old.nodes)
        for reader in sorted(self.old.reachable):
            node = self._node(reader, nodes[reader], function if reader == ref else None)
            if node is None:
                return None
            nodes[reader] = node
        return replace(self.old, nodes=tuple(nodes))

    def with_select(self, ref: Ref, node: Select) -> Iterator[Program]:
        """The program in which one predicate is written as short as it can be."""
        if function_length(node.predicate) > LENGTH_OF_LISTED:
            written = self._select(node)
            if written is not None and written != node:
                nodes = [*self.old.nodes]
                nodes[ref] = written
                yield replace(self.old, nodes=tuple(nodes))

    def alike(self, ref: Ref, node: Map | SequenceMap) -> Iterator[Function]:
        """Functions that keep an operation's results apart alike, one for all that name them so."""
        arguments = self._arguments(node)
        if arguments is None:
            return
        seen = set()
        for function in self._by_length(node, arguments):
            results = self._results(function, ref, node, arguments)
            if results is not None and (key := (results, types_of(results))) not in seen:
                seen.add(key)
                yield function

    def _node(self, ref: Ref, node: Node, given: Function | None) -> Node | None:
        match node:
            case Map(inner=inner) if given is not None or inner in self.names:
                return self._function(ref, node, given)
            case SequenceMap(fst=fst, snd=snd) if (
                given is not None or fst in self.names or snd in self.names
            ):
                return self._function(ref, node, given)
            case Aggregate(sop=sop) if sop in self.names:
                self.names[ref] = self.names[sop]
                return node
            case Select(keys=keys, queries=queries) if keys in self.names or queries in self.names:
                return self._select(node)
            case _:
                return node

    def _function(self, ref: Ref, node: Map | SequenceMap, given: Function | None) -> Node | None:
        arguments = self._arguments(node)
        if arguments is None:
            return None
        tried = [given] if given is not None else self._by_length(node, arguments)
        for function in tried:
            results = self._results(function, ref, node, arguments)
            if results is not None:
                self._call(ref, node, arguments, results)
                return replace(node, function=function)
        return replace(node, function=self._table(node.function, arguments))

    def _by_length(
        self, node: Map | SequenceMap, arguments: list[tuple[Results, Results]]
    ) -> list[Function]:
        """What may take a function's place, the shortest first, and itself among its equals."""
        pool = [node.function, *FUNCTIONS[len(arguments[0][0])]]
        if isinstance(node, Map):
            results = [call(node.function, *old) for old, _ in arguments]
            pool += of_some("x", [new[0] for _, new in arguments], results, 1)
        return sorted(pool, key=function_length)

    def _results(
        self,
        function: Function,
        ref: Ref,
        node: Map | SequenceMap,
        arguments: list[tuple[Results, Results]],
    ) -> Results | None:
        """What a function gives, if that is the operation's results but for their names."""
        free = node.encoding is CATEGORICAL and ref != self.shortening.kept
        names: dict[Value, Value] = {}
        results = []
        if ref not in self.results:
            self.results[ref] = [call(node.function, *old) for old, _ in arguments]
        for was, (_, new) in zip(self.results[ref], arguments, strict=True):
            self.shortening.calls.take(1)
            now = call(function, *new)
            if (was is None) != (now is None) or not (free or same_value(was, now)):
                return None
            if not same_value(names.setdefault(was, now), now) or not _is_plain(now):
                return None
            results.append(now)
        called = [names[value] for value in self.sets[ref].ordered if value in names]
        kept_apart = len(set(called)) == len(called)
        in_order = kept_apart and called == list(tracr_sorted(tuple(called)))
        return tuple(results) if in_order or (kept_apart and not self.shortening.in_order) else None

    def _call(
        self,
        ref: Ref,
        node: Map | SequenceMap,
        arguments: list[tuple[Results, Results]],
        results: Results,
    ) -> None:
        """Writes down what the results are now called."""
        old = [call(node.function, *each) for each, _ in arguments]
        names = dict(zip(old, results, strict=True))
        values = self.sets[ref].ordered
        called = tuple(names[value] for value in values)
        if not all(map(same_value, called, values)):
            self.names[ref] = called

    def _table(self, function: Function, arguments: list[tuple[Results, Results]]) -> Table:
        entries = tuple((new, call(function, *old)) for old, new in arguments)
        return Table(entries, len(arguments[0][0]))

    def _select(self, node: Select) -> Node | None:
        pairs = self._pairs((node.keys, node.queries))
        if pairs is None:
            return None
        wanted = [bool(call(node.predicate, *old)) for old, _ in pairs]
        pool = [node.predicate, *PREDICATES_TRIED]
        for place, argument in enumerate("xy"):
            selected = {new[place]: w for (_, new), w in zip(pairs, wanted, strict=True)}
            pool += of_some(argument, [*selected], [*selected.values()], 2)
        for predicate in sorted(pool, key=function_length):
            if self._selects(predicate, pairs, wanted):
                return replace(node, predicate=predicate)
        entries = tuple((new, w) for (_, new), w in zip(pairs, wanted, strict=True))
        return replace(node, predicate=Table(entries, 2))

    def _selects(
        self, predicate: Predicate, pairs: list[tuple[Results, Results]], wanted: list[bool]
    ) -> bool:
        """Whether a predicate holds for just these pairs under their new names."""
        for (_, new), want in zip(pairs, wanted, strict=True):
            self.shortening.calls.take(1)
            if bool(call(predicate, *new)) is not want:
                return False
        return True

    def _arguments(self, node: Map | SequenceMap) -> list[tuple[Results, Results]] | None:
        return self._pairs((node.inner,) if isinstance(node, Map) else (node.fst, node.snd))

    def _pairs(self, refs: Sequence[Ref]) -> list[tuple[Results, Results]] | None:
        """All arguments under their old and their new names; None if they are too many."""
        old = [self.sets[ref].ordered for ref in refs]
        new = [self.names.get(ref, self.sets[ref].ordered) for ref in refs]
        if any(not values for values in old) or math.prod(map(len, old)) > MAX_ARGUMENTS:
            return None
        return list(zip(itertools.product(*old), itertools.product(*new), strict=True))


def _is_plain(value: Value) -> bool:
    """Whether a result may be a name: a number that is not huge, or a text."""
    if isinstance(value, (bool, int, float)):
        return abs(value) < MAX_NUMBER
    return value is None or isinstance(value, str)
