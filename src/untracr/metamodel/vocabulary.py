"""The target language of the meta-model: a program as short token ids, half-layer by half-layer.

A half-layer's operations come in the order of their heads or neurons, each as
a kind and its arguments, and are closed by ``EOL``. Names need no tokens: the
n-th operation is variable slot ``2 + n``; slots 0 and 1 are tokens and indices.
The tokens of each position form one of a few classes, so a small table says
which may come next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from untracr.errors import ProgramError
from untracr.rasp.functions import Comparison, Formula
from untracr.rasp.program import (
    CATEGORICAL,
    INDICES,
    NUMERICAL,
    TOKENS,
    Aggregate,
    Builder,
    LinearSequenceMap,
    Map,
    Node,
    Program,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
)
from untracr.sample.pools import FACTORS, MAP_POOL, SEQUENCE_MAP_POOL

MAX_OPERATIONS = 14
"""Operations a program may have: slots beyond tokens and indices."""

START, EOL = "<start>", "<end of half-layer>"

UNARY: tuple[Formula, ...] = tuple(dict.fromkeys(f for pool in MAP_POOL.values() for f in pool))
BINARY: tuple[Formula, ...] = SEQUENCE_MAP_POOL
PREDICATES: tuple[Comparison, ...] = tuple(Comparison)

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

MAX_FIELDS = 1 + max(len(arguments) for arguments in KINDS.values())
"""Tokens of the longest operation: its kind and its arguments."""

N_SLOTS = 2 + MAX_OPERATIONS

TEXTS: tuple[str, ...] = (
    START,
    EOL,
    *KINDS,
    *(str(f) for f in UNARY),
    *(str(f) for f in BINARY),
    *(p.name for p in PREDICATES),
    *(f"factor {f}" for f in FACTORS),
    *(f"slot {s}" for s in range(N_SLOTS)),
)
SIZE = len(TEXTS)
ID: dict[str, int] = {text: number for number, text in enumerate(TEXTS)}

FIRST_KIND = 2
FIRST_UNARY = FIRST_KIND + len(KINDS)
FIRST_BINARY = FIRST_UNARY + len(UNARY)
FIRST_PREDICATE = FIRST_BINARY + len(BINARY)
FIRST_FACTOR = FIRST_PREDICATE + len(PREDICATES)
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

KIND_NAMES: tuple[str, ...] = tuple(KINDS)


@dataclass(frozen=True)
class Operation:
    """One decoded operation.

    Attributes:
        kind: a key of `KINDS`.
        arguments: indices within each argument's class (a slot, a position in
            `UNARY`, ...), in the order of ``KINDS[kind]``.
    """

    kind: str
    arguments: tuple[int, ...]

    def ids(self) -> list[int]:
        """Its token ids."""
        firsts = (CLASS_RANGES[name][0] for name in KINDS[self.kind])
        return [ID[self.kind], *(f + a for f, a in zip(firsts, self.arguments, strict=True))]

    @property
    def is_categorical(self) -> bool:
        """Whether its result is categorical."""
        return self.kind not in ("map numerical", "linear", "aggregate numerical")


def operation_of(program: Program, ref: Ref, slots: dict[Ref, int]) -> Operation:
    """Describes a node as an `Operation`.

    Args:
        program: a program over the closed lists of functions and predicates.
        ref: an operation.
        slots: the slot of every SOp it reads.

    Raises:
        ProgramError: it uses something outside the lists.
    """
    node = program.nodes[ref]
    try:
        match node:
            case Map(function, inner, encoding):
                return Operation(f"map {encoding.value}", (slots[inner], _index(UNARY, function)))
            case SequenceMap(function, fst, snd):
                return Operation("sequence map", (slots[fst], slots[snd], _index(BINARY, function)))
            case LinearSequenceMap(fst, snd, a, b):
                factors = (_index(FACTORS, a), _index(FACTORS, b))
                return Operation("linear", (slots[fst], slots[snd], *factors))
            case Aggregate(selector, sop, _, encoding):
                key, query, predicate = _select(program, selector, slots)
                return Operation(f"aggregate {encoding.value}", (key, query, predicate, slots[sop]))
            case SelectorWidth(selector, encoding) if encoding is CATEGORICAL:
                return Operation("width", _select(program, selector, slots))
            case _:
                raise ValueError("no such kind of operation")
    except ValueError as error:
        raise ProgramError(
            f"{program.labels[ref]} is outside the meta-model's language: {error}"
        ) from None


def _select(program: Program, ref: Ref, slots: dict[Ref, int]) -> tuple[int, int, int]:
    node = program.nodes[ref]
    if not isinstance(node, Select):
        raise ValueError("composite selectors are lowered before")
    return slots[node.keys], slots[node.queries], _index(PREDICATES, node.predicate)


def _index(pool: Sequence[object], wanted: object) -> int:
    if wanted not in pool:
        raise ValueError(f"{wanted} is not in the closed list")
    return pool.index(wanted)


def build_program(operations: Sequence[Operation]) -> Program:
    """The program whose n-th operation has slot 2 + n; its output is the last.

    Raises:
        ProgramError: there is no operation.
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
            return Map(UNARY[a[1]], refs[a[0]], CATEGORICAL)
        case "map numerical":
            return Map(UNARY[a[1]], refs[a[0]], NUMERICAL)
        case "sequence map":
            return SequenceMap(BINARY[a[2]], refs[a[0]], refs[a[1]], CATEGORICAL)
        case "linear":
            return LinearSequenceMap(refs[a[0]], refs[a[1]], FACTORS[a[2]], FACTORS[a[3]])
        case _:
            select = builder.add(Select(refs[a[0]], refs[a[1]], PREDICATES[a[2]]))
            if operation.kind == "width":
                return SelectorWidth(select, CATEGORICAL)
            if operation.kind == "aggregate numerical":
                return Aggregate(select, refs[a[3]], 0, NUMERICAL)
            return Aggregate(select, refs[a[3]], None, CATEGORICAL)
