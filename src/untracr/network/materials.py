"""What the sources of patches give, worked out for a number of inputs.

Axes: B inputs that are patched, N that a source has values of; T positions; n, m and k
positions, heads and dimensions of a place, r directions of its subspace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from untracr.errors import PatchError
from untracr.network.network import Array
from untracr.network.patches import FromInputs, MeanOf, Resampled, Source, Values
from untracr.network.regions import (
    Numbers,
    Region,
    by_position,
    index_of,
    positions_of,
    require_as_many,
    whole_numbers,
)
from untracr.network.tracing import Trace
from untracr.shown_text import shown


@dataclass(frozen=True, eq=False)
class Material:
    """Values for a place.

    Attributes:
        numbers: [N, n, m, k], or r in place of k where there is a subspace.
        rows: which of the N each input takes, [B]; None if all take the only one.
        bytes_kept: what the numbers take besides what a trace or the user keeps anyway.
    """

    numbers: Array
    rows: Numbers | None
    bytes_kept: int = 0

    def part(self, inputs: slice) -> Array:
        """[b, n, m, k] of a part of the inputs, or [1, n, m, k] for all of them."""
        return self.numbers if self.rows is None else self.numbers[self.rows[inputs]]


def material_of(region: Region, source: Source, inputs: int, length: int, dtype: Any) -> Material:
    """What a source gives at a place, for a number of inputs of a length.

    Raises:
        PatchError: its values do not fit there.
    """
    found = _found(region, source, inputs, length, dtype)
    _require_shape(region, found, length)
    return found


def _found(region: Region, source: Source, inputs: int, length: int, dtype: Any) -> Material:
    match source:
        case Values():
            return _given(region, source.numbers, inputs, length, dtype)
        case FromInputs():
            rows = _rows(source.rows, source.trace, inputs)
            return _of_inputs(region, source.trace, rows, source.positions, inputs)
        case Resampled():
            rows = _drawn(source, inputs)
            return _of_inputs(region, source.trace, rows, None, inputs)
        case MeanOf():
            return _mean(region, source.trace, source.over_positions, inputs)


def _given(region: Region, given: Any, inputs: int, length: int, dtype: Any) -> Material:
    try:
        numbers = np.asarray(given, dtype=dtype)
    except (TypeError, ValueError):
        raise PatchError(f"values must be an array of numbers, not {shown(given)}") from None
    wanted = region.shape(length)
    of_each = numbers.ndim == len(wanted) + 1 and len(numbers) != 1
    shape = (inputs if of_each else 1, *wanted)
    try:
        block = np.broadcast_to(numbers, shape)
    except ValueError:
        raise PatchError(
            f"values at {region.point.name} must fit the shape {list(wanted)} of the place, with "
            f"{inputs} inputs or 1 before it or not; theirs is {list(numbers.shape)}"
        ) from None
    return Material(block, np.arange(inputs) if of_each else None)


def _rows(given: Any, trace: Trace, inputs: int) -> Numbers | None:
    """The row of a source for each input, or None where there is but one."""
    have = len(trace.ids)
    if given is None:
        if have not in (1, inputs):
            raise PatchError(
                f"there are {inputs:,} inputs to patch, and {have:,} in the trace that values are "
                f"taken from; rows say which is taken for each"
            )
        return None if have == 1 else np.arange(inputs)
    rows = rows_of(trace, given)
    if len(rows) != inputs:
        raise PatchError(f"rows must be {inputs:,}, one for each input, not {len(rows):,}")
    return rows


def rows_of(trace: Trace, given: Any) -> Numbers:
    """Numbers of inputs of a trace.

    Raises:
        PatchError: they are none.
    """
    rows, have = whole_numbers("rows", given), len(trace.ids)
    if rows.ndim != 1:
        raise PatchError(f"rows must have one axis, not {rows.ndim}")
    if len(rows) and not 0 <= rows.min() <= rows.max() < have:
        wrong = rows.min() if rows.min() < 0 else rows.max()
        raise PatchError(
            f"rows must be 0 to {have - 1}, of {have} inputs of the trace, not {wrong}"
        )
    return rows


def _drawn(source: Resampled, inputs: int) -> Numbers:
    """Rows drawn for inputs; the first of them do not depend on how many there are."""
    if not isinstance(source.seed, int | np.integer) or source.seed < 0:
        raise PatchError(f"a seed must be a whole number from 0 on, not {shown(source.seed)}")
    have = len(source.trace.ids)
    return np.random.default_rng(int(source.seed)).integers(max(1, have), size=inputs)


def _of_inputs(
    region: Region, trace: Trace, rows: Numbers | None, given: Any, inputs: int
) -> Material:
    values = _values(region, trace)
    positions = region.positions if given is None else positions_of(region.point, given)
    _require_positions(region, positions, trace, inputs)
    whole = index_of(region, positions, values.shape)
    if region.subspace is None and all(isinstance(part, slice) for part in whole):
        return Material(values[whole], rows)  # a view, whose rows are copied when they are put in
    several = positions is not None and positions.ndim == 2
    if rows is None and not several:
        return _copy(_coordinates(region, values[whole]), None)
    own = np.zeros(inputs, dtype=np.int64) if rows is None else rows
    picked = values[index_of(region, positions, values.shape, own)]
    return _copy(_coordinates(region, picked), np.arange(inputs))


def _copy(numbers: Array, rows: Numbers | None) -> Material:
    return Material(numbers, rows, numbers.nbytes)


def _mean(region: Region, trace: Trace, over_positions: bool, inputs: int) -> Material:
    values = _values(region, trace)
    _require_positions(region, None if over_positions else region.positions, trace, inputs)
    picked = values[index_of(region, None, values.shape)]
    axes = (0, 1) if over_positions else (0,)
    mean = picked.mean(axis=axes, keepdims=True, dtype=np.float64).astype(values.dtype)
    if over_positions:
        shape = (1, region.shape(trace.ids.shape[1])[0], *mean.shape[2:])
        return Material(_coordinates(region, np.broadcast_to(mean, shape)), None)
    if region.positions is None:
        return Material(_coordinates(region, mean), None)
    of_each = region.positions.ndim == 2
    block = mean[0][region.positions] if of_each else mean[:, region.positions]
    return _copy(_coordinates(region, block), np.arange(inputs) if of_each else None)


def _values(region: Region, trace: Trace) -> Array:
    """A trace's values at a hook point, `by_position`."""
    point = trace.points.get(region.point.name)
    if point is None or (point.axes, point.heads, point.width) != (
        region.point.axes,
        region.point.heads,
        region.point.width,
    ):
        raise PatchError(
            f"values for {region.point.name} come from a network that has no such hook point, "
            "or one of another shape"
        )
    if not len(trace.ids):
        raise PatchError(f"values for {point.name} are to come from a trace of no inputs")
    return by_position(point, trace[point.name])


def _coordinates(region: Region, values: Array) -> Array:
    """Values themselves, or their coordinates in the place's subspace."""
    if region.subspace is None:
        return values
    coordinates: Array = values @ region.subspace.astype(values.dtype)
    return coordinates


def _require_positions(
    region: Region, positions: Numbers | None, trace: Trace, inputs: int
) -> None:
    if positions is None:
        return
    longest = trace.ids.shape[1]
    if positions.max() >= longest:
        raise PatchError(
            f"values for {region.point.name} are taken at position {positions.max()}, but the "
            f"inputs they are taken from have positions 0 to {longest - 1}"
        )
    require_as_many(region.point.name, positions, inputs)


def _require_shape(region: Region, found: Material, length: int) -> None:
    wanted, have = region.shape(length), found.numbers.shape[1:]
    if have != wanted:
        raise PatchError(
            f"values for {region.point.name} have shape {list(have)}, the place {list(wanted)}, "
            "for each input"
        )
