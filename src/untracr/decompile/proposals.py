"""Which operation may come next: the network's proposals, or all there are.

The network's are lazily given in the order of their probability. Uniform ones
are all operations of the grammar in a fixed order: what a search without a
meta-model has, and what is left when the network's are used up.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from untracr.decompile.greedy import allowed_arguments, allowed_kinds, shows_table
from untracr.metamodel.features import features
from untracr.metamodel.numpy_network import Decoding, NumpyNetwork, TokenPlace
from untracr.metamodel.vocabulary import (
    CLASS_RANGES,
    EOL,
    FIRST_KIND,
    ID,
    OPERATION_KINDS,
    START,
    TABLE,
    Kind,
    ids_of,
    operation_written,
)
from untracr.rasp.functions import Predicate
from untracr.read.components import Component, Linear
from untracr.read.frame import Variable
from untracr.read.operations import Operation
from untracr.read.reader import Reader
from untracr.read.unlisted_functions import read_off, readable_slots, with_read_factors
from untracr.transformer.half_layer import HalfLayer

MAX_TOKENS_FED = 400
"""Tokens fed for the proposals of one operation; beyond, the network has said what it knows."""

UNLIKELY = -25.0
"""Log-probability below which it proposes nothing."""


@dataclass(frozen=True)
class Writing:
    """What the network has written, and what it sees.

    Attributes:
        decoding: its keys and values; never changed, only branched.
        last: the token that it has not yet been fed.
        components: of the present half-layer; none if it was shown none.
    """

    decoding: Decoding
    last: int
    components: tuple[Component, ...] = ()

    @classmethod
    def start(cls, network: NumpyNetwork) -> Writing:
        """Nothing written."""
        return cls(network.start(), ID[START])

    def enter(
        self, reader: Reader, components: Sequence[Component], known: list[Variable]
    ) -> Writing:
        """Shows it the components of the next half-layer."""
        last = ID[EOL] if self.components else self.last
        if not components:
            return Writing(self.decoding, last)
        decoding = self.decoding.branch()
        decoding.see(features(reader, components, known))
        return Writing(decoding, last, tuple(components))

    def after(self, operation: Operation, place: int) -> Writing:
        """Writes an operation that it may not have proposed."""
        if not self.components:
            return self
        decoding, last = self.decoding.branch(), self.last
        for number, token in enumerate(ids_of(operation)):
            decoding.feed(last, TokenPlace(place, number))
            last = token
        return Writing(decoding, last, self.components)


@dataclass(frozen=True)
class Place:
    """Where an operation is to be written.

    Attributes:
        half_layer: in which half-layer.
        known: the variables it may read.
        ordinal: its number in the half-layer, as the network counts.
        component: what stands there in the weights, if that was told.
    """

    half_layer: HalfLayer
    known: list[Variable]
    ordinal: int
    component: Component | None


@dataclass(frozen=True)
class Proposal:
    """An operation that may come next.

    Attributes:
        operation: the operation.
        log_probability: under the network; the same for all uniform ones.
        writing: the network's state behind it; None if it has to be fed first.
    """

    operation: Operation
    log_probability: float
    writing: Writing | None = None


MayHold = Callable[[Kind, tuple[int, ...]], bool]
"""Whether the weights may hold an operation of a kind whose first variables have these slots."""


def network_proposals(
    reader: Reader, writing: Writing, place: Place, may_hold: MayHold
) -> Iterator[Proposal]:
    """The network's proposals that the weights may hold, most probable first."""
    if not writing.components:
        return
    numbers = itertools.count()
    queue: list[tuple[float, int, _Partial]] = [
        (0.0, next(numbers), _Partial((), writing.decoding, writing.last, None))
    ]
    given: set[Operation] = set()
    for _ in range(MAX_TOKENS_FED):
        if not queue:
            return
        cost, _, partial = heapq.heappop(queue)
        if cost > -UNLIKELY:
            return
        if partial.is_whole:
            after = Writing(partial.decoding, partial.last, writing.components)
            operation = with_read_factors(partial.operation(), place.component)
            if operation not in given:  # many that are written may be read as one
                given.add(operation)
                yield Proposal(operation, -cost, after)
            continue
        for loss, longer in partial.longer(reader, place):
            if longer.tokens and not longer.may_be_held(may_hold):
                continue
            heapq.heappush(queue, (cost + loss, next(numbers), longer))


