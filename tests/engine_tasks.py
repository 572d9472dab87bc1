"""Tasks that engines are tested with: workers import them by name."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from untracr.errors import ModelFileError


def die_once(folder: Path, task: int) -> int:
    """A task whose first worker is killed."""
    mark = folder / str(task)
    if task % 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task * task


def die(shared: int, task: int) -> int:
    """A task that kills every worker."""
    os.kill(os.getpid(), signal.SIGKILL)
    return shared + task


def times(shared: int, task: int) -> int:
    """A task that is done at once."""
    return shared * task


def refuse(shared: int, task: int) -> int:
    """A task that fails."""
    raise ModelFileError(f"{shared} {task}")


def threads(shared: None, task: int) -> str | None:
    """What a worker's linear algebra goes by."""
    return os.environ.get("OPENBLAS_NUM_THREADS")


def pid_of(shared: None, task: int) -> int:
    """Which process does a task."""
    return os.getpid()
