"""The benchmark of building data sets runs and reports; how fast it is, is not tested here."""

from __future__ import annotations

import pytest

from untracr.bench.dataset_speed import run_dataset_benchmark, to_markdown
from untracr.dataset import DatasetSettings

pytestmark = pytest.mark.slow


def test_each_build_is_measured() -> None:
    """Time, memory and the processor's time, of the writer and of the workers."""
    found = run_dataset_benchmark(DatasetSettings(8, 1, shard_size=4), workers=(1, 2))
    assert [(speed.workers, speed.programs, speed.drawn) for speed in found] == [
        (1, 8, 8),
        (2, 8, 8),
    ]
    for speed in found:
        assert min(speed.as_dict().values()) > 0
        assert speed.worker_mb > 30
    lines = to_markdown(found).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| 1 | 8 | ")
    assert "| 1.00 |" in lines[2]
