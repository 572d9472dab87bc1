"""A network's weights by names: TransformerLens' of its versions 3 and 4, there and back.

``transformer_lens`` are the names of a `HookedTransformer`, one tensor for all heads of a
layer, ``blocks.0.attn.W_Q`` [H, D, K]; they are also those of our files and of the module
that `to_torch` makes. ``transformer_bridge`` are the names of version 4's
`TransformerBridge`, whose matrices are a linear layer's: ``blocks.0.attn.q.weight`` [H K, D].
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

import numpy as np

from untracr.errors import ModelFileError, UsageError
from untracr.file_tensors import n_layers, require_names
from untracr.network.architecture import Architecture
from untracr.network.network import Array, Attention, Layer, Mlp, Network, Norm

STYLES = ("transformer_lens", "transformer_bridge")
"""Whose names a state dict may have."""


@dataclasses.dataclass(frozen=True)
class Scores:
    """What an attention's tensors do not say of its scores.

    Attributes:
        divisor: scores are q.k divided by it.
        window: how many positions back a query reaches, its own included; None for all.
    """

    divisor: float
    window: int | None = None


def state_dict(network: Network, style: str = "transformer_lens") -> dict[str, Array]:
    """All weights by name, as NumPy arrays; those of ``transformer_lens`` are no copies.

    Args:
        network: the weights.
        style: one of `STYLES`.

    Raises:
        UsageError: another style.
    """
    if style not in STYLES:
        raise UsageError(f"names of a state dict are {' or '.join(STYLES)}, not {style!r}")
    tensors = dict(network.arrays())
    if style == "transformer_lens":
        return tensors
    return dict(_bridge(name, array) for name, array in tensors.items())


def scores_of(network: Network) -> tuple[Scores, ...]:
    """What tensors do not say of the scores of each layer."""
    return tuple(Scores(at.attention.divisor, at.attention.window) for at in network.layers)


def network_of_state_dict(
    tensors: Mapping[str, Array], architecture: Architecture, scores: Sequence[Scores]
) -> Network:
    """The network of tensors with TransformerLens' names; the inverse of `state_dict`.

    Args:
        tensors: by name, all that `Network.arrays` gives. What a network may lack may be
            missing: positions, neurons, gates, gains and biases of norms, the read-out.
        architecture: what tensors do not say.
        scores: the same of each layer's scores.

    Raises:
        ModelFileError: a name is missing or unknown, a shape does not fit, or the
            architecture speaks of something else than the tensors.
    """
    layers = n_layers(tensors, r"blocks\.(\d+)\.")
    _require_names(set(tensors), layers)
    if len(scores) != layers:
        raise ModelFileError(f"scores of {len(scores)} layers are described; there are {layers}")
    return Network(
        architecture,
        tensors["embed.W_E"],
        tensors.get("pos_embed.W_pos"),
        tuple(_layer(tensors, number, scores[number]) for number in range(layers)),
        _norm(tensors, "ln_final"),
        tensors.get("unembed.W_U"),
        tensors.get("unembed.b_U"),
    ).validate()


_HEADS = ("W_Q", "b_Q", "W_K", "b_K", "W_V", "b_V", "W_O", "b_O")
_NEURONS = ("W_in", "b_in", "W_out", "b_out")
_OPTIONAL = ("pos_embed.W_pos", "ln_final.w", "ln_final.b", "unembed.W_U", "unembed.b_U")
_OPTIONAL_OF_A_LAYER = ("ln1.w", "ln1.b", "ln2.w", "ln2.b", "mlp.W_gate")


def _require_names(names: set[str], layers: int) -> None:
    required, optional = ["embed.W_E"], set(_OPTIONAL)
    for number in range(layers):
        block = f"blocks.{number}."
        required += [f"{block}attn.{name}" for name in _HEADS]
        if any(name.startswith(f"{block}mlp.") for name in names):
            required += [f"{block}mlp.{name}" for name in _NEURONS]
        optional |= {block + name for name in _OPTIONAL_OF_A_LAYER}
    if "unembed.b_U" in names:
        required.append("unembed.W_U")
    require_names("TransformerLens", names, required, optional)


def _layer(tensors: Mapping[str, Array], number: int, scores: Scores) -> Layer:
    block = f"blocks.{number}"
    heads = {name: tensors[f"{block}.attn.{name}"] for name in _HEADS}
    mlp = None
    if f"{block}.mlp.W_in" in tensors:
        neurons = {name: tensors[f"{block}.mlp.{name}"] for name in _NEURONS}
        mlp = Mlp(**neurons, W_gate=tensors.get(f"{block}.mlp.W_gate"))
    attention = Attention(**heads, divisor=scores.divisor, window=scores.window)
    return Layer(attention, mlp, _norm(tensors, f"{block}.ln1"), _norm(tensors, f"{block}.ln2"))


def _norm(tensors: Mapping[str, Array], name: str) -> Norm:
    return Norm(tensors.get(f"{name}.w"), tensors.get(f"{name}.b"))


_LINEAR = ("Q", "K", "V", "O", "in", "out", "gate")
_BRIDGE_NAMES = {
    "embed.W_E": "embed.weight",
    "pos_embed.W_pos": "pos_embed.weight",
    "w": "weight",
    "b": "bias",
    "W_U": "weight",
    "b_U": "bias",
    **{f"W_{part}": f"{part.lower()}.weight" for part in _LINEAR},
    **{f"b_{part}": f"{part.lower()}.bias" for part in _LINEAR},
}
"""`TransformerBridge`'s name for a tensor, by the name or by the last part of it."""


def _bridge(name: str, array: Array) -> tuple[str, Array]:
    """A tensor as `TransformerBridge` names and shapes it: matrices are [out, in]."""
    if name in _BRIDGE_NAMES:
        return _BRIDGE_NAMES[name], array
    holder, part = name.rsplit(".", 1)
    if re.fullmatch("W_[QKV]", part):  # [H, D, K] to [H K, D]
        array = array.transpose(0, 2, 1).reshape(-1, array.shape[1])
    elif part == "W_O":  # [H, K, D] to [D, H K]
        array = array.reshape(-1, array.shape[2]).T
    elif re.fullmatch("b_[QKV]", part):
        array = array.reshape(-1)
    elif part.startswith("W_"):
        array = array.T
    return f"{holder}.{_BRIDGE_NAMES[part]}", np.ascontiguousarray(array)
