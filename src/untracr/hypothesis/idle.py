"""Does the network need more than the program uses, and does it need all of that?

Everything that no supported line claims is taken from other inputs at once, in every
half-layer's addition to the stream: the output must stay. Then what a line claims is
taken from other inputs: the output must not stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.evaluate.share import Share
from untracr.hypothesis.causes import Support
from untracr.hypothesis.interchange import Place, Recorded, Replaced, order_of
from untracr.hypothesis.subject import Subject
from untracr.network.network import Array, Network

DRAWS = 32
"""Joint resamplings, of which the worst counts."""

INPUTS = 256
"""On which outputs are compared at each."""


@dataclass(frozen=True)
class Idle:
    """What was left when everything unclaimed was resampled.

    Attributes:
        worst: inputs with the same output, in the worst of the draws.
        draws: how many there were.
        whole: half-layers (and the embedding) of which everything was resampled.
        parts: those of which only what no line claims was.
        kept: those that were left alone, since a line was found behind them in the stream.
        claimed: those that lines claim whole, so that nothing was left to take.
        ranks: of each of the parts the dimensions that lines claim.
    """

    worst: Share
    draws: int
    whole: tuple[str, ...]
    parts: tuple[str, ...]
    kept: tuple[str, ...]
    claimed: tuple[str, ...] = ()
    ranks: tuple[int, ...] = ()

    @property
    def tested(self) -> bool:
        """Whether anything was resampled at all."""
        return bool(self.whole or self.parts)


@dataclass(frozen=True)
class Broken:
    """What taking one line's part from other inputs did.

    Attributes:
        line: label of the line.
        same: inputs on which the output stayed.
    """

    line: int
    same: Share


def additions(network: Network) -> tuple[Place, ...]:
    """The embedding and what each half-layer adds, as the network runs."""
    places = [Place(0, "hook_resid_pre")]
    for number, layer in enumerate(network.layers):
        places.append(Place(number, "hook_attn_out"))
        if layer.mlp is not None:
            places.append(Place(number, "hook_mlp_out"))
    return tuple(places)


def idle(
    subject: Subject, data: Recorded, supports: Sequence[Support], rng: np.random.Generator
) -> Idle:
    """Resamples what no line claims, all of it at once, and counts outputs that stay."""
    kept_parts = _claims(subject.network, supports)
    rows = _different(data)
    ids = data.ids[rows]
    before, ignored = subject.outputs(subject.logits(ids)), ~subject.counted(ids)
    worst = Share(len(rows), len(rows))
    for _ in range(DRAWS):
        others = rng.permutation(len(data.tokens))[: len(rows)]
        hooks = _Resampled(
            {
                place.name: (data.seen[place][others], basis)
                for place, basis in kept_parts.items()
                if basis is not None
            }
        )
        after = subject.outputs(subject.logits(ids, hooks))
        same = _count(subject.same_after_exchange(after, before) | ignored)
        worst = min(worst, same, key=lambda share: share.fraction)
    names: dict[str, list[str]] = {"whole": [], "parts": [], "kept": [], "claimed": []}
    for place, basis in kept_parts.items():
        names[_treated(basis)].append(place.name)
    ranks = tuple(
        basis.shape[1]
        for basis in kept_parts.values()
        if basis is not None and _treated(basis) == "parts"
    )
    treated = {how: tuple(places) for how, places in names.items()}
    return Idle(worst, DRAWS, **treated, ranks=ranks)


def broken(subject: Subject, data: Recorded, support: Support, rng: np.random.Generator) -> Broken:
    """Takes a line's part from other inputs, and counts outputs that stay nevertheless.

    A line that differs between positions only, as positions do, is taken from the next one.
    """
    assert support.best is not None
    rows = _different(data)
    others = rng.permutation(len(data.tokens))[: len(rows)]
    values = data.seen[support.best.place]
    own = slice(subject.first, subject.first + data.tokens.shape[1])
    taken = values[others]
    codes = data.lines.columns[support.line].codes
    if (codes == codes[:1]).all():
        taken[:, own] = np.roll(taken[:, own], 1, axis=1)
    changed = values[rows]
    changed[:, own] = support.best.subspace.exchange(changed[:, own], taken[:, own])
    hooks = Replaced(support.best.place.name, changed)
    ids = data.ids[rows]
    before, ignored = subject.outputs(subject.logits(ids)), ~subject.counted(ids)
    after = subject.outputs(subject.logits(ids, hooks))
    same = _count(subject.same_after_exchange(after, before) | ignored)
    return Broken(support.line, same)


def _claims(
    network: Network, supports: Sequence[Support]
) -> dict[Place, npt.NDArray[np.float64] | None]:
    """For each addition an orthonormal basis [D, r] of what lines claim there; None to keep all."""
    at: dict[Place, list[npt.NDArray[np.float64]]] = {}
    last = (-1, -1)
    own = additions(network)
    for support in supports:
        added = [found for found in support.places if found.place in own]
        for found in added:
            at.setdefault(found.place, []).append(found.subspace.write)
        if not added:  # in the stream alone, to which all before may have added
            last = max(last, *(order_of(found.place) for found in support.places))
    claims: dict[Place, npt.NDArray[np.float64] | None] = {}
    for place in own:
        if order_of(place) < last:
            claims[place] = None
        elif place in at:
            claims[place] = np.linalg.qr(np.concatenate(at[place], axis=1))[0]
        else:
            claims[place] = np.zeros((network.d_model, 0))
    return claims


def _treated(basis: npt.NDArray[np.float64] | None) -> str:
    """The field of `Idle` that names a half-layer of which lines claim a basis [D, r]."""
    if basis is None:
        return "kept"
    dimensions, rank = basis.shape
    return "whole" if not rank else "parts" if rank < dimensions else "claimed"


def _different(data: Recorded) -> npt.NDArray[np.int64]:
    """Rows of at most `INPUTS` different inputs."""
    _, first = np.unique(data.tokens, axis=0, return_index=True)
    return np.sort(first)[:INPUTS]


class _Resampled:
    """At some points keeps the coordinates in a basis and takes the rest from elsewhere."""

    def __init__(self, points: dict[str, tuple[Array, npt.NDArray[np.float64]]]) -> None:
        self.points = points

    def wants(self, point: str) -> bool:
        return point in self.points

    def at(self, point: str, value: Array) -> Array:
        other, basis = self.points[point]
        own = (value - other) @ basis.astype(value.dtype)
        kept: Array = other + own @ basis.T.astype(value.dtype)
        return kept


def _count(same: npt.NDArray[np.bool_]) -> Share:
    """Of [N, T] the inputs that are the same at every position."""
    return Share(int(same.all(axis=1).sum()), len(same))
