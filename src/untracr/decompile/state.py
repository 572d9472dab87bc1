"""A program half written, as a search holds it."""

from __future__ import annotations

from dataclasses import dataclass

from untracr.decompile.layer_frame import Frame
from untracr.decompile.proposals import Place, Writing
from untracr.read.components import Component
from untracr.read.frame import Variable
from untracr.read.operations import Operation
from untracr.transformer.half_layer import HalfLayer


@dataclass(frozen=True)
class State:
    """A program half written.

    Attributes:
        frame: what the present half-layer may read.
        start: the head or neuron from which on nothing is explained.
        operations: those written.
        variables: inputs and results.
        variances: of the noise in the results' directions, by slot.
        pending: first halves of SelectorWidths whose second half is still to come.
        to_clean: how many SelectorWidths wrote at BOS, until that is taken back.
        ordinal: operations written in this half-layer.
        writing: the network's side of it; None without a network.
        components: what the reader finds in this half-layer.
    """

    frame: Frame
    start: int
    operations: tuple[Operation, ...]
    variables: tuple[Variable, ...]
    variances: tuple[tuple[int, float], ...]
    pending: tuple[Variable, ...] = ()
    to_clean: int = 0
    ordinal: int = 0
    writing: Writing | None = None
    components: tuple[Component, ...] = ()

    @property
    def half_layer(self) -> HalfLayer:
        """In which half-layer the next operation is."""
        return self.frame.half_layer

    @property
    def reached(self) -> tuple[HalfLayer, int]:
        """Half-layer, and head or neuron, up to which the weights are explained."""
        return self.half_layer, self.start

    @property
    def place(self) -> Place:
        """Where the next operation is to be written."""
        known = list(self.frame.variables)
        for number, component in enumerate(self.components):
            if self.frame.view.place(component) == self.start:
                return Place(self.half_layer, known, number, component)
        return Place(self.half_layer, known, self.ordinal, None)
