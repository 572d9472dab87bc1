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

import numpy as np
import numpy.typing as npt

from untracr.transformer.transformer import Transformer

Floats = npt.NDArray[np.float64]

ORTHONORMAL = 0.25
"""Products of the embedding's rows may be off by this much: noise is no compression."""

BOS_LOGITS = (50.0, 100.0)
"""What a compiled head reads of the constant for BOS."""

CLOSE = 1e-3
"""Relative distance at which two vectors are the same, up to rounding."""

MAX_NEURONS = 200
"""Neurons of a layer that are tried."""


def is_orthonormal(rows: Floats, places: Floats) -> bool:
    """Whether embeddings are orthonormal but for one direction that all tokens share.

    Args:
        rows: W_E, [V, D].
        places: W_pos without BOS's, [P, D].
    """
    both = np.concatenate([rows, places])
    wanted = np.eye(len(both))
    with np.errstate(all="ignore"):
        shared = float(np.round(np.median(rows[:-1] @ rows[-1])))  # 0: no constant is needed
        wanted[: len(rows), : len(rows)] += shared
        fits = np.abs(both @ both.T - wanted) < ORTHONORMAL
    return bool(shared in (0, 1) and fits.all())


def constant_direction(model: Transformer) -> Floats:
    """The constant direction of a model whose embeddings are not orthonormal, [D].

    The first sign found is taken, from heads before neurons. Where nothing reads
    it there is none: a compiled model then does without.
    """
    rows = model.W_E.astype(np.float64)
    for found in itertools.chain(_from_heads(model, rows[-2]), _from_neurons(model, rows)):
        return found
    return np.zeros(rows.shape[1])


def _from_heads(model: Transformer, bos_row: Floats) -> Iterator[Floats]:
    for layer in range(model.n_layers):
        W_Q = np.concatenate(list(model.W_Q[layer].astype(np.float64)), axis=1).T  # [H K, D]
        W_K = np.concatenate(list(model.W_K[layer].astype(np.float64)), axis=1).T
        for logit in BOS_LOGITS:
            one = W_Q / logit
            distance = _lengths(W_K - (bos_row - one))
            fits = (distance < CLOSE * (_lengths(bos_row) + 0.1)) & (_lengths(one) > 0.05)
            yield from one[np.flatnonzero(fits)]


def _from_neurons(model: Transformer, rows: Floats) -> Iterator[Floats]:
    """The candidate of each layer that explains most of what its neurons read."""
    tokens, places = rows[:-2], model.W_pos[1:].astype(np.float64)
    for layer in range(model.n_layers):
        read = model.W_in[layer].astype(np.float64).T  # [M, D]
        alive = read[_lengths(read) > CLOSE][:MAX_NEURONS]
        found = [
            one
            for first, second in itertools.pairwise(alive)
            for one in _candidates(first, second, tokens, places, alive)
        ]
        if found:
            yield max(found, key=lambda one: _explained(alive, one, tokens - one, places))


def _candidates(
    first: Floats, second: Floats, tokens: Floats, places: Floats, read: Floats
) -> Iterator[Floats]:
    """Constants under which two neighbouring neurons make sense."""
    yield from _agreeing(first - second, read)
    for i, token in enumerate(tokens):
        others = np.delete(tokens, i, axis=0)
        # Two tokens looked up one after the other, in whatever order.
        yield from _agreeing(token - first, others - second)
        # Neighbours in the grid of tokens and indices, whichever runs faster.
        for j, place in enumerate(places):
            one, elsewhere = (token + place - first) / 2, np.delete(places, j, axis=0)
            yield from _agreeing(one, (token + elsewhere - second) / 2)
            yield from _agreeing(one, (place + others - second) / 2)


def _agreeing(one: Floats, others: Floats) -> Iterator[Floats]:
    """``one`` if another reader shows the same."""
    size = float(_lengths(one))
    if size > 0.05 and bool((_lengths(others - one) < CLOSE * size).any()):
        yield one


def _explained(read: Floats, one: Floats, tokens: Floats, places: Floats) -> int:
    """How many neurons read a token, the constant, or a token and an index minus the constant."""
    pairs = (tokens[:, None] + places - one).reshape(-1, len(one))
    known = np.concatenate([tokens, one[None], pairs])
    distance = _lengths(read[:, None] - known)
    return int((distance < 10 * CLOSE * _lengths(one)).any(axis=1).sum())


def _lengths(vectors: Floats) -> Floats:
    return np.asarray(np.sqrt(np.square(vectors).sum(axis=-1)), dtype=np.float64)
