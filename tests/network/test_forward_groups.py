"""Inputs that run in groups give what each gives alone."""

from __future__ import annotations

import numpy as np
import pytest

from random_networks import KINDS, ids_of, network_of
from untracr.network import forward as forward_module
from untracr.network.forward import forward, inputs_at_once, softmax


@pytest.mark.parametrize("name", KINDS)
def test_groups_give_what_one_batch_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(KINDS[name]).astype(np.float64)
    ids = ids_of(network, inputs=7)
    whole = forward(network, ids)
    monkeypatch.setattr(forward_module, "LARGEST_ARRAY", 3 * 9 * 36)
    assert inputs_at_once(network, 9) == 3
    np.testing.assert_allclose(forward(network, ids), whole, rtol=1e-12, atol=1e-12)


def test_a_group_has_no_array_above_the_largest() -> None:
    network = network_of(KINDS["compiled"])
    group = inputs_at_once(network, 9)
    assert group * 9 * 36 <= forward_module.LARGEST_ARRAY < (group + 1) * 9 * 36


def test_softmax_of_nothing_is_zero_and_of_huge_scores_finite() -> None:
    scores = np.array([[-np.inf, -np.inf], [1e30, -1e30], [3.0, 3.0]], dtype=np.float32)
    np.testing.assert_array_equal(softmax(scores), [[0, 0], [1, 0], [0.5, 0.5]])
