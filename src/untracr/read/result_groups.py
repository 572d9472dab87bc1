"""Results as numbers: which of the vectors that a component writes are the same."""

from __future__ import annotations

import numpy as np

from untracr.arrays import Annotated, Floats, Ints
from untracr.read.tolerances import NOISE_LIMIT, ZERO_SHARE, ZERO_SQUARE

SAME_SHARE_OF_LONGEST = 0.1
"""Distance up to which two written vectors are the same, as a share of the longest one's length."""

MAX_GROUPS = 1_000
"""Directions that are told apart."""


def groups_of_pairs(groups: Annotated[Ints, "n"], count: int) -> Annotated[Ints, "n*n"] | None:
    """Groups of all pairs of values, from those of values with themselves.

    Weights hold only ``f(x, x)``, and how many results there are. Pairs of different
    values give the results that are left, then those of the first value.

    Args:
        groups: [n], per value; -1 for None.
        count: of all results.

    Returns:
        [n * n], first value major; None where there are too few pairs for all results.
    """
    n = len(groups)
    others = np.setdiff1d(np.arange(count), groups)
    if len(others) > n * (n - 1):
        return None
    found = np.repeat(groups, n)
    places = np.setdiff1d(np.arange(n * n), np.arange(n) * (n + 1))
    found[places[: len(others)]] = others
    return found


def direction_groups(vectors: Annotated[Floats, "n D"], noise: float = 0.0) -> Annotated[Ints, "n"]:
    """Numbers vectors, the same ones alike, in order of first appearance; -1 where nothing is.

    Args:
        vectors: [n, d_model].
        noise: standard deviation of their entries.
    """
    squares = np.einsum("nd,nd->n", vectors, vectors)
    squares = np.where(np.isfinite(squares), squares, 0.0)
    noisy = NOISE_LIMIT**2 * noise**2 * vectors.shape[1]
    largest = max(float(squares.max(initial=0.0)), ZERO_SQUARE)
    groups = np.full(len(vectors), -1, dtype=np.int64)
    number = 0
    while (open_ := np.flatnonzero((groups < 0) & (squares > ZERO_SHARE * largest + noisy))).size:
        if number == MAX_GROUPS:
            groups[open_] = number
            break
        # Squared distances from the first vector without a group, [n]; noise is in both of a pair.
        difference = vectors[open_] - vectors[open_[0]]
        distance = np.einsum("nd,nd->n", difference, difference)
        same = distance < SAME_SHARE_OF_LONGEST**2 * largest + 2 * noisy
        same[0] = True  # also where numbers are not finite
        groups[open_[same]] = number
        number += 1
    return groups
