"""The target language of the meta-model: a program as short token ids, half-layer by half-layer.

A half-layer's operations come in the order of their heads or neurons, each as
a kind and its arguments, and are closed by ``EOL``. Names need no tokens, since
variables are slots (`untracr.read.operations`).
The tokens of each position form one of a few classes, so a small table says
which may come next.
"""

from __future__ import annotations

from untracr.rasp.listed_functions import BINARY, FACTORS, PREDICATES, UNARY
from untracr.read.operations import KINDS, MAX_OPERATIONS, TABLE, Operation

START, EOL = "<start>", "<end of half-layer>"

MAX_FIELDS = 1 + max(len(arguments) for arguments in KINDS.values())
"""Tokens of the longest operation: its kind and its arguments."""

N_SLOTS = 2 + MAX_OPERATIONS

TEXTS: tuple[str, ...] = (
    START,
    EOL,
    *KINDS,
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
FIRST_UNARY = FIRST_KIND + len(KINDS)
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

KIND_NAMES: tuple[str, ...] = tuple(KINDS)


def ids_of(operation: Operation) -> list[int]:
    """An operation's token ids."""
    firsts = (CLASS_RANGES[name][0] for name in KINDS[operation.kind])
    arguments = (f + a for f, a in zip(firsts, operation.arguments, strict=True))
    return [ID[operation.kind], *arguments]
