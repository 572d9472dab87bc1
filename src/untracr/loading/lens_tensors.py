"""Weights under the names that TransformerLens gives them in a state dict.

``blocks.0.attn.W_Q`` of shape [n_heads, d_model, d_head], and so on; the
read-out is ``unembed.W_U``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from untracr.errors import ModelFileError
from untracr.file_tensors import (
    AxisSizes,
    layer_axes,
    n_layers,
    padded,
    require_filled_up_size,
    require_names,
    require_size,
)
from untracr.transformer.transformer import Array, Transformer

_LAYER = {
    "W_Q": ("attn.W_Q", ("n_heads@", "d_model", "d_head")),
    "b_Q": ("attn.b_Q", ("n_heads@", "d_head")),
    "W_K": ("attn.W_K", ("n_heads@", "d_model", "d_head")),
    "b_K": ("attn.b_K", ("n_heads@", "d_head")),
    "W_V": ("attn.W_V", ("n_heads@", "d_model", "d_head")),
    "b_V": ("attn.b_V", ("n_heads@", "d_head")),
    "W_O": ("attn.W_O", ("n_heads@", "d_head", "d_model")),
    "b_O": ("attn.b_O", ("d_model",)),
    "W_in": ("mlp.W_in", ("d_model", "d_mlp@")),
    "b_in": ("mlp.b_in", ("d_mlp@",)),
    "W_out": ("mlp.W_out", ("d_mlp@", "d_model")),
    "b_out": ("mlp.b_out", ("d_model",)),
}
_EMBED = {
    "W_E": ("embed.W_E", ("tokens", "d_model")),
    "W_pos": ("pos_embed.W_pos", ("positions", "d_model")),
}
_UNEMBED = ("unembed.W_U", ("d_model", "outputs"))
_NO_BIAS = "unembed.b_U"
# Constants that TransformerLens keeps beside the weights: its causal mask and its "-infinity".
_BUFFERS = re.compile(r"blocks\.\d+\.attn\.(mask|IGNORE)")


def without_buffers(names: Iterable[str]) -> set[str]:
    """The names of weights: TransformerLens keeps constants beside them."""
    return {name for name in names if not _BUFFERS.fullmatch(name)}


def lens_sizes(
    names: set[str], shape: Callable[[str], tuple[int, ...]], max_bytes: int
) -> AxisSizes:
    """Checks that tensors are those of a whole model, by names and shapes alone.

    Args:
        names: of the tensors, buffers left out.
        shape: that of one of them; asked for once names are right.
        max_bytes: the largest model that is read.

    Raises:
        ModelFileError: a name is missing or unknown, or shapes do not fit or are too large.
    """
    layers = _layers(names)
    axes = _axes(layers)
    require_names("TransformerLens", names, axes, {_UNEMBED[0], _NO_BIAS})
    axes[_UNEMBED[0]] = _UNEMBED[1]
    sizes = AxisSizes()
    numbers = 0
    for name, wanted in axes.items():
        if name in names:
            sizes.bind(name, shape(name), wanted)
            numbers += math.prod(shape(name))
    require_size("the model, in single precision,", 4 * numbers, max_bytes)
    heads = sizes.largest("n_heads") * sizes.sizes["d_head"]
    require_filled_up_size(layers, sizes.sizes["d_model"], heads, sizes.largest("d_mlp"), max_bytes)
    return sizes


def transformer_from_lens(tensors: Mapping[str, Array], sizes: AxisSizes) -> Transformer:
    """The model of tensors that `lens_sizes` has checked.

    Raises:
        ModelFileError: the read-out has a bias.
    """
    bias = tensors.get(_NO_BIAS)
    if bias is not None and bias.any():
        raise ModelFileError(f"{_NO_BIAS} must be zero: the read-out has no bias")
    layers = _layers(tensors)
    arrays = {ours: tensors[name] for ours, (name, _) in _EMBED.items()}
    for ours, (name, axes) in _LAYER.items():
        slices = [tensors[f"blocks.{layer}.{name}"] for layer in range(layers)]
        for axis, label in enumerate(axes):
            if label.endswith("@"):
                size = sizes.largest(label[:-1])
                slices = [padded(array, axis, size) for array in slices]
        arrays[ours] = np.stack(slices)
    return Transformer(**arrays, W_U=tensors.get(_UNEMBED[0]))  # type: ignore[arg-type]


def lens_tensors(transformer: Transformer) -> dict[str, Array]:
    """A model's tensors by their names; the inverse of `transformer_from_lens`."""
    tensors = {name: getattr(transformer, ours) for ours, (name, _) in _EMBED.items()}
    for layer in range(transformer.n_layers):
        for ours, (name, _) in _LAYER.items():
            tensors[f"blocks.{layer}.{name}"] = getattr(transformer, ours)[layer]
    if transformer.W_U is not None:
        tensors[_UNEMBED[0]] = transformer.W_U
    return tensors


def _layers(names: Iterable[str]) -> int:
    return n_layers(names, r"blocks\.(\d+)\.")


def _axes(layers: int) -> dict[str, tuple[str, ...]]:
    """The axes of every required tensor, by its name."""
    axes: dict[str, tuple[str, ...]] = {}
    axes.update(_EMBED.values())
    for layer in range(layers):
        for name, wanted in _LAYER.values():
            axes[f"blocks.{layer}.{name}"] = layer_axes(wanted, layer)
    return axes
