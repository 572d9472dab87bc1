"""Checkpoints: one safetensors file, written atomically, never a pickle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from untracr import atomic_write
from untracr.errors import ModelFileError
from untracr.metamodel.checkpoint_file import read_checkpoint, read_state

Json = dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """A training state.

    Attributes:
        model: the network's tensors by name.
        optimizer: the optimizer's tensors, ``<parameter>.<name>``.
        state: plain numbers: config, step, elapsed seconds, ...
    """

    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: Json


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces a file's contents as a whole or not at all, in a folder made if need be.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write.write_atomically(path, data)


def save_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None, state: Json
) -> None:
    """Writes model, optimizer and state.

    Raises:
        OSError: the file cannot be written; an older one stays as it was.
    """
    tensors = {f"model.{name}": t for name, t in model.state_dict().items()}
    if optimizer is not None:
        names: dict[Tensor, str] = {p: name for name, p in model.named_parameters()}
        for parameter, slots in optimizer.state.items():
            for slot, value in slots.items():
                tensors[f"optimizer.{names[parameter]}.{slot}"] = torch.as_tensor(value)
    data = to_bytes(
        {name: t.detach().cpu().contiguous() for name, t in tensors.items()},
        metadata={"untracr": json.dumps(state)},
    )
    write_atomically(path, data)


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        ModelFileError: the file is missing or is no checkpoint of ours.
    """
    return checkpoint_of(read_checkpoint(path), path)


def checkpoint_of(data: bytes, path: Path) -> Checkpoint:
    """The checkpoint that a file holds.

    Args:
        data: the file's contents.
        path: for errors.

    Raises:
        ModelFileError: it is no checkpoint of ours.
    """
    _, state = read_state(data, path)
    if "task" not in state:
        raise ModelFileError(f"{path} is not a checkpoint: it holds a model to be read")
    try:
        tensors = from_bytes(data)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise ModelFileError(f"{path} cannot be read as a checkpoint: {error}") from None
    return Checkpoint(
        {k.removeprefix("model."): t for k, t in tensors.items() if k.startswith("model.")},
        {k.removeprefix("optimizer."): t for k, t in tensors.items() if k.startswith("optimizer.")},
        state,
    )


def restore(
    model: nn.Module, optimizer: torch.optim.Optimizer, checkpoint: Checkpoint, path: Path
) -> None:
    """Puts saved tensors back where `save_checkpoint` found them.

    Raises:
        ModelFileError: they are not those of this network.
    """
    try:
        model.load_state_dict(checkpoint.model)
        _restore_optimizer(optimizer, model, checkpoint.optimizer)
    except (RuntimeError, KeyError, ValueError) as error:
        raise ModelFileError(f"{path}: the checkpoint does not fit the network: {error}") from None


def _restore_optimizer(
    optimizer: torch.optim.Optimizer, model: nn.Module, tensors: dict[str, Tensor]
) -> None:
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        name, slot = key.rsplit(".", 1)
        parameter = parameters[name]
        if value.ndim and value.shape != parameter.shape:
            raise ValueError(f"{key} has another shape than its parameter")
        moved = value if value.ndim == 0 else value.to(parameter.device)
        optimizer.state[parameter][slot] = moved
