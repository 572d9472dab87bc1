"""Which direction of the residual stream is the constant.

Tracr adds one direction to every token's embedding. The rows of W_E do not say
which: each is its token's direction plus the constant. Where these are
orthonormal it does not matter, since nothing reads PAD and PAD's row has the
same products with every reader as the constant has. In a compressed model it
does, and the parts that read the constant show it:

- a head reads BOS in one column: W_K has BOS's direction there, which is W_E's
  row minus the constant, and W_Q has the constant, times 50 or 100;
- of two neurons that look up tokens, the first reads a token's row minus the
  constant, and so does the second;
- a SequenceMap's neurons on tokens and indices read both minus the constant;
- the two neurons of a staircase's step differ by the constant, and one neuron
  behind the steps reads it alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from untracr.arrays import Bools, Floats, Ints
from untracr.compile.blocks import COLDNESS
from untracr.short_repr import short_repr
from untracr.transformer.transformer import Transformer

EXACT_EMBEDDING_PRODUCT, NOISY_EMBEDDING_PRODUCT = 1e-3, 0.4
"""Products of the embeddings are off by less than this: in exact weights, and in noisy ones."""

BOS_LOGITS = (COLDNESS / 2, COLDNESS)
"""What a compiled head reads of the constant for BOS."""

DISTANCE_SHARE = 1e-3
"""Two vectors are the same up to this distance, as a share of their length (of about 1: the
embeddings'); shorter ones are none."""

SHORTEST_ONE_DIRECTION = 0.05
"""Vectors shorter than this are no constant."""

MAX_NEURONS = 60
"""Neurons of a layer that are tried."""

MAX_TOKENS = 40
"""Tokens that are tried: memory grows with their pairs."""

MAX_WRITTEN = 30
"""Positions, or directions written by earlier neurons, that are tried."""

MAX_CANDIDATES = 16
"""Of those that neurons suggest, the most frequent ones are looked at."""


@dataclass(frozen=True)
class OneDirection:
    """What stands for the constant.

    Attributes:
        direction: [D], to be taken from the rows of W_E.
        is_orthonormal: whether the embeddings are orthonormal but for the
            constant; ``direction`` is then PAD's row.
        noise: standard deviation of the noise in the embeddings, in which every
            entry that is not zero is one.
    """

    direction: Floats
    is_orthonormal: bool
    noise: float = 0.0

    __repr__ = short_repr


def find_one_direction(model: Transformer) -> OneDirection:
    """Finds the constant; zeros where nothing reads one: a compiled model then does without."""
    rows, places = model.W_E.astype(np.float64), model.W_pos[1:].astype(np.float64)
    with np.errstate(all="ignore"):
        off = _off_orthonormal(rows, places)
        if np.abs(off).max() < EXACT_EMBEDDING_PRODUCT:
            return OneDirection(rows[-1], True)
        for direction in itertools.chain(_from_heads(model, rows[-2]), _from_neurons(model, rows)):
            return OneDirection(direction, False)
    if np.abs(off).max() < NOISY_EMBEDDING_PRODUCT:
        return OneDirection(rows[-1], True, _noise(rows, places, off))
    return OneDirection(np.zeros(rows.shape[1]), False)


def embeddings_are_orthonormal(rows: Floats, places: Floats) -> bool:
    """Whether embeddings are exact: orthonormal but for one direction that tokens share.

    Args:
        rows: [V, D], of W_E, in any order.
        places: [P, D], of W_pos, that of BOS left out.
    """
    with np.errstate(all="ignore"):
        return bool(np.abs(_off_orthonormal(rows, places)).max() < EXACT_EMBEDDING_PRODUCT)


def other_one_directions(model: Transformer, first: OneDirection) -> Iterator[OneDirection]:
    """What else may stand for the constant in exact weights, most likely first.

    A few neurons of a small compressed model may leave several open, and the
    embeddings of one may look like noisy ones.

    Args:
        model: the weights.
        first: by `find_one_direction`.
    """
    rows = model.W_E.astype(np.float64)
    if first.is_orthonormal and not first.noise:
        return
    with np.errstate(all="ignore"):
        reads = [
            read[_lengths(read) > DISTANCE_SHARE][:MAX_NEURONS]
            for read in model.W_in.astype(np.float64).transpose(0, 2, 1)
        ]
        stairs = [_from_stairs(read) for read in reads if len(read) > 1]
        candidates = [*_from_heads(model, rows[-2]), *(one for some in stairs for one in some)]
        candidates.append(np.zeros(rows.shape[1]))
        distinct = _distinct(np.stack(candidates), 4)[0][:MAX_CANDIDATES]
        for one in distinct:
            if not np.allclose(one, first.direction, atol=DISTANCE_SHARE) or first.is_orthonormal:
                yield OneDirection(one, False)


def _off_orthonormal(rows: Floats, places: Floats) -> Floats:
    """Products of the embeddings less those of one direction each and a shared one."""
    both = np.concatenate([rows, places])
    shared = float(np.round(np.median(rows[:-1] @ rows[-1])))  # 0: no constant is needed
    wanted = np.eye(len(both))
    wanted[: len(rows), : len(rows)] += shared
    off = both @ both.T - wanted
    return np.where(np.isfinite(off) & (shared in (0, 1)), off, np.inf)


def _noise(rows: Floats, places: Floats, off: Floats) -> float:
    """The noise that explains products which are off: of vectors u and v by about |u|^2 + |v|^2."""
    squares = np.square(np.concatenate([rows, places])).sum(axis=1)
    upper = np.triu_indices(len(off), 1)
    expected = (squares[:, None] + squares)[upper]
    return float(np.sqrt(np.square(off[upper]).sum() / expected.sum()))


def _from_heads(model: Transformer, bos_row: Floats) -> Iterator[Floats]:
    for layer in range(model.n_layers):
        W_Q = np.concatenate(list(model.W_Q[layer].astype(np.float64)), axis=1).T  # [H K, D]
        W_K = np.concatenate(list(model.W_K[layer].astype(np.float64)), axis=1).T
        for logit in BOS_LOGITS:
            one = W_Q / logit
            # A column of W_Q has `logit` times the constant; that of W_K BOS's row less it: [H K].
            distance = _lengths(W_K - (bos_row - one))
            fits = (distance < DISTANCE_SHARE * (_lengths(bos_row) + 0.1)) & (
                _lengths(one) > SHORTEST_ONE_DIRECTION
            )
            yield from one[np.flatnonzero(fits)]


def _from_neurons(model: Transformer, rows: Floats) -> Iterator[Floats]:
    """The candidate that explains most of what neurons read; one from a staircase before others."""
    tokens, plain = rows[:-2][:MAX_WRITTEN], model.W_pos[1:][:MAX_WRITTEN].astype(np.float64)
    reads: list[Floats] = []
    stairs: list[Floats] = []
    others: list[Floats] = []
    for layer in range(model.n_layers):
        read = model.W_in[layer].astype(np.float64).T  # [M, D]
        read = read[_lengths(read) > DISTANCE_SHARE][:MAX_NEURONS]
        if len(read) > 1:
            stairs.append(_from_stairs(read))
            others += _from_values(read, tokens, plain)
        reads.append(read)
        written = model.W_out[layer].astype(np.float64)
        plain = np.concatenate([plain, written[_lengths(written) > SHORTEST_ONE_DIRECTION]])
        plain = _distinct(plain, 6)[0][:MAX_WRITTEN]
    read = np.concatenate(reads)
    none = _explained(read, np.zeros(rows.shape[1]), tokens, plain)
    # Numbers are written in multiples, so that a few neurons are explained by chance.
    for candidates, by_chance in ((stairs, 1), (others, 2)):
        if not sum(map(len, candidates)):
            continue
        distinct, counts = _distinct(np.concatenate(candidates), 3)
        often = distinct[np.argsort(-counts, kind="stable")[:MAX_CANDIDATES]]
        scores = [_explained(read, one, tokens - one, plain) for one in often]
        best = int(np.argmax(scores))
        if scores[best] > none + by_chance:
            yield often[best]


def _distinct(vectors: Floats, decimals: int) -> tuple[Floats, Ints]:
    """Vectors that differ when rounded, in order of first appearance, and how often each comes."""
    _, first, counts = np.unique(
        np.round(vectors, decimals), axis=0, return_index=True, return_counts=True
    )
    order = np.argsort(first)
    return vectors[first[order]], counts[order]


def _from_stairs(read: Floats) -> Floats:
    """Differences [n, D] of neighbours that another neuron, the one behind steps, reads alone."""
    steps = read[:-1] - read[1:]
    return np.asarray(steps[_nearest(steps, read)[1]])


def _from_values(read: Floats, tokens: Floats, plain: Floats) -> Iterator[Floats]:
    """Constants [n, D] under which neighbouring neurons read values next to each other.

    Args:
        read: what neurons read, [M, D].
        tokens: rows of W_E, the constant included.
        plain: other directions, without it.
    """
    first, steps = read[:-1], read[:-1] - read[1:]
    # Two tokens looked up, or next to each other in a grid.
    pair, are_near = _nearest(steps, _differences(tokens))
    token = tokens[pair[are_near] // len(tokens)]
    yield token - first[are_near]
    both = token[:, None] + plain - first[are_near][:, None]
    yield (both / 2).reshape(-1, read.shape[1])
    # Two other values next to each other in a grid with tokens, or with others.
    pair, are_near = _nearest(steps, _differences(plain))
    value = plain[pair[are_near] // len(plain)][:, None]
    yield ((value + tokens - first[are_near][:, None]) / 2).reshape(-1, read.shape[1])
    yield (value + plain - first[are_near][:, None]).reshape(-1, read.shape[1])


def _differences(vectors: Floats) -> Floats:
    """Of all pairs, first one major, [n n, D]."""
    return (vectors[:, None] - vectors).reshape(-1, vectors.shape[1])


def _nearest(vectors: Floats, others: Floats) -> tuple[Ints, Bools]:
    """For each vector the nearest of the others, and whether they are the same and not zero."""
    squares = np.square(vectors).sum(axis=1)
    # |v - o|^2, [vectors, others].
    distance = squares[:, None] - 2 * vectors @ others.T + np.square(others).sum(axis=1)
    nearest = distance.argmin(axis=1)
    same = distance[np.arange(len(vectors)), nearest] < np.square(DISTANCE_SHARE) * (squares + 0.01)
    return nearest, same & (squares > DISTANCE_SHARE)


def _explained(read: Floats, one: Floats, tokens: Floats, plain: Floats) -> int:
    """How many neurons read a value, the constant, two values minus it, or begin a step."""
    values = np.concatenate([tokens, plain])
    pairs = (values[:, None] + values - one).reshape(-1, len(one))
    known = np.concatenate([values, one[None], pairs])
    squares = np.square(read).sum(axis=1)[:, None] + np.square(known).sum(axis=1)
    # |w - k|^2 of readers and all that they may read, [M, known].
    distance = squares - 2 * read @ known.T
    steps = _lengths(read[:-1] - read[1:] - one) < 10 * DISTANCE_SHARE
    return int((distance < np.square(10 * DISTANCE_SHARE)).any(axis=1).sum() + steps.sum())


def _lengths(vectors: Floats) -> Floats:
    return np.asarray(np.sqrt(np.square(vectors).sum(axis=-1)), dtype=np.float64)
