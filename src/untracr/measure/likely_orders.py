"""A program's parts in the order that compressed or noisy weights seem to have them in.

Names of variables decide on the order of neurons and of a head's columns. Where weights
are exact the order is found in any case (`correspondence`); here it is guessed, layer
by layer, from how parts read what is written before. A guess proves nothing: the weights
are compared in the order that is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.arrays import Floats, Ints
from untracr.transformer.transformer import Transformer

TIMES_BEST_DISTANCE = 2.0
"""The next neuron stays next where another one fits better, but not this many times."""

SAME_SQUARED_DISTANCE = 1e-6
"""Squared distances that exceed the least by up to here are as good, against lengths of 1."""

MOST_COMPARED = 4_000_000
"""Pairs of parts, or products, in a layer beyond which nothing is guessed."""


@dataclass(frozen=True)
class Reordered:
    """A program's weights in another order.

    Attributes:
        model: the weights.
        heads, neurons: of each layer, the program's number of each head and neuron.
    """

    model: Transformer
    heads: tuple[Ints, ...]
    neurons: tuple[Ints, ...]


def likely_orders(given: Transformer, mine: Transformer) -> Iterator[Reordered]:
    """Our weights in the orders that the given ones may have, most likely first.

    Operations that read the same may stand in either order, in each layer.

    Args:
        given, mine: as for `reordered_like`.
    """
    layers = range(mine.n_layers)
    for last in (frozenset(), frozenset(layers), *(frozenset({n}) for n in layers)):
        yield reordered_like(given, mine, last)


def reordered_like(given: Transformer, mine: Transformer, last: frozenset[int]) -> Reordered:
    """Our weights in the order that the given ones seem to have.

    Args:
        given: the model, with at least as many layers, heads and neurons, and the same d_head.
        mine: the program's weights.
        last: layers in which of neurons that fit alike the last one is taken.
    """
    arrays = {name: array.copy() for name, array in mine.arrays().items()}
    frames = [np.concatenate([m.W_E, m.W_pos]).astype(np.float64) for m in (mine, given)]
    head_orders, neuron_orders = [], []
    for layer in range(mine.n_layers):
        heads = _heads(given, mine, layer, frames)
        for name in ("W_Q", "W_K", "W_V", "W_O"):
            arrays[name][layer] = getattr(mine, name)[layer][heads]
        for head in range(mine.n_heads):
            order = _columns(given, arrays, layer, head, frames)
            for name in ("W_Q", "W_K"):
                arrays[name][layer, head] = arrays[name][layer, head][:, order]
        count = mine.n_heads
        frames[0] = _longer(frames[0], arrays["W_O"][layer])
        frames[1] = _longer(frames[1], given.W_O[layer, :count])
        neurons = _neurons(given, mine, layer, frames, takes_last=layer in last)
        arrays["W_in"][layer] = mine.W_in[layer][:, neurons]
        arrays["W_out"][layer] = mine.W_out[layer][neurons]
        frames[0] = _longer(frames[0], arrays["W_out"][layer])
        frames[1] = _longer(frames[1], given.W_out[layer, : mine.d_mlp])
        head_orders.append(heads)
        neuron_orders.append(neurons)
    return Reordered(mine.replace(**arrays), tuple(head_orders), tuple(neuron_orders))


def _longer(frame: Floats, written: npt.NDArray[np.float32]) -> Floats:
    rows = written.reshape(-1, written.shape[-1]).astype(np.float64)
    return np.concatenate([frame, rows])


def _heads(given: Transformer, mine: Transformer, layer: int, frames: list[Floats]) -> Ints:
    """Which of our heads stands in each place: those of equal columns in any order."""
    seen = []
    for model, frame in zip((mine, given), frames, strict=True):
        reads = [getattr(model, name)[layer, : mine.n_heads] for name in ("W_Q", "W_K", "W_V")]
        products = np.stack([frame @ read.astype(np.float64) for read in reads])  # [3, H, n, K]
        # How much a head reads of each vector written before, in columns of any order: [3, H, n].
        lengths = np.linalg.norm(products, axis=3)
        seen.append(lengths.transpose(1, 0, 2).reshape(mine.n_heads, -1))
    return _in_turn(_distances(*seen))


def _columns(
    given: Transformer,
    arrays: dict[str, npt.NDArray[np.float32]],
    layer: int,
    head: int,
    frames: list[Floats],
) -> Ints:
    """The order of a head's columns of keys, one of which, BOS's, may stand elsewhere."""
    seen = []
    weights = ({n: arrays[n] for n in ("W_Q", "W_K")}, {"W_Q": given.W_Q, "W_K": given.W_K})
    for named, frame in zip(weights, frames, strict=True):
        Q, K = (frame @ named[n][layer, head].astype(np.float64) for n in ("W_Q", "W_K"))
        # What each column reads as query (as a share of the largest) and as key, [K, 2 n].
        seen.append(np.concatenate([Q / max(1.0, float(np.abs(Q).max(initial=0.0))), K]).T)
    distances = _distances(*seen)  # [ours, theirs]
    every = list(range(len(distances)))
    living = [n for n in every if arrays["W_K"][layer, head][:, n].any()]
    best = every
    for moved in living:
        for column in living:
            rest = [n for n in every if n != moved]
            order = [*rest[:column], moved, *rest[column:]]
            if _sum(distances, order) < _sum(distances, best) * (1 - 1e-6):
                best = order
    return np.array(best, dtype=np.int64)


def _sum(distances: Floats, order: list[int]) -> float:
    return float(distances[order, np.arange(len(order))].sum())


def _neurons(
    given: Transformer, mine: Transformer, layer: int, frames: list[Floats], *, takes_last: bool
) -> Ints:
    W = [m.W_in[layer][:, : mine.d_mlp].astype(np.float64) for m in (mine, given)]
    if mine.d_mlp * max(mine.d_mlp, len(frames[0])) > MOST_COMPARED:
        return np.arange(mine.d_mlp)
    seen = []
    for read, frame in zip(W, frames, strict=True):
        products = (frame @ read).T
        size = np.linalg.norm(products, axis=1, keepdims=True)
        seen.append(products / np.maximum(1.0, size))
    return _in_turn(_distances(*seen), takes_last=takes_last)


def _distances(mine: Floats, theirs: Floats) -> Floats:
    """Squared distances of all rows, [ours, theirs]."""
    squares = np.square(mine).sum(axis=1)[:, None] + np.square(theirs).sum(axis=1)
    return np.asarray(np.maximum(0.0, squares - 2 * mine @ theirs.T))


def _in_turn(distances: Floats, *, takes_last: bool = False) -> Ints:
    """Which of ours stands in each place: the next one if it fits, else the nearest one left."""
    left = np.ones(len(distances), dtype=np.bool_)
    chosen: list[int] = []
    for place in range(len(distances)):
        own = np.where(left, distances[:, place], np.inf)
        fitting = np.flatnonzero(own <= TIMES_BEST_DISTANCE * own.min() + SAME_SQUARED_DISTANCE)
        nearest = int(fitting[-1] if takes_last else own.argmin())
        if chosen and chosen[-1] + 1 in fitting:
            nearest = chosen[-1] + 1
        left[nearest] = False
        chosen.append(nearest)
    return np.array(chosen, dtype=np.int64)
