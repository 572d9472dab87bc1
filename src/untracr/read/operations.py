"""Operations as they are read off a half-layer: one immutable class each, and their closed union.

What an operation reads is told by slots: the n-th operation of a program is variable slot
``2 + n``; slots 0 and 1 are tokens and indices. Functions and predicates come from closed
lists, or are read off the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from untracr.errors import ProgramError
from untracr.rasp.functions import Comparison, Function, Predicate
from untracr.rasp.listed_functions import BINARY, FACTORS, PREDICATES, UNARY
from untracr.rasp.nodes import (
    CATEGORICAL,
    INDICES,
    NUMERICAL,
    TOKENS,
    Aggregate,
    Encoding,
    LinearSequenceMap,
    Map,
    Node,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
)
from untracr.rasp.program import Builder, Program

MAX_OPERATIONS = 30
"""Operations a program may have: slots beyond tokens and indices."""

NOTHING_READ: Mapping[Ref, Predicate] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ReadOff:
    """A function or predicate that is read off the weights.

    Attributes:
        table: what was read; None where nothing could be.
    """

    table: Predicate | None = None


Choice = int | ReadOff
"""A function or predicate as it is written: its place in the closed list, or what is read off."""


@dataclass(frozen=True, slots=True)
class MapOperation:
    """A Map.

    Attributes:
        inner: the slot that it reads.
        choice: of `UNARY`.
        encoding: of its result.
    """

    inner: int
    choice: Choice
    encoding: Encoding

    @property
    def slots(self) -> tuple[int, ...]:
        """Those that it reads."""
        return (self.inner,)

    @property
    def function(self) -> Function:
        """What it applies.

        Raises:
            ProgramError: it is a table that was not read.
        """
        return _function(UNARY, self.choice)


@dataclass(frozen=True, slots=True)
class SequenceMapOperation:
    """A SequenceMap; its result is categorical.

    Attributes:
        fst, snd: the slots that it reads.
        choice: of `BINARY`.
    """

    fst: int
    snd: int
    choice: Choice

    @property
    def slots(self) -> tuple[int, ...]:
        """Those that it reads, in the order of its arguments."""
        return self.fst, self.snd

    @property
    def function(self) -> Function:
        """What it applies.

        Raises:
            ProgramError: it is a table that was not read.
        """
        return _function(BINARY, self.choice)


@dataclass(frozen=True, slots=True)
class LinearOperation:
    """A LinearSequenceMap.

    Attributes:
        fst, snd: the slots that it reads.
        factors: by which it multiplies them.
    """

    fst: int
    snd: int
    factors: tuple[float, float]

    @classmethod
    def of(cls, fst: int, snd: int, factors: tuple[float, float]) -> LinearOperation:
        """One with any factors; where both are listed, they are those of `FACTORS`."""
        if not all(factor in FACTORS for factor in factors):
            return cls(fst, snd, factors)
        p, q = (FACTORS[FACTORS.index(factor)] for factor in factors)
        return cls(fst, snd, (p, q))

    @property
    def slots(self) -> tuple[int, ...]:
        """Those that it reads, in the order of its arguments."""
        return self.fst, self.snd

    @property
    def is_listed(self) -> bool:
        """Whether both factors are in `FACTORS`."""
        return all(factor in FACTORS for factor in self.factors)


@dataclass(frozen=True, slots=True)
class AggregateOperation:
    """An Aggregate with its Select.

    Attributes:
        keys, queries: the slots by which it selects.
        choice: of `PREDICATES`.
        values: the slot whose values it moves or averages.
        encoding: of its result.
    """

    keys: int
    queries: int
    choice: Choice
    values: int
    encoding: Encoding

    @property
    def slots(self) -> tuple[int, ...]:
        """Those that it reads, in the order of its arguments."""
        return self.keys, self.queries, self.values

    @property
    def predicate(self) -> Predicate:
        """By which it selects.

        Raises:
            ProgramError: it is a table that was not read.
        """
        return _chosen(PREDICATES, self.choice)


@dataclass(frozen=True, slots=True)
class WidthOperation:
    """A SelectorWidth with its Select; its result is categorical.

    Attributes:
        keys, queries: the slots by which it selects.
        choice: of `PREDICATES`.
    """

    keys: int
    queries: int
    choice: Choice

    @property
    def slots(self) -> tuple[int, ...]:
        """Those that it reads, in the order of its arguments."""
        return self.keys, self.queries

    @property
    def predicate(self) -> Predicate:
        """By which it selects.

        Raises:
            ProgramError: it is a table that was not read.
        """
        return _chosen(PREDICATES, self.choice)


NeuronOperation = MapOperation | SequenceMapOperation | LinearOperation
"""What neurons compute."""

HeadOperation = AggregateOperation | WidthOperation
"""What a head computes; of a SelectorWidth the first half."""

Operation = NeuronOperation | HeadOperation
"""The closed union of all operations."""


def _chosen(pool: Sequence[Predicate], choice: Choice) -> Predicate:
    match choice:
        case ReadOff(table):
            if table is None:
                raise ProgramError("a table is written where none can be read off the weights")
            return table
        case _:
            return pool[choice]


def _function(pool: Sequence[Function], choice: Choice) -> Function:
    function = _chosen(pool, choice)
    if isinstance(function, Comparison):
        raise ProgramError("a table is written where none can be read off the weights")
    return function


def operation_of(
    program: Program, ref: Ref, slots: dict[Ref, int], read: Mapping[Ref, Predicate] = NOTHING_READ
) -> Operation:
    """Describes a node as an `Operation`.

    Args:
        program: without composite selectors.
        ref: an operation.
        slots: the slot of every SOp it reads.
        read: for operations and Selects whose function or predicate is outside
            the lists, what shall be written for it; what is outside the lists
            as well is written as a table.

    Raises:
        ProgramError: it uses something outside the lists of which nothing was read.
    """
    node = program.nodes[ref]
    try:
        match node:
            case Map(function, inner, encoding):
                choice = _choice(UNARY, function, read.get(ref))
                return MapOperation(slots[inner], choice, encoding)
            case SequenceMap(function, fst, snd):
                choice = _choice(BINARY, function, read.get(ref))
                return SequenceMapOperation(slots[fst], slots[snd], choice)
            case LinearSequenceMap(fst, snd, a, b):
                return LinearOperation.of(slots[fst], slots[snd], (a, b))
            case Aggregate(selector, sop, _, encoding):
                selects = _select(program, selector, slots, read)
                return AggregateOperation(*selects, slots[sop], encoding)
            case SelectorWidth(selector, encoding) if encoding is CATEGORICAL:
                return WidthOperation(*_select(program, selector, slots, read))
            case _:
                raise ValueError("no such kind of operation")
    except ValueError as error:
        raise ProgramError(
            f"{program.labels[ref]} is outside the meta-model's language: {error}"
        ) from None


def _select(
    program: Program, ref: Ref, slots: dict[Ref, int], read: Mapping[Ref, Predicate]
) -> tuple[int, int, Choice]:
    node = program.nodes[ref]
    if not isinstance(node, Select):
        raise ValueError("composite selectors are lowered before")
    choice = _choice(PREDICATES, node.predicate, read.get(ref))
    return slots[node.keys], slots[node.queries], choice


def _choice(pool: Sequence[object], function: Predicate, read: Predicate | None) -> Choice:
    """How a function is written of which something may have been read."""
    wanted = function if read is None else read
    if wanted in pool:
        return pool.index(wanted)
    if read is None:
        raise ValueError(f"{wanted} is not in the closed list")
    return ReadOff(read)


def build_program(operations: Sequence[Operation]) -> Program:
    """The program whose n-th operation has slot 2 + n; its output is the last.

    Raises:
        ProgramError: there is no operation, or a table that was not read.
    """
    if not operations:
        raise ProgramError("a program needs at least one operation")
    builder = Builder()
    refs: list[Ref] = [TOKENS, INDICES]
    for number, operation in enumerate(operations):
        refs.append(builder.add(_node(builder, operation, refs), f"sop_{number:02d}"))
    return builder.build(refs[-1])


def _node(builder: Builder, operation: Operation, refs: list[Ref]) -> Node:
    match operation:
        case MapOperation(inner, _, encoding):
            return Map(operation.function, refs[inner], encoding)
        case SequenceMapOperation(fst, snd):
            return SequenceMap(operation.function, refs[fst], refs[snd], CATEGORICAL)
        case LinearOperation(fst, snd, factors):
            return LinearSequenceMap(refs[fst], refs[snd], *factors)
        case WidthOperation(keys, queries):
            select = builder.add(Select(refs[keys], refs[queries], operation.predicate))
            return SelectorWidth(select, CATEGORICAL)
        case AggregateOperation(keys, queries, _, values, encoding):
            select = builder.add(Select(refs[keys], refs[queries], operation.predicate))
            default = 0 if encoding is NUMERICAL else None
            return Aggregate(select, refs[values], default, encoding)
