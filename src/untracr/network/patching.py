"""Networks with patches: what they compute when some of their values are changed.

Half-layers below the first patch are not run again where a trace of the inputs is given,
and several interventions share one pass. Axes: I interventions, B inputs, T positions,
O outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.bounds import MAX_TRACE_BYTES
from untracr.errors import InputError, PatchError
from untracr.network.forward import Ids, Mask, embedded, inputs_at_once, steps, through
from untracr.network.materials import Material, material_of, rows_of
from untracr.network.network import Array, Network
from untracr.network.patches import Add, Patch, Place, Replace, Source
from untracr.network.points import EMBEDDING, hook_points
from untracr.network.regions import Numbers, Region, by_position, index_of, region_of
from untracr.network.tracing import Trace, network_ids


def patched(network: Network, patches: Patch | Sequence[Patch]) -> Patched:
    """A network in which patches are made, one after another where they meet.

    Raises:
        PatchError: one is at a place that the network does not have.
    """
    several = [patches] if isinstance(patches, Replace | Add) else _several(patches)
    points = hook_points(network)
    for patch in several:
        _require_patch(patch)
    return Patched(network, tuple((region_of(points, p.place), p) for p in several))


def run_each(
    network: Network,
    interventions: Sequence[Patch | Sequence[Patch]],
    base: Trace | npt.ArrayLike,
    rows: npt.ArrayLike | None = None,
) -> Array:
    """The logits under each of several interventions, each of one patch or of several.

    They share passes, and give what each gives alone (`Patched.run`).

    Returns:
        [I, B, T, O]

    Raises:
        PatchError: a patch's place is none of the network's, or its values do not fit.
        InputError: as of `Patched.run`.
    """
    return _run(network, [patched(network, one) for one in interventions], base, rows)


@dataclass(frozen=True, eq=False, repr=False)
class Patched:
    """A network with patches; see `patched`.

    Attributes:
        network: the weights without the patches.
        changes: each patch, and its place in the network.
    """

    network: Network
    changes: tuple[tuple[Region, Patch], ...]

    def __repr__(self) -> str:
        places = ", ".join(dict.fromkeys(region.point.name for region, _ in self.changes))
        return f"<Patched: {len(self.changes)} patches at {places}, {self.network!r}>"

    @property
    def first(self) -> int:
        """The first step that differs from the network without patches."""
        last = len(steps(self.network)) - 1
        return min((region.point.step for region, _ in self.changes), default=last)

    def run(self, base: Trace | npt.ArrayLike, rows: npt.ArrayLike | None = None) -> Array:
        """Logits [B, T, O] with the patches made.

        Args:
            base: token ids [B, T]; or a trace of the network on them, from which what comes
                before the first patch is taken.
            rows: which inputs of the trace are run, [B]; None for all.

        Raises:
            InputError: the ids are none of the network's, or the logits too many.
            PatchError: values do not fit these inputs.
        """
        logits: Array = _run(self.network, [self], base, rows)[0]
        return logits

    def trace(self, token_ids: npt.ArrayLike) -> Trace:
        """All that is computed on inputs [B, T] with the patches made, as `trace` does it.

        Raises:
            InputError: the ids are none of the network's, or too many to keep a trace of.
            PatchError: values do not fit these inputs.
        """
        ids = network_ids(self.network, token_ids)
        whole = slice(0, len(ids))
        made = _made(self, *ids.shape)
        return Trace(self.network, ids, _Changing([(whole, whole, made)]))


@dataclass(frozen=True, eq=False)
class _Change:
    """A patch with the values that it puts in its place."""

    region: Region
    patch: Patch
    material: Material

    def make(self, values: Array, inputs: slice) -> None:
        """Changes values of a part of the inputs, in the array itself."""
        seen, positions = by_position(self.region.point, values), self.region.positions
        if positions is not None and positions.ndim == 2:
            positions = positions[inputs]
        index = index_of(self.region, positions, seen.shape)
        seen[index] = self._instead(seen[index], self.material.part(inputs))

    def _instead(self, old: Array, given: Array) -> Array:
        """What comes in the place of old values [b, n, m, k]."""
        basis = self.region.subspace
        if basis is None:
            return given if isinstance(self.patch, Replace) else old + self._times(given)
        basis = basis.astype(old.dtype)
        along = given - old @ basis if isinstance(self.patch, Replace) else self._times(given)
        changed: Array = old + along @ basis.T
        return changed

    def _times(self, given: Array) -> Array:
        assert isinstance(self.patch, Add)
        return given * given.dtype.type(self.patch.times)


_Block = tuple[slice, slice, Sequence[_Change]]
"""Rows of a batch, the inputs they hold, and what is changed in them."""


class _Changing:
    """Hooks that make changes, each in its own rows of a batch."""

    def __init__(self, blocks: Sequence[_Block]) -> None:
        self.by_point: dict[str, list[tuple[slice, slice, _Change]]] = {}
        for rows, inputs, changes in blocks:
            for change in changes:
                found = self.by_point.setdefault(change.region.point.name, [])
                found.append((rows, inputs, change))

    def wants(self, point: str) -> bool:
        return point in self.by_point

    def at(self, point: str, value: Array) -> Array:
        value = value.copy()
        for rows, inputs, change in self.by_point[point]:
            change.make(value[rows], inputs)
        return value


def _several(patches: object) -> list[Patch]:
    if not isinstance(patches, Iterable):
        raise PatchError(
            f"patches must be a Replace, an Add, or several of these, not {type(patches).__name__}"
        )
    return list(patches)


def _require_patch(patch: object) -> None:
    """Checks that the parts of a patch are what they must be."""
    if not isinstance(patch, Replace | Add):
        raise PatchError(f"a patch must be a Replace or an Add, not {type(patch).__name__}")
    if not isinstance(patch.place, Place):
        raise PatchError(f"a patch's place must be a Place, not {type(patch.place).__name__}")
    if not isinstance(patch.source, Source):
        raise PatchError(
            "a patch's source must be Values, FromInputs, MeanOf or Resampled, not "
            f"{type(patch.source).__name__}"
        )


def _made(one: Patched, inputs: int, length: int) -> list[_Change]:
    """The changes of a network with patches, for a number of inputs of a length."""
    dtype = one.network.W_E.dtype
    changes = []
    for region, patch in one.changes:
        region.require_fit(inputs, length)
        material = material_of(region, patch.source, inputs, length, dtype)
        changes.append(_Change(region, patch, material))
    return changes


def _run(
    network: Network, several: Sequence[Patched], base: Trace | npt.ArrayLike, given_rows: object
) -> Array:
    trace = base if isinstance(base, Trace) else None
    ids = network_ids(network, base) if not isinstance(base, Trace) else base.ids
    rows = None if given_rows is None else _base_rows(trace, given_rows)
    if trace is not None and (trace.network is not network or trace.hooks is not None):
        raise PatchError("the trace to start from must be of this network, without patches")
    shape = (len(ids) if rows is None else len(rows), ids.shape[1])
    logits = _empty_logits(network, len(several), *shape)
    order = sorted(range(len(several)), key=lambda number: several[number].first)
    made = [(number, several[number].first, _made(several[number], *shape)) for number in order]
    _require_materials([change for _, _, changes in made for change in changes])
    at_once = inputs_at_once(network, shape[1])
    for part in _parts(shape[0], at_once):
        if trace is None:
            start = _Start(Trace(network, ids[part]), slice(None))
        else:
            start = _Start(trace, part if rows is None else rows[part])
        width = max(1, at_once // (part.stop - part.start))
        for group in _parts(len(made), width):
            numbers = [number for number, _, _ in made[group]]
            logits[numbers, part] = _pass(start, part, made[group])
    return logits


def _require_materials(changes: Sequence[_Change]) -> None:
    """Refuses more copies of sources' values than may be kept."""
    taken = sum(change.material.bytes_kept for change in changes)
    if taken > MAX_TRACE_BYTES:
        raise InputError(
            f"the values of {len(changes):,} patches take {taken / 2**30:,.1f} GiB; at most "
            f"{MAX_TRACE_BYTES / 2**30:g} GiB are kept. Give fewer at a time"
        )


