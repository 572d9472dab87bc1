"""Greedy decoding: from a model's weights to the operations of a program.

Half-layer by half-layer: describe its components in the frame of what is known,
let the network write their operations, then extend the frame by the results.
A token that the grammar or the scope rules out is never written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from untracr.compile.canonical import canonicalise
from untracr.errors import ProgramError
from untracr.metamodel.features import features
from untracr.metamodel.numpy_network import Decoding, NumpyNetwork, TokenPlace
from untracr.metamodel.vocabulary import (
    CLASS_RANGES,
    EOL,
    FIRST_KIND,
    FIRST_SLOT,
    ID,
    OPERATION_KINDS,
    START,
    TABLE,
    Kind,
    operation_written,
)
from untracr.rasp.functions import Predicate, Value
from untracr.rasp.program import Program
from untracr.read.components import (
    Component,
    Lookup,
    Mean,
    Move,
    Pairs,
    StairToNumber,
    StairToValues,
    Sum,
    Width,
    WidthStair,
    is_operation,
)
from untracr.read.frame import Base, Variable
from untracr.read.operations import MAX_OPERATIONS, Operation, build_program
from untracr.read.reader import Reader
from untracr.read.scope import result_variable, width_variable
from untracr.read.unlisted_functions import read_off, readable_slots, with_read_factors
from untracr.short_repr import short_repr
from untracr.transformer.half_layer import HalfLayer
from untracr.transformer.transformer import Array, Transformer

MAX_DESCRIBED = 2 * MAX_OPERATIONS
"""Components of a half-layer that are described; a program has `MAX_OPERATIONS` in all."""


@dataclass(frozen=True)
class Decoded:
    """What greedy decoding wrote.

    Attributes:
        program: in canonical form.
        log_probability: of all its tokens, under the grammar.
        tokens: how many tokens were written.
    """

    program: Program
    log_probability: float
    tokens: int

    __repr__ = short_repr


def decode_greedily(
    network: NumpyNetwork,
    model: Transformer,
    vocab: tuple[Value, ...],
    *,
    axis_signs: bool = True,
) -> Decoded:
    """Writes a program for a model.

    Args:
        network: the trained meta-model.
        model: the weights; the last two token rows are BOS and PAD.
        vocab: the value of each other token row.
        axis_signs: see `Reader`.

    Raises:
        ProgramError: no program could be written.
    """
    with np.errstate(all="ignore"):  # weights may be huge: what is not finite fits nothing
        return _Writer(network, model, vocab, axis_signs).write()


class _Writer:
    def __init__(
        self,
        network: NumpyNetwork,
        model: Transformer,
        vocab: tuple[Value, ...],
        axis_signs: bool,
    ) -> None:
        base = Base.of(model, vocab)
        self.reader = Reader(model, base, axis_signs=axis_signs, read_out=True)
        self.decoding: Decoding = network.start()
        self.variables: list[Variable] = [base.tokens, base.indices]
        self.max_seq_len = len(model.W_pos) - 1
        self.operations: list[Operation] = []
        self.last_token = ID[START]
        self.log_probability = 0.0
        self.tokens = 0

    def write(self) -> Decoded:
        for half_layer in self.reader.half_layers:
            components = self.reader.components(half_layer, self.variables)
            for component in components:
                if isinstance(component, WidthStair):
                    self._add_width(width_variable(component, self.max_seq_len))
            components = [c for c in components if is_operation(c)]
            if components:
                self._half_layer(half_layer, components[:MAX_DESCRIBED])
        program = build_program(self.operations)
        return Decoded(canonicalise(program), self.log_probability, self.tokens)

    def _add_width(self, variable: Variable) -> None:
        if not any(v.slot == variable.slot and not v.is_auxiliary for v in self.variables):
            self.variables.append(variable)

    def _half_layer(self, half_layer: HalfLayer, components: list[Component]) -> None:
        known = [v for v in self.variables if v.available_from <= half_layer]
        self.decoding.see(features(self.reader, components, known))
        here: list[Operation] = []
        while True:
            place = TokenPlace(len(here), 0)
            full = len(self.operations) + len(here) >= MAX_OPERATIONS
            kind = self._choose(place, allowed_kinds(half_layer, known, full))
            if kind == ID[EOL]:
                break
            ordinal = len(here)
            component = components[ordinal] if ordinal < len(components) else None
            here.append(
                self._operation(OPERATION_KINDS[kind - FIRST_KIND], ordinal, component, known)
            )
        by_slot = {v.slot: v for v in known if not v.is_auxiliary}
        for ordinal, operation in enumerate(here):
            slot = 2 + len(self.operations)
            self.operations.append(operation)
            component = components[ordinal] if ordinal < len(components) else components[-1]
            self.variables.append(
                result_variable(operation, half_layer, component, slot, by_slot, self.max_seq_len)
            )

    def _operation(
        self, kind: Kind, ordinal: int, component: Component | None, known: list[Variable]
    ) -> Operation:
        """Writes the arguments of one operation; its component shows what a table says."""
        arguments: list[int] = []
        table: Predicate | None = None
        for field, class_name in enumerate(kind.arguments, start=1):
            first = CLASS_RANGES[class_name][0]
            allowed = allowed_arguments(kind, class_name, field, known)
            shown = component if component and shows_table(component, kind, arguments) else None
            if class_name in TABLE and shown is None:
                allowed.remove(first + TABLE[class_name])
            index = self._choose(TokenPlace(ordinal, field), allowed) - first
            arguments.append(index)
            if shown is not None and index == TABLE.get(class_name):
                table = read_off(self.reader, shown)
        return with_read_factors(operation_written(kind, arguments, table), component)

    def _choose(self, place: TokenPlace, allowed: list[int]) -> int:
        if not allowed:
            raise ProgramError("no token may come next: the weights fit no program of the grammar")
        logits: Array = self.decoding.feed(self.last_token, place)[allowed]
        best = int(np.argmax(logits))
        self.log_probability -= float(np.log(np.exp(logits - logits[best]).sum()))
        self.last_token = allowed[best]
        self.tokens += 1
        return self.last_token


def shows_table(component: Component, kind: Kind, slots: Sequence[int]) -> bool:
    """Whether a component shows a table over the variables written, for an operation of a kind."""
    return _may_compute(component, kind) and tuple(slots) == readable_slots(component)


def _may_compute(component: Component, kind: Kind) -> bool:
    """Whether a component's form is that of an operation with a function or a predicate."""
    match component:
        case Lookup() | StairToValues():
            return kind is Kind.MAP_TO_CATEGORIES
        case Sum() | StairToNumber():
            return kind is Kind.MAP_TO_NUMBERS
        case Pairs():
            return kind is Kind.SEQUENCE_MAP
        case Move() | Mean() | Width():
            return kind.is_attention
        case _:
            return False


