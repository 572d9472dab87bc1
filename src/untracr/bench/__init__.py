"""How fast untracr is, next to the real Tracr."""

from __future__ import annotations

from untracr.bench.speed import ReverseRow, SpeedReport, SpeedRow, run_speed_benchmark

__all__ = ["ReverseRow", "SpeedReport", "SpeedRow", "run_speed_benchmark"]
