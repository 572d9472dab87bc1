"""What is said of a model besides its weights, whoever says it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from untracr.network.architecture import Activation, Normalisation, Positions

T = TypeVar("T")


@dataclass(frozen=True)
class Told(Generic[T]):
    """Something that was said, be it that there is none."""

    value: T


@dataclass(frozen=True)
class Scale:
    """What scores are divided by.

    Attributes:
        divisor: a number; None for the root of d_head.
        growing: whether it is multiplied by the layer's number, the first being 1.
        each: of every layer, where these are known one by one.
    """

    divisor: float | None = None
    growing: bool = False
    each: tuple[float, ...] = ()

    def of(self, layer: int, d_head: int) -> float:
        """The divisor of a layer, the first being 0."""
        if self.each:
            return self.each[layer]
        divisor = math.sqrt(d_head) if self.divisor is None else self.divisor
        return divisor * (layer + 1) if self.growing else divisor


@dataclass(frozen=True)
class Stated:
    """What a configuration says; None where it says nothing.

    Attributes:
        norm: the normalisation; and whether it has gains, where that is said.
        gains: whether each normalisation has a gain of its own.
        activation: of the neurons.
        positions: how they enter.
        causal: whether attention is masked to later positions.
        masked_token: the id of padding that no position attends to.
        scale: what scores are divided by.
        windows: one a layer, None for a layer that reaches all positions.
        heads: of each layer.
        tied: whether the read-out is the token embedding, if no tensor is one.
        sizes: of axes, as `untracr.loading.lens_names` calls them, with who says so.
        notes: what is worth saying about the configuration, in sentences.
    """

    norm: Told[Normalisation | None] | None = None
    gains: bool | None = None
    activation: Activation | None = None
    positions: Told[Positions] | None = None
    causal: bool | None = None
    masked_token: int | None = None
    scale: Scale | None = None
    windows: tuple[int | None, ...] | None = None
    heads: int | None = None
    tied: bool | None = None
    sizes: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


NOTHING = Stated()