def allowed_kinds(half_layer: HalfLayer, known: list[Variable], full: bool) -> list[int]:
    """The tokens that may begin an operation, the end of the half-layer first.

    Args:
        half_layer: in which half-layer.
        known: the variables that may be read.
        full: whether the program has all the operations it may have.
    """
    if full:
        return [ID[EOL]]
    has_number = any(not v.is_categorical and not v.is_auxiliary for v in known)
    kinds = [
        kind
        for kind in OPERATION_KINDS
        if kind.is_attention == half_layer.is_attention
        and (has_number or kind not in (Kind.LINEAR, Kind.MEAN))
    ]
    return [ID[EOL], *(ID[kind.text] for kind in kinds)]


def allowed_arguments(kind: Kind, class_name: str, field: int, known: list[Variable]) -> list[int]:
    """The tokens that may be an operation's argument.

    Args:
        kind: of the operation.
        class_name: of the argument.
        field: its number; the kind has number 0.
        known: the variables that may be read.
    """
    first, last = CLASS_RANGES[class_name]
    if class_name != "variable":
        return list(range(first, last))
    wants_any = kind in (Kind.MAP_TO_CATEGORIES, Kind.MAP_TO_NUMBERS)
    wants_number = kind is Kind.LINEAR or (kind is Kind.MEAN and field == 4)
    return [
        FIRST_SLOT + v.slot
        for v in known
        if not v.is_auxiliary and (wants_any or v.is_categorical != wants_number)
    ]
