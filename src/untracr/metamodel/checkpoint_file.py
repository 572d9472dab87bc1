"""What a checkpoint's file says before a tensor of it is touched: its state and the sizes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from untracr import strict_json
from untracr.bounds import (
    MAX_CHECKPOINT_BYTES,
    MAX_CHECKPOINT_COUNT,
    MAX_CHECKPOINT_HEADS,
    MAX_CHECKPOINT_LAYERS,
    MAX_CHECKPOINT_WIDTH,
)
from untracr.errors import ModelFileError
from untracr.loading.safetensors_format import read_header
from untracr.shown_text import printable, shown
from untracr.strangers_files import read_file

LARGEST_NETWORK = {
    "width": MAX_CHECKPOINT_WIDTH,
    "layers": MAX_CHECKPOINT_LAYERS,
    "heads": MAX_CHECKPOINT_HEADS,
}


def read_checkpoint(path: Path) -> bytes:
    """What is in the file.

    Raises:
        ModelFileError: the file cannot be read, or is too large.
    """
    try:
        return read_file(path, MAX_CHECKPOINT_BYTES, "a checkpoint", ModelFileError)
    except ModelFileError as error:
        raise ModelFileError(f"{printable(path)} cannot be read as a checkpoint: {error}") from None


def read_state(data: bytes, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header of a checkpoint, and the state that it holds: config, step, ...

    Args:
        data: the file's contents.
        path: for errors.

    Raises:
        ModelFileError: it is no safetensors file, or none of ours.
    """
    place = printable(path)
    try:
        header = read_header(data)
    except ModelFileError as error:
        raise ModelFileError(f"{place} cannot be read as a checkpoint: {error}") from None
    notes = header.pop("__metadata__", None)
    text = notes.get("untracr") if isinstance(notes, dict) else None
    if not isinstance(text, str):
        raise ModelFileError(f"{place} is not a checkpoint of the meta-model: it does not say so")
    try:
        state = strict_json.parse_json(text)
    except ValueError as error:
        raise ModelFileError(f"{place}: a checkpoint's state must be JSON: {error}") from None
    if not isinstance(state, dict):
        raise ModelFileError(f"{place}: a checkpoint's state must be an object")
    return header, state


def network_sizes(state: Mapping[str, object], path: Path) -> dict[str, int]:
    """The width, layers and heads of a network, as its checkpoint's state has them.

    Raises:
        ModelFileError: one is missing or no sensible number.
    """
    config = state.get("config")
    if not isinstance(config, dict):
        raise ModelFileError(
            f"{printable(path)} is not a checkpoint of the meta-model: its state needs a config"
        )
    sizes = {}
    for name, most in LARGEST_NETWORK.items():
        value = config.get(name)
        if type(value) is not int or not 1 <= value <= most:
            raise ModelFileError(
                f"{printable(path)}: a checkpoint's {name} must be a whole number from 1 to "
                f"{most:,}, not {shown(value)}"
            )
        sizes[name] = value
    if sizes["width"] % sizes["heads"]:
        raise ModelFileError(
            f"{printable(path)}: a checkpoint's heads must divide its width, "
            f"not {sizes['heads']} and {sizes['width']}"
        )
    return sizes


def counts_of(state: Mapping[str, object], path: Path) -> dict[str, int | float]:
    """How far a run had come: its steps, examples and seconds.

    Raises:
        ModelFileError: one is missing, or no number from 0 up.
    """
    counts: dict[str, int | float] = {}
    for name, kinds in (("step", (int,)), ("examples", (int,)), ("elapsed", (int, float))):
        value = state.get(name)
        if type(value) not in kinds or not 0 <= value <= MAX_CHECKPOINT_COUNT:  # type: ignore[operator]
            raise ModelFileError(
                f"{printable(path)}: a checkpoint's {name} must be a number from 0 up, "
                f"not {shown(value)}"
            )
        counts[name] = value  # type: ignore[assignment]
    return counts
