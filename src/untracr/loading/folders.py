"""Folders that hold a model: a configuration, weights in one file or several."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from untracr import strict_json
from untracr.bounds import MAX_CONFIG_BYTES, MAX_NETWORK_BYTES, MAX_TENSORS
from untracr.errors import ModelFileError
from untracr.loading.files import SUFFIXES, BareTensors, contents_of_file
from untracr.loading.model import LoadedModel
from untracr.loading.reading import Config
from untracr.loading.tensors import Tensors
from untracr.shown_text import shown
from untracr.strangers_files import read_file
from untracr.task.files import NAMES as TASKS

CONFIG = "config.json"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.pt", "model.pth", "model.npz")
"""Names that weights have in folders, the first that is there being read."""

_INDEX = "model.safetensors.index.json"
_FEW = 5


def contents_of_folder(folder: Path) -> LoadedModel | BareTensors:
    """What a folder's weights file holds; with its own settings, not the folder's.

    Raises:
        ModelFileError: there is no weights file, or several of which none has a usual name.
    """
    if (folder / _INDEX).is_file() and not (folder / _WEIGHTS[0]).exists():
        return BareTensors(_of_shards(folder))
    return contents_of_file(weights_of_folder(folder))


def weights_of_folder(folder: Path) -> Path:
    """The weights file of a folder.

    Raises:
        ModelFileError: there is none, or several of which none has a usual name.
    """
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    try:
        found = sorted(path.name for path in folder.iterdir() if path.suffix in SUFFIXES)
    except OSError as error:
        raise ModelFileError(f"the folder cannot be read: {error.strerror or error}") from None
    if len(found) == 1:
        return folder / found[0]
    if found:
        listed = ", ".join(map(shown, found[:_FEW]))
        raise ModelFileError(
            f"a folder must hold one model; this has {len(found)} weights files ({listed}): "
            "name one of them"
        )
    wrong = sorted(path.name for path in folder.iterdir())[:_FEW]
    raise ModelFileError(
        f"a model's folder must hold its weights, as {_WEIGHTS[0]}; this one holds "
        + (", ".join(map(shown, wrong)) or "nothing")
    )


def folder_of(path: Path) -> Path | None:
    """The folder whose other files tell of a model; None where they may be another model's.

    Args:
        path: of the folder, or of its only weights file, or the one of a usual name.
    """
    if path.is_dir():
        return path
    return path.parent if path.name in _WEIGHTS or _is_alone(path) else None


def _is_alone(path: Path) -> bool:
    """Whether a file is the only one of weights in its folder, as far as that can be looked at."""
    try:
        return not any(one.suffix in SUFFIXES and one != path for one in path.parent.iterdir())
    except OSError:
        return False


def passed_over(path: Path) -> tuple[str, ...]:
    """In a sentence, that files beside several models tell of none of them."""
    names = [name for name in (CONFIG, *TASKS) if (path.parent / name).exists()]
    if not names:
        return ()
    return (f"passed over: {', '.join(names)}, which may be of another weights file beside it",)


def config_of_folder(folder: Path) -> Config | None:
    """The configuration in a folder; None without one.

    Raises:
        ModelFileError: it is no JSON object, or too large.
    """
    path = folder / CONFIG
    if not path.exists():
        return None
    return Config(_json(path), CONFIG)


def _json(path: Path) -> Mapping[str, Any]:
    try:
        data = read_file(path, MAX_CONFIG_BYTES, "a configuration", ModelFileError)
        found = strict_json.parse_json(data)
    except (ValueError, ModelFileError) as error:
        raise ModelFileError(f"{path.name} must be JSON: {error}") from None
    if not isinstance(found, dict):
        raise ModelFileError(f"{path.name} must be a JSON object, not {type(found).__name__}")
    return found


def _of_shards(folder: Path) -> Tensors:
    """The tensors of all files that an index names."""
    places = _json(folder / _INDEX).get("weight_map")
    if not isinstance(places, dict) or not places or len(places) > MAX_TENSORS:
        raise ModelFileError(f"{_INDEX} must have a weight_map of 1 to {MAX_TENSORS:,} names")
    files = sorted({str(name) for name in places.values()})
    for name in files:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelFileError(
                f"{_INDEX} must name .safetensors files of its folder, not {shown(name)}"
            )
        if not (folder / name).is_file():
            raise ModelFileError(f"{_INDEX} names {shown(name)}, which is missing")
    total = sum((folder / name).stat().st_size for name in files)
    if total > MAX_NETWORK_BYTES:
        raise ModelFileError(
            f"models of up to {MAX_NETWORK_BYTES:,} bytes are read; the {len(files)} files have "
            f"{total:,}"
        )
    shards = {name: _shard(folder / name) for name in files}
    for tensor, name in places.items():
        if tensor not in shards[str(name)].names:
            raise ModelFileError(f"{_INDEX} says that {shown(name)} holds {shown(tensor)}, not so")
    return Tensors(
        frozenset(places),
        lambda name: shards[places[name]].shape(name),
        lambda name: shards[places[name]].read(name),
        str,
    )


def _shard(path: Path) -> Tensors:
    contents = contents_of_file(path)
    if isinstance(contents, LoadedModel):
        raise ModelFileError(f"{path.name} is a model of its own, not a part of one")
    return contents.tensors
