"""Models of Tracr's in memory: the assembled model, or its parameters alone.

They are recognised by what they hold; nothing here imports Tracr or JAX. What a Tracr
model says of its tokens and read-out goes along; parameters hold weights alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from untracr.errors import ModelFileError, ProgramError
from untracr.loading.haiku import transformer_from_haiku
from untracr.loading.model import LoadedModel
from untracr.rasp.values import Value, plain_value
from untracr.transformer.transformer import Transformer


def is_tracr_model(model: object) -> bool:
    """Whether this is what Tracr's compiler gives."""
    return hasattr(model, "params") and hasattr(model, "model_config")


def is_tracr_params(model: Mapping[Any, Any]) -> bool:
    """Whether these are Haiku's parameters of a Tracr model, nested or flat."""
    return any(str(name).startswith("token_embed") for name in model)


def of_params(params: Mapping[Any, Any], num_heads: int | None) -> Transformer:
    """The weights in Haiku's parameters.

    Raises:
        ModelFileError: the number of heads is not given, or they are no model's.
    """
    if num_heads is None:
        raise ModelFileError(
            "parameters do not tell the number of heads; give num_heads=... (of a Tracr model "
            "model.model_config.num_heads), or the whole model"
        )
    return transformer_from_haiku(params, num_heads)


def model_of_tracr(model: Any, num_heads: int | None, causal: bool | None) -> LoadedModel:
    """A Tracr ``AssembledTransformerModel``.

    Args:
        model: it.
        num_heads: heads a layer; what its configuration says if not given.
        causal: whether attention is masked to later positions; what its configuration says,
            else not, if not given.

    Raises:
        ModelFileError: it is none, or its arrays are not a model's.
    """
    config = model.model_config
    heads = num_heads if num_heads is not None else getattr(config, "num_heads", None)
    activation = getattr(getattr(config, "activation_function", None), "__name__", "relu")
    if activation != "relu":
        raise ModelFileError(f"a model's activation function must be relu, not {activation}")
    if not isinstance(model.params, Mapping):
        raise ModelFileError(f"params must be a mapping, not {type(model.params).__name__}")
    masked = bool(getattr(config, "causal", False)) if causal is None else causal
    transformer = of_params(model.params, heads).replace(causal=masked)
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
