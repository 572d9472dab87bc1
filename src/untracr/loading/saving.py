"""Writing a loaded model as one file that tells all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from untracr.atomic_write import write_atomically
from untracr.errors import ModelFileError, UsageError
from untracr.loading.compiled_file import save_model
from untracr.loading.network_file import SavedNetwork, network_file
from untracr.loading.tasks import HasTask, tells_task
from untracr.network.network import Network
from untracr.task.task import Task
from untracr.task.written import task_document
from untracr.transformer.transformer import Transformer


class Savable(HasTask, Protocol):
    """A model with its task and what came beside it."""

    @property
    def metadata(self) -> dict[str, object]:
        """What came beside the weights."""

    @property
    def task(self) -> Task:
        """The words of its inputs and outputs."""


def save_loaded(model: Savable, path: Path) -> None:
    """Writes a model; the old file stays until the new one is complete.

    Compiled weights are written as `untracr.save` does, their task, if one is told, in the
    metadata under ``task``.

    Args:
        model: what is written.
        path: ends in ``.safetensors``, or of compiled weights also in ``.npz``.

    Raises:
        UsageError: another suffix.
        ModelFileError: the weights are not valid, too large, or the file cannot be written.
        TaskError: what is told of the task does not fit the network.
    """
    task = task_document(model.task) if tells_task(model.told) else None
    match model.weights:
        case Transformer():
            metadata = model.metadata if task is None else model.metadata | {"task": task}
            save_model(path, model.weights, metadata)
        case Network():
            _save_network(path, SavedNetwork(model.weights, task, model.metadata))


def _save_network(path: Path, saved: SavedNetwork) -> None:
    if path.suffix.lower() != ".safetensors":
        raise UsageError(
            f"a network that no compiler writes is saved as .safetensors, not {path.name!r}"
        )
    data = network_file(saved)
    try:
        write_atomically(path, data)
    except OSError as error:
        raise ModelFileError(
            f"{path} cannot be written: {error.strerror or error}; "
            "a file that was there before is unchanged"
        ) from error
