"""Patches: what is put in the place of values that a network computes, or added to them.

A patch has a `Place`, and a source of what goes there. All are frozen values, checked
against a network by `untracr.network.patching`. Axes: B inputs, n positions, m heads,
k dimensions, r directions of a subspace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from untracr.network.tracing import Trace
from untracr.short_repr import short_repr

Chosen = int | Sequence[int] | npt.NDArray[np.integer[Any]] | None
"""Numbers of positions, heads or dimensions: one, several, or None for all."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where in a network: a hook point, and what part of its values [B, n, m, k].

    Attributes:
        point: TransformerLens' name of a hook point, as ``blocks.0.attn.hook_z``.
        positions: from 0; of scores and patterns those that attend. Or an array [B, n],
            with positions of their own for each input.
        heads: from 0; only at points where values have heads.
        dimensions: of the last axis: of the stream, of a head, neurons; of scores and
            patterns the positions attended to.
        subspace: [k, r] with orthonormal columns. Only the part of values along it is
            replaced or added to, and a source's numbers are coordinates in it, r in place of k.
    """

    point: str
    positions: Chosen | Sequence[Sequence[int]] = None
    heads: Chosen = None
    dimensions: Chosen = None
    subspace: npt.ArrayLike | None = None

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Values:
    """Numbers that fit the place: broadcast to [B, n, m, k], without m where there are no heads.

    Attributes:
        numbers: a number, or an array.
    """

    numbers: npt.ArrayLike

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class FromInputs:
    """What is computed at the same place on other inputs: an interchange intervention.

    Attributes:
        trace: of the other inputs.
        rows: which of them is taken for each input, [B]; None for one after another, or for
            the only one.
        positions: where values are taken, as of `Place`; None for where they are put.
    """

    trace: Trace
    rows: npt.ArrayLike | None = None
    positions: Chosen | Sequence[Sequence[int]] = None

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class MeanOf:
    """The mean of what is computed at the same place on inputs.

    Attributes:
        trace: of the inputs.
        over_positions: whether the mean is taken over all of their positions, too.
    """

    trace: Trace
    over_positions: bool = False

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Resampled:
    """What is computed at the same place on an input drawn for each input.

    Which one depends on the seed, the number of inputs and the input's own number: patches
    with the same seed take their values from the same ones.

    Attributes:
        trace: of the inputs that are drawn from.
        seed: of the draw.
    """

    trace: Trace
    seed: int

    __repr__ = short_repr


Source = Values | FromInputs | MeanOf | Resampled


@dataclass(frozen=True, eq=False)
class Replace:
    """Puts a source's values in a place."""

    place: Place
    source: Source

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Add:
    """Adds a source's values, times a number, to what is in a place."""

    place: Place
    source: Source
    times: float = 1.0

    __repr__ = short_repr


Patch = Replace | Add
