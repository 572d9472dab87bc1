"""Which hook points a network has: places in its computation, by TransformerLens' names.

Axes: B inputs, T positions, H heads, K = d_head, D = d_model, M neurons.
"""

from __future__ import annotations

import difflib
import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass

from untracr.errors import LONGEST_NAME, MOST_NAMES, HookPointError
from untracr.network.architecture import PositionTable, Rotary
from untracr.network.forward import Heads, Neurons, ReadOut, Step, steps
from untracr.network.network import Mlp, Network
from untracr.short_repr import short_repr
from untracr.shown_text import shown

EMBEDDING = -1
"""The step of what is computed before the first half-layer."""


MOST_NEAR = 3
"""Hook points that an error proposes for a name that is none."""


class Axes(enum.Enum):
    """The axes of the values at a hook point."""

    STREAM = "[B, T, width]"
    HEADS = "[B, T, H, width]"
    PAIRS = "[B, H, T, T]"
    """Of each head, position that attends, and position attended to."""


@dataclass(frozen=True)
class HookPoint:
    """A place in the computation.

    Attributes:
        name: TransformerLens' name of it.
        step: the number of the step (`untracr.network.forward.steps`) that computes it.
        axes: of its values.
        width: of the last axis; 0 where that is as long as the input.
        heads: H, or 0 where there is no such axis.
    """

    name: str
    step: int
    axes: Axes
    width: int
    heads: int = 0

    __repr__ = short_repr

    @property
    def enters(self) -> bool:
        """Whether its values are the stream that its step reads."""
        return "hook_resid_" in self.name

    def shape(self, inputs: int, length: int) -> tuple[int, ...]:
        """The shape of its values for a number of inputs of a length."""
        match self.axes:
            case Axes.STREAM:
                return (inputs, length, self.width)
            case Axes.HEADS:
                return (inputs, length, self.heads, self.width)
            case Axes.PAIRS:
                return (inputs, self.heads, length, length)


def hook_points(network: Network) -> dict[str, HookPoint]:
    """All hook points of a network by name, in the order in which they are computed."""
    return {point.name: point for point in _points(network)}


def named_point(points: dict[str, HookPoint], name: object) -> HookPoint:
    """The hook point of a name.

    Raises:
        HookPointError: there is none.
    """
    if isinstance(name, str) and name in points:
        return points[name]
    raise HookPointError(f"the network has no hook point {shown(name)}.{_near(points, name)}")


def _near(points: dict[str, HookPoint], name: object) -> str:
    """Hook points that may have been meant, as the end of a message."""
    if isinstance(name, str) and 2 < len(name) <= LONGEST_NAME:
        known = list(points)[:MOST_NAMES]
        within = [other for other in known if name in other]
        close = within or difflib.get_close_matches(name, known, n=MOST_NEAR)
        if close:
            return f" Near: {', '.join(close[:MOST_NEAR])}"
    return " untracr.network.hook_points(network) lists those it has"


def _points(network: Network) -> Iterator[HookPoint]:
    D = network.d_model
    yield HookPoint("hook_embed", EMBEDDING, Axes.STREAM, D)
    if isinstance(network.architecture.positions, PositionTable):
        yield HookPoint("hook_pos_embed", EMBEDDING, Axes.STREAM, D)
    for number, step in enumerate(steps(network)):
        for name, axes, width, heads in _of_step(network, step):
            yield HookPoint(name, number, axes, width, heads)


def numbers_of_a_step(network: Network, length: int) -> int:
    """How many numbers the largest step computes of one input of a length."""
    sizes: dict[int, int] = {}
    for point in hook_points(network).values():
        size = math.prod(point.shape(1, length))
        sizes[point.step] = sizes.get(point.step, 0) + size
    return max(sizes.values())


_Row = tuple[str, Axes, int, int]


def _of_step(network: Network, step: Step) -> Iterator[_Row]:
    match step:
        case Heads(number):
            yield from _left(network, number - 1)
            yield from _of_heads(network, number)
        case Neurons(number):
            mlp = network.layers[number].mlp
            assert mlp is not None
            yield from _of_neurons(network, number, mlp)
        case ReadOut():
            yield from _left(network, network.n_layers - 1)
            yield from _of_norm(network, "ln_final")


def _left(network: Network, number: int) -> Iterator[_Row]:
    """The stream that leaves a layer, which the step after the layer hooks."""
    if number >= 0:
        yield f"blocks.{number}.hook_resid_post", Axes.STREAM, network.d_model, 0


def _of_norm(network: Network, name: str) -> Iterator[_Row]:
    if network.architecture.norm is not None:
        yield f"{name}.hook_scale", Axes.STREAM, 1, 0
        yield f"{name}.hook_normalized", Axes.STREAM, network.d_model, 0


def _of_heads(network: Network, number: int) -> Iterator[_Row]:
    block, D = f"blocks.{number}", network.d_model
    H, _, K = network.layers[number].attention.W_Q.shape
    rotary = isinstance(network.architecture.positions, Rotary)
    yield f"{block}.hook_resid_pre", Axes.STREAM, D, 0
    yield from _of_norm(network, f"{block}.ln1")
    for name in ("q", "k", "v", *(("rot_q", "rot_k") if rotary else ())):
        yield f"{block}.attn.hook_{name}", Axes.HEADS, K, H
    yield f"{block}.attn.hook_attn_scores", Axes.PAIRS, 0, H
    yield f"{block}.attn.hook_pattern", Axes.PAIRS, 0, H
    yield f"{block}.attn.hook_z", Axes.HEADS, K, H
    yield f"{block}.attn.hook_result", Axes.HEADS, D, H
    yield f"{block}.hook_attn_out", Axes.STREAM, D, 0


def _of_neurons(network: Network, number: int, mlp: Mlp) -> Iterator[_Row]:
    block, D, M = f"blocks.{number}", network.d_model, int(mlp.W_in.shape[1])
    yield f"{block}.hook_resid_mid", Axes.STREAM, D, 0
    yield from _of_norm(network, f"{block}.ln2")
    for name in ("pre", *(("pre_linear",) if mlp.W_gate is not None else ()), "post"):
        yield f"{block}.mlp.hook_{name}", Axes.STREAM, M, 0
    yield f"{block}.hook_mlp_out", Axes.STREAM, D, 0
