"""Rotary positions read off the sines and cosines that TransformerLens keeps beside weights."""

from __future__ import annotations

import numpy as np

from untracr.errors import ModelFileError
from untracr.loading.tensors import Tensors
from untracr.network.architecture import Rotary

_SINES = "blocks.0.attn.rotary_sin"
_COSINES = "blocks.0.attn.rotary_cos"
_LARGEST = 2**24
"""Numbers of a table that is read."""


def rotary_of_tables(tensors: Tensors) -> Rotary | None:
    """The rotation of the first layer's tables, [positions, dimensions]; None without any.

    Raises:
        ModelFileError: they are no tables of rotations that are supported.
    """
    if not {_SINES, _COSINES} <= tensors.names:
        return None
    shape = tensors.shape(_SINES)
    if len(shape) != 2 or shape[0] < 2 or shape[1] < 2 or shape[1] % 2 or _size(shape) > _LARGEST:
        raise ModelFileError(
            f"a table of rotations must have shape [positions, dimensions], not {list(shape)} "
            f"({_SINES})"
        )
    sines, cosines = tensors.array(_SINES), tensors.array(_COSINES)
    for adjacent in (False, True):
        rotary = _rotary(sines, cosines, adjacent)
        if rotary is not None:
            return rotary
    raise ModelFileError(
        f"not supported: a scaled rotation; {_SINES} has other frequencies than base ** (-j / n)"
    )


def _size(shape: tuple[int, ...]) -> int:
    return shape[0] * shape[1]


def _rotary(sines: np.ndarray, cosines: np.ndarray, adjacent: bool) -> Rotary | None:
    """The rotation, if pairs lie so and these are its tables."""
    dimensions = sines.shape[1]
    half = dimensions // 2
    angles = np.arctan2(sines[1].astype(float), cosines[1].astype(float))
    pairs = angles[::2] if adjacent else angles[:half]
    # angle_j of position 1 is base ** (-j / half)
    told = half > 1 and 0 < pairs[1] < 1
    base = float(f"{pairs[1] ** -half:.5g}") if told else 10000.0
    frequency = base ** (-np.arange(half) / half)
    table = np.outer(np.arange(len(sines)), frequency)
    table = np.repeat(table, 2, axis=1) if adjacent else np.concatenate([table, table], axis=1)
    close = np.allclose(np.sin(table), sines, atol=1e-3) and np.allclose(
        np.cos(table), cosines, atol=1e-3
    )
    return Rotary(dimensions, base, adjacent) if close else None
