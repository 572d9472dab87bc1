"""What a network is besides its weights: all that shapes do not say, as values.

A closed list: what stands here is run, checked against the libraries it comes
from, and saved. Anything else is refused where a model comes in, by its name.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from untracr.short_repr import short_repr


class Activation(enum.Enum):
    """What neurons do to the sum they read; the value is TransformerLens' name for it."""

    RELU = "relu"
    GELU = "gelu"
    """x * Phi(x), Phi the normal distribution function (Hendrycks and Gimpel, 2016, section 2)."""
    GELU_TANH = "gelu_new"
    """The approximation of GELU by a tanh, of the same section; GPT-2's."""
    SILU = "silu"
    """x * sigmoid(x)."""


@dataclass(frozen=True)
class LayerNorm:
    """(x - mean) / sqrt(variance + epsilon), then gain and bias if any (Ba et al., 2016)."""

    epsilon: float = 1e-5


@dataclass(frozen=True)
class RmsNorm:
    """x / sqrt(mean of squares + epsilon), then the gain if any (Zhang and Sennrich, 2019)."""

    epsilon: float = 1e-6


Normalisation = LayerNorm | RmsNorm


@dataclass(frozen=True)
class PositionTable:
    """Row ``first + i`` of W_pos is added to the token at position i, learned or sinusoidal.

    Attributes:
        first: the row of the first position; rows before it are never used.
    """

    first: int = 0


@dataclass(frozen=True)
class Rotary:
    """Queries and keys are turned by angles that grow with the position (Su et al., 2021, 3.2.2).

    Attributes:
        dimensions: how many of a head's first dimensions are turned; even.
        base: dimension pair j of n turns by position * base ** (-j / n).
        adjacent: whether a pair is dimensions (2j, 2j + 1); else (j, j + n), as Llama's.
        first: the position at which an input starts.
    """

    dimensions: int
    base: float = 10000.0
    adjacent: bool = False
    first: int = 0


Positions = PositionTable | Rotary | None
"""How positions enter; None for a network that gets none."""


@dataclass(frozen=True)
class Architecture:
    """What a network is besides its weights.

    Attributes:
        norm: applied before each half-layer and before the read-out; None for none.
        activation: of the neurons; of the gates where the neurons have gates.
        positions: how they enter.
        causal: whether position i attends only to positions up to i.
        masked_token: the id of a token that no position attends to (padding), or None.
    """

    norm: Normalisation | None = None
    activation: Activation = Activation.RELU
    positions: Positions = PositionTable()
    causal: bool = False
    masked_token: int | None = None

    __repr__ = short_repr
