"""Places checked against a network, and the part of an array of values that each one means.

Axes: B inputs, T positions, H heads; n, m and k positions, heads and dimensions of a place,
r directions of its subspace. Where values have no heads there is no axis m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from untracr.errors import PatchError
from untracr.network.network import Array
from untracr.network.patches import Place
from untracr.network.points import Axes, HookPoint, named_point
from untracr.shown_text import shown

Numbers = npt.NDArray[np.int64]

_OF_INPUTS = "positions of the inputs"

MOST_SKEW = 1e-4
"""How far products of a subspace's columns may be from 0 and 1."""


@dataclass(frozen=True, eq=False)
class Region:
    """A place that a network has.

    Attributes:
        point: the hook point.
        positions: [n], or [B, n] for each input its own; None for all.
        heads: [m]; None for all, or where there are none.
        dimensions: [k]; None for all.
        subspace: [k, r] in double precision, or None.
    """

    point: HookPoint
    positions: Numbers | None
    heads: Numbers | None
    dimensions: Numbers | None
    subspace: npt.NDArray[np.float64] | None

    def shape(self, length: int) -> tuple[int, ...]:
        """[n, m, k], the shape of one input's values here; of their coordinates [n, m, r]."""
        n = length if self.positions is None else self.positions.shape[-1]
        m = self.point.heads if self.heads is None else len(self.heads)
        if self.subspace is not None:
            k = self.subspace.shape[1]
        elif self.dimensions is not None:
            k = len(self.dimensions)
        else:
            k = length if self.point.axes is Axes.PAIRS else self.point.width
        return (n, k) if self.point.axes is Axes.STREAM else (n, m, k)

    def require_fit(self, inputs: int, length: int) -> None:
        """Checks what can be checked once inputs are known.

        Raises:
            PatchError: inputs are shorter than a position, or another number of them has
                positions of their own.
        """
        name = self.point.name
        _require_below(f"positions of {name}", self.positions, length, _OF_INPUTS)
        require_as_many(name, self.positions, inputs)
        if self.point.axes is Axes.PAIRS:
            _require_below(f"dimensions of {name}", self.dimensions, length, _OF_INPUTS)
            _require_rows(self, length)


def region_of(points: dict[str, HookPoint], place: Place) -> Region:
    """A place, checked against the hook points of a network.

    Raises:
        PatchError: the network has no such place.
    """
    point = named_point(points, place.point)
    region = Region(
        point,
        positions_of(point, place.positions),
        _chosen(f"heads of {point.name}", place.heads),
        _chosen(f"dimensions of {point.name}", place.dimensions),
        _subspace(point, place.subspace),
    )
    if point.axes is Axes.STREAM and region.heads is not None:
        raise PatchError(f"values at {point.name} have no heads; heads were chosen")
    _require_below(f"heads of {point.name}", region.heads, point.heads, "heads")
    if point.axes is not Axes.PAIRS:
        _require_below(f"dimensions of {point.name}", region.dimensions, point.width, "dimensions")
        _require_rows(region, point.width)
    return region


def by_position(point: HookPoint, values: Array) -> Array:
    """A view of values as [B, T, width], with heads [B, T, H, width]."""
    return values.transpose(0, 2, 1, 3) if point.axes is Axes.PAIRS else values


def index_of(
    region: Region,
    positions: Numbers | None,
    shape: tuple[int, ...],
    inputs: Numbers | None = None,
) -> Any:
    """What picks a region's [B, n, m, k] out of values that are seen `by_position`.

    Args:
        region: the place.
        positions: [n] or [B, n], in place of the region's own; None for all.
        shape: of the values that are seen so.
        inputs: [B], which of the inputs in the values; None for all.
    """
    chosen = [inputs, positions, *([region.heads] if region.point.heads else []), region.dimensions]
    parts = [inputs if inputs is not None else slice(None), *map(_as_slice, chosen[1:])]
    arrays = sum(not isinstance(part, slice) for part in parts)
    if arrays < 2 and (positions is None or positions.ndim == 1):
        return tuple(parts)
    return tuple(
        _opened(axis, np.arange(size) if given is None else given, len(shape))
        for axis, (given, size) in enumerate(zip(chosen, shape, strict=True))
    )


