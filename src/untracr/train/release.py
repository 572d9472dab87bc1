"""From a training checkpoint to the file that ships: weights alone, in 16 bits."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save as to_bytes

from untracr.errors import ModelFileError
from untracr.train.checkpoint import load_checkpoint, write_atomically


def export(checkpoint: Path, out: Path) -> None:
    """Writes a checkpoint's network as 16-bit safetensors, without the optimizer.

    Args:
        checkpoint: a training checkpoint.
        out: the file to write; its folder is made if need be.

    Raises:
        ModelFileError: the checkpoint cannot be read.
        OSError: the file cannot be written.
    """
    checkpoint_read = load_checkpoint(checkpoint)
    names = ("task", "config", "seed", "step", "examples", "elapsed")
    missing = [name for name in names if name not in checkpoint_read.state]
    if missing:
        raise ModelFileError(f"{checkpoint}: a training checkpoint's state needs {missing[0]}")
    state = {name: checkpoint_read.state[name] for name in names}
    tensors = {f"model.{name}": t.to(torch.float16) for name, t in checkpoint_read.model.items()}
    write_atomically(out, to_bytes(tensors, metadata={"untracr": json.dumps(state)}))
