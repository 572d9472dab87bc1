"""The linear subspace in which a variable lives at a place, in closed form.

From activations and the values that a line has, nothing trained. Axes: S samples
(inputs times positions), D dimensions, C values, r the subspace's rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.short_repr import short_repr

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

LEAST_SHARE = 1e-3
"""Directions in which class means spread less than this share of the largest are noise."""

ABOVE_CHANCE = 3.0
"""Times the spread that class means of random labels would have, for a direction to count."""

RIDGE = 1e-4
"""Added to the covariance's diagonal, as a share of the mean square of class means."""


@dataclass(frozen=True, eq=False)
class Subspace:
    """Where a variable is written and how it is read; exchanging uses both.

    Attributes:
        write: [D, r], the directions in which the variable's class means spread.
        read: [D, r], with read^T write = 1; what is read does not see other variables'
            variation, so far as it is linear.
    """

    write: Floats
    read: Floats

    __repr__ = short_repr

    @property
    def rank(self) -> int:
        """r, its number of dimensions."""
        return int(self.write.shape[1])

    def exchange(
        self, base: npt.NDArray[np.floating], source: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.floating]:
        """Base activations [..., D] with the subspace's coordinates of the source's."""
        coordinates = (source - base) @ self.read.astype(base.dtype)
        moved: npt.NDArray[np.floating] = base + coordinates @ self.write.T.astype(base.dtype)
        return moved


def one_hot(codes: Codes, count: int) -> Floats:
    """[S, count] with a 1 at each code."""
    return np.eye(count)[codes]


def subspace_of(
    activations: Floats, codes: Codes, others: Sequence[Floats], most: int
) -> Subspace | None:
    """The subspace of a variable by least squares.

    Activations are regressed on the variable's values and on other things that vary;
    the variable's coefficients, weighted by how often each value occurs, span ``write``.
    With S the covariance of what is left, ``read`` = S^-1 write (write^T S^-1 write)^-1:
    the generalised least squares estimate of the coordinates.

    Args:
        activations: [S, D].
        codes: [S], the variable's value at each sample.
        others: [S, k] each, what else may be written there (positions, other lines).
        most: the largest rank.

    Returns:
        None where the variable has one value only, or nothing there depends on it.
    """
    live, codes = np.unique(codes, return_inverse=True)
    if len(live) < 2:
        return None
    share = np.bincount(codes) / len(codes)
    design = np.concatenate([one_hot(codes, len(live)), *others], axis=1)
    centred, design = activations - activations.mean(axis=0), design - design.mean(axis=0)
    normal = design.T @ design / len(codes) + 1e-8 * np.eye(design.shape[1])
    means = np.linalg.solve(normal, design.T @ centred / len(codes))[: len(live)]
    means = means - share @ means
    _, spread, directions = np.linalg.svd(np.sqrt(share)[:, None] * means, full_matrices=False)
    left = centred - (one_hot(codes, len(live)) - share) @ means
    covariance = left.T @ left / len(codes)
    # The spread that means of random labels would have along each direction.
    variance = np.einsum("rd,de,re->r", directions, covariance, directions)
    chance = np.sqrt(np.maximum(variance, 0) * len(live) / len(codes))
    kept = (spread > LEAST_SHARE * max(float(spread[0]), 1e-9)) & (spread > ABOVE_CHANCE * chance)
    rank = min(most, len(live) - 1, int(kept.sum()))
    if rank == 0:
        return None
    write = directions[kept][:rank].T
    size = RIDGE * float((spread[kept] ** 2).sum()) / len(covariance) + 1e-12
    read = np.linalg.solve(covariance + size * np.eye(len(covariance)), write)
    return Subspace(write, read @ np.linalg.inv(write.T @ read))


def decoded_share(subspace: Subspace, activations: Floats, codes: Codes) -> float:
    """The share of samples whose value has the nearest class mean, within the subspace.

    Args:
        subspace: of the variable.
        activations: [S, D].
        codes: [S], the variable's value at each sample.
    """
    coordinates = activations @ subspace.read  # [S, r]
    live, codes = np.unique(codes, return_inverse=True)
    total = one_hot(codes, len(live))
    means = (total.T @ coordinates) / total.sum(axis=0)[:, None]
    # |x - m|^2 without |x|^2, which is the same for all means.
    distance = (means**2).sum(axis=1) - 2 * coordinates @ means.T
    return float((distance.argmin(axis=1) == codes).mean())


def told_classes(
    subspace: Subspace, seen: Floats, codes: Codes, held: Floats
) -> npt.NDArray[np.int64]:
    """[S'], of other samples the value whose class mean is nearest, within the subspace.

    Args:
        subspace: of the variable.
        seen: [S, D], the activations of which class means are taken.
        codes: [S], the variable's value at each of these.
        held: [S', D], the other samples' activations.
    """
    live, numbers = np.unique(codes, return_inverse=True)
    totals = np.zeros((len(live), subspace.rank))
    np.add.at(totals, numbers, seen @ subspace.read)
    means = totals / np.bincount(numbers)[:, None]
    distance = (means**2).sum(axis=1) - 2 * (held @ subspace.read) @ means.T
    return np.asarray(live[distance.argmin(axis=1)], dtype=np.int64)
