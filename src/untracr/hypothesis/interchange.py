"""Interchange interventions: does the network's output follow an exchange as the program's does?

For a line of the program, a place in the network and a subspace there: the
subspace's coordinates at one position of a base input are replaced by those of a
source input, and the network's outputs are compared with what the program gives when
the line's value is exchanged (Geiger et al., 2021; Wu et al., 2023). Only pairs count
for which the program says that its output changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from untracr.hypothesis.lines import Lines, exchanged
from untracr.hypothesis.subject import Codes, Mask, Outputs, Subject
from untracr.hypothesis.subspaces import Subspace
from untracr.network.forward import (
    Hooks,
    attention_mask,
    embedded,
    steps,
    through,
)
from untracr.network.network import Array, Network
from untracr.network.points import hook_points
from untracr.rasp.domain import Domain
from untracr.rasp.interpreter import Batch, Column
from untracr.rasp.nodes import Ref

POINTS = ("hook_resid_pre", "hook_attn_out", "hook_resid_mid", "hook_mlp_out", "hook_resid_post")
"""Of a layer, as it runs."""


MOST_COMPARED = 2**26
"""Pairs of positions that a program compares at once; with longer inputs fewer draws are tried."""


@dataclass(frozen=True)
class Place:
    """Where in a network a value may live: a hook point of a layer.

    Attributes:
        layer: the layer whose run passes the point.
        point: TransformerLens' name, within the layer.
    """

    layer: int
    point: str

    @property
    def name(self) -> str:
        """TransformerLens' name for it."""
        return f"blocks.{self.layer}.{self.point}"


def order_of(place: Place) -> tuple[int, int]:
    """When a place is computed; additions come right before the stream behind them."""
    return place.layer, POINTS.index(place.point)


def places_of(network: Network) -> tuple[Place, ...]:
    """The embedding, what each half-layer adds, and the stream after each, as the network runs."""
    places = [Place(0, "hook_resid_pre")]
    for number, layer in enumerate(network.layers):
        places.append(Place(number, "hook_attn_out"))
        if layer.mlp is not None:
            places += [Place(number, "hook_resid_mid"), Place(number, "hook_mlp_out")]
        places.append(Place(number, "hook_resid_post"))
    return tuple(places)


@dataclass(frozen=True, eq=False)
class Recorded:
    """Inputs of one length, what a program holds on them, and what a network computes.

    Attributes:
        domain: the program's inputs.
        tokens: [N, T], places in the domain's vocabulary.
        lines: the program's lines on them.
        ids: [N, S] of the network.
        streams: the stream [N, S, D] before each step of the forward pass.
        seen: by place, [N, S, D].
        first: the network's position at which the program's first token stands.
    """

    domain: Domain
    tokens: Codes
    lines: Lines
    ids: Codes
    streams: tuple[Array, ...]
    seen: dict[Place, Array]
    first: int

    @cached_property
    def inputs(self) -> Codes:
        """[N], a number for each different input."""
        _, numbers = np.unique(self.tokens, axis=0, return_inverse=True)
        return np.asarray(numbers, dtype=np.int64).ravel()


@dataclass(frozen=True, eq=False)
class Pairs:
    """Exchanges of one line, P of them, and what the program gives after each.

    Attributes:
        base, source: [P], rows of the recorded inputs.
        at, from_: [P], the program's positions that are written and read; None for all at once.
        wanted: [P, T], outputs after the exchange.
        counted: [P, T], where outputs count.
    """

    base: Codes
    source: Codes
    at: Codes | None
    from_: Codes | None
    wanted: Outputs
    counted: Mask

    def __len__(self) -> int:
        return len(self.base)


class _Recorder:
    """Keeps the values at some points."""

    def __init__(self, points: Sequence[str]) -> None:
        self.points = frozenset(points)
        self.seen: dict[str, Array] = {}

    def wants(self, point: str) -> bool:
        return point in self.points

    def at(self, point: str, value: Array) -> Array:
        self.seen[point] = value
        return value


class Replaced:
    """Puts a value in the place of what is computed at one point."""

    def __init__(self, point: str, value: Array) -> None:
        self.point, self.value = point, value

    def wants(self, point: str) -> bool:
        return point == self.point

    def at(self, point: str, value: Array) -> Array:
        return self.value


def recorded(
    subject: Subject, domain: Domain, tokens: Codes, lines: Lines, places: Sequence[Place]
) -> Recorded:
    """Runs a network and keeps what it computes at some places."""
    network, ids = subject.network, subject.ids(tokens)
    recorder = _Recorder([place.name for place in places])
    mask = attention_mask(network, ids)
    streams = [embedded(network, ids, recorder)]
    for step in steps(network):
        streams.append(through(network, step, streams[-1], mask, recorder))
    seen = {place: recorder.seen[place.name] for place in places}
    return Recorded(domain, tokens, lines, ids, tuple(streams[:-1]), seen, subject.first)


