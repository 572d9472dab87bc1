"""How fast data sets are built, by how many workers, and in how much memory."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from untracr.dataset.building import build_dataset
from untracr.dataset.local_engine import LocalEngine
from untracr.dataset.settings import DatasetSettings
from untracr.markdown_table import markdown_table


@dataclass(frozen=True)
class DatasetSpeed:
    """One build.

    Attributes:
        workers: processes that drew and compiled.
        programs: how many it holds.
        drawn: how many were drawn for it.
        seconds: from its start to its end, starting the processes included.
        coordinator_mb: the most memory of the process that writes, in millions of bytes.
        worker_mb: the same of the largest worker.
        coordinator_cpu, worker_cpu: seconds that the processor spent on the process that
            writes, and on all workers; they tell on a busy machine, too.
    """

    workers: int
    programs: int
    drawn: int
    seconds: float
    coordinator_mb: float
    worker_mb: float
    coordinator_cpu: float
    worker_cpu: float

    @property
    def programs_per_second(self) -> float:
        """Finished programs."""
        return self.programs / self.seconds

    def as_dict(self) -> dict[str, float]:
        """Plain JSON values."""
        return {**asdict(self), "programs_per_second": self.programs_per_second}


def run_dataset_benchmark(
    settings: DatasetSettings, workers: Sequence[int] = (1, 2)
) -> list[DatasetSpeed]:
    """Builds the same data set with each number of workers, in a folder that is deleted.

    Each build is done by a process of its own, so that its memory is measured alone.
    """
    return [_measured(settings, count) for count in workers]


def to_markdown(found: Sequence[DatasetSpeed]) -> str:
    """A table, compared with the first build."""
    head = ["workers", "programs", "seconds", "programs a second", "times the first"]
    head += ["coordinator", "largest worker", "CPU ms a program: coordinator", "workers"]
    return markdown_table(head, [_cells(speed, found[0]) for speed in found])


def _cells(speed: DatasetSpeed, first: DatasetSpeed) -> tuple[str, ...]:
    return (
        f"{speed.workers}",
        f"{speed.programs:,}",
        f"{speed.seconds:.1f}",
        f"{speed.programs_per_second:.0f}",
        f"{speed.programs_per_second / first.programs_per_second:.2f}",
        f"{speed.coordinator_mb:.0f} MB",
        f"{speed.worker_mb:.0f} MB",
        f"{1000 * speed.coordinator_cpu / speed.programs:.2f}",
        f"{1000 * speed.worker_cpu / speed.programs:.2f}",
    )


def _measured(settings: DatasetSettings, workers: int) -> DatasetSpeed:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_build, args=(theirs, settings, workers))
    process.start()
    theirs.close()
    try:
        speed = ours.recv()
    except EOFError:
        raise RuntimeError("the build failed; its error is above") from None
    finally:
        process.join()
    assert isinstance(speed, DatasetSpeed)
    return speed


def _build(pipe: Connection, settings: DatasetSettings, workers: int) -> None:
    with tempfile.TemporaryDirectory() as room:
        begin = time.perf_counter()
        manifest = build_dataset(Path(room) / "set", settings, LocalEngine(workers))
        seconds = time.perf_counter() - begin
    unit = 1 if sys.platform == "darwin" else 1024
    self, children = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    pipe.send(
        DatasetSpeed(
            workers=workers,
            programs=settings.programs,
            drawn=manifest.plan.drawn,
            seconds=seconds,
            coordinator_mb=self.ru_maxrss * unit / 1e6,
            worker_mb=children.ru_maxrss * unit / 1e6,
            coordinator_cpu=self.ru_utime + self.ru_stime,
            worker_cpu=children.ru_utime + children.ru_stime,
        )
    )
