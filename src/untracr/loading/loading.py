"""The one front door: whatever a user brings as a `LoadedModel`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from untracr.errors import ModelFileError, UsageError
from untracr.loading.files import BareTensors, contents_of_file
from untracr.loading.folders import (
    config_of_folder,
    contents_of_folder,
    folder_of,
    passed_over,
)
from untracr.loading.live_models import live_model
from untracr.loading.model import LoadedModel
from untracr.loading.reading import Given, model_of_tensors
from untracr.loading.renaming import Names
from untracr.loading.tasks import told_by
from untracr.loading.tracr_models import is_tracr_model, is_tracr_params
from untracr.network.network import Network
from untracr.shown_text import printable, shown
from untracr.task.files import task_beside
from untracr.task.hints import hints_beside, hints_of_live, hints_of_metadata
from untracr.task.told import Told
from untracr.transformer.transformer import Transformer


@runtime_checkable
class _Compiled(Protocol):
    """What `untracr.compile_rasp_to_model` gives."""

    @property
    def transformer(self) -> Transformer:
        """The weights."""

    def description(self) -> Mapping[str, object]:
        """What is saved beside them."""


def load_model(
    model: object,
    *,
    causal: bool | None = None,
    num_heads: int | None = None,
    names: Names | None = None,
    config: Mapping[str, Any] | None = None,
    task: object = None,
) -> LoadedModel:
    """Reads a model, whatever it is given as; `LoadedModel.said` tells what was assumed.

    Args:
        model: the path of a weights file or of a folder with a ``config.json``; a
            `Transformer`, a `Network`, a compiled or loaded model; a model of Tracr's or its
            ``params``; a ``HookedTransformer``, a ``TransformerBridge``, a GPT-2, GPT-Neo or
            Llama of transformers; a state dict.
        causal: whether attention is masked to later positions; what the model says if not
            given.
        num_heads: heads a layer, which Tracr's ``params`` and most state dicts do not tell.
        names: whose tensor is which, where a state dict has names of its own:
            ``{"layers.{layer}.query.weight": "blocks.{layer}.attn.W_Q.T", ...}``, see
            `untracr.loading.renaming`.
        config: settings by TransformerLens' or transformers' names, in place of those that lie
            beside the weights.
        task: what tokens and outputs mean: an `untracr.task.Task`, a mapping with the keys of a
            task file, or a file's path; what it leaves open a ``task.json`` or ``task.toml``
            beside the weights says, else what can be inferred.

    Raises:
        TaskError: a task is damaged, or does not fit the network.
        ModelFileError: it is no model, is damaged, unsafe, too large, or holds something that
            is not supported.
        UsageError: something is given that the model tells itself.
    """
    told = Told() if task is None else told_by(task)
    if causal is not None:
        told = replace(told, causal=causal)
    given = Given(causal, num_heads, names, config, told)
    _require_kinds(given)
    ours = _of_ours(model)
    if ours is not None:
        _require_untold(given)
        return ours.with_task(told)
    match model:
        case str() | os.PathLike():
            return _of_path(Path(model), given)
        case _:
            return _of_memory(model, given)


def _of_ours(model: object) -> LoadedModel | None:
    """A model that needs no reading; None if it is no such."""
    match model:
        case LoadedModel():
            return model
        case Transformer() | Network():
            return LoadedModel(model.validate(), {}, Path(type(model).__name__))
        case _Compiled():
            return LoadedModel(model.transformer, dict(model.description()), _COMPILED)
        case _:
            return None


_COMPILED = Path("compiled model")


def _require_untold(given: Given) -> None:
    """Refuses to be told what a model of our own form tells itself."""
    if given.num_heads is not None:
        raise UsageError("num_heads is for params, which do not tell it; this model does")
    _require_no_names(given)


def _require_no_names(given: Given) -> None:
    if given.names is not None or given.config is not None:
        raise UsageError("names and config are for tensors that do not tell what they are")


def _require_kinds(given: Given) -> None:
    """Checks options by their types, so that none is taken for what it does not say."""
    flag, heads = given.causal, given.num_heads
    if not isinstance(flag, bool | np.bool_ | None):
        raise UsageError(f"causal must be True or False, not {_kind(flag)}")
    if isinstance(heads, bool) or not isinstance(heads, int | np.integer | None):
        raise UsageError(f"num_heads must be a whole number, not {_kind(heads)}")
    if not isinstance(given.names, Mapping | None):
        raise UsageError(f"names must be a mapping, not {_kind(given.names)}")
    if not isinstance(given.config, Mapping | None):
        raise UsageError(
            "config must be a mapping of settings, as config.to_dict() gives them, not "
            f"{_kind(given.config)}"
        )


def _kind(value: object) -> str:
    plain = isinstance(value, str | int | float)
    return shown(value) if plain else type(value).__name__


def _of_memory(model: object, given: Given) -> LoadedModel:
    if is_tracr_model(model) or (isinstance(model, Mapping) and is_tracr_params(model)):
        _require_no_names(given)
    live = live_model(model, given)
    hints = hints_of_live(model, len(live.network.W_E))
    live = replace(live, notes=(*live.notes, *hints.said))
    return live.with_task(given.told.over(hints.told))


def _of_path(path: Path, given: Given) -> LoadedModel:
    if not path.suffix and _is_missing(path):
        raise ModelFileError(
            f"{printable(path)}: there is no such file or folder; nothing is downloaded: a model "
            "of a hub is loaded with its library, and is given itself, or the folder that its "
            "save_pretrained(folder) writes"
        )
    try:
        return _read(path, given)
    except ModelFileError as error:
        raise ModelFileError(f"{printable(path)}: {error}") from error


def _is_missing(path: Path) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _read(path: Path, given: Given) -> LoadedModel:
    contents = contents_of_folder(path) if path.is_dir() else contents_of_file(path)
    if isinstance(contents, LoadedModel):
        _require_untold(given)
        beside = task_beside(path) if path.is_dir() else None
        hints = hints_of_metadata(contents.metadata)
        return contents.with_task(_over(given.told, beside).over(hints.told))
    if (folder := folder_of(path)) is None:
        return _alone(contents, given, path)
    told = _over(given.told, task_beside(folder))
    config = contents.config
    if config is None and given.config is None:
        config = config_of_folder(folder)
    model = model_of_tensors(contents.tensors, config, replace(given, told=told), path)
    hints = hints_beside(folder, model.network.n_tokens)
    model = replace(model, notes=(*model.notes, *hints.said))
    return model.with_task(told.over(hints.told))


def _alone(contents: BareTensors, given: Given, path: Path) -> LoadedModel:
    """A file's model without what lies beside it."""
    notes = passed_over(path)
    try:
        model = model_of_tensors(contents.tensors, contents.config, given, path)
    except ModelFileError as error:
        raise ModelFileError("; ".join((str(error), *notes))) from error
    return replace(model, notes=(*model.notes, *notes)).with_task(given.told)


def _over(given: Told, beside: Told | None) -> Told:
    """What is given, and what a task file says where that says nothing."""
    return given if beside is None else given.over(beside)
