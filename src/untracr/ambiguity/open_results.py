"""What weights leave open about the results of a program's operations.

Weights hold no names of values. They show which results of a function are equal,
and where later parts read them also their order, but not what they are called:
any function that keeps them apart alike, with later functions and predicates
adjusted to its names, has the same weights, whether it is listed or not. Three
more things are open now and then: the sign of a number, whether it is a number
at all, and what a function does with means that the compiler does not count with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from untracr.ambiguity.renaming import source_of
from untracr.compile.values import ValueSet
from untracr.rasp.nodes import (
    CATEGORICAL,
    NUMERICAL,
    Aggregate,
    LinearSequenceMap,
    Map,
    Ref,
    SequenceMap,
    children,
)
from untracr.rasp.program import Program
from untracr.short_repr import short_repr

Openness = Literal["names", "sign", "kind", "between"]

LONGEST_KNOWN = 2
"""Tracr counts with a value by a length only: all means of 0 and 1 up to this length."""

MOST_OPERATIONS_NAMED = 4
"""Operations that are named in one sentence."""


@dataclass(frozen=True)
class OpenResult:
    """One thing that the weights do not say about the results of one operation.

    Attributes:
        label: of the operation, as the program prints it.
        what: ``names``: what its results are called (and where nothing later shows
            it, their order). ``sign``: the sign of its number, in rotated weights.
            ``kind``: whether it gives 1 and 0, or one value and None. ``between``:
            its function on means that are none of the values that the compiler
            counts with.
    """

    label: str
    what: Openness

    __repr__ = short_repr


def open_results(
    program: Program, sets: Mapping[Ref, ValueSet], *, rotated: bool, shown: bool
) -> tuple[OpenResult, ...]:
    """All that the weights of a program leave open, in the order of its lines.

    Args:
        program: it has the weights in question.
        sets: the values of its SOps.
        rotated: whether its axes are not known, so that no sign is.
        shown: whether a read-out says what the output's values are.
    """
    looker = _Looker(program, sets, rotated, shown)
    return tuple(
        OpenResult(program.labels[ref], what)
        for ref in sorted(program.reachable)
        for what in looker.open(ref)
    )


SAID_OPEN: dict[Openness, str] = {
    "names": "what the results of {} are called",
    "kind": "whether the results of {} are numbers",
    "sign": "which sign the results of {} have",
    "between": "what {} gives for means that the compiler does not expect",
}


def said_open(found: tuple[OpenResult, ...]) -> str:
    """What is open, in one sentence of the detail."""
    parts = []
    for what, said in SAID_OPEN.items():
        labels = [result.label for result in found if result.what == what]
        if labels:
            few = ", ".join(labels[:MOST_OPERATIONS_NAMED])
            more = f" and {len(labels) - MOST_OPERATIONS_NAMED} more" * (
                len(labels) > MOST_OPERATIONS_NAMED
            )
            parts.append(said.format(few + more))
    return f"the weights do not say {', nor '.join(parts)}"


@dataclass(frozen=True)
class _Looker:
    program: Program
    sets: Mapping[Ref, ValueSet]
    rotated: bool
    shown: bool

    def open(self, ref: Ref) -> tuple[Openness, ...]:
        """What is open about one operation's results."""
        asked: tuple[tuple[Openness, bool], ...] = (
            ("names", self._names(ref)),
            ("kind", self._kind(ref)),
            ("sign", self._sign(ref)),
            ("between", self._between(ref)),
        )
        return tuple(what for what, is_open in asked if is_open)

    def _names(self, ref: Ref) -> bool:
        if not self._is_named(ref) or not self.sets[ref].ordered:
            return False
        return not (self.shown and ref == source_of(self.program))

    def _is_named(self, ref: Ref) -> bool:
        node = self.program.nodes[ref]
        return isinstance(node, SequenceMap) or (
            isinstance(node, Map) and node.encoding is CATEGORICAL
        )

    def _kind(self, ref: Ref) -> bool:
        """Of a function of values: 1 for some and 0 for others, or one value and None."""
        node = self.program.nodes[ref]
        if self.shown or not isinstance(node, Map) or not self._ends_as_it_is(ref):
            return False
        if self.program.encoding(node.inner) is not CATEGORICAL:
            return False
        values = self.sets[ref].ordered
        return len(values) == 1 if node.encoding is CATEGORICAL else set(values) <= {0, 1}

    def _ends_as_it_is(self, ref: Ref) -> bool:
        """Whether results are only moved, or averaged, on their way to the output."""
        readers = self._readers(ref)
        return (ref == self.program.output or bool(readers)) and all(
            isinstance(node := self.program.nodes[reader], Aggregate)
            and node.sop == ref
            and self._ends_as_it_is(reader)
            for reader in readers
        )

    def _sign(self, ref: Ref) -> bool:
        """Of a number written in both directions that only sums read, if anything."""
        node = self.program.nodes[ref]
        if not self.rotated or (self.shown and ref == self.program.output):
            return False
        is_number = isinstance(node, LinearSequenceMap) or (
            isinstance(node, Map)
            and node.encoding is NUMERICAL
            and self.program.encoding(node.inner) is NUMERICAL
        )
        readers = (self.program.nodes[reader] for reader in self._readers(ref))
        return (
            is_number
            and any(self.sets[ref].ordered)
            and all(isinstance(reader, LinearSequenceMap) for reader in readers)
        )

    def _between(self, ref: Ref) -> bool:
        node = self.program.nodes[ref]
        return isinstance(node, Map) and self._is_mean(node.inner)

    def _is_mean(self, ref: Ref) -> bool:
        """Whether a number may be a mean that is none of its values."""
        if self.program.encoding(ref) is CATEGORICAL:
            return False
        node = self.program.nodes[ref]
        if isinstance(node, Aggregate):
            return len(self.sets[ref].ordered) > LONGEST_KNOWN
        return any(self._is_mean(child) for child in children(node))

    def _readers(self, ref: Ref) -> list[Ref]:
        nodes = self.program.nodes
        return [r for r in sorted(self.program.reachable) if ref in children(nodes[r])]
