"""Reading the half-layers of a model, in the frame of what is known."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from untracr.metamodel.components import MAX_COMPONENTS, NOTHING, Component, Tolerance
from untracr.metamodel.frame import Base, Directions, Floats, Variable
from untracr.metamodel.heads import HeadWeights, read_head
from untracr.metamodel.neurons import STEEP, LayerWeights, read_neurons
from untracr.transformer.transformer import Transformer

EXACTNESS = 100.0
"""Slope of the steps by which a compiled MLP computes a function of a number."""


class Reader:
    """Reads the half-layers of one model.

    Args:
        model: the weights.
        base: its embedding frame.
        axis_signs: whether a numerical output that no later part reads may take
            its sign from the axis it lies on. Rotated weights have no such axis.
    """

    def __init__(self, model: Transformer, base: Base, *, axis_signs: bool = True) -> None:
        self.model = model
        self.base = base
        self.axis_signs = axis_signs
        self.tolerance = Tolerance()
        self.W_in = model.W_in.astype(np.float64)
        self.W_out = model.W_out.astype(np.float64)
        self.W_Q = model.W_Q.astype(np.float64)
        self.W_K = model.W_K.astype(np.float64)
        self.W_V = model.W_V.astype(np.float64)
        self.W_O = model.W_O.astype(np.float64)
        reads = np.abs(self.W_in).max(axis=1) > NOTHING
        self.alive_neurons = reads | (np.abs(self.W_out).max(axis=2) > NOTHING)
        self.alive_heads = (np.abs(self.W_Q).max(axis=(2, 3)) > NOTHING) | (
            np.abs(self.W_O).max(axis=(2, 3)) > NOTHING
        )
        self.one_in = base.one @ self.W_in  # [L, M]
        self.in_squares = np.square(self.W_in).sum(axis=1)

    @property
    def n_half_layers(self) -> int:
        """Two a layer."""
        return 2 * self.model.n_layers

    def components(self, half_layer: int, variables: Sequence[Variable]) -> list[Component]:
        """The components of a half-layer, in the order of their heads or neurons.

        Args:
            half_layer: which one.
            variables: the known variables; those not yet available are left out.
        """
        found = self._components(half_layer, variables)
        return [component for component, _ in itertools.islice(found, MAX_COMPONENTS)]

    def readable(self, half_layer: int, variables: Sequence[Variable]) -> list[Component]:
        """The components that read nothing outside the frame; a head's value may be outside."""
        found = self._components(half_layer, variables)
        return [
            component
            for component, is_explained in itertools.islice(found, MAX_COMPONENTS)
            if is_explained
        ]

    def _components(
        self, half_layer: int, variables: Sequence[Variable]
    ) -> Iterator[tuple[Component, bool]]:
        """Each with whether the frame explains what it reads."""
        layer = half_layer // 2
        alive = self.alive_neurons if half_layer % 2 else self.alive_heads
        if not alive[layer].any():
            return
        known = Directions([v for v in variables if v.available_from <= half_layer], self.base)
        places = np.flatnonzero(alive[layer])
        if half_layer % 2 == 0:
            for head in places.tolist():
                weights = HeadWeights(
                    self.W_Q[layer, head],
                    self.W_K[layer, head],
                    self.W_V[layer, head],
                    self.W_O[layer, head],
                )
                yield read_head(half_layer, head, weights, known, self.tolerance)
            return
        living = LayerWeights(
            half_layer, places, self.W_in[layer][:, places], self.W_out[layer][places]
        )
        for component in read_neurons(living, known, self.tolerance, self.orient):
            yield component, component.kind != "unknown"

    def orient(self, along: Floats, half_layer: int) -> tuple[Floats, int]:
        """Gives a numerical direction its sign and length, if anything shows them.

        Staircases rise along their input, attention carries numbers over
        unchanged, and of the two neurons by which a LinearSequenceMap reads an
        input the first reads its negative. In an unrotated model the axis
        shows the sign. The length is one, unless the model is compressed.

        Args:
            along: any multiple of the direction, [d_model].
            half_layer: which writes it.

        Returns:
            The direction, and how its sign was found: 0 not at all, 1 by later
            readers, 2 by the axes.
        """
        size = float(np.sqrt(along @ along))
        if size <= NOTHING:
            return along, 0
        unit = along / size
        for layer in range((half_layer + 1) // 2, self.model.n_layers):
            if layer > half_layer // 2 or half_layer % 2 == 0:
                length = self._length_in_mlp(unit, layer)
                if length:
                    return length * unit, 1
            if layer > half_layer // 2:
                carried = self._length_in_heads(unit, layer)
                if carried:
                    return carried * unit, 1
        axis = np.flatnonzero(np.abs(unit) > NOTHING)
        if self.axis_signs and len(axis) == 1:
            return float(np.sign(unit[axis[0]])) * unit, 2
        return unit, 0

    def _length_in_mlp(self, unit: Floats, layer: int) -> float:
        """The direction's length, with its sign, as the neurons of a layer read it; 0 if none does."""
        places = np.flatnonzero(self.alive_neurons[layer])
        if not len(places):
            return 0.0
        W, one = self.W_in[layer][:, places], self.one_in[layer, places]
        one_one = 1.0 if self.base.is_orthonormal else float(self.base.one @ self.base.one)
        with_one = 0.0 if self.base.is_orthonormal else float(self.base.one @ unit)
        gram = np.array([[1.0, with_one], [with_one, one_one]])
        products = np.stack([unit @ W, one])
        solved = np.linalg.pinv(gram, rcond=1e-6, hermitian=True) @ products
        left = self.in_squares[layer, places] - np.einsum("cn,cn->n", products, solved)
        fits = (left <= self.tolerance.squared(W)) & (np.abs(solved[0]) > 0.05)
        steep = np.flatnonzero(fits & (np.abs(solved[0]) > STEEP))
        if len(steep):
            return float(solved[0][steep[0]]) / EXACTNESS
        flat = np.flatnonzero(fits & (np.abs(solved[1]) < 0.05))
        return -float(solved[0][flat[0]]) if len(flat) else 0.0

    def _length_in_heads(self, unit: Floats, layer: int) -> float:
        """Likewise as the heads of a layer carry it over."""
        columns = self.W_V[layer, :, :, 0]  # [heads, d_model]; a number takes one column
        along = columns @ unit
        left = np.square(columns).sum(axis=1) - along**2
        fits = (left <= self.tolerance.squared(columns.T)) & (np.abs(along) > 0.05)
        found = np.flatnonzero(fits)
        return float(along[found[0]]) if len(found) else 0.0
