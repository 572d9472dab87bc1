"""Who does the work of a build: any engine gives the same results, in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ARROW_IO_THREADS": "1",
}
"""The environment of every worker. More threads would get in each other's way, and linear
algebra by several threads may end in other last bits."""

LIFE = 8
"""Tasks after which a worker is replaced: the compiler and the sampler remember what they have
computed, up to a limit that a fresh process is far from."""

TRIES = 3
"""How often a task is given to a worker before a build gives up: a worker may be killed."""


class Engine(Protocol):
    """Runs tasks that are pure functions."""

    def run(
        self, work: Callable[[S, T], R], shared: S, tasks: Iterable[T]
    ) -> Iterator[tuple[T, R]]:
        """Does all tasks.

        Args:
            work: ``work(shared, task)``, importable by name.
            shared: sent to each worker once.
            tasks: taken when a worker is free, not before.

        Yields:
            Each task and its result, as they are finished. A task whose worker
            was lost is done again.

        Raises:
            DatasetError: workers are lost again and again.
        """
        ...
