"""What a written direction is for: a number, or a value of a category.

One neuron that reads some values of a variable may compute a truth value, which
is a number, or be one of a lookup, whose results are values. What it reads and
writes is the same. What reads its direction later is not:

| it is | a later part reads |
|---|---|
| a number | it steeply beside the constant (a staircase); its negative, and then it alone; |
| | it alone as what a head moves |
| a value | it alone in a column of keys; a hundred times it in a query; |
| | it and another direction minus the constant (a grid); it as one of many that a head moves |

Only exact embeddings at right angles tell this: in a compressed model values may be gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from untracr.compile.blocks import COLDNESS
from untracr.metamodel.components import READS, Tolerance
from untracr.metamodel.frame import Bools, Floats

Role = Literal["number", "value", "alone", "open"]
"""``alone``: a head moves nothing else; a number, or the only value of a constant."""

STEEP = 3.0
"""A staircase reads a number with at least this factor."""

NEAR = 0.15
"""How far factors of one may be off."""


class Roles:
    """The readers of one model, asked for what they read a direction as.

    Args:
        W_Q, W_K, W_V: [L, H, D, K].
        W_in: [L, D, M].
        one: the constant direction; products with it are those of its own part only.
        keys, values: how exact these are.
        neurons: likewise of each layer's neurons.
        is_told: whether the embeddings are exact and at right angles; else nothing is told.
    """

    def __init__(
        self,
        W_Q: Floats,
        W_K: Floats,
        W_V: Floats,
        W_in: Floats,
        one: Floats,
        *,
        keys: Tolerance,
        values: Tolerance,
        neurons: tuple[Tolerance, ...],
        is_told: bool,
    ) -> None:
        self.is_told = is_told
        self.n_layers = len(W_in)
        self.W_Q, self.W_in, self.one = W_Q, W_in, one
        self.head_readers = (W_K, keys), (W_V, values)
        self.neuron_tolerances = neurons
        self._heads: dict[int, tuple[_Columns, _Columns]] = {}
        self._neurons: dict[int, _Neurons] = {}

    def role(self, direction: Floats, half_layer: int) -> Role:
        """What later parts show a direction to be.

        Args:
            direction: [D], as it is written.
            half_layer: that writes it; an odd one.

        Returns:
            ``open`` where none reads it, or they disagree.
        """
        found: set[Role] = set()
        for layer in self._later(half_layer):
            found |= self._in_heads(direction, layer) | self._in_neurons(direction, layer)
        if "number" in found:
            return "open" if "value" in found else "number"
        return "value" if "value" in found else "alone" if found else "open"

    def family(self, direction: Floats, half_layer: int) -> int:
        """How many values the variable has that holds a direction, as the first head shows; or 0.

        Args:
            direction: [D], as it is written.
            half_layer: that writes it.
        """
        for layer in self._later(half_layer):
            for columns, others in zip(self._columns(layer), (1, 0), strict=True):
                heads = np.flatnonzero(columns.are(direction).any(axis=1))
                if len(heads):
                    return max(0, int(columns.some[heads[0]].sum()) - others)
        return 0

    def share_a_reader(self, fst: Floats, snd: Floats, half_layer: int) -> bool:
        """Whether two directions [D] are queries of a head, or beside one other in a grid.

        Then they are values of one variable.
        """
        for layer in self._later(half_layer):
            asks = [(d @ self.W_Q[layer] > COLDNESS / 2).any(axis=1) for d in (fst, snd)]
            if (asks[0] & asks[1]).any():
                return True
            ours, theirs = (self._neurons_of(layer).partners(d) for d in (fst, snd))
            for other in ours.T:
                if bool((np.square(theirs - other[:, None]).sum(axis=0) < NEAR**2).any()):
                    return True
        return False

    def _later(self, half_layer: int) -> range:
        return range(half_layer // 2 + 1, self.n_layers) if self.is_told else range(0)

    def _columns(self, layer: int) -> tuple[_Columns, _Columns]:
        """Of the keys and of the values of a layer's heads."""
        if layer not in self._heads:
            keys, values = (_Columns.of(W[layer], exact) for W, exact in self.head_readers)
            self._heads[layer] = keys, values
        return self._heads[layer]

    def _in_heads(self, direction: Floats, layer: int) -> set[Role]:
        keys, values = self._columns(layer)
        found: set[Role] = set()
        if keys.are(direction).any() or (direction @ self.W_Q[layer] > COLDNESS / 2).any():
            found.add("value")
        for head in np.flatnonzero(values.are(direction).any(axis=1)):
            found.add("value" if values.some[head].sum() > 1 else "alone")
        return found

    def _in_neurons(self, direction: Floats, layer: int) -> set[Role]:
        return self._neurons_of(layer).roles(direction)

    def _neurons_of(self, layer: int) -> _Neurons:
        if layer not in self._neurons:
            W, exact = self.W_in[layer], self.neuron_tolerances[layer]
            self._neurons[layer] = _Neurons(
                W, np.square(W).sum(axis=0), exact.squared(W), self.one @ W
            )
        return self._neurons[layer]


@dataclass(frozen=True)
class _Columns:
    """Columns of the heads of a layer.

    Attributes:
        W: [H, D, K].
        squares: [H, K], their squared lengths.
        allowed: [H, K], how far a squared distance may be from 0.
        some: [H, K], which are not zero, but for noise.
    """

    W: Floats
    squares: Floats
    allowed: Floats
    some: Bools

    @classmethod
    def of(cls, W: Floats, exact: Tolerance) -> _Columns:
        """Those of matrices [H, D, K]."""
        squares = np.square(W).sum(axis=1)
        allowed = np.stack([exact.squared(head) for head in W])
        return cls(W, squares, allowed, squares > allowed + READS)

    def are(self, direction: Floats) -> Bools:
        """Which columns are a direction [D]."""
        distance = self.squares - 2 * (direction @ self.W) + direction @ direction
        return np.asarray(distance <= self.allowed, dtype=np.bool_)


@dataclass(frozen=True)
class _Neurons:
    """What the neurons of a layer read.

    Attributes:
        W: [D, M].
        squares, allowed, one: [M], squared lengths, how far off they may be, and the
            products with the constant.
    """

    W: Floats
    squares: Floats
    allowed: Floats
    one: Floats

    def roles(self, direction: Floats) -> set[Role]:
        """What they show a direction [D] to be."""
        along = direction @ self.W
        if not (np.abs(along) > READS).any():
            return set()
        rest = self.squares - along**2
        left = rest - self.one**2
        steep = (np.abs(along) > STEEP) & (np.abs(self.one) > READS) & (left <= self.allowed)
        only = (rest <= self.allowed) & (np.abs(np.abs(along) - 1) < NEAR)
        signs = only[:-1] & only[1:] & (along[:-1] < 0) & (along[1:] > 0)
        if steep.any() or signs.any():
            return {"number"}
        return {"value"} if self._in_grid(along).any() else set()

    def partners(self, direction: Floats) -> Floats:
        """What is read beside a direction in grids, and the constant taken off: [D, n]."""
        return self.W[:, self._in_grid(direction @ self.W)] - direction[:, None]

    def _in_grid(self, along: Floats) -> Bools:
        """Which neurons read a direction and another one, minus the constant."""
        left = self.squares - along**2 - self.one**2
        near = (np.abs(along - 1) < NEAR) & (np.abs(self.one + 1) < NEAR)
        return np.asarray(near & (np.abs(left - 1) < NEAR), dtype=np.bool_)
