"""The one front door: whatever a user brings as a `LoadedModel`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from untracr.errors import ModelFileError, UsageError
from untracr.loading.files import model_of_file
from untracr.loading.live_models import live_model
from untracr.loading.model import LoadedModel
from untracr.network.network import Network
from untracr.shown_text import printable
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
    model: object, *, causal: bool | None = None, num_heads: int | None = None
) -> LoadedModel:
    """Reads a model, whatever it is given as.

    Args:
        model: a weights file's path; a `Transformer`, a `Network`, a compiled or loaded model;
            a model of Tracr's or its ``params``; a state dict with TransformerLens' names.
        causal: whether attention is masked to later positions; what the model says, else
            not, if not given. Files of TransformerLens' tensors do not say.
        num_heads: heads a layer, which ``params`` do not tell.

    Raises:
        ModelFileError: it is no model, is damaged, unsafe, larger than `MAX_MODEL_BYTES`,
            or holds something that is not supported.
        UsageError: ``num_heads`` is given beside a model that tells them.
    """
    ours = isinstance(model, (Transformer, Network, LoadedModel, _Compiled, str, os.PathLike))
    if ours and num_heads is not None:
        raise UsageError("num_heads is for params, which do not tell it; this model does")
    match model:
        case LoadedModel():
            loaded = model
        case Transformer() | Network():
            loaded = LoadedModel(model.validate(), {}, Path(type(model).__name__))
        case _Compiled():
            loaded = LoadedModel(model.transformer, dict(model.description()), _COMPILED)
        case str() | os.PathLike():
            return _of_path(Path(model), causal)
        case _:
            return live_model(model, num_heads=num_heads, causal=causal)
    return loaded.with_mask(causal)


_COMPILED = Path("compiled model")


def _of_path(path: Path, causal: bool | None) -> LoadedModel:
    try:
        return model_of_file(path).with_mask(causal)
    except ModelFileError as error:
        raise ModelFileError(f"{printable(path)}: {error}") from error
