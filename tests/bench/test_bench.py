"""The speed benchmark runs and reports; how fast anything is, is not tested here."""

from __future__ import annotations

import builtins
import json
import sys
from importlib import import_module
from typing import Any

import pytest

from untracr.bench.speed import SpeedReport, SpeedRow, empty_caches, run_speed_benchmark
from untracr.diagnose.model import compile_rasp_to_model
from untracr.errors import UntracrError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report() -> SpeedReport:
    import_module("tracr")
    return run_speed_benchmark(programs=1, quick=True, progress=False)


def test_every_row_holds_a_measurement(report: SpeedReport) -> None:
    assert [row.unit for row in report.rows[:6]] == ["x", "x", "x", "x", "programs/s", "ms"]
    assert all(row.measured > 0 and row.detail for row in report.rows)
    assert [row.target for row in report.rows[:6]] == [3000, 3000, 60, None, 500, 10]


def test_reverse_grows(report: SpeedReport) -> None:
    assert [row.max_seq_len for row in report.reverse] == [5, 10, 20, 40, 80]
    sizes = [row.n_nonzero for row in report.reverse]
    assert sizes == sorted(sizes)
    assert report.reverse[0].tracr_ms is not None
    assert report.reverse[-1].tracr_ms is None


def test_report_as_json_and_as_tables(report: SpeedReport) -> None:
    read = json.loads(json.dumps(report.as_dict()))
    assert read["quick"] is True
    assert read["rows"][0]["name"] == report.rows[0].name
    assert read["machine"]["python"] == ".".join(map(str, sys.version_info[:3]))
    table = report.to_markdown()
    widths = {line.count("|") for line in table.split("\n\n")[0].splitlines()}
    assert widths == {6}
    assert all(row.name in table for row in report.rows)


def test_targets_are_met_from_the_right_side() -> None:
    assert SpeedRow("a", 5.0, "x", 4.0, "at least", "").met is True
    assert SpeedRow("a", 3.0, "x", 4.0, "at least", "").met is False
    assert SpeedRow("a", 3.0, "ms", 4.0, "at most", "").met is True
    assert SpeedRow("a", 5.0, "ms", 4.0, "at most", "").met is False
    assert SpeedRow("a", 5.0, "ms", None, "at most", "").met is None


def test_empty_caches_leaves_nothing_in_the_compiler() -> None:
    """A cold measurement is cold: whatever module of the compiler remembers, forgets."""
    compile_rasp_to_model("numerical(Map(lambda x: x + 1, tokens))", {0, 1, 2}, 3)
    compile_rasp_to_model("Aggregate(Select(tokens, tokens, Comparison.EQ), tokens)", {0, 1}, 3)
    modules = [m for name, m in sys.modules.items() if name.startswith("untracr.compile.")]
    caches = [
        item
        for module in modules
        for item in vars(module).values()
        if hasattr(item, "cache_info") and item.__module__ == module.__name__
    ]
    assert sum(cache.cache_info().currsize for cache in caches) > 0
    empty_caches()
    assert [cache.__name__ for cache in caches if cache.cache_info().currsize] == []


def test_missing_tracr_is_said_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_tracr(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "tracr":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_tracr)
    with pytest.raises(UntracrError, match=r"pip install 'untracr\[tracr\]'"):
        run_speed_benchmark(quick=True, progress=False)


def test_programs_must_be_positive() -> None:
    with pytest.raises(ValueError, match="programs must be at least 1"):
        run_speed_benchmark(programs=0)
