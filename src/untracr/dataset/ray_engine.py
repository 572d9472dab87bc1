"""Work by a Ray cluster."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from untracr.dataset.engine import TASKS_OF_A_WORKER, TRIES_OF_A_TASK, R, S, T, answer, result_of
from untracr.dataset.manifest import versions
from untracr.errors import DatasetError, UntracrError
from untracr.short_repr import short_repr
from untracr.single_threaded import SINGLE_THREADED

CONNECT_SECONDS = 10.0

COUNT_SECONDS = 1.0
"""How long a number of processors is believed: nodes come and go."""

WAITING = 2
"""Tasks handed over for each processor, so that none waits for us."""

THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")
"""Names that Ray replaces by an address that other machines know, too."""


@dataclass(frozen=True)
class RayEngine:
    """An engine of a Ray cluster's processors, one for each task.

    What its workers lose, Ray does again. untracr must be installed on every node,
    with the same versions of the libraries that the bytes rest on.

    Attributes:
        workers: processors of a cluster that is started on this machine. If this
            process is connected to one already, that is used as it is.
        address: of a running cluster instead; ``auto`` finds this machine's.
    """

    workers: int = 1
    address: str | None = None

    __repr__ = short_repr

    def run(
        self, work: Callable[[S, T], R], shared: S, tasks: Iterable[T]
    ) -> Iterator[tuple[T, R]]:
        """Does all tasks; see `Engine`.

        Raises:
            UntracrError: Ray is not installed.
            DatasetError: there is no cluster at the address, or this process is
                connected to another one; a node has other versions; workers are
                lost again and again.
        """
        ray = self._connected()
        remote = ray.remote(
            num_cpus=1,
            max_calls=TASKS_OF_A_WORKER,
            max_retries=TRIES_OF_A_TASK - 1,
            retry_exceptions=False,
            runtime_env={"env_vars": dict(SINGLE_THREADED)},
        )(_answer)
        there = ray.put((work, shared))
        more = iter(tasks)
        running: dict[Any, T] = {}
        most, counted = 0, float("-inf")
        try:
            while True:
                if time.monotonic() - counted >= COUNT_SECONDS:
                    most, counted = _most(ray), time.monotonic()
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
            _require_at(self.address, ray.get_runtime_context().gcs_address)
            return ray
        options: dict[str, Any] = {"address": self.address}
        _require_listening(self.address)
        if self.address is None:
            options = {"address": "local", "num_cpus": self.workers, "include_dashboard": False}
        try:
            ray.init(
                logging_level=logging.ERROR,
                log_to_driver=False,
                **options,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise DatasetError(
                f"no Ray cluster at {self.address} that lets us in: {error}; one that asks for a "
                "token needs RAY_AUTH_MODE=token and RAY_AUTH_TOKEN in the environment here, too"
            ) from None
        return ray


def _host_and_port(address: str | None) -> tuple[str, str] | None:
    host, colon, port = (address or "").rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        return None  # Ray knows what it is
    return host, port


def _require_listening(address: str | None) -> None:
    """Checks that somebody is there: Ray itself would ask again for many minutes.

    Raises:
        DatasetError: nobody is.
    """
    host_and_port = _host_and_port(address)
    if host_and_port is None:
        return
    host, port = host_and_port
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise DatasetError(f"no Ray cluster at {address}: {error}") from None


def _require_at(address: str | None, connected: str) -> None:
    """Checks that we are connected to the cluster that was asked for.

    Raises:
        DatasetError: it is another one.
    """
    host_and_port = _host_and_port(address)
    if host_and_port is None or host_and_port == _host_and_port(connected):
        return
    host, port = host_and_port
    if host not in THIS_MACHINE or not connected.endswith(f":{port}"):
        raise DatasetError(
            f"this process is connected to the Ray cluster at {connected}, not to {address}: "
            "give that address or none, or call ray.shutdown() before"
        )


def _most(ray: Any) -> int:
    """How many tasks are handed over at a time."""
    return max(1, WAITING * int(ray.cluster_resources().get("CPU", 1)))


def _answer(
    there: tuple[Callable[[Any, Any], Any], Any], task: Any
) -> tuple[dict[str, str], bytes]:
    """What a worker does; it says by what, too."""
    return versions(), answer(*there, task)


def _result(ray: Any, reference: Any) -> Any:
    try:
        theirs, data = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        last = str(error).strip().splitlines()[-1]
        raise DatasetError(f"a task failed on a Ray worker: {last}") from error
    except ray.exceptions.RayError as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DatasetError(
            f"workers were lost {TRIES_OF_A_TASK} times at the same task: {first}"
        ) from None
    _require_same_versions(theirs)
    return result_of(data)


def _require_same_versions(theirs: dict[str, str]) -> None:
    """Checks that a node makes the bytes that we would.

    Raises:
        DatasetError: it may not.
    """
    ours = versions()
    differences = [
        f"{name} {theirs.get(name)} there, {ours.get(name)} here"
        for name in sorted(ours | theirs)
        if theirs.get(name) != ours.get(name)
    ]
    if differences:
        raise DatasetError(
            f"a Ray node has other versions ({'; '.join(differences)}); "
            "every node needs those of this machine"
        )
