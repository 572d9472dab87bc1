"""An endless stream of fresh training batches, made by worker processes.

A batch is a pure function of the seed and of the numbers of its examples. Workers
make batches in turn and the reader takes them in order, so any number of workers
gives the same stream, and it can be entered anywhere.
"""

from __future__ import annotations

import itertools
import multiprocessing
import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from types import TracebackType

import numpy as np
import numpy.typing as npt

from untracr.errors import DatasetError
from untracr.single_threaded import workers_have_one_thread
from untracr.train.stop_request import ignore_stop_signals

Arrays = dict[str, npt.NDArray[np.generic]]

QUEUE_LENGTH = 8
POLL_SECONDS = 5.0


@dataclass(frozen=True)
class StreamPlace:
    """Which batches one reader takes.

    Attributes:
        seed: of the stream.
        start: the number of the first example.
        count: examples a batch.
        stride: from the start of a batch to that of the next; more than ``count`` where
            others take what lies between.
    """

    seed: int
    start: int
    count: int
    stride: int


class BatchStream:
    """Iterates over batches; a context manager that ends its workers.

    Args:
        make: ``make(seed, start, count)`` returns the arrays of one batch; it
            must be importable by a new process.
        place: where to enter the stream.
        workers: processes; 0 makes batches in this one.

    Raises:
        DatasetError: while iterating, where ``make`` raised it.
        RuntimeError: while iterating: a worker died otherwise.
    """

    def __init__(
        self, make: Callable[[int, int, int], Arrays], place: StreamPlace, workers: int
    ) -> None:
        self._make = make
        self._place = place
        self._n_workers = workers
        self._processes: list[SpawnProcess] = []
        self._queues: list[multiprocessing.Queue[Arrays | DatasetError]] = []

    def __enter__(self) -> BatchStream:
        context = multiprocessing.get_context("spawn")
        with workers_have_one_thread():
            for number in range(self._n_workers):
                box: multiprocessing.Queue[Arrays | DatasetError] = context.Queue(QUEUE_LENGTH)
                process = context.Process(
                    target=_work,
                    args=(self._make, self._place, number, self._n_workers, box),
                    daemon=True,
                )
                process.start()
                self._processes.append(process)
                self._queues.append(box)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
        for box in self._queues:
            box.cancel_join_thread()
            box.close()

    def __iter__(self) -> Iterator[Arrays]:
        place = self._place
        for number in itertools.count():
            if self._queues:
                yield self._take(number % self._n_workers)
            else:
                start = place.start + number * place.stride
                yield self._make(place.seed, start, place.count)

    def _take(self, worker: int) -> Arrays:
        while True:
            try:
                made = self._queues[worker].get(timeout=POLL_SECONDS)
            except queue.Empty:
                process = self._processes[worker]
                if not process.is_alive():
                    raise RuntimeError(
                        f"data worker {worker} died with exit code {process.exitcode}"
                    ) from None
                continue
            if isinstance(made, DatasetError):
                raise made
            return made


def _work(
    make: Callable[[int, int, int], Arrays],
    place: StreamPlace,
    worker: int,
    workers: int,
    box: multiprocessing.Queue[Arrays | DatasetError],
) -> None:
    ignore_stop_signals()  # they may be sent to the whole group; the trainer ends its workers
    parent = multiprocessing.parent_process()
    for number in itertools.count(worker, workers):
        made: Arrays | DatasetError
        try:
            made = make(place.seed, place.start + number * place.stride, place.count)
        except DatasetError as error:  # the user's, who is to read one line and no traceback
            made = error
        while True:
            try:
                box.put(made, timeout=POLL_SECONDS)
                break
            except queue.Full:  # a trainer that was killed must not leave workers behind
                if parent is None or not parent.is_alive():
                    return
        if isinstance(made, DatasetError):
            return
