"""The benchmark of forward passes: what it runs computes the same, and what it prints."""

from __future__ import annotations

import numpy as np
import pytest

from untracr.bench import forward_speed
from untracr.bench.forward_speed import Batches, run_forward_benchmark, to_markdown
from untracr.errors import UntracrError
from untracr.network.forward import forward

SMALL = Batches(((1, 2, 8), (2, 1, 8)), (5,), (3, 4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_network_is_run_on_each_batch(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward_speed, "ENOUGH", 0.0)
    speeds = run_forward_benchmark(SMALL, dtype)
    assert [(s.layers, s.heads, s.width, s.length, s.inputs) for s in speeds] == [
        (1, 2, 8, 5, 3),
        (1, 2, 8, 5, 4),
        (2, 1, 8, 5, 3),
        (2, 1, 8, 5, 4),
    ]
    assert all(s.difference < forward_speed.RELATIVE[np.dtype(dtype)] for s in speeds)
    table = to_markdown(speeds)
    assert "| 2, 1, 8 | 4 x 5 |" in table
    assert "times as long as the faster of the others at most" in table


def test_other_logits_are_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward_speed, "forward", lambda network, ids: forward(network, ids) + 1)
    with pytest.raises(UntracrError, match="logits must be equal to relative 1e-05, they differ"):
        run_forward_benchmark(SMALL)
