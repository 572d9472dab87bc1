"""Half-layers: the heads of a layer, or its neurons; what writes to the stream at one time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, order=True, slots=True)
class HalfLayer:
    """The heads of a layer, or its neurons. Ordered as a model runs them.

    Attributes:
        layer: counted from 0.
        is_mlp: whether it is the layer's neurons; its heads come before them.
    """

    layer: int
    is_mlp: bool

    @property
    def is_attention(self) -> bool:
        """Whether it is the layer's heads."""
        return not self.is_mlp

    @property
    def number(self) -> int:
        """How many half-layers run before it."""
        return 2 * self.layer + self.is_mlp

    @property
    def next(self) -> HalfLayer:
        """The one behind it, whether or not a model has as many."""
        return attention(self.layer + 1) if self.is_mlp else mlp(self.layer)

    def until(self, n_layers: int) -> Iterator[HalfLayer]:
        """This one and all behind it in a model of so many layers."""
        half_layer = self
        while half_layer.layer < n_layers:
            yield half_layer
            half_layer = half_layer.next


def attention(layer: int) -> HalfLayer:
    """The heads of a layer."""
    return HalfLayer(layer, False)


def mlp(layer: int) -> HalfLayer:
    """The neurons of a layer."""
    return HalfLayer(layer, True)


FIRST_HALF_LAYER = attention(0)