def positions_of(point: HookPoint, positions: Any) -> Numbers | None:
    """Positions [n] or [B, n] as numbers.

    Raises:
        PatchError: they are no such whole numbers.
    """
    return _chosen(f"positions of {point.name}", positions, most_axes=2)


def require_as_many(name: str, positions: Numbers | None, inputs: int) -> None:
    """Checks that positions which each input has for itself are given for all inputs.

    Raises:
        PatchError: they are not.
    """
    if positions is not None and positions.ndim == 2 and len(positions) != inputs:
        raise PatchError(
            f"positions of {name} are given for {len(positions):,} inputs; there are {inputs:,}"
        )


def _as_slice(chosen: Numbers | None) -> slice | Numbers:
    """Basic indexing where that is enough, as it makes a view and no copy."""
    if chosen is None:
        return slice(None)
    if chosen.shape == (1,):
        return slice(int(chosen[0]), int(chosen[0]) + 1)
    return chosen


def _opened(axis: int, chosen: Numbers, axes: int) -> Numbers:
    """Numbers along their own axis, so that those of all axes together pick a block."""
    if chosen.ndim == 2:
        return chosen.reshape(*chosen.shape, *[1] * (axes - 2))
    return chosen.reshape([-1 if other == axis else 1 for other in range(axes)])


def _chosen(what: str, given: Any, most_axes: int = 1) -> Numbers | None:
    if given is None:
        return None
    numbers = whole_numbers(what, [given] if isinstance(given, int) else given)
    if not numbers.size:
        raise PatchError(f"{what} must be one at least, or None for all")
    if numbers.ndim > most_axes:
        raise PatchError(f"{what} have {most_axes} axes at most, not {numbers.ndim}")
    if numbers.min() < 0:
        raise PatchError(f"{what} are counted from 0; {numbers.min()} is none")
    ordered = np.sort(numbers, axis=-1)
    if (ordered[..., 1:] == ordered[..., :-1]).any():
        raise PatchError(f"{what} must differ from each other: {shown(numbers.tolist())}")
    return numbers


def whole_numbers(what: str, given: Any) -> Numbers:
    """An array of whole numbers.

    Raises:
        PatchError: it is none.
    """
    try:
        numbers = np.asarray(given)
    except ValueError:  # lists of several lengths
        numbers = np.asarray(None)
    if numbers.size and not np.issubdtype(numbers.dtype, np.integer):
        raise PatchError(f"{what} must be whole numbers, not {shown(given)}")
    return numbers.astype(np.int64)


def _subspace(point: HookPoint, given: Any) -> npt.NDArray[np.float64] | None:
    if given is None:
        return None
    what = f"the subspace at {point.name}"
    try:
        basis = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise PatchError(f"{what} must be an array of numbers, not {shown(given)}") from None
    if basis.ndim != 2 or not basis.size:
        raise PatchError(
            f"{what} must be an array [dimensions, directions], not {list(basis.shape)}"
        )
    skew = float(np.abs(basis.T @ basis - np.eye(basis.shape[1])).max())
    if not skew <= MOST_SKEW:
        raise PatchError(
            f"{what} must have orthonormal columns; their products are off by up to {skew:.3g}, "
            f"more than {MOST_SKEW:g}. np.linalg.qr makes such columns"
        )
    return basis


def _require_rows(region: Region, width: int) -> None:
    """A subspace has a row for each dimension of the place."""
    k = width if region.dimensions is None else len(region.dimensions)
    if region.subspace is not None and len(region.subspace) != k:
        raise PatchError(
            f"the subspace at {region.point.name} must have {k} rows, one for each dimension of "
            f"the place, not {len(region.subspace)}"
        )


def _require_below(what: str, numbers: Numbers | None, bound: int, of: str) -> None:
    if numbers is not None and numbers.max() >= bound:
        raise PatchError(f"{what} must be 0 to {bound - 1}, of {bound} {of}, not {numbers.max()}")
