"""The change of the residual basis that carries vectors of one model to those of another best."""

from __future__ import annotations

import numpy as np

from untracr.arrays import Annotated, Basis, Floats, Square, Vectors

UNUSED = 1e-10
"""Directions in which vectors have less than this share of the squared length that they have in
their main one are used by none of them."""


def nearest_orthogonal(mine: Vectors, theirs: Vectors) -> Square:
    """The orthogonal change that carries ours to theirs best.

    Of all orthogonal Q, |mine Q - theirs| is least for Q = U V^T, where U S V^T are the
    singular vectors and values of mine^T theirs: the orthogonal Procrustes problem
    (Schönemann 1966).
    """
    u, _, vt = np.linalg.svd(mine.T @ theirs)
    return np.asarray(u @ vt)


def reordering_near(change: Square, near_axes: float) -> Square | None:
    """The reordering of axes, with signs, to which a change of basis is near; None if to none.

    Args:
        change: of basis.
        near_axes: by how much each of its entries may be off.
    """
    nearest = np.rint(change)
    one_each = all((np.abs(nearest).sum(axis=axis) == 1).all() for axis in (0, 1))
    return nearest if one_each and np.abs(change - nearest).max() < near_axes else None


def best_change(mine: Vectors, theirs: Annotated[Floats, "vectors R"], near_axes: float) -> Basis:
    """The change of basis that carries ours to theirs best.

    Between streams of one width it is orthogonal, else any: least squares by the normal
    equations, mine^T mine X = mine^T theirs, which are small where vectors are many.

    Args:
        mine, theirs: vectors that correspond.
        near_axes: an orthogonal change that is a reordering of axes but for this much is
            taken for one.
    """
    if mine.shape[1] != theirs.shape[1]:
        return np.asarray(np.linalg.lstsq(mine.T @ mine, mine.T @ theirs, rcond=UNUSED)[0])
    change = nearest_orthogonal(mine, theirs)
    nearest = reordering_near(change, near_axes)
    return change if nearest is None else nearest
