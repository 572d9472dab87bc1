"""The change of basis that is found is the one that was made, and snaps no further than told."""

from __future__ import annotations

import numpy as np
import pytest

from untracr.transformer.treatments import random_orthogonal
from untracr.verify.change_of_basis import best_change, reordering_near


@pytest.mark.parametrize("width", [3, 5, 7])
def test_what_was_done_is_found(width: int) -> None:
    """A rotation of seven dimensions, and projections on fewer ones."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 7))
    done = random_orthogonal(7, rng)[:, :width]
    assert np.allclose(best_change(vectors, vectors @ done, 0.1), done)


def test_only_what_is_near_enough_is_a_reordering() -> None:
    """A turn by an angle of 0.2 moves entries by up to sin 0.2 = 0.199; signs are kept."""
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]]) @ np.array(
        [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    )
    vectors = np.random.default_rng(1).normal(size=(9, 2))
    assert reordering_near(turn, 0.19) is None
    assert np.allclose(best_change(vectors, vectors @ turn, 0.19), turn)
    assert np.array_equal(best_change(vectors, vectors @ turn, 0.21), [[0, 1], [-1, 0]])


def test_axes_that_fall_together_are_no_reordering() -> None:
    """Every axis must have one of its own, however near the entries are."""
    assert reordering_near(np.array([[1.0, 0.0], [1.0, 0.0]]), 0.3) is None
