"""What a written direction is for: a number, or a value of a category.

One neuron that reads some values of a variable may compute a truth value, which
is a number, or be one of a lookup, whose results are values. What it reads and
writes is the same. What reads its direction later is not:

| it is | a later part reads |
|---|---|
| a number | it steeply beside the constant (a staircase); its negative, and then it alone; |
| | it alone as what a head moves |
| a value | it as a key or a query of a head, or as one of many that a head moves; |
| | it and another direction minus the constant (a grid) |

A head's columns may be in any inner basis: what they span is looked at.
Only exact embeddings at right angles tell this: in a compressed model values may be gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from untracr.arrays import Annotated, Bools, Floats
from untracr.compile.blocks import COLDNESS
from untracr.read.tolerances import READS, STEEP, ZERO_SHARE, Tolerance
from untracr.transformer.half_layer import HalfLayer

Role = Literal["number", "value", "alone", "open"]
"""``alone``: a head moves nothing else; a number, or the only value of a constant."""

UNIT_OFF = 0.15
"""How far factors that stand for one may be off, and the squared lengths that go with them."""

MAX_HEADS = 1_000_000
"""Entries of the keys of a layer beyond which nothing is told; compiled models have fewer."""


class Roles:
    """The readers of one model, asked for what they read a direction as.

    Args:
        W_Q, W_K, W_V: [L, H, D, K]; the inner basis of a head may be any.
        W_in: [L, D, M].
        one: the constant direction; products with it are those of its own part only.
        neurons: how exact each layer's neurons are.
        is_told: whether the embeddings are exact and at right angles; else nothing is told.
    """

    def __init__(
        self,
        W_Q: Annotated[Floats, "L H D K"],
        W_K: Annotated[Floats, "L H D K"],
        W_V: Annotated[Floats, "L H D K"],
        W_in: Annotated[Floats, "L D M"],
        one: Annotated[Floats, "D"],
        *,
        neurons: tuple[Tolerance, ...],
        is_told: bool,
    ) -> None:
        self.is_told = is_told and W_K[0].size <= MAX_HEADS
        self.n_layers = len(W_in)
        self.W_Q, self.W_K, self.W_V, self.W_in, self.one = W_Q, W_K, W_V, W_in, one
        self.neuron_tolerances = neurons
        self._spans: dict[int, tuple[list[_Span], list[_Span]]] = {}
        self._neurons: dict[int, _Neurons] = {}

    def role(self, direction: Annotated[Floats, "D"], half_layer: HalfLayer) -> Role:
        """What later parts show a direction to be.

        Args:
            direction: [D], as it is written.
            half_layer: that writes it; neurons.

        Returns:
            ``open`` where none reads it, or they disagree.
        """
        roles: set[Role] = set()
        for layer in self._later(half_layer):
            roles |= self._in_heads(direction, layer) | self._in_neurons(direction, layer)
        if "number" in roles:
            return "open" if "value" in roles else "number"
        return "value" if "value" in roles else "alone" if roles else "open"

    def family(self, direction: Annotated[Floats, "D"], half_layer: HalfLayer) -> int:
        """How many values the variable has that holds a direction, as the first head shows; or 0.

        Args:
            direction: [D], as it is written.
            half_layer: that writes it.
        """
        for layer in self._later(half_layer):
            for spans, others in zip(self._spans_of(layer), (1, 0), strict=True):
                for span in spans:
                    if span.holds(direction):
                        return max(0, span.rank - others)
        return 0

    def share_a_reader(
        self, fst: Annotated[Floats, "D"], snd: Annotated[Floats, "D"], half_layer: HalfLayer
    ) -> bool:
        """Whether two directions [D] are queries of a head, or beside one other in a grid.

        Then they are values of one variable.
        """
        for layer in self._later(half_layer):
            if (self._asks(fst, layer) & self._asks(snd, layer)).any():
                return True
            ours, theirs = (self._neurons_of(layer).partners(d) for d in (fst, snd))
            for other in ours.T:
                if bool((np.square(theirs - other[:, None]).sum(axis=0) < UNIT_OFF**2).any()):
                    return True
        return False

    def _later(self, half_layer: HalfLayer) -> range:
        return range(half_layer.layer + 1, self.n_layers) if self.is_told else range(0)

    def _spans_of(self, layer: int) -> tuple[list[_Span], list[_Span]]:
        """Of the keys and of the values of a layer's heads."""
        if layer not in self._spans:
            keys, values = ([_Span.of(head) for head in W[layer]] for W in (self.W_K, self.W_V))
            self._spans[layer] = keys, values
        return self._spans[layer]

    def _asks(self, direction: Annotated[Floats, "D"], layer: int) -> Annotated[Bools, "H"]:
        """Which heads of a layer a direction is a query of."""
        # d W_Q W_K^T of each head, [H, D]: COLDNESS long for a query (blocks.attention_head).
        scores = np.einsum("hk,hdk->hd", direction @ self.W_Q[layer], self.W_K[layer])
        return np.asarray(np.square(scores).sum(axis=1) > (COLDNESS / 2) ** 2, dtype=np.bool_)

    def _in_heads(self, direction: Annotated[Floats, "D"], layer: int) -> set[Role]:
        keys, values = self._spans_of(layer)
        roles: set[Role] = set()
        if any(span.holds(direction) for span in keys) or self._asks(direction, layer).any():
            roles.add("value")
        roles |= {"value" if s.rank > 1 else "alone" for s in values if s.holds(direction)}
        return roles

    def _in_neurons(self, direction: Annotated[Floats, "D"], layer: int) -> set[Role]:
        return self._neurons_of(layer).roles(direction)

    def _neurons_of(self, layer: int) -> _Neurons:
        if layer not in self._neurons:
            W, exact = self.W_in[layer], self.neuron_tolerances[layer]
            self._neurons[layer] = _Neurons(
                W, np.square(W).sum(axis=0), exact.squared(W), self.one @ W
            )
        return self._neurons[layer]