@dataclass(frozen=True)
class _Partial:
    """The first tokens of an operation: its kind and arguments, as indices in their classes."""

    tokens: tuple[int, ...]
    decoding: Decoding
    last: int
    table: Predicate | None

    @property
    def kind(self) -> Kind:
        return OPERATION_KINDS[self.tokens[0]]

    @property
    def is_whole(self) -> bool:
        return bool(self.tokens) and len(self.tokens) == 1 + len(self.kind.arguments)

    def operation(self) -> Operation:
        return operation_written(self.kind, self.tokens[1:], self.table)

    def may_be_held(self, may_hold: MayHold) -> bool:
        """Whether the weights may hold an operation that begins so."""
        slots = self.kind.slots(self.tokens[1:])
        return not slots or may_hold(self.kind, slots)

    def longer(self, reader: Reader, place: Place) -> Iterator[tuple[float, _Partial]]:
        """With each token that may come next, and what it costs."""
        field = len(self.tokens)
        shown, class_name = None, ""
        if not field:
            first = FIRST_KIND
            allowed = allowed_kinds(place.half_layer, place.known, full=False)[1:]
        else:
            class_name = self.kind.arguments[field - 1]
            first = CLASS_RANGES[class_name][0]
            allowed = allowed_arguments(self.kind, class_name, field, place.known)
            if class_name in TABLE:
                component = place.component
                if component and shows_table(component, self.kind, self.tokens[1:]):
                    shown = component
                else:
                    allowed.remove(first + TABLE[class_name])
        if not allowed:
            return
        decoding = self.decoding.branch()
        logits = decoding.feed(self.last, TokenPlace(place.ordinal, field))[allowed]
        shifted = logits - logits.max()
        losses = np.log(np.exp(shifted).sum()) - shifted
        for token, loss in zip(allowed, losses.tolist(), strict=True):
            index = token - first
            table = self.table
            if shown is not None and index == TABLE.get(class_name):
                table = read_off(reader, shown)
                if table is None:
                    continue
            yield loss, _Partial((*self.tokens, index), decoding, token, table)


def _with_factors(place: Place) -> Iterator[Proposal]:
    """A LinearSequenceMap with factors that are not listed, if the component shows one."""
    slots = () if place.component is None else readable_slots(place.component)
    if len(slots) == 2 and isinstance(place.component, Linear):
        listed = operation_written(Kind.LINEAR, (*slots, 0, 0))
        read = with_read_factors(listed, place.component)
        if read is not listed:
            yield Proposal(read, 0.0)


def uniform_proposals(reader: Reader, place: Place, may_hold: MayHold) -> Iterator[Proposal]:
    """All operations of the grammar that the weights may hold, and what the component shows."""
    yield from _with_factors(place)
    for kind_token in allowed_kinds(place.half_layer, place.known, full=False)[1:]:
        kind = OPERATION_KINDS[kind_token - FIRST_KIND]
        choices = []
        for field, class_name in enumerate(kind.arguments, start=1):
            first = CLASS_RANGES[class_name][0]
            allowed = allowed_arguments(kind, class_name, field, place.known)
            choices.append([token - first for token in allowed])
        # Behind the variables of which it is a table.
        function = next((n for n, name in enumerate(kind.arguments) if name in TABLE), None)
        for arguments in _held(kind, choices, may_hold, ()):
            table = None
            if function is not None and arguments[function] == TABLE[kind.arguments[function]]:
                component = place.component
                if component is None or not shows_table(component, kind, arguments[:function]):
                    continue
                table = read_off(reader, component)
                if table is None:
                    continue
            yield Proposal(operation_written(kind, arguments, table), 0.0)


def _held(
    kind: Kind, choices: list[list[int]], may_hold: MayHold, begun: tuple[int, ...]
) -> Iterator[tuple[int, ...]]:
    """The product of choices, last ones fastest, without what the weights refute by variables."""
    if len(begun) == len(choices):
        yield begun
        return
    is_variable = kind.arguments[len(begun)] == "variable"
    for choice in choices[len(begun)]:
        longer = (*begun, choice)
        if not is_variable or may_hold(kind, kind.slots(longer)):
            yield from _held(kind, choices, may_hold, longer)
