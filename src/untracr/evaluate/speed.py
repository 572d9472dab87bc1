"""How fast models are read, on the machine at hand."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from untracr.decompile.decompiler import Decompiler
from untracr.evaluate.outcome import Outcome

LOADS_MEASURED = 3
"""Times that the meta-model is loaded to measure it."""


@dataclass(frozen=True)
class Speed:
    """Times of reading models, verdicts included, one after another in this process.

    Attributes:
        models: how many were read.
        median_ms, slowest_ms: milliseconds a model.
        per_second: models a second: their number by the sum of their times.
    """

    models: int
    median_ms: float
    slowest_ms: float
    per_second: float

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Speed | None:
        """None without outcomes."""
        seconds = [outcome.result.seconds for outcome in outcomes]
        if not seconds:
            return None
        total = max(sum(seconds), 1e-9)
        return cls(
            len(seconds),
            1000 * statistics.median(seconds),
            1000 * max(seconds),
            len(seconds) / total,
        )

    def as_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        return asdict(self)


def load_ms(decompiler: Decompiler) -> float:
    """Milliseconds to load the decompiler's meta-model once more, median of `LOADS_MEASURED`.

    The file is in the system's cache by then, and imports are not counted.
    """
    times = []
    for _ in range(LOADS_MEASURED):
        begun = time.perf_counter()
        Decompiler(decompiler.checkpoint)
        times.append(time.perf_counter() - begun)
    return 1000 * statistics.median(times)


def machine() -> dict[str, str]:
    """What the times were taken on."""
    threads = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        "threads of NumPy": threads or "not limited",
        "Python": platform.python_version(),
        "NumPy": np.__version__,
    }
