"""Everything that a network computes on some inputs, by TransformerLens' hook points.

A trace keeps the stream before each half-layer. What else is asked for is computed again
from there, one half-layer at a time, and values of the last half-layer asked for are kept
besides: so asking in the order of the names costs a few passes, and memory is bounded by
`MAX_TRACE_BYTES`. Axes: B inputs, T positions, D = d_model, O outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt

from untracr.bounds import MAX_TRACE_BYTES
from untracr.errors import InputError
from untracr.network.forward import (
    Hooks,
    Ids,
    Mask,
    attention_mask,
    checked_ids,
    embedded,
    inputs_at_once,
    steps,
    through,
)
from untracr.network.network import Array, Network
from untracr.network.points import EMBEDDING, HookPoint, hook_points, named_point, numbers_of_a_step
from untracr.notebook_html import block, heading, table


def trace(network: Network, token_ids: npt.ArrayLike) -> Trace:
    """All that a network computes on inputs; nothing is computed before it is asked for.

    Args:
        network: the weights.
        token_ids: [B, T]

    Raises:
        InputError: they are no token ids of the network's, or too many to keep a trace of.
    """
    return Trace(network, network_ids(network, token_ids))


def network_ids(network: Network, token_ids: npt.ArrayLike) -> Ids:
    """Token ids [B, T] of a network.

    Raises:
        InputError: they are none.
    """
    try:
        return checked_ids(network, token_ids)
    except ValueError as error:
        raise InputError(str(error)) from None


class Trace(Mapping[str, Array]):
    """Values by hook point, each computed when it is asked for; see `trace`.

    ``list(a_trace)`` has the names, in the order in which they are computed, and
    ``a_trace["blocks.0.attn.hook_pattern"]`` the values, which are not to be written to.
    Values that hooks have changed are shown as they went on.

    Attributes:
        network: the weights.
        ids: [B, T] token ids.
        points: the hook points by name.
        hooks: what changes values, or None.
    """

    def __init__(self, network: Network, ids: Ids, hooks: Hooks | None = None) -> None:
        self.network, self.ids, self.hooks = network, ids, hooks
        self.points = hook_points(network)
        self._steps = steps(network)
        self._streams: list[Array] = []
        self._kept: tuple[int, dict[str, Array]] = (EMBEDDING, {})
        _require_memory(self)

    @cached_property
    def mask(self) -> Mask | None:
        """Which position may attend to which, [1 or B, 1, T, T]; None where all may to all."""
        return attention_mask(self.network, self.ids)

    @cached_property
    def logits(self) -> Array:
        """[B, T, O]; of a network without a read-out its last, normalised stream [B, T, D]."""
        return _unwritable(self._run(len(self._steps) - 1, self.hooks))

    def stream(self, step: int) -> Array:
        """[B, T, D], the stream that a step reads, before any hook of the step."""
        while len(self._streams) <= step:
            self._streams.append(_unwritable(self._run(len(self._streams) - 1, self.hooks)))
        return self._streams[step]

    def __getitem__(self, name: str) -> Array:
        point = named_point(self.points, name)
        if point.enters and self.hooks is None:
            return self.stream(point.step)
        step, values = self._kept
        if step != point.step:
            self._kept = (point.step, self._values(point, {name}))
        elif name not in values:
            self._kept = (step, values | self._values(point, self._others(point) - set(values)))
        return self._kept[1][name]

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __contains__(self, name: object) -> bool:
        return name in self.points

    def __iter__(self) -> Iterator[str]:
        return iter(self.points)

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        inputs, length = self.ids.shape
        return f"<Trace: {inputs} inputs of {length} positions, {len(self)} hook points>"

    def __str__(self) -> str:
        rows = (f"  {shape}: {names}" for shape, names in self._rows())
        return "\n".join((repr(self)[:-1], *rows)) + ">"

    def _repr_html_(self) -> str:
        return block(heading(repr(self)), table(("shape", "hook points"), list(self._rows())))

    def _rows(self) -> Iterator[tuple[str, str]]:
        """Shapes and the names of the points whose values have them, those of all layers once."""
        for shape, (others, of_layers) in _by_shape(self).items():
            names = others + [f"blocks.i.{{{', '.join(of_layers)}}}"] * bool(of_layers)
            yield str(list(shape)), ", ".join(names)

    def _others(self, point: HookPoint) -> set[str]:
        """A point and the others of its step, but a head's part of the output only if asked for.

        That one is the largest, and summing it rounds otherwise than the pass that was run.
        """
        return {point.name} | {
            other.name
            for other in self.points.values()
            if other.step == point.step and not other.name.endswith("hook_result")
        }

    def _values(self, point: HookPoint, names: set[str]) -> dict[str, Array]:
        """Values of a point's step; the stream behind it is kept as well."""
        seen = _Seeing(names, self.hooks)
        after = self._run(point.step, seen)
        if len(self._streams) == point.step + 1 < len(self._steps):
            self._streams.append(_unwritable(after))
        return {name: _unwritable(_joined(parts)) for name, parts in seen.values.items()}

    def _run(self, step: int, hooks: Hooks | None) -> Array:
        """What a step gives, for groups of inputs where no hook is tied to their numbers."""
        count, length = self.ids.shape
        group = inputs_at_once(self.network, length) if self.hooks is None else max(1, count)
        rows = [slice(first, first + group) for first in range(0, max(1, count), group)]
        with np.errstate(over="ignore", invalid="ignore"):
            return _joined([self._run_part(step, hooks, part) for part in rows])

    def _run_part(self, step: int, hooks: Hooks | None, rows: slice) -> Array:
        if step == EMBEDDING:
            return embedded(self.network, self.ids[rows], hooks)
        mask = self.mask if self.mask is None or len(self.mask) == 1 else self.mask[rows]
        return through(self.network, self._steps[step], self.stream(step)[rows], mask, hooks)


