"""Weights under the names that Tracr gives them as Haiku parameters.

Tracr keeps ``{module: {"w": ..., "b": ...}}``, with the heads of a layer side
by side in one matrix and the keys in alphabetical order ("layer_10" before
"layer_2"). Source: Tracr, `compiler/assemble.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from untracr.errors import ModelFileError
from untracr.transformer.transformer import Array, Transformer

HaikuParams = dict[str, dict[str, Array]]
"""``{module: {parameter: array}}``."""

_LAYER = re.compile(r"transformer/layer_(\d+)/(attn/(?:key|linear|query|value)|mlp/linear_[12])")
_EMBEDDINGS = ("pos_embed", "token_embed")
_MODULES = ("attn/key", "attn/linear", "attn/query", "attn/value", "mlp/linear_1", "mlp/linear_2")


def haiku_params(transformer: Transformer) -> HaikuParams:
    """The weights as Tracr's ``params``: same keys, order, shapes and dtype.

    Shapes, for H heads of size K, width D and M neurons: query, key and value
    ``w`` [D, H*K]; attention linear ``w`` [H*K, D]; linear_1 ``w`` [D, M];
    linear_2 ``w`` [M, D]; embeddings [V, D] and [P, D].
    """
    model = transformer
    params: HaikuParams = {
        "pos_embed": {"embeddings": model.W_pos},
        "token_embed": {"embeddings": model.W_E},
    }
    for layer in range(model.n_layers):
        at = f"transformer/layer_{layer}"
        for name, weights, biases in (
            ("query", model.W_Q, model.b_Q),
            ("key", model.W_K, model.b_K),
            ("value", model.W_V, model.b_V),
        ):
            w = weights[layer].transpose(1, 0, 2).reshape(model.d_model, -1)
            params[f"{at}/attn/{name}"] = {"b": biases[layer].reshape(-1), "w": w}
        w = model.W_O[layer].reshape(-1, model.d_model)
        params[f"{at}/attn/linear"] = {"b": model.b_O[layer], "w": w}
        params[f"{at}/mlp/linear_1"] = {"b": model.b_in[layer], "w": model.W_in[layer]}
        params[f"{at}/mlp/linear_2"] = {"b": model.b_out[layer], "w": model.W_out[layer]}
    return {key: params[key] for key in sorted(params)}


def transformer_from_haiku(
    params: Mapping[str, npt.ArrayLike | Mapping[str, npt.ArrayLike]],
    num_heads: int,
    causal: bool = False,
) -> Transformer:
    """Reads Tracr's parameters; the inverse of `haiku_params`.

    Args:
        params: ``{module: {parameter: array}}``, or flat ``{"module/parameter": array}``.
        num_heads: H, which the shapes alone do not tell.
        causal: whether attention is masked to earlier positions.

    Raises:
        ModelFileError: a key is missing or unknown, or shapes do not fit.
    """
    flat = _flatten(params)
    n_layers = _require_keys(flat)
    if num_heads < 1:
        raise ModelFileError(f"num_heads must be at least 1, not {num_heads}")
    layers = [f"transformer/layer_{layer}" for layer in range(n_layers)]

    def stack(name: str) -> Array:
        arrays = [flat[f"{layer}/{name}"] for layer in layers]
        if any(array.shape != arrays[0].shape for array in arrays):
            shapes = [list(array.shape) for array in arrays]
            raise ModelFileError(f"{name} must have one shape in all layers, not {shapes}")
        return np.stack(arrays)

    def heads(name: str) -> tuple[Array, Array]:
        w, b = stack(f"attn/{name}/w"), stack(f"attn/{name}/b")
        _require_heads(name, w, b, num_heads)
        w = w.reshape(n_layers, w.shape[1], num_heads, -1).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(w), b.reshape(n_layers, num_heads, -1)

    W_Q, b_Q = heads("query")
    W_K, b_K = heads("key")
    W_V, b_V = heads("value")
    W_O = stack("attn/linear/w")
    if W_O.ndim != 3 or W_O.shape[1] % num_heads:
        raise ModelFileError(
            f"attn/linear/w must have a multiple of num_heads={num_heads} rows, "
            f"not shape {list(W_O.shape[1:])}"
        )
    return Transformer(
        W_E=flat["token_embed/embeddings"],
        W_pos=flat["pos_embed/embeddings"],
        W_Q=W_Q,
        b_Q=b_Q,
        W_K=W_K,
        b_K=b_K,
        W_V=W_V,
        b_V=b_V,
        W_O=W_O.reshape(n_layers, num_heads, -1, W_O.shape[2]),
        b_O=stack("attn/linear/b"),
        W_in=stack("mlp/linear_1/w"),
        b_in=stack("mlp/linear_1/b"),
        W_out=stack("mlp/linear_2/w"),
        b_out=stack("mlp/linear_2/b"),
        causal=causal,
    ).validate()


def _flatten(
    params: Mapping[str, npt.ArrayLike | Mapping[str, npt.ArrayLike]],
) -> dict[str, Array]:
    flat: dict[str, Array] = {}
    for module, value in params.items():
        entries = value.items() if isinstance(value, Mapping) else [("", value)]
        for name, array in entries:
            key = f"{module}/{name}" if name else module
            try:
                flat[key] = np.asarray(array, dtype=np.float32)
            except (TypeError, ValueError) as error:
                raise ModelFileError(f"{key} must be an array of numbers: {error}") from None
    return flat


def _require_keys(flat: Mapping[str, Array]) -> int:
    """Checks that the keys are those of a whole model; returns its number of layers."""
    n_layers = 0
    for key in flat:
        module, _, name = key.rpartition("/")
        layer = _LAYER.fullmatch(module)
        if layer and name in ("w", "b"):
            n_layers = max(n_layers, 1 + int(layer[1]))
        elif module not in _EMBEDDINGS or name != "embeddings":
            raise ModelFileError(
                f"unknown parameter {key!r}; a Tracr model holds pos_embed, token_embed and "
                f"transformer/layer_<n>/ with {', '.join(_MODULES)}"
            )
    wanted = [f"{module}/embeddings" for module in _EMBEDDINGS]
    if n_layers > len(flat):
        raise ModelFileError(f"parameters of {n_layers} layers must be complete")
    for layer_number in range(max(n_layers, 1)):
        at = f"transformer/layer_{layer_number}"
        wanted += [f"{at}/{module}/{name}" for module in _MODULES for name in ("w", "b")]
    missing = [key for key in wanted if key not in flat]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ModelFileError(f"a Tracr model must hold the parameter {missing[0]!r}{more}")
    return n_layers


def _require_heads(name: str, w: Array, b: Array, num_heads: int) -> None:
    if w.ndim != 3 or b.ndim != 2 or w.shape[2] != b.shape[1] or w.shape[2] % num_heads:
        raise ModelFileError(
            f"attn/{name} must have a multiple of num_heads={num_heads} columns and as many "
            f"biases, not shapes {list(w.shape[1:])} and {list(b.shape[1:])}"
        )
