"""Who does the work of a build: any engine gives the same results, in any order."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from untracr.errors import DatasetError, UntracrError

S = TypeVar("S")
T = TypeVar("T")
R = TypeVar("R")

TASKS_OF_A_WORKER = 8
"""Tasks after which a worker is replaced: the compiler and the sampler remember what they have
computed, up to a limit that a fresh process is far from."""

TRIES_OF_A_TASK = 3
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
            UntracrError: a task raised it.
            DatasetError: a task raised another error, or workers are lost again and again.
        """
        ...


def answer(work: Callable[[S, T], R], shared: S, task: T) -> bytes:
    """Does a task in a worker.

    Returns:
        Its result, or the error that it ended with, for `result_of`. Errors of
        another kind than ours, and those that cannot be sent, are told by a
        `DatasetError` whose notes hold where they arose.
    """
    try:
        return pickle.dumps((True, work(shared, task)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return _of_error(error)


def _of_error(error: Exception) -> bytes:
    if isinstance(error, UntracrError):
        try:
            data = pickle.dumps((False, error), pickle.HIGHEST_PROTOCOL)
            if str(pickle.loads(data)[1]) == str(error):
                return data
        except Exception:
            pass  # it is told by its name and text
    told = DatasetError(f"a task failed in a worker: {type(error).__name__}: {error}")
    told.add_note("".join(traceback.format_exception(error)))
    return pickle.dumps((False, told), pickle.HIGHEST_PROTOCOL)


def result_of(data: bytes) -> Any:
    """What a worker answered.

    Raises:
        UntracrError: the task ended with it.
        DatasetError: the task ended with another error, or its result cannot be read.
    """
    try:
        is_done, result = pickle.loads(data)
    except Exception as error:
        raise DatasetError(
            f"a worker's answer cannot be read: {type(error).__name__}: {error}"
        ) from error
    if not is_done:
        raise result
    return result