class _Seeing:
    """Hooks that keep what goes on from some points, behind what other hooks do there."""

    def __init__(self, names: set[str], inner: Hooks | None) -> None:
        self.names, self.inner = names, inner
        self.values: dict[str, list[Array]] = {}

    def wants(self, point: str) -> bool:
        return point in self.names or (self.inner is not None and self.inner.wants(point))

    def at(self, point: str, value: Array) -> Array:
        if self.inner is not None and self.inner.wants(point):
            value = self.inner.at(point, value)
        if point in self.names:
            self.values.setdefault(point, []).append(value)
        return value


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _unwritable(value: Array) -> Array:
    """A view that refuses to be written to: what is kept is read more than once."""
    view: Array = value.view()
    view.flags.writeable = False
    return view


def _require_memory(a_trace: Trace) -> None:
    """Refuses more inputs than a trace may keep the streams and one step's values of."""
    inputs, length = a_trace.ids.shape
    each = a_trace.network.W_E.itemsize * _numbers_of_one(a_trace, length)
    if inputs * each > MAX_TRACE_BYTES:
        fit = MAX_TRACE_BYTES // each
        raise InputError(
            f"a trace of {inputs:,} inputs of {length:,} positions takes "
            f"{inputs * each / 2**30:,.1f} GiB; at most {MAX_TRACE_BYTES / 2**30:g} GiB are kept. "
            + (f"Trace at most {fit:,} inputs at a time" if fit else "Trace shorter inputs")
        )


def _numbers_of_one(a_trace: Trace, length: int) -> int:
    """How many numbers are kept of one input: the streams, the logits, and the largest step."""
    network = a_trace.network
    outputs = network.d_model if network.W_U is None else int(network.W_U.shape[1])
    streams = length * (network.d_model * len(steps(network)) + outputs)
    return streams + numbers_of_a_step(network, length)


def _by_shape(a_trace: Trace) -> dict[tuple[int, ...], tuple[list[str], list[str]]]:
    """Names by the shape of their values: those that no layer has, and those within a layer."""
    found: dict[tuple[int, ...], tuple[list[str], list[str]]] = {}
    for point in a_trace.points.values():
        others, of_layers = found.setdefault(point.shape(*a_trace.ids.shape), ([], []))
        if not point.name.startswith("blocks."):
            others.append(point.name)
        elif (name := point.name.split(".", 2)[2]) not in of_layers:
            of_layers.append(name)
    return found