@dataclass(frozen=True)
class _Span:
    """What the columns of a matrix span.

    Attributes:
        basis: [D, rank], orthonormal.
    """

    basis: Annotated[Floats, "D rank"]

    @classmethod
    def of(cls, W: Annotated[Floats, "D K"]) -> _Span:
        """The span of the columns of [D, K]."""
        finite = np.nan_to_num(W, nan=0.0, posinf=0.0, neginf=0.0)
        left, sizes, _ = np.linalg.svd(finite, full_matrices=False)
        return cls(left[:, sizes > ZERO_SHARE * max(1.0, float(sizes.max(initial=0.0)))])

    @property
    def rank(self) -> int:
        """How many dimensions it has."""
        return int(self.basis.shape[1])

    def holds(self, direction: Annotated[Floats, "D"]) -> bool:
        """Whether a direction [D] lies in it."""
        inside = direction @ self.basis
        square = float(direction @ direction)
        return square - float(inside @ inside) < ZERO_SHARE * square


@dataclass(frozen=True)
class _Neurons:
    """What the neurons of a layer read.

    Attributes:
        W: [D, M].
        squares, allowed, one: [M], squared lengths, how far off they may be, and the
            products with the constant.
    """

    W: Annotated[Floats, "D M"]
    squares: Annotated[Floats, "M"]
    allowed: Annotated[Floats, "M"]
    one: Annotated[Floats, "M"]

    def roles(self, direction: Annotated[Floats, "D"]) -> set[Role]:
        """What they show a direction [D] to be."""
        along = direction @ self.W
        if not (np.abs(along) > READS).any():
            return set()
        # What is left of |w|^2, [M]: beside the direction, and beside the constant too.
        rest = self.squares - along**2
        left = rest - self.one**2
        steep = (np.abs(along) > STEEP) & (np.abs(self.one) > READS) & (left <= self.allowed)
        only = (rest <= self.allowed) & (np.abs(np.abs(along) - 1) < UNIT_OFF)
        signs = np.sign(along[only])
        if steep.any() or {-1.0, 1.0} <= set(signs.tolist()):
            return {"number"}
        return {"value"} if self._in_grid(along).any() else set()

    def partners(self, direction: Annotated[Floats, "D"]) -> Annotated[Floats, "D n"]:
        """What is read beside a direction in grids, and the constant taken off: [D, n]."""
        return self.W[:, self._in_grid(direction @ self.W)] - direction[:, None]

    def _in_grid(self, along: Annotated[Floats, "M"]) -> Annotated[Bools, "M"]:
        """Which neurons read a direction and another one, minus the constant."""
        # Of |x_i + y_j - one|^2 = 3 (blocks.pairwise_and), y_j is left.
        left = self.squares - along**2 - self.one**2
        near = (np.abs(along - 1) < UNIT_OFF) & (np.abs(self.one + 1) < UNIT_OFF)
        return np.asarray(near & (np.abs(left - 1) < UNIT_OFF), dtype=np.bool_)
