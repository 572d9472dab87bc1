"""The target language of the meta-model: a program as short token ids, half-layer by half-layer.

A half-layer's operations come in the order of their heads or neurons, each as
a kind and its arguments, and are closed by ``EOL``. Names need no tokens, since
variables are slots (`untracr.read.operations`).
The tokens of each position form one of a few classes, so a small table says
which may come next. An argument is an index within its class: a slot, a place in
`UNARY`, ...; the index behind the last of a list stands for what is read off.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Literal

from untracr.rasp.functions import Predicate
from untracr.rasp.listed_functions import BINARY, FACTORS, PREDICATES, UNARY
from untracr.rasp.nodes import CATEGORICAL, NUMERICAL
from untracr.read.operations import (
    MAX_OPERATIONS,
    AggregateOperation,
    Choice,
    LinearOperation,
    MapOperation,
    Operation,
    ReadOff,
    SequenceMapOperation,
    WidthOperation,
)

START, EOL = "<start>", "<end of half-layer>"

ArgumentClass = Literal["variable", "unary", "binary", "predicate", "factor"]

TABLE: dict[str, int] = {
    "unary": len(UNARY),
    "binary": len(BINARY),
    "predicate": len(PREDICATES),
}
"""The index, in each class of functions, that stands for one that is read off the weights."""


class Kind(enum.Enum):
    """How an operation begins: the text of the first token, and the classes of its arguments."""

    MAP_TO_CATEGORIES = "map categorical", "variable", "unary"
    MAP_TO_NUMBERS = "map numerical", "variable", "unary"
    SEQUENCE_MAP = "sequence map", "variable", "variable", "binary"
    LINEAR = "linear", "variable", "variable", "factor", "factor"
    MOVE = "aggregate categorical", "variable", "variable", "predicate", "variable"
    MEAN = "aggregate numerical", "variable", "variable", "predicate", "variable"
    WIDTH = "width", "variable", "variable", "predicate"

    def __init__(self, text: str, *arguments: ArgumentClass) -> None:
        self.text = text
        self.arguments = arguments

    @property
    def is_attention(self) -> bool:
        """Whether a head computes it."""
        return self in (Kind.MOVE, Kind.MEAN, Kind.WIDTH)

    def slots(self, begun: Sequence[int]) -> tuple[int, ...]:
        """Those of the variables among the first arguments of an operation."""
        pairs = zip(self.arguments, begun, strict=False)
        return tuple(index for name, index in pairs if name == "variable")


OPERATION_KINDS: tuple[Kind, ...] = tuple(Kind)

MAX_FIELDS = 1 + max(len(kind.arguments) for kind in OPERATION_KINDS)
"""Tokens of the longest operation: its kind and its arguments."""

N_SLOTS = 2 + MAX_OPERATIONS

TEXTS: tuple[str, ...] = (
    START,
    EOL,
    *(kind.text for kind in OPERATION_KINDS),
    *(str(f) for f in UNARY),
    "table of one",
    *(str(f) for f in BINARY),
    "table of two",
    *(p.name for p in PREDICATES),
    "table of pairs",
    *(f"factor {f}" for f in FACTORS),
    *(f"slot {s}" for s in range(N_SLOTS)),
)
SIZE = len(TEXTS)
ID: dict[str, int] = {text: number for number, text in enumerate(TEXTS)}

FIRST_KIND = 2
FIRST_UNARY = FIRST_KIND + len(OPERATION_KINDS)
FIRST_BINARY = FIRST_UNARY + TABLE["unary"] + 1
FIRST_PREDICATE = FIRST_BINARY + TABLE["binary"] + 1
FIRST_FACTOR = FIRST_PREDICATE + TABLE["predicate"] + 1
FIRST_SLOT = FIRST_FACTOR + len(FACTORS)

CLASS_RANGES: dict[str, tuple[int, int]] = {
    "kind": (1, FIRST_UNARY),  # EOL or a kind
    "unary": (FIRST_UNARY, FIRST_BINARY),
    "binary": (FIRST_BINARY, FIRST_PREDICATE),
    "predicate": (FIRST_PREDICATE, FIRST_FACTOR),
    "factor": (FIRST_FACTOR, FIRST_SLOT),
    "variable": (FIRST_SLOT, SIZE),
}
"""The token ids of each class, as [first, last)."""


def kind_of(operation: Operation) -> Kind:
    """How an operation begins."""
    match operation:
        case MapOperation(encoding=encoding):
            return Kind.MAP_TO_CATEGORIES if encoding is CATEGORICAL else Kind.MAP_TO_NUMBERS
        case SequenceMapOperation():
            return Kind.SEQUENCE_MAP
        case LinearOperation():
            return Kind.LINEAR
        case AggregateOperation(encoding=encoding):
            return Kind.MOVE if encoding is CATEGORICAL else Kind.MEAN
        case WidthOperation():
            return Kind.WIDTH


def arguments_of(operation: Operation) -> tuple[int, ...]:
    """An operation's arguments as indices; of factors the nearest that are listed."""
    match operation:
        case MapOperation(inner, choice):
            return inner, _index(choice, "unary")
        case SequenceMapOperation(fst, snd, choice):
            return fst, snd, _index(choice, "binary")
        case LinearOperation(fst, snd, (p, q)):
            return fst, snd, _nearest_factor(p), _nearest_factor(q)
        case AggregateOperation(keys, queries, choice, values):
            return keys, queries, _index(choice, "predicate"), values
        case WidthOperation(keys, queries, choice):
            return keys, queries, _index(choice, "predicate")


