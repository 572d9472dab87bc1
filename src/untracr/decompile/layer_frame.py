"""What a half-layer may read while its operations are fitted, beside its weights."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from untracr.arrays import Floats, Ints
from untracr.read.components import Component, first_of
from untracr.read.frame import Variable
from untracr.read.heads import HeadWeights
from untracr.transformer.half_layer import HalfLayer

ONE_ROW, BOS_ROW = 0, 1
"""The first two rows of a frame."""


@dataclass(frozen=True)
class LayerView:
    """A half-layer's weights in the order in which they are explained.

    Attributes:
        W_in, W_out: [D, M] and [M, D].
        heads: those of an MLP are none.
        numbers: of each head or neuron.
    """

    W_in: npt.NDArray[np.floating]
    W_out: npt.NDArray[np.floating]
    numbers: Ints
    heads: tuple[HeadWeights, ...] = ()

    def place(self, component: Component) -> int:
        """Where a component begins."""
        return int(np.flatnonzero(self.numbers == first_of(component))[0])


@dataclass(frozen=True)
class Frame:
    """What a half-layer may read.

    Attributes:
        half_layer: which one.
        view: its weights.
        variables: those known before it.
        rows: [n, D]: the constant, BOS, then the directions of each variable.
        starts: of each variable, by slot, its first row; auxiliary ones have -1 - slot.
        pad: [n], the part of PAD's direction in a row that stands for another.
        variances: [n], of the noise in each entry of a row.
        seen: what was compared before, so that it is compared once.
    """

    half_layer: HalfLayer
    view: LayerView
    variables: tuple[Variable, ...]
    rows: Floats
    starts: dict[int, int]
    pad: Floats
    variances: Floats
    seen: dict[tuple[object, ...], bool] = field(default_factory=dict, compare=False)

    @functools.cached_property
    def by_slot(self) -> dict[int, Variable]:
        """The variables but auxiliary ones."""
        return {v.slot: v for v in self.variables if not v.is_auxiliary}

    def dims(self, variable: Variable) -> Ints:
        """The rows of a variable."""
        start = self.starts[-1 - variable.slot if variable.is_auxiliary else variable.slot]
        return start + np.arange(len(variable.directions))
