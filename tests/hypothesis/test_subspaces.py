"""Subspaces of variables in activations of which everything is known."""

from __future__ import annotations

import numpy as np
import pytest

from untracr.hypothesis.subspaces import decoded_share, one_hot, subspace_of

SAMPLES, WIDTH = 3_000, 20


@pytest.fixture
def rng() -> np.random.Generator:
    """Of everything that is drawn."""
    return np.random.default_rng(7)


def test_a_variable_is_exchanged_and_another_beside_it_is_not(rng: np.random.Generator) -> None:
    basis = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]
    x, y = rng.integers(4, size=SAMPLES), rng.integers(3, size=SAMPLES)
    y = np.where(rng.random(SAMPLES) < 0.5, x % 3, y)  # they go together, but not always
    seen = one_hot(x, 4) @ basis[:4] + one_hot(y, 3) @ basis[4:7]
    subspace = subspace_of(seen, x, [one_hot(y, 3)], 8)
    assert subspace is not None
    assert subspace.rank == 3
    other = rng.permutation(SAMPLES)
    after = subspace.exchange(seen, seen[other])
    wanted = one_hot(x[other], 4) @ basis[:4] + one_hot(y, 3) @ basis[4:7]
    np.testing.assert_allclose(after, wanted, atol=1e-6)
    assert decoded_share(subspace, seen, x) == 1.0


def test_noise_around_a_variable_is_left_where_it_is(rng: np.random.Generator) -> None:
    x = rng.integers(2, size=SAMPLES)
    noise = rng.normal(size=(SAMPLES, WIDTH))
    seen = noise + 5.0 * np.outer(x, np.eye(WIDTH)[3])
    subspace = subspace_of(seen, x, [], 8)
    assert subspace is not None
    assert subspace.rank == 1
    assert abs(subspace.write[3, 0]) > 0.99


def test_random_labels_have_no_subspace(rng: np.random.Generator) -> None:
    seen = rng.normal(size=(SAMPLES, WIDTH))
    assert subspace_of(seen, rng.integers(5, size=SAMPLES), [], 8) is None


def test_a_variable_of_one_value_has_no_subspace(rng: np.random.Generator) -> None:
    seen = rng.normal(size=(SAMPLES, WIDTH))
    assert subspace_of(seen, np.zeros(SAMPLES, dtype=np.int64), [], 8) is None