def _index(choice: Choice, name: ArgumentClass) -> int:
    return TABLE[name] if isinstance(choice, ReadOff) else choice


def _nearest_factor(factor: float) -> int:
    return min(range(len(FACTORS)), key=lambda n: abs(FACTORS[n] - factor))


def ids_of(operation: Operation) -> list[int]:
    """An operation's token ids."""
    kind = kind_of(operation)
    firsts = (CLASS_RANGES[name][0] for name in kind.arguments)
    arguments = (f + a for f, a in zip(firsts, arguments_of(operation), strict=True))
    return [ID[kind.text], *arguments]


def operation_written(
    kind: Kind, arguments: Sequence[int], table: Predicate | None = None
) -> Operation:
    """The operation of a kind and its arguments as indices.

    Args:
        kind: how it begins.
        arguments: as many as the kind has.
        table: what was read off, where an argument says so.
    """
    match kind, arguments:
        case ((Kind.MAP_TO_CATEGORIES | Kind.MAP_TO_NUMBERS), (inner, index)):
            encoding = CATEGORICAL if kind is Kind.MAP_TO_CATEGORIES else NUMERICAL
            return MapOperation(inner, _choice(index, "unary", table), encoding)
        case Kind.SEQUENCE_MAP, (fst, snd, index):
            return SequenceMapOperation(fst, snd, _choice(index, "binary", table))
        case Kind.LINEAR, (fst, snd, p, q):
            return LinearOperation(fst, snd, (FACTORS[p], FACTORS[q]))
        case ((Kind.MOVE | Kind.MEAN), (keys, queries, index, values)):
            encoding = CATEGORICAL if kind is Kind.MOVE else NUMERICAL
            choice = _choice(index, "predicate", table)
            return AggregateOperation(keys, queries, choice, values, encoding)
        case Kind.WIDTH, (keys, queries, index):
            return WidthOperation(keys, queries, _choice(index, "predicate", table))
        case _:
            raise ValueError(f"{kind.text} has {len(kind.arguments)} arguments, not {arguments}")


def _choice(index: int, name: ArgumentClass, table: Predicate | None) -> Choice:
    return ReadOff(table) if index == TABLE[name] else index
