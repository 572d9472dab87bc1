"""Attention heads as what they do, whatever basis their inner dimensions have.

A head scores a query q against a key k by ``q W_Q W_K^T k^T / sqrt(d_head)`` and
moves a value v to ``v W_V W_O``. These two products are the head: W_Q A, W_K A^-T
and W_V B, B^-1 W_O are the same one for any invertible A and B. Only what shows
in the products is compared: a key that no query selects does not.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from untracr.arrays import Annotated, Floats, Others, Square, Vectors
from untracr.transformer.transformer import Transformer

UNSEEN_SHARE = 1e-6
"""Singular values below this share of the largest are zero."""

FARTHEST_COLUMN = 1e-3
"""A column of one head is another's up to this distance, relative to the larger of 1 and its
length."""


@dataclass(frozen=True, eq=False)
class Head:
    """One head. K inner dimensions, D the width of the residual stream.

    Attributes:
        query, key, value, out: columns of W_Q, W_K and W_V, rows of W_O.
    """

    query: Annotated[Floats, "K D"]
    key: Annotated[Floats, "K D"]
    value: Annotated[Floats, "K D"]
    out: Annotated[Floats, "K D"]

    @functools.cached_property
    def selects(self) -> Square:
        """W_Q W_K^T: queries by keys."""
        return np.asarray(self.query.T @ self.key)

    @functools.cached_property
    def moves(self) -> Square:
        """W_V W_O."""
        return np.asarray(self.value.T @ self.out)

    @property
    def size(self) -> float:
        """The larger of the products' lengths, without forming them; NaN if not finite."""
        # |A^T B|^2 is the sum of the entries of (A A^T) * (B B^T), both [K, K].
        squares = (
            (self.query @ self.query.T) * (self.key @ self.key.T),
            (self.value @ self.value.T) * (self.out @ self.out.T),
        )
        return float(np.sqrt(np.maximum(0.0, [s.sum() for s in squares])).max())


def heads_of(model: Transformer, layer: int, scale: float = 1.0) -> list[Head]:
    """The heads of a layer.

    Args:
        model: the weights.
        layer: which.
        scale: that queries are multiplied with.
    """
    heads = []
    for h in range(model.n_heads):
        query, key, value = (w[layer, h].T for w in (model.W_Q, model.W_K, model.W_V))
        exact = [w.astype(np.float64) for w in (query, key, value, model.W_O[layer, h])]
        heads.append(Head(exact[0] * scale, *exact[1:]))
    return heads


def paired_vectors(
    mine: Head,
    theirs: Head,
    frames: tuple[Vectors, Vectors],
    readers: tuple[Others, Others],
) -> tuple[Annotated[Floats, "n D"], Annotated[Floats, "n D"]]:
    """Vectors of two heads that correspond if the heads do.

    They are found through the products alone: our factors tell which combinations of
    written vectors the head answers with single columns, and both heads are asked with
    the same combinations.

    Args:
        mine, theirs: the heads.
        frames: ours and theirs, vectors that correspond; all that is written before is there.
        readers: likewise vectors that read.
    """
    pairs = []
    for head, frame, read in zip((mine, theirs), frames, readers, strict=True):
        # Combinations x [n, D] that W_K reads one by one: x W_K W_Q^T are single columns of W_Q.
        by_key = _asking(mine.key, frames[0]) @ frame
        by_query = _asking(mine.query, frames[0]) @ frame
        out = (_asking(mine.value, frames[0]) @ frame) @ head.moves
        sizes = np.maximum(np.square(out).sum(axis=1), UNSEEN_SHARE)[:, None]
        seen = [by_key @ head.selects.T, by_query @ head.selects, out, out / sizes @ head.moves.T]
        known = np.concatenate([frame, *seen])
        pairs.append(np.concatenate([*seen, *_unasked(head, known, read)]))
    count = min(map(len, pairs))
    return pairs[0][:count], pairs[1][:count]


def _unasked(head: Head, known: Vectors, readers: Others) -> list[Annotated[Floats, "1 D"]]:
    """What a head moves that nothing writes, and where to, if there is such.

    A number that is always 0 is written nowhere, and yet moved.
    """
    unit = known / np.maximum(1.0, np.linalg.norm(known, axis=1, keepdims=True))
    gram = unit.T @ unit
    back = np.linalg.pinv(gram, rcond=UNSEEN_SHARE, hermitian=True)
    aside = head.moves - back @ (gram @ head.moves)  # [D, D], off the span of what is known
    if float(np.linalg.norm(aside)) < FARTHEST_COLUMN:
        return []
    u, sizes, vt = np.linalg.svd(aside)
    shown = float(((readers @ vt[0]) ** 3).sum())  # the sign in which it is read
    if abs(shown) < FARTHEST_COLUMN:  # if it is; else that of its axes
        shown = float((vt[0] ** 3).sum())
    sign = -1.0 if shown < 0 else 1.0
    return [sign * u[:, :1].T, sign * sizes[0] * vt[:1]]


def _asking(columns: Annotated[Floats, "K D"], frame: Vectors) -> Annotated[Floats, "k vectors"]:
    """Combinations of the frame, each of which one of the columns reads, and alone.

    Where columns cannot be read one by one, combinations that read all there is.
    """
    living = columns[np.abs(columns).max(axis=1) > 0]
    return np.linalg.pinv(frame @ living.T, rcond=UNSEEN_SHARE)


def columns_in_order(mine: Head, theirs: Head, change: Square) -> bool:
    """Whether the inner dimensions of two equal heads are the same, in one order.

    The dimension that reads BOS may stand anywhere among the keys: a name decides on it.

    Args:
        mine, theirs: the heads.
        change: of the residual basis.
    """
    keys = _places(np.hstack([mine.query @ change, mine.key @ change]), theirs.query, theirs.key)
    values = _places(np.hstack([mine.value @ change, mine.out @ change]), theirs.value, theirs.out)
    if keys is None or values is None or values != sorted(values):
        return False
    return any(_is_rising(keys[:n] + keys[n + 1 :]) for n in range(max(1, len(keys))))


def _is_rising(places: list[int]) -> bool:
    return places == sorted(places)


def _places(mine: Annotated[Floats, "n both"], first: Vectors, second: Vectors) -> list[int] | None:
    """For each of our living inner dimensions the one of theirs that is the same."""
    theirs = np.hstack([first, second])
    living = mine[np.abs(mine).max(axis=1, initial=0.0) > 0]
    numbers = []
    for column in living:
        off = np.linalg.norm(theirs - column, axis=1)
        nearest = int(off.argmin())
        if off[nearest] > FARTHEST_COLUMN * max(1.0, float(np.linalg.norm(column))):
            return None
        numbers.append(nearest)
    return numbers if len(set(numbers)) == len(numbers) else None
