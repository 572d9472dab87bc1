"""Heads in the form that Tracr gives them, whatever their inner basis is.

What a head does are its products: scores W_Q W_K^T / sqrt(d_head), and W_V W_O. In
the frame of known variables the products show the factors that Tracr would have
written: asked with the direction of a key, the scores answer with what selects
it; asked with the direction of a value, W_V W_O says where it goes.
"""

from __future__ import annotations

import numpy as np

from untracr.arrays import Annotated, Floats
from untracr.compile.blocks import COLDNESS
from untracr.read.components import UnknownHead
from untracr.read.frame import Directions, Variable
from untracr.read.heads import HeadNoise, HeadWeights, read_head
from untracr.read.tolerances import READS, ZERO_SQUARE
from untracr.transformer.half_layer import FIRST_HALF_LAYER

LEFT_SHARE_OF_SQUARE = 1e-6
"""Share of a product's squared length that may stay unexplained."""

SCALED_SHARE_OF_SCORE = 1e-4
"""Scores off by up to this share of Tracr's are of a head of Tracr's size."""


def in_form(weights: HeadWeights, known: Directions, noise: HeadNoise) -> HeadWeights:
    """A head's weights in Tracr's form; as given where they are, or where nothing explains them.

    Args:
        weights: of one head, exact ones.
        known: the variables; their directions are at right angles.
        noise: see `read_head`.
    """
    scale = _scale(weights, known)
    component, is_explained = read_head(FIRST_HALF_LAYER, 0, weights, known, noise)
    as_tracr = is_explained and not isinstance(component, UnknownHead)
    as_tracr = as_tracr and not component.selection.is_disordered
    if as_tracr and abs(scale - 1.0) < SCALED_SHARE_OF_SCORE:
        return weights
    scaled = HeadWeights(weights.W_Q / scale, weights.W_K, weights.W_V, weights.W_O)
    moved = _moved(scaled, known)
    selected = _selected(scaled, known)
    if moved is None and selected is None:
        return weights
    W_V, W_O = moved or (scaled.W_V, scaled.W_O)
    W_Q, W_K = selected or (scaled.W_Q, scaled.W_K)
    return HeadWeights(W_Q, W_K, W_V, W_O)


def _scale(weights: HeadWeights, known: Directions) -> float:
    """By how much scores are larger than those of a head of Tracr's size, as BOS's shows it."""
    # one W_Q W_K^T bos, which blocks.attention_head makes 50, or 100 where BOS is what is moved.
    along = float(known.base.one @ weights.W_Q @ (known.base.bos @ weights.W_K))
    wanted = COLDNESS * (1.0 if _moves_bos(weights, known) else 0.5)
    return along / wanted if along > READS else 1.0


def _moves_bos(weights: HeadWeights, known: Directions) -> bool:
    # |bos W_V W_O|^2 is |W_V W_O|^2 of a head that moves BOS alone, and 0 of others.
    to = known.base.bos @ weights.W_V @ weights.W_O
    return float(to @ to) > 0.5 * _squared(weights.W_V, weights.W_O.T)


def _squared(first: Annotated[Floats, "D K"], second: Annotated[Floats, "D K"]) -> float:
    """Squared length of a product of two factors [D, K]."""
    return float(((first.T @ first) * (second.T @ second)).sum())


def _selected(
    weights: HeadWeights, known: Directions
) -> tuple[Annotated[Floats, "D K"], Annotated[Floats, "D K"]] | None:
    """W_Q and W_K with a column for each key, and one for BOS."""
    length = _squared(weights.W_Q, weights.W_K)
    for_bos = weights.W_Q @ (known.base.bos @ weights.W_K)
    best: tuple[float, Variable, Floats] | None = None
    for variable in known.categorical:
        rows = known.rows[known.slice(variable)]
        queries = weights.W_Q @ (rows @ weights.W_K).T
        # W_Q W_K^T [D, D] is a sum of queries x key^T over orthonormal keys: what is left of its
        # squared length beside a variable's values [D, n] and BOS [D].
        left = length - float(np.square(queries).sum() + for_bos @ for_bos)
        if best is None or left < best[0]:
            best = left, variable, queries
    if best is None or best[0] > LEFT_SHARE_OF_SQUARE * length or length < ZERO_SQUARE:
        return None
    _, variable, queries = best
    pad = _pad(for_bos, known)
    keys = _own(variable, known, pad)
    bos = known.base.bos + pad
    return np.column_stack([queries, for_bos]), np.column_stack([keys.T, bos])


def _pad(for_bos: Annotated[Floats, "D"], known: Directions) -> Annotated[Floats, "D"]:
    """PAD's direction: its row, which stands for the constant, less what selects BOS."""
    along = float(known.base.one @ for_bos)
    return np.asarray(known.base.one - for_bos * (float(for_bos @ for_bos) > 0) / (along or 1.0))


def _own(
    variable: Variable, known: Directions, pad: Annotated[Floats, "D"]
) -> Annotated[Floats, "values D"]:
    """A variable's directions, those of tokens without PAD's."""
    rows = known.rows[known.slice(variable)]
    return np.asarray(rows + pad) if variable is known.base.tokens else rows


def _moved(
    weights: HeadWeights, known: Directions
) -> tuple[Annotated[Floats, "D K"], Annotated[Floats, "K D"]] | None:
    """W_V and W_O with a column and a row for each value."""
    length = _squared(weights.W_V, weights.W_O.T)
    pad = _pad(weights.W_Q @ (known.base.bos @ weights.W_K), known)
    if length < ZERO_SQUARE:
        return None
    if _moves_bos(weights, known):
        bos = known.base.bos
        return (bos + pad)[:, None], (bos @ weights.W_V @ weights.W_O)[None]
    for variable in known.variables:
        rows = known.rows[known.slice(variable)]
        out = rows @ weights.W_V @ weights.W_O
        # Likewise W_V W_O is a sum of value^T x out [n, D] over orthonormal values.
        if length - float(np.square(out).sum()) <= LEFT_SHARE_OF_SQUARE * length:
            return _own(variable, known, pad).T, out
    return None