def draw_pairs(
    subject: Subject,
    data: Recorded,
    line: Ref,
    rows: Codes,
    count: int,
    rng: np.random.Generator,
    *,
    across: bool = False,
    everywhere: bool = False,
    labels: Codes | None = None,
    together: tuple[Ref, ...] = (),
) -> Pairs:
    """Different exchanges of a line that change the program's output.

    Args:
        subject: the network; what it cannot put out is never wanted.
        data: inputs and the program's lines on them.
        line: the line that is exchanged.
        rows: of the inputs that may be drawn.
        count: how many are wanted; fewer are given where ten times as many draws hold fewer
            different ones.
        rng: the draws' generator.
        across: whether the value is taken from another position than it is put at.
        everywhere: whether all positions are exchanged at once.
        labels: [N, T], codes of the line's values that are taken for the source's: a control.
        together: other lines that are exchanged with it.
    """
    column = data.lines.columns[line]
    length = data.tokens.shape[1]
    draws = min(10 * count, max(count, MOST_COMPARED // length**2))
    base, source = rng.choice(rows, draws), rng.choice(rows, draws)
    at = rng.integers(length, size=draws)
    from_ = (at + rng.integers(1, max(length, 2), size=draws)) % length if across else at
    taken = {line: column.codes if labels is None else labels}
    taken |= {ref: data.lines.columns[ref].codes for ref in together}
    held = {}
    for ref, values in taken.items():
        codes = values[source] if everywhere else data.lines.columns[ref].codes[base].copy()
        if not everywhere:
            codes[np.arange(draws), at] = values[source, from_]
        held[ref] = Column(codes, data.lines.columns[ref].values)
    batch = Batch.of_codes(
        data.domain, data.tokens[base], np.full(draws, length), causal=data.lines.batch.causal
    )
    after = exchanged(data.lines.program, batch, held)
    wanted = subject.wanted(after.output)
    before = subject.wanted(data.lines.output)[base]
    counted = subject.counted(data.ids[base])
    possible = (subject.possible(wanted) | ~counted).all(axis=1)
    changed = (~subject.same_after_exchange(before, wanted) & counted).any(axis=1)
    drawn = [data.inputs[base], data.inputs[source]]
    _, first = np.unique(
        np.stack(drawn if everywhere else [*drawn, at, from_]), axis=1, return_index=True
    )
    different = np.zeros(draws, dtype=np.bool_)
    different[first] = True
    kept = np.flatnonzero(after.meant & possible & changed & different)[:count]
    return Pairs(
        base[kept],
        source[kept],
        None if everywhere else at[kept],
        None if everywhere else from_[kept],
        wanted[kept],
        counted[kept],
    )


def patched_activations(
    data: Recorded, place: Place, subspace: Subspace, pairs: Pairs, first: int
) -> Array:
    """[P, S, D], the base's activations at a place with the source's coordinates.

    Args:
        data: the inputs' activations.
        place: where.
        subspace: of the line at the place.
        pairs: the exchanges.
        first: the network's position at which the program's first token stands.
    """
    values = data.seen[place]
    after = values[pairs.base].copy()
    if pairs.at is None or pairs.from_ is None:
        own = slice(first, first + data.tokens.shape[1])
        after[:, own] = subspace.exchange(after[:, own], values[pairs.source][:, own])
        return after
    rows = np.arange(len(pairs))
    taken = values[pairs.source, first + pairs.from_]
    after[rows, first + pairs.at] = subspace.exchange(after[rows, first + pairs.at], taken)
    return after


def run_from(subject: Subject, data: Recorded, rows: Codes, place: Place, value: Array) -> Array:
    """[P, T, O], logits of recorded inputs with a value put in at a place.

    What runs before the place is not run again.
    """
    network, ids = subject.network, data.ids[rows]
    mask = attention_mask(network, ids)
    first = hook_points(network)[place.name].step
    stream = data.streams[first][rows]
    hooks: Hooks | None = Replaced(place.name, value)
    for step in steps(network)[first:]:
        stream = through(network, step, stream, mask, hooks)
        hooks = None
    return subject.own(stream)


def interchange_right(
    subject: Subject, data: Recorded, place: Place, subspace: Subspace, pairs: Pairs
) -> Mask:
    """[P], whether the network's outputs at every position are the program's after the exchange."""
    value = patched_activations(data, place, subspace, pairs, subject.first)
    logits = run_from(subject, data, pairs.base, place, value)
    same = subject.same_after_exchange(subject.outputs(logits), pairs.wanted) | ~pairs.counted
    return np.asarray(same.all(axis=1))
