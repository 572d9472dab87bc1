"""Models in memory that are not ours: Tracr's, Haiku parameters, state dicts of PyTorch.

They are recognised by what they hold; nothing here imports Tracr, JAX or PyTorch.
What a Tracr model says of its tokens and read-out goes along; parameters and a
state dict hold weights alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from untracr.bounds import MAX_MODEL_BYTES
from untracr.errors import ModelFileError, ProgramError
from untracr.loading.model import LoadedModel
from untracr.rasp.values import Value, plain_value
from untracr.transformer.file_tensors import float32
from untracr.transformer.haiku import transformer_from_haiku
from untracr.transformer.lens import lens_sizes, transformer_from_lens, without_buffers
from untracr.transformer.transformer import Transformer

KINDS = (
    "a weights file's path, a Transformer, a compiled or loaded model, a model of Tracr's, its "
    "params, or a state dict with TransformerLens' names"
)
"""What a model may be given as."""


def live_model(
    model: object, *, num_heads: int | None = None, causal: bool | None = None
) -> LoadedModel:
    """A model in memory as one that was loaded.

    Args:
        model: a Tracr ``AssembledTransformerModel``; a mapping of Haiku's parameters,
            nested or flat; a state dict of NumPy arrays or PyTorch tensors, or a
            module that has one.
        num_heads: heads a layer; needed for Haiku's parameters, which do not tell.
        causal: whether attention is masked to earlier positions; what the model's
            configuration says, else not, if not given.

    Raises:
        ModelFileError: it is none of these, or its arrays are not a model's.
    """
    if hasattr(model, "params") and hasattr(model, "model_config"):
        return _of_tracr(model, num_heads, causal)
    if not isinstance(model, Mapping) and callable(getattr(model, "state_dict", None)):
        return _of_module(model, causal)
    if not isinstance(model, Mapping):
        raise ModelFileError(f"a model must be {KINDS}; not {type(model).__name__}")
    names = [str(name) for name in model]
    if any(name.startswith("token_embed") for name in names):
        return _named(_of_params(model, num_heads), "params", causal)
    return _named(_of_state_dict(model), "state dict", causal)


_WANTED = {"act_fn": "relu", "positional_embedding_type": "standard", "use_attn_scale": True}
"""What a TransformerLens configuration must say, where it says anything."""


def _of_module(module: Any, causal: bool | None) -> LoadedModel:
    """A module of PyTorch, with TransformerLens' configuration if it has one."""
    config = getattr(module, "cfg", None)
    for name, wanted in _WANTED.items():
        if (found := getattr(config, name, wanted)) != wanted:
            raise ModelFileError(f"a model must have {name}={wanted!r} to be read, not {found!r}")
    masked = getattr(config, "attention_dir", None) == "causal" if causal is None else causal
    return _named(_of_state_dict(module.state_dict()), type(module).__name__, masked)


def _named(transformer: Transformer, name: str, causal: bool | None) -> LoadedModel:
    return LoadedModel(transformer.replace(causal=bool(causal)), {}, Path(name))


def _of_params(params: Mapping[Any, Any], num_heads: int | None) -> Transformer:
    if num_heads is None:
        raise ModelFileError(
            "parameters do not tell the number of heads; give num_heads=... (of a Tracr model "
            "model.model_config.num_heads), or the whole model"
        )
    return transformer_from_haiku(params, num_heads)


def _of_state_dict(tensors: Mapping[Any, Any]) -> Transformer:
    names = without_buffers(map(str, tensors))
    arrays = {name: _array(name, tensors[name]) for name in names if name in tensors}
    sizes = lens_sizes(names, lambda name: arrays[name].shape, MAX_MODEL_BYTES)
    floats = {name: float32(name, array) for name, array in arrays.items()}
    return transformer_from_lens(floats, sizes).validate()


def _array(name: str, tensor: Any) -> npt.NDArray[Any]:
    """A NumPy array, or a PyTorch tensor as one; bfloat16, which NumPy lacks, as float32."""
    try:
        if callable(getattr(tensor, "detach", None)):
            tensor = tensor.detach().cpu()
            tensor = tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
        return np.asarray(tensor)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(f"{name} must be an array of numbers: {error}") from None


def _of_tracr(model: Any, num_heads: int | None, causal: bool | None) -> LoadedModel:
    config = model.model_config
    heads = num_heads if num_heads is not None else getattr(config, "num_heads", None)
    activation = getattr(getattr(config, "activation_function", None), "__name__", "relu")
    if activation != "relu":
        raise ModelFileError(f"a model's activation function must be relu, not {activation}")
    if not isinstance(model.params, Mapping):
        raise ModelFileError(f"params must be a mapping, not {type(model.params).__name__}")
    masked = bool(getattr(config, "causal", False)) if causal is None else causal
    transformer = _of_params(model.params, heads).replace(causal=masked)
    loaded = LoadedModel(_with_read_out(transformer, model), _described(model), Path("Tracr model"))
    loaded.transformer.validate()
    return loaded


def _described(model: Any) -> dict[str, object]:
    """What a Tracr model's encoder says of the rows of its token embedding."""
    encoder: Any = getattr(model, "input_encoder", None)
    rows = _encoded(encoder)
    if rows is None:
        return {}
    bos, pad = encoder.bos_token, encoder.pad_token
    return {
        "token_values": list(rows),
        "bos": bos,
        "pad": pad,
        "vocab": [value for value in rows if value not in (bos, pad)],
        "residual_labels": [str(label) for label in getattr(model, "residual_labels", ())],
    }


def _encoded(encoder: Any) -> tuple[Value, ...] | None:
    """The values of an encoder by their ids; None where it has none."""
    places = getattr(encoder, "encoding_map", None)
    if not isinstance(places, Mapping) or sorted(places.values()) != list(range(len(places))):
        return None
    try:
        return tuple(map(plain_value, sorted(places, key=lambda value: places[value])))
    except ProgramError as error:
        raise ModelFileError(f"an encoder's values cannot be read: {error}") from None


def _with_read_out(transformer: Transformer, model: Any) -> Transformer:
    """The model with the read-out that Tracr builds anew at each run.

    It is held by no attribute, but by the two vector spaces from which
    ``get_compiled_model`` makes it. Where these are not found there is none.
    """
    try:
        spaces = inspect.getclosurevars(model.get_compiled_model).nonlocals
        residual, output = spaces["residual_space"].basis, spaces["output_space"].basis
        columns = [residual.index(direction) for direction in output]
    except (AttributeError, KeyError, TypeError, ValueError):
        return transformer
    if len(residual) != transformer.d_model:
        return transformer
    W_U = np.zeros((len(residual), len(columns)), dtype=np.float32)
    W_U[columns, range(len(columns))] = 1.0
    values = _output_values(model, output) if spaces.get("categorical_output") else None
    return transformer.replace(W_U=W_U, output_values=values)


def _output_values(model: Any, directions: Sequence[Any]) -> tuple[Value, ...]:
    """The values of the read-out's columns, by the output encoder or else by the columns."""
    encoded = _encoded(getattr(model, "output_encoder", None))
    if encoded is not None and len(encoded) == len(directions):
        return encoded
    return tuple(plain_value(direction.value) for direction in directions)
