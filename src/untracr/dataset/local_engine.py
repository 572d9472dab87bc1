"""Work by processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from untracr.dataset.engine import LIFE, SINGLE_THREADED, TRIES, R, S, T
from untracr.errors import DatasetError


@dataclass(frozen=True)
class LocalEngine:
    """An engine of worker processes.

    Attributes:
        workers: how many; 0 works in this process, with its own number of threads.
    """

    workers: int

    def run(
        self, work: Callable[[S, T], R], shared: S, tasks: Iterable[T]
    ) -> Iterator[tuple[T, R]]:
        """Does all tasks; see `Engine`."""
        if not self.workers:
            for task in tasks:
                yield task, work(shared, task)
            return
        with contextlib.closing(_Pool(self.workers, work, shared)) as pool:
            yield from pool.run(tasks)


@dataclass
class _Worker:
    """A process, our end of its pipe, and what it is doing."""

    process: SpawnProcess
    pipe: Connection
    task: Any = None
    tries: int = 0
    done: int = 0
    is_busy: bool = False


class _Pool:
    def __init__(self, count: int, work: Callable[..., Any], shared: object) -> None:
        self._work, self._shared = work, shared
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._count = count

    def run(self, tasks: Iterable[T]) -> Iterator[tuple[T, Any]]:
        """Does all tasks; processes are started as there is work for them."""
        waiting: list[tuple[T, int]] = []
        more = iter(tasks)
        while True:
            while len(self._busy()) < self._count:
                if waiting:
                    task, tries = waiting.pop()
                else:
                    try:
                        task, tries = next(more), 0
                    except StopIteration:
                        break
                self._give(task, tries + 1)
            busy = self._busy()
            if not busy:
                return
            for worker in self._ready(busy):
                task, tries = worker.task, worker.tries
                try:
                    ok, result = worker.pipe.recv()
                except (EOFError, OSError):
                    self._bury(worker)
                    if tries == TRIES:
                        raise DatasetError(
                            f"a worker process died {TRIES} times at the same task "
                            f"(exit code {worker.process.exitcode}); is there enough memory? "
                            "Fewer --workers take less"
                        ) from None
                    waiting.append((task, tries))
                    continue
                if not ok:
                    raise result
                worker.is_busy = False
                worker.done += 1
                if worker.done == LIFE:
                    self._bury(worker)
                # The next task first: no worker need wait until this result is used.
                with contextlib.suppress(StopIteration):
                    self._give(next(more), 1)
                yield task, result

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.is_busy]

    @staticmethod
    def _ready(busy: list[_Worker]) -> list[_Worker]:
        ready = connection.wait([worker.pipe for worker in busy])
        return [worker for worker in busy if worker.pipe in ready]

    def _give(self, task: object, tries: int) -> None:
        worker = next((w for w in self._workers if not w.is_busy), None) or self._start()
        worker.task, worker.tries, worker.is_busy = task, tries, True
        with contextlib.suppress(OSError):  # a dead worker is noticed when its answer is awaited
            worker.pipe.send(task)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        before = {name: os.environ.get(name) for name in SINGLE_THREADED}
        os.environ.update(SINGLE_THREADED)
        try:
            process = self._context.Process(
                target=_serve, args=(theirs, self._work, self._shared), daemon=True
            )
            process.start()
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        theirs.close()  # so that its end is ours alone to notice
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _bury(self, worker: _Worker) -> None:
        worker.pipe.close()
        worker.process.join()
        self._workers.remove(worker)

    def close(self) -> None:
        """Ends all workers, whatever they are doing."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()


def _serve(pipe: Connection, work: Callable[[object, object], object], shared: object) -> None:
    """What a worker does until its coordinator is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator decides
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_leave_after, args=(parent.sentinel,), daemon=True).start()
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            answer: tuple[bool, object] = True, work(shared, task)
        except Exception as error:
            answer = False, error
        pipe.send(answer)


def _leave_after(sentinel: int) -> None:
    """Ends this process as soon as the coordinator has ended, even when killed."""
    connection.wait([sentinel])
    os._exit(1)
