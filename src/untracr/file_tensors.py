"""What the tensors of a weights file must be: their names, shapes, sizes and numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from untracr.errors import ModelFileError, did_you_mean
from untracr.shown_text import shown

Array = npt.NDArray[np.float32]

MOST_NAMES = 5
"""Wrong names that are told."""

_ONE_HEAD_SIZE = (
    "; d_head must be the same in every layer, since queries.keys are divided by its root"
)


def require_names(style: str, names: set[str], wanted: Iterable[str], optional: set[str]) -> None:
    """Checks that ``names`` has all of ``wanted`` and nothing else but ``optional``."""
    wanted = list(wanted)
    missing = [name for name in wanted if name not in names]
    unknown = sorted(names - set(wanted) - optional)
    problems = [f"unknown: {_some(unknown, lambda n: shown(n) + did_you_mean(n, missing))}"] * bool(
        unknown
    )
    problems += [f"missing: {_some(missing, shown)}"] * bool(missing)
    if problems:
        raise ModelFileError(f"tensors must be named as in {style}; {'; '.join(problems)}")


def _some(names: list[str], show: Callable[[str], str]) -> str:
    """The first few names, each as ``show`` has it."""
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return ", ".join(map(show, names[:MOST_NAMES])) + more


def n_layers(names: Iterable[str], pattern: str) -> int:
    """How many layers the names speak of; they must be numbered from 0 without a gap."""
    numbers = {m[1] for name in names if (m := re.match(pattern, name))}
    for layer in range(len(numbers)):
        if str(layer) not in numbers:
            raise ModelFileError(
                f"layers must be numbered from 0 without a gap; there are {len(numbers)} layers "
                f"and none is numbered {layer}"
            )
    return max(1, len(numbers))


def layer_axes(axes: tuple[str, ...], layer: int) -> tuple[str, ...]:
    """The axes of one layer's tensor, those that end in ``@`` made the layer's own."""
    return tuple(f"{axis}{layer}" if axis.endswith("@") else axis for axis in axes)


class AxisSizes:
    """The size of each named axis, bound by the first tensor that has it.

    An axis ``d_mlp@1`` belongs to layer 1 alone.
    """

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}

    def bind(self, name: str, shape: tuple[int, ...], axes: tuple[str, ...]) -> None:
        """Checks one tensor's shape against the axes known so far."""
        if 0 in shape:
            raise ModelFileError(f"tensors must not be empty; {name} has shape {list(shape)}")
        known = [self.sizes.get(axis) for axis in axes]
        wrong = [
            axis
            for axis, want, have in zip(axes, known, shape, strict=False)
            if want not in (None, have)
        ]
        if len(shape) != len(axes) or wrong:
            parts = (
                axis.split("@")[0] + (f"={size}" if size is not None else "")
                for axis, size in zip(axes, known, strict=True)
            )
            one_size = "d_head" in wrong and len(shape) == len(axes)
            raise ModelFileError(
                f"{name} must have shape [{', '.join(parts)}] to fit the other tensors, "
                f"not {list(shape)}" + _ONE_HEAD_SIZE * one_size
            )
        self.sizes.update(zip(axes, shape, strict=True))

    def largest(self, axis: str) -> int:
        """The largest size of an axis over the layers."""
        return max(size for name, size in self.sizes.items() if name.split("@")[0] == axis)


def require_size(what: str, size: int, max_bytes: int) -> None:
    """Refuses what is larger than models may be."""
    if size > max_bytes:
        raise ModelFileError(f"models of up to {max_bytes:,} bytes are read; {what} has {size:,}")


def require_filled_up_size(
    layers: int, width: int, all_heads: int, neurons: int, max_bytes: int
) -> None:
    """Checks the size of a model whose layers are all as large as the largest.

    Args:
        layers: how many there are.
        width: the residual stream's, d_model.
        all_heads: n_heads * d_head of the largest layer.
        neurons: d_mlp of the largest layer.
        max_bytes: the limit.
    """
    require_size(
        "the model, all layers as large as the largest,",
        4 * layers * width * (4 * all_heads + 2 * neurons),
        max_bytes,
    )


def float32(name: str, array: npt.NDArray[Any]) -> Array:
    """Converts to float32, refusing what is not a finite real number."""
    if array.dtype.kind != "f":
        raise ModelFileError(f"weights must be floating-point numbers; {name} has {array.dtype}")
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(array, dtype=np.float32)
    finite = np.isfinite(converted)
    if not finite.all():
        entry = tuple(int(i) for i in np.argwhere(~finite)[0])
        value = array[entry]
        rule = "must fit float32" if np.isfinite(value) else "must be finite numbers"
        raise ModelFileError(f"weights {rule}; {name}{list(entry)} is {value}")
    return converted


def padded(array: Array, axis: int, size: int) -> Array:
    """Fills one axis up with zeros."""
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, size - array.shape[axis])
    return np.pad(array, widths)
