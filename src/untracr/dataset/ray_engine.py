"""Work by a Ray cluster."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from untracr.dataset.engine import LIFE, SINGLE_THREADED, TRIES, R, S, T
from untracr.errors import DatasetError, UntracrError

CONNECT_SECONDS = 10.0

WAITING = 2
"""Tasks handed over for each processor, so that none waits for us."""


@dataclass(frozen=True)
class RayEngine:
    """An engine of a Ray cluster's processors, one for each task.

    What its workers lose, Ray does again. untracr must be installed on every node.

    Attributes:
        workers: processors of a cluster that is started on this machine.
        address: of a running cluster instead; ``auto`` finds this machine's.
    """

    workers: int = 1
    address: str | None = None

    def run(
        self, work: Callable[[S, T], R], shared: S, tasks: Iterable[T]
    ) -> Iterator[tuple[T, R]]:
        """Does all tasks; see `Engine`.

        Raises:
            UntracrError: Ray is not installed.
            DatasetError: there is no cluster at the address, or workers are lost
                again and again.
        """
        ray = self._connected()
        remote = ray.remote(
            num_cpus=1, max_calls=LIFE, max_retries=TRIES - 1, retry_exceptions=False
        )(_answer)
        there = ray.put((work, shared))
        more = iter(tasks)
        running: dict[Any, T] = {}
        most = max(1, WAITING * int(ray.cluster_resources().get("CPU", 1)))
        try:
            while True:
                while len(running) < most:
                    try:
                        task = next(more)
                    except StopIteration:
                        break
                    running[remote.remote(there, task)] = task
                if not running:
                    return
                done, _ = ray.wait(list(running), num_returns=1)
                for reference in done:
                    task = running.pop(reference)
                    yield task, _result(ray, reference)
                    del reference
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def _connected(self) -> Any:
        # Ray reports home unless told otherwise; nothing here may.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ModuleNotFoundError as error:
            if error.name != "ray":
                raise
            raise UntracrError(
                "this needs Ray, which is not installed: pip install 'untracr[ray]'"
            ) from None
        if ray.is_initialized():
            return ray
        options: dict[str, Any] = {"address": self.address}
        _require_listening(self.address)
        if self.address is None:
            options = {"address": "local", "num_cpus": self.workers, "include_dashboard": False}
        try:
            ray.init(
                logging_level=logging.ERROR,
                log_to_driver=False,
                runtime_env={"env_vars": dict(SINGLE_THREADED)},
                **options,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise DatasetError(
                f"no Ray cluster at {self.address} that lets us in: {error}; one that asks for a "
                "token needs RAY_AUTH_MODE=token and RAY_AUTH_TOKEN in the environment here, too"
            ) from None
        return ray


def _require_listening(address: str | None) -> None:
    """Checks that somebody is there: Ray itself would ask again for many minutes.

    Raises:
        DatasetError: nobody is.
    """
    host, colon, port = (address or "").rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        return  # no HOST:PORT; Ray knows what it is
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise DatasetError(f"no Ray cluster at {address}: {error}") from None


def _answer(there: tuple[Callable[[Any, Any], Any], Any], task: Any) -> Any:
    """What a worker does; errors of ours come back as they are."""
    work, shared = there
    try:
        return True, work(shared, task)
    except UntracrError as error:
        return False, error


def _result(ray: Any, reference: Any) -> Any:
    try:
        ok, found = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        last = str(error).strip().splitlines()[-1]
        raise DatasetError(f"a task failed on a Ray worker: {last}") from error
    except ray.exceptions.RayError as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DatasetError(f"workers were lost {TRIES} times at the same task: {first}") from None
    if not ok:
        raise found
    return found
