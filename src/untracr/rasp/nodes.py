"""The nodes of RASP programs: one immutable class an operation, and their closed union.

A node refers to the nodes that it reads by their index in the program.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from untracr.rasp.functions import Function, Predicate, Value
from untracr.short_repr import short_repr

Ref = int
"""Index of a node in its program."""

TOKENS: Ref = 0
INDICES: Ref = 1


class Encoding(enum.Enum):
    """How a SOp is laid out in the residual stream."""

    CATEGORICAL = "categorical"
    NUMERICAL = "numerical"

    def __repr__(self) -> str:
        return f"Encoding.{self.name}"


CATEGORICAL = Encoding.CATEGORICAL
NUMERICAL = Encoding.NUMERICAL


@dataclass(frozen=True, slots=True)
class Tokens:
    """The input tokens."""

    encoding: Encoding = CATEGORICAL


@dataclass(frozen=True, slots=True)
class Indices:
    """The position of each token, from 0."""

    encoding: Encoding = CATEGORICAL


@dataclass(frozen=True, slots=True)
class Map:
    """A function applied at every position."""

    function: Function
    inner: Ref
    encoding: Encoding = CATEGORICAL

    __repr__ = short_repr


@dataclass(frozen=True, slots=True)
class SequenceMap:
    """A function of two SOps, position by position."""

    function: Function
    fst: Ref
    snd: Ref
    encoding: Encoding = CATEGORICAL

    __repr__ = short_repr


@dataclass(frozen=True, slots=True)
class LinearSequenceMap:
    """``fst_factor * fst + snd_factor * snd``, position by position."""

    fst: Ref
    snd: Ref
    fst_factor: int | float
    snd_factor: int | float
    encoding: Encoding = NUMERICAL


@dataclass(frozen=True, slots=True)
class Select:
    """A selector: row q, column k holds ``predicate(key k, query q)``."""

    keys: Ref
    queries: Ref
    predicate: Predicate

    __repr__ = short_repr


@dataclass(frozen=True, slots=True)
class SelectorAnd:
    """Selected by both."""

    fst: Ref
    snd: Ref


@dataclass(frozen=True, slots=True)
class SelectorOr:
    """Selected by either."""

    fst: Ref
    snd: Ref


@dataclass(frozen=True, slots=True)
class SelectorNot:
    """Selected where ``inner`` is not."""

    inner: Ref


@dataclass(frozen=True, slots=True)
class SelectorWidth:
    """How many positions each query selects."""

    selector: Ref
    encoding: Encoding = CATEGORICAL


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The mean of the selected values; ``default`` where nothing is selected."""

    selector: Ref
    sop: Ref
    default: Value = None
    encoding: Encoding = CATEGORICAL

    __repr__ = short_repr


Selector = Select | SelectorAnd | SelectorOr | SelectorNot
SOp = Tokens | Indices | Map | SequenceMap | LinearSequenceMap | SelectorWidth | Aggregate
Node = SOp | Selector
"""The closed union of all nodes."""

SOP_TYPES = (Tokens, Indices, Map, SequenceMap, LinearSequenceMap, SelectorWidth, Aggregate)
SELECTOR_TYPES = (Select, SelectorAnd, SelectorOr, SelectorNot)

DEFAULT_NAMES: dict[type[Node], str] = {
    Tokens: "tokens",
    Indices: "indices",
    LinearSequenceMap: "linear_sequence_map",
    SequenceMap: "sequence_map",
    Map: "map",
    SelectorWidth: "selector_width",
    Aggregate: "aggregate",
    Select: "select",
    SelectorAnd: "selector_and",
    SelectorOr: "selector_or",
    SelectorNot: "selector_not",
}
"""Tracr's name for an expression that was given none."""


def children(node: Node) -> tuple[Ref, ...]:
    """The nodes that ``node`` reads, in Tracr's order."""
    match node:
        case Tokens() | Indices():
            return ()
        case Map(inner=inner) | SelectorNot(inner=inner):
            return (inner,)
        case SequenceMap(fst=fst, snd=snd) | LinearSequenceMap(fst=fst, snd=snd):
            return (fst, snd)
        case SelectorAnd(fst=fst, snd=snd) | SelectorOr(fst=fst, snd=snd):
            return (fst, snd)
        case Select(keys=keys, queries=queries):
            return (keys, queries)
        case SelectorWidth(selector=selector):
            return (selector,)
        case Aggregate(selector=selector, sop=sop):
            return (selector, sop)


def renumber(node: Node, new: dict[Ref, Ref]) -> Node:
    """Returns ``node`` with each reference replaced by ``new[reference]``."""
    match node:
        case Tokens() | Indices():
            return node
        case Map(f, inner, encoding):
            return Map(f, new[inner], encoding)
        case SequenceMap(f, fst, snd, encoding):
            return SequenceMap(f, new[fst], new[snd], encoding)
        case LinearSequenceMap(fst, snd, fst_factor, snd_factor, encoding):
            return LinearSequenceMap(new[fst], new[snd], fst_factor, snd_factor, encoding)
        case Select(keys, queries, predicate):
            return Select(new[keys], new[queries], predicate)
        case SelectorAnd(fst, snd):
            return SelectorAnd(new[fst], new[snd])
        case SelectorOr(fst, snd):
            return SelectorOr(new[fst], new[snd])
        case SelectorNot(inner):
            return SelectorNot(new[inner])
        case SelectorWidth(selector, encoding):
            return SelectorWidth(new[selector], encoding)
        case Aggregate(selector, sop, default, encoding):
            return Aggregate(new[selector], new[sop], default, encoding)