def _parts(count: int, size: int) -> Iterator[slice]:
    for first in range(0, count, size):
        yield slice(first, min(first + size, count))


def _base_rows(trace: Trace | None, given: object) -> Numbers:
    if trace is None:
        raise PatchError("rows choose inputs of a trace; token ids were given")
    return rows_of(trace, given)


def _empty_logits(network: Network, interventions: int, inputs: int, length: int) -> Array:
    outputs = network.d_model if network.W_U is None else network.W_U.shape[1]
    each = network.W_E.itemsize * length * outputs
    if interventions * inputs * each > MAX_TRACE_BYTES:
        raise InputError(
            f"logits of {interventions:,} interventions on {inputs:,} inputs of {length:,} "
            f"positions take {interventions * inputs * each / 2**30:,.1f} GiB; at most "
            f"{MAX_TRACE_BYTES / 2**30:g} GiB are kept. Give fewer at a time"
        )
    return np.empty((interventions, inputs, length, outputs), dtype=network.W_E.dtype)


@dataclass(frozen=True, eq=False)
class _Start:
    """Where a batch starts: some inputs of a trace without patches."""

    trace: Trace
    rows: slice | Numbers

    @property
    def ids(self) -> Ids:
        """[b, T]"""
        return self.trace.ids[self.rows]

    def stream(self, step: int) -> Array:
        """[b, T, D], what a step reads without patches."""
        return self.trace.stream(step)[self.rows]

    def mask(self, times: int) -> Mask | None:
        """Which position may attend to which, for so many copies of the inputs."""
        mask = self.trace.mask
        if mask is None or len(mask) == 1:
            return mask
        return np.concatenate([mask[self.rows]] * times)


def _pass(start: _Start, part: slice, made: Sequence[tuple[int, int, Sequence[_Change]]]) -> Array:
    """The logits [I, b, T, O] of some interventions, each from its own first step on.

    They are in the order of their first steps, so that the batch grows at its end.
    """
    network, ids = start.trace.network, start.ids
    size = part.stop - part.start
    hooks = _Changing(
        [
            (slice(number * size, (number + 1) * size), part, changes)
            for number, (_, _, changes) in enumerate(made)
        ]
    )
    firsts = [first for _, first, _ in made]
    with np.errstate(over="ignore", invalid="ignore"):
        at_start = firsts.count(EMBEDDING)
        batch = embedded(network, np.concatenate([ids] * at_start), hooks) if at_start else None
        for number, step in enumerate(steps(network)):
            if number in firsts:
                joined = [start.stream(number)] * firsts.count(number)
                batch = np.concatenate(joined if batch is None else [batch, *joined])
            if batch is not None:
                batch = through(network, step, batch, start.mask(len(batch) // max(1, size)), hooks)
    assert batch is not None
    return batch.reshape(len(made), size, *batch.shape[1:])
