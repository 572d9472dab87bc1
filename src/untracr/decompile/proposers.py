"""Who says what a search tries: the network and then all others, or all in a fixed order.

A search takes nothing on trust from its proposer: every operation is compared with
the weights. So any `Proposer` may be handed in, one that lies too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol

import numpy as np

from untracr.decompile.fitting import Fitter
from untracr.decompile.proposals import Proposal, Writing, network_proposals, uniform_proposals
from untracr.decompile.shown_lookups import shown_lookups
from untracr.decompile.state import State
from untracr.metamodel.numpy_network import NumpyNetwork
from untracr.metamodel.vocabulary import ids_of
from untracr.rasp.nodes import NUMERICAL
from untracr.read.components import Sum
from untracr.read.operations import MapOperation, ReadOff
from untracr.read.unlisted_functions import unary_of_numbers

Proposals = Literal["network", "uniform"]

UNIFORM_COST = 30.0
"""What an operation costs that the network did not propose."""


class Proposer(Protocol):
    """Says which operation may come next."""

    @property
    def max_dead_ends(self) -> int:
        """Programs that may end at one place, which none gets beyond, till a search is given up."""

    def writing(self) -> Writing | None:
        """A network that has written nothing, which is shown what is written; None without one."""

    def proposals(self, fitter: Fitter, state: State) -> Iterator[Proposal]:
        """What may be written next.

        Args:
            fitter: of the model that is read.
            state: what is written.
        """


def proposer(name: Proposals, network: NumpyNetwork) -> Proposer:
    """The proposer of a name."""
    return NetworkFirst(network) if name == "network" else Uniform()


@dataclass(frozen=True)
class Uniform:
    """All that the grammar allows, in a fixed order, and then what the weights show.

    Attributes:
        max_dead_ends: none of the programs found had more than 140.
    """

    max_dead_ends: int = 400

    def writing(self) -> None:
        """There is no network."""

    def proposals(self, fitter: Fitter, state: State) -> Iterator[Proposal]:
        """See `Proposer`."""
        yield from _all_there_are(fitter, state)
        yield from _shown(fitter, state)


@dataclass(frozen=True)
class NetworkFirst:
    """What the network proposes, then all others.

    Attributes:
        network: the meta-model.
        max_dead_ends: none of the programs found had any.
    """

    network: NumpyNetwork
    max_dead_ends: int = 20

    def writing(self) -> Writing:
        """See `Proposer`."""
        return Writing.start(self.network)

    def proposals(self, fitter: Fitter, state: State) -> Iterator[Proposal]:
        """See `Proposer`."""
        if state.writing is None:
            yield from Uniform().proposals(fitter, state)
            return
        seen = set()
        may_hold = partial(fitter.may_hold, state.frame, state.start)
        for proposal in network_proposals(fitter.reader, state.writing, state.place, may_hold):
            seen.add(tuple(ids_of(proposal.operation)))
            yield proposal
        for proposal in itertools.chain(_shown(fitter, state), _all_there_are(fitter, state)):
            if tuple(ids_of(proposal.operation)) not in seen:
                yield replace(proposal, log_probability=-UNIFORM_COST)


def _all_there_are(fitter: Fitter, state: State) -> Iterator[Proposal]:
    """All that the grammar allows and the weights may hold."""
    may_hold = partial(fitter.may_hold, state.frame, state.start)
    return uniform_proposals(fitter.reader, state.place, may_hold)


def _shown(fitter: Fitter, state: State) -> Iterator[Proposal]:
    """Sums and lookups whose function is not listed, as the next neurons show them.

    The reader may have taken the neurons for a part of something else.
    """
    if state.half_layer.is_attention or state.start >= fitter.model.d_mlp:
        return
    yield from _sums(fitter, state)
    for operation in shown_lookups(fitter, state.frame, state.start):
        yield Proposal(operation, 0.0)


def _sums(fitter: Fitter, state: State) -> Iterator[Proposal]:
    """What the next neuron reads of each value."""
    for variable in state.frame.by_slot.values():
        if variable.is_categorical:
            numbers, noise = fitter.summed(state.frame, state.start, variable)
            if np.isfinite(numbers).all():
                function = unary_of_numbers(
                    Sum, variable.values, numbers, 3 * noise, is_exact=fitter.base.is_exact
                )
                yield Proposal(MapOperation(variable.slot, ReadOff(function), NUMERICAL), 0.0)
