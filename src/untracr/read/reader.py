"""Reading the half-layers of a model, in the frame of what is known."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from untracr.arrays import Annotated, Floats, Ints
from untracr.compile.blocks import COLDNESS
from untracr.compile.compiler import MLP_EXACTNESS
from untracr.read.components import Component, UnknownNeurons
from untracr.read.frame import Base, Directions, Variable, two_coefficients
from untracr.read.head_form import in_form
from untracr.read.heads import HeadNoise, HeadWeights, read_head
from untracr.read.neuron_order import Profile, direction_key, order_like_tracr
from untracr.read.neurons import LayerWeights, read_neurons
from untracr.read.roles import Roles
from untracr.read.tolerances import (
    MAX_COMPONENTS,
    READS,
    STEEP,
    ZERO_LENGTH,
    ZERO_SHARE,
    ZERO_SQUARE,
    Tolerance,
)
from untracr.transformer.half_layer import FIRST_HALF_LAYER, HalfLayer, attention
from untracr.transformer.transformer import Transformer

DEAD_LIMIT = 3.0
"""Vectors up to this many times longer than noise is expected to be hold nothing else."""

ALONG_AXIS_COSINE = 0.97
"""Least cosine of a direction with the axis it lies on; less than one for noise."""


class Reader:
    """Reads the half-layers of one model.

    Args:
        model: the weights.
        base: its embedding frame.
        axis_signs: whether a numerical output that no later part reads may take
            its sign from the axis it lies on. Rotated weights have no such axis.
        read_out: whether a numerical output may take its sign and length from the
            model's read-out, if it has one.
        any_form: whether exact weights may have their neurons in any order and their heads
            in any inner basis. What is in Tracr's form is read as it is.
    """

    def __init__(
        self,
        model: Transformer,
        base: Base,
        *,
        axis_signs: bool = True,
        read_out: bool = False,
        any_form: bool = False,
    ) -> None:
        self.model = model
        self.base = base
        self.axis_signs = axis_signs
        self.any_form = any_form and base.is_orthonormal and not base.noise
        self.read_out = _number_read_out(model) if read_out else None
        self.W_in = model.W_in.astype(np.float64)
        self.W_out = model.W_out.astype(np.float64)
        self.W_Q = model.W_Q.astype(np.float64)
        self.W_K = model.W_K.astype(np.float64)
        self.W_V = model.W_V.astype(np.float64)
        self.W_O = model.W_O.astype(np.float64)
        self.in_squares = np.square(self.W_in).sum(axis=1)  # [L, M]
        out_squares = np.square(self.W_out).sum(axis=2)
        self.noise_in = self._neuron_noise(self.in_squares, 2)
        self.noise_out = self._neuron_noise(out_squares, 1)
        self.alive_neurons = (self.in_squares > self._dead(self.noise_in)) | (
            out_squares > self._dead(self.noise_out)
        )
        self.head_noise = HeadNoise(
            Tolerance(base.noise, base.noise),
            Tolerance(base.noise * COLDNESS, base.noise),
            Tolerance(base.noise, base.noise),
        )
        # Squared lengths of each head's longest column of W_Q and longest row of W_O, [L, H].
        selects = np.square(self.W_Q).sum(axis=2).max(axis=2, initial=0.0)
        moves = np.square(self.W_O).sum(axis=3).max(axis=2, initial=0.0)
        self.alive_heads = (selects > self._dead(base.noise * COLDNESS)) | (
            moves > self._dead(base.noise)
        )
        self.one_in = base.one @ self.W_in  # [L, M]
        self.roles = Roles(
            self.W_Q,
            self.W_K,
            self.W_V,
            self.W_in,
            base.one,
            neurons=tuple(Tolerance(float(noise), base.noise) for noise in self.noise_in),
            is_told=base.is_exact,
        )

    def __repr__(self) -> str:
        return f"<Reader of {self.model!r}>"

    def _neuron_noise(
        self, squares: Annotated[Floats, "L M"], entries: int
    ) -> Annotated[Floats, "L"]:
        """Noise of each layer [L] in a matrix whose vectors have these squared lengths [L, M].

        It comes in proportion to the entries that are not zero, about ``entries`` a vector.
        """
        alive = squares > 0.1
        count = entries * np.maximum(alive.sum(axis=1), 1)
        rms = np.sqrt((squares * alive).sum(axis=1) / count)
        return np.asarray(self.base.noise * rms, dtype=np.float64)

    def _dead(
        self, noise: Annotated[Floats, "*vectors"] | float
    ) -> Annotated[Floats, "*vectors 1"]:
        """Squared length [..., 1] up to which a vector holds nothing but noise."""
        limit = DEAD_LIMIT * np.asarray(noise) * np.sqrt(self.model.d_model)
        return np.asarray(np.square(np.maximum(limit, ZERO_LENGTH)))[..., None]

    @property
    def half_layers(self) -> tuple[HalfLayer, ...]:
        """Those of the model, as it runs them."""
        return tuple(FIRST_HALF_LAYER.until(self.model.n_layers))

    def components(self, half_layer: HalfLayer, variables: Sequence[Variable]) -> list[Component]:
        """The components of a half-layer, in the order of their heads or neurons.

        Args:
            half_layer: which one.
            variables: the known variables; those not yet available are left out.

        Raises:
            ProgramError: they take too many values.
        """
        found = self._components(half_layer, variables)
        return [component for component, _ in itertools.islice(found, MAX_COMPONENTS)]

    def readable(self, half_layer: HalfLayer, variables: Sequence[Variable]) -> list[Component]:
        """The components that read nothing outside the frame; a head's value may be outside.

        Raises:
            ProgramError: the variables take too many values.
        """
        found = self._components(half_layer, variables)
        return [
            component
            for component, is_explained in itertools.islice(found, MAX_COMPONENTS)
            if is_explained
        ]

    def _components(
        self, half_layer: HalfLayer, variables: Sequence[Variable]
    ) -> Iterator[tuple[Component, bool]]:
        """Each with whether the frame explains what it reads."""
        layer = half_layer.layer
        alive = self.alive_neurons if half_layer.is_mlp else self.alive_heads
        if not alive[layer].any():
            return
        known = Directions([v for v in variables if v.available_from <= half_layer], self.base)
        if half_layer.is_attention:
            for head in np.flatnonzero(alive[layer]).tolist():
                weights = self.head(layer, head, known)
                yield read_head(half_layer, head, weights, known, self.head_noise)
            return
        places = self.neurons(layer, known)
        living = LayerWeights(
            half_layer,
            places,
            self.W_in[layer][:, places],
            self.W_out[layer][places],
            float(self.noise_out[layer]),
            is_last=self._is_last(half_layer),
        )
        tolerance = Tolerance(float(self.noise_in[layer]), self.base.noise)
        for component in read_neurons(living, known, tolerance, self.orient, self.roles):
            yield component, not isinstance(component, UnknownNeurons)

    def _is_last(self, half_layer: HalfLayer) -> bool:
        """Whether nothing lives behind a half-layer of neurons."""
        behind = half_layer.layer + 1
        return not (self.alive_heads[behind:].any() or self.alive_neurons[behind:].any())

    def head(self, layer: int, head: int, known: Directions) -> HeadWeights:
        """A head's weights, in Tracr's form if they may have any."""
        arrays = (self.W_Q, self.W_K, self.W_V, self.W_O)
        given = HeadWeights(*(array[layer, head] for array in arrays))
        return in_form(given, known, self.head_noise) if self.any_form else given

    def neurons(self, layer: int, known: Directions) -> Annotated[Ints, "n"]:
        """The living neurons of a layer, in an order like Tracr's if they may have any."""
        places = np.flatnonzero(self.alive_neurons[layer])
        if not self.any_form:
            return places
        read, write = self.W_in[layer][:, places], self.W_out[layer][places]
        return places[order_like_tracr(read, write, known, partial(self._profile, layer + 1))]

    def _profile(self, start: int, direction: Annotated[Floats, "D"]) -> Profile:
        """How layers from one on read a direction."""
        counts: list[float] = []
        targets: set[bytes] = set()
        cells: set[tuple[int, int]] = set()
        for layer in range(start, self.model.n_layers):
            for head in np.flatnonzero(self.alive_heads[layer]).tolist():
                Q, K = self.W_Q[layer, head], self.W_K[layer, head]
                moved = (direction @ self.W_V[layer, head]) @ self.W_O[layer, head]
                # For a direction d: W_Q W_K^T d, W_K W_Q^T d, and what is written, d W_V W_O.
                for way in (Q @ (direction @ K), K @ (direction @ Q), moved):
                    counts.append(float(way @ way > READS))
            factors = direction @ self.W_in[layer]
            reads = np.flatnonzero(np.abs(factors) > READS)
            sizes = round(float(np.log1p(self.in_squares[layer, reads]).sum()), 2)
            counts += [float(len(reads)), float((np.abs(factors) > STEEP).sum()), sizes]
            in_grid = np.abs(self.one_in[layer, reads] + 1) < READS
            cells |= {(layer, n) for n in reads[in_grid].tolist()}
            targets |= {direction_key(w) for w in self.W_out[layer, reads] if w @ w > ZERO_SQUARE}
        return Profile(np.array(counts), frozenset(targets), frozenset(cells))

    def orient(
        self, along: Annotated[Floats, "D"], half_layer: HalfLayer
    ) -> tuple[Annotated[Floats, "D"], int]:
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
            readers or the read-out, 2 by the axes.
        """
        size = float(np.sqrt(along @ along))
        if size <= ZERO_LENGTH:
            return along, 0
        unit = along / size
        shown = 0.0 if self.read_out is None else float(unit @ self.read_out)
        if abs(shown) > READS:
            return self._without_noise(shown) * unit, 1
        for layer in range(half_layer.next.layer, self.model.n_layers):
            length = self._length_in_mlp(unit, layer)
            if not length and attention(layer) > half_layer:
                length = self._length_in_heads(unit, layer)
            if length:
                return self._without_noise(length) * unit, 1
        axis = int(np.argmax(np.abs(unit)))
        if self.axis_signs and abs(unit[axis]) > ALONG_AXIS_COSINE:
            return float(np.sign(unit[axis])) * unit, 2
        return unit, 0

    def _without_noise(self, length: float) -> float:
        """Noisy weights are not compressed: directions are one long."""
        return float(np.sign(length)) if self.base.noise else length

    def _length_in_mlp(self, unit: Annotated[Floats, "D"], layer: int) -> float:
        """The direction's length, with its sign, as a layer's neurons read it; 0 if none does."""
        places = np.flatnonzero(self.alive_neurons[layer])
        if not len(places):
            return 0.0
        W, one = self.W_in[layer][:, places], self.one_in[layer, places]
        one_one = 1.0 if self.base.is_orthonormal else float(self.base.one @ self.base.one)
        with_one = 0.0 if self.base.is_orthonormal else float(self.base.one @ unit)
        # Least squares w = factor unit + constant one of each neuron: [2, 2] and [2, n]. Of the
        # direction d = length unit, blocks.staircase reads e d, and blocks.linear -d and d.
        gram = np.array([[1.0, with_one], [with_one, one_one]])
        products = np.stack([unit @ W, one])
        solved = two_coefficients(gram, products)
        left = self.in_squares[layer, places] - np.einsum("cn,cn->n", products, solved)
        noise = float(self.noise_in[layer])
        smallest = max(READS, 5 * noise)
        allowed = Tolerance(noise, self.base.noise).squared(W)
        fits = (left <= allowed) & (np.abs(solved[0]) > smallest)
        steep = np.flatnonzero(fits & (np.abs(solved[0]) > STEEP))
        if len(steep):
            return float(solved[0][steep[0]]) / MLP_EXACTNESS
        if self.any_form:  # the first of two neurons reads a number's negative
            return 0.0
        flat = np.flatnonzero(fits & (np.abs(solved[1]) < smallest))
        return -float(solved[0][flat[0]]) if len(flat) else 0.0

    def _length_in_heads(self, unit: Annotated[Floats, "D"], layer: int) -> float:
        """Likewise as the heads of a layer carry it over."""
        if self.any_form:
            return self._sign_behind_heads(unit, layer)
        columns = self.W_V[layer, :, :, 0]  # [heads, d_model]; a number takes one column
        along = columns @ unit
        # What is left of |column|^2 beside the direction, [heads].
        left = np.square(columns).sum(axis=1) - along**2
        allowed = self.head_noise.values.squared(columns.T)
        fits = (left <= allowed) & (np.abs(along) > max(READS, 5 * self.base.noise))
        fitting = np.flatnonzero(fits)
        return float(along[fitting[0]]) if len(fitting) else 0.0

    def _sign_behind_heads(self, unit: Annotated[Floats, "D"], layer: int) -> float:
        """The sign of a direction that a head carries over, as what reads the copy shows it."""
        for value, out in zip(self.W_V[layer], self.W_O[layer], strict=True):
            copy = (unit @ value) @ out
            size = float(copy @ copy)
            # |W_V W_O|^2, entry by entry; |copy|^2 is as much where nothing else is moved.
            length = float(((value.T @ value) * (out @ out.T)).sum())
            if size > READS and length - size < ZERO_SHARE * length:
                oriented, how = self.orient(copy, attention(layer))
                if how == 1:
                    return float(np.sign(copy @ oriented))
        return 0.0


def _number_read_out(model: Transformer) -> Annotated[Floats, "D"] | None:
    """The direction in which a numerical output is read out, [d_model]."""
    if model.W_U is None or model.output_values is not None or model.W_U.shape[1] != 1:
        return None
    return model.W_U[:, 0].astype(np.float64)
