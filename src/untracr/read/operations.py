"""Operations as they are read off a half-layer: a kind, and what it reads.

The n-th operation of a program is variable slot ``2 + n``; slots 0 and 1 are tokens and
indices. Functions and predicates come from closed lists; the index behind the last of each
list, `TABLE`, stands for any other: a table that is read off the weights.
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

TABLE: dict[str, int] = {
    "unary": len(UNARY),
    "binary": len(BINARY),
    "predicate": len(PREDICATES),
}
"""The index, in each class of functions, that stands for a table read off the weights."""

KINDS: dict[str, tuple[str, ...]] = {
    "map categorical": ("variable", "unary"),
    "map numerical": ("variable", "unary"),
    "sequence map": ("variable", "variable", "binary"),
    "linear": ("variable", "variable", "factor", "factor"),
    "aggregate categorical": ("variable", "variable", "predicate", "variable"),
    "aggregate numerical": ("variable", "variable", "predicate", "variable"),
    "width": ("variable", "variable", "predicate"),
}
"""Kinds of operation and the classes of their arguments, in order."""

NOTHING_READ: Mapping[Ref, Predicate] = MappingProxyType({})


def slots_of(kind: str, arguments: Sequence[int]) -> tuple[int, ...]:
    """Those of the variables among the first arguments of an operation."""
    names = KINDS[kind]
    return tuple(a for name, a in zip(names, arguments, strict=False) if name == "variable")


@dataclass(frozen=True)
class Operation:
    """One decoded operation.

    Attributes:
        kind: a key of `KINDS`.
        arguments: indices within each argument's class (a slot, a position in
            `UNARY`, ...), in the order of ``KINDS[kind]``.
        table: the function or predicate that was read off, where `TABLE` is written.
        read_factors: of a LinearSequenceMap, where they are not in the list and were read
            off; the arguments then have the nearest that are.
    """

    kind: str
    arguments: tuple[int, ...]
    table: Predicate | None = None
    read_factors: tuple[float, float] | None = None

    @property
    def slots(self) -> tuple[int, ...]:
        """Those of the variables that it reads, in the order of its arguments."""
        return slots_of(self.kind, self.arguments)

    @property
    def is_categorical(self) -> bool:
        """Whether its result is categorical."""
        return self.kind not in ("map numerical", "linear", "aggregate numerical")

    @property
    def function(self) -> Function:
        """What a Map or a SequenceMap applies.

        Raises:
            ProgramError: it is a table that was not read.
        """
        pool = UNARY if self.kind.startswith("map") else BINARY
        index = self.arguments[-1]
        function = pool[index] if index < len(pool) else self.table
        if function is None or isinstance(function, Comparison):
            raise ProgramError("a table is written where none can be read off the weights")
        return function

    @property
    def factors(self) -> tuple[float, float]:
        """Of a LinearSequenceMap."""
        if self.read_factors is not None:
            return self.read_factors
        return FACTORS[self.arguments[2]], FACTORS[self.arguments[3]]

    @property
    def predicate(self) -> Predicate:
        """By which an Aggregate or a SelectorWidth selects.

        Raises:
            ProgramError: it is a table that was not read.
        """
        index = self.arguments[2]
        predicate = PREDICATES[index] if index < len(PREDICATES) else self.table
        if predicate is None:
            raise ProgramError("a table is written where none can be read off the weights")
        return predicate


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
                index, table = _choice("unary", UNARY, function, read.get(ref))
                return Operation(f"map {encoding.value}", (slots[inner], index), table)
            case SequenceMap(function, fst, snd):
                index, table = _choice("binary", BINARY, function, read.get(ref))
                return Operation("sequence map", (slots[fst], slots[snd], index), table)
            case LinearSequenceMap(fst, snd, a, b):
                return linear_operation(slots[fst], slots[snd], (a, b))
            case Aggregate(selector, sop, _, encoding):
                selects, table = _select(program, selector, slots, read)
                return Operation(f"aggregate {encoding.value}", (*selects, slots[sop]), table)
            case SelectorWidth(selector, encoding) if encoding is CATEGORICAL:
                return Operation("width", *_select(program, selector, slots, read))
            case _:
                raise ValueError("no such kind of operation")
    except ValueError as error:
        raise ProgramError(
            f"{program.labels[ref]} is outside the meta-model's language: {error}"
        ) from None


def linear_operation(fst: int, snd: int, factors: tuple[float, float]) -> Operation:
    """A LinearSequenceMap of two slots, with any factors."""
    nearest = [min(range(len(FACTORS)), key=lambda n: abs(FACTORS[n] - f)) for f in factors]
    listed = all(FACTORS[n] == f for n, f in zip(nearest, factors, strict=True))
    return Operation("linear", (fst, snd, *nearest), read_factors=None if listed else factors)


def _select(
    program: Program, ref: Ref, slots: dict[Ref, int], read: Mapping[Ref, Predicate]
) -> tuple[tuple[int, int, int], Predicate | None]:
    node = program.nodes[ref]
    if not isinstance(node, Select):
        raise ValueError("composite selectors are lowered before")
    index, table = _choice("predicate", PREDICATES, node.predicate, read.get(ref))
    return (slots[node.keys], slots[node.queries], index), table


def _choice(
    name: str, pool: Sequence[object], function: Predicate, read: Predicate | None
) -> tuple[int, Predicate | None]:
    """The index of a function in its class, and the table if it is one."""
    if read is None:
        return _index(pool, function), None
    return (pool.index(read), None) if read in pool else (TABLE[name], read)


def _index(pool: Sequence[object], wanted: object) -> int:
    if wanted not in pool:
        raise ValueError(f"{wanted} is not in the closed list")
    return pool.index(wanted)


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
    a = operation.arguments
    match operation.kind:
        case "map categorical":
            return Map(operation.function, refs[a[0]], CATEGORICAL)
        case "map numerical":
            return Map(operation.function, refs[a[0]], NUMERICAL)
        case "sequence map":
            return SequenceMap(operation.function, refs[a[0]], refs[a[1]], CATEGORICAL)
        case "linear":
            return LinearSequenceMap(refs[a[0]], refs[a[1]], *operation.factors)
        case _:
            select = builder.add(Select(refs[a[0]], refs[a[1]], operation.predicate))
            if operation.kind == "width":
                return SelectorWidth(select, CATEGORICAL)
            if operation.kind == "aggregate numerical":
                return Aggregate(select, refs[a[3]], 0, NUMERICAL)
            return Aggregate(select, refs[a[3]], None, CATEGORICAL)
