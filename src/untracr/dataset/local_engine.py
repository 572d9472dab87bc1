"""Work by processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, NoReturn

from untracr.dataset.engine import TASKS_OF_A_WORKER, TRIES_OF_A_TASK, R, S, T, answer, result_of
from untracr.errors import DatasetError
from untracr.single_threaded import workers_have_one_thread

READY = b"ready"
"""A worker's first words: what it is sent from then on, it reads at once."""


@dataclass(frozen=True)
class LocalEngine:
    """An engine of worker processes.

    Attributes:
        workers: how many; 0 works in this process, with its own number of threads,
            and lets errors through as they are.
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
    """A process, our end of its pipe, and what it is to do: at once, or when it is ready."""

    process: SpawnProcess
    pipe: Connection
    task: Any = None
    tries: int = 0
    done: int = 0
    is_busy: bool = False
    is_ready: bool = False


class _Pool:
    """Waits for nothing but answers: no worker's beginning or end keeps another one idle."""

    def __init__(self, count: int, work: Callable[..., Any], shared: object) -> None:
        self._work = work
        self._shared = pickle.dumps(shared, pickle.HIGHEST_PROTOCOL)
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._leaving: list[SpawnProcess] = []
        self._count = count

    def run(self, tasks: Iterable[T]) -> Iterator[tuple[T, Any]]:
        """Does all tasks; processes are started as there is work for them."""
        lost: list[_Worker] = []
        more = iter(tasks)
        while True:
            while len(self._busy()) < self._count:
                if lost:
                    dead = lost.pop()
                    self._give(dead.task, dead.tries + 1)
                    continue
                try:
                    self._give(next(more), 1)
                except StopIteration:
                    break
            busy = self._busy()
            if not busy:
                return
            for worker in self._reporting(busy):
                try:
                    data = worker.pipe.recv_bytes()
                except (EOFError, OSError):
                    self._dismiss(worker)
                    if worker.tries == TRIES_OF_A_TASK:
                        _give_up(worker)
                    lost.append(worker)
                    continue
                if not worker.is_ready:
                    worker.is_ready = True
                    self._send(worker)
                    continue
                task, result = worker.task, result_of(data)
                worker.is_busy = False
                worker.done += 1
                if worker.done == TASKS_OF_A_WORKER:
                    self._dismiss(worker)
                # The next task first: no worker need wait until this result is used.
                with contextlib.suppress(StopIteration):
                    self._give(next(more), 1)
                yield task, result

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.is_busy]

    @staticmethod
    def _reporting(busy: list[_Worker]) -> list[_Worker]:
        ready = connection.wait([worker.pipe for worker in busy])
        return [worker for worker in busy if worker.pipe in ready]

    def _give(self, task: object, tries: int) -> None:
        worker = next((w for w in self._workers if not w.is_busy), None) or self._start()
        worker.task, worker.tries, worker.is_busy = task, tries, True
        if worker.is_ready:
            self._send(worker)

    def _send(self, worker: _Worker) -> None:
        with contextlib.suppress(OSError):  # a dead worker is noticed when its answer is awaited
            if not worker.done:
                worker.pipe.send_bytes(self._shared)
            worker.pipe.send(worker.task)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._work), daemon=True)
        with workers_have_one_thread():
            process.start()
        theirs.close()  # so that its end is ours alone to notice
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _dismiss(self, worker: _Worker) -> None:
        """Lets a worker end, or be dead, without waiting for it."""
        worker.pipe.close()
        self._workers.remove(worker)
        self._leaving = [p for p in (*self._leaving, worker.process) if p.is_alive()]

    def close(self) -> None:
        """Ends all workers, whatever they are doing."""
        processes = [worker.process for worker in self._workers] + self._leaving
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        for worker in self._workers:
            worker.pipe.close()
        self._workers.clear()
        self._leaving.clear()


def _give_up(worker: _Worker) -> NoReturn:
    worker.process.join()
    code = worker.process.exitcode
    raise DatasetError(
        f"a worker process died {TRIES_OF_A_TASK} times at the same task (exit code {code}); "
        + (
            "what it wrote above may say why"
            if code is not None and code > 0
            else "is there enough memory? Fewer --workers take less"
        )
    )


def _serve(pipe: Connection, work: Callable[[object, object], object]) -> None:
    """What a worker does until its coordinator is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the coordinator decides
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_leave_after, args=(parent.sentinel,), daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        pipe.send_bytes(READY)
        shared = pipe.recv()
        while True:
            pipe.send_bytes(answer(work, shared, pipe.recv()))


def _leave_after(sentinel: int) -> None:
    """Ends this process as soon as the coordinator has ended, even when killed."""
    connection.wait([sentinel])
    os._exit(1)
