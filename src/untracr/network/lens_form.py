"""A network put in the form that TransformerLens' models have.

All layers are alike there, positions are a table or rotary, and there is a read-out. What a
network has otherwise is put into that form where the function stays the same, else refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from untracr.errors import ModelFileError
from untracr.network.architecture import (
    Architecture,
    LayerNorm,
    PositionTable,
    RmsNorm,
    Rotary,
)
from untracr.network.network import Array, Attention, Layer, Mlp, Network, Norm


def uniform_network(network: Network, longest: int, *, both_pairs: bool) -> Network:
    """The same function with all layers alike, positions that the library has, a read-out.

    Args:
        network: the weights.
        longest: rows of a table for a network without positions.
        both_pairs: whether the library knows rotary pairs (j, j + n), too.

    Raises:
        ModelFileError: it has a part that the library's models lack.
    """
    _require_parts(network)
    architecture, W_pos = _positions(network, longest, both_pairs)
    heads = tuple(
        max(layer.attention.W_Q.shape[axis] for layer in network.layers) for axis in (0, 2)
    )
    widths = [layer.mlp.W_in.shape[1] for layer in network.layers if layer.mlp is not None]
    layers = tuple(
        Layer(
            _filled_heads(
                layer.attention if both_pairs else _adjacent(layer.attention, network.architecture),
                *heads,
            ),
            _filled_neurons(network, layer.mlp, max(widths)) if widths else None,
            _filled_norm(network, layer.ln1),
            _filled_norm(network, layer.ln2) if widths else Norm(),
        )
        for layer in network.layers
    )
    W_U = np.eye(network.d_model, dtype=network.W_E.dtype) if network.W_U is None else network.W_U
    return Network(
        architecture, network.W_E, W_pos, layers, _filled_norm(network, network.ln_final), W_U,
        np.zeros(W_U.shape[1], W_U.dtype) if network.b_U is None else network.b_U,
    ).validate()  # fmt: skip


def _require_parts(network: Network) -> None:
    mlps = [layer.mlp for layer in network.layers if layer.mlp is not None]
    if len({mlp.W_gate is None for mlp in mlps}) > 1:
        raise ModelFileError("TransformerLens has no model with gates in some layers only")
    norms = [network.ln_final] + [
        norm for layer in network.layers for norm in (layer.ln1, layer.ln2)
    ]
    rms = isinstance(network.architecture.norm, RmsNorm)
    if rms and any(norm.b is not None and norm.b.any() for norm in norms):
        raise ModelFileError("TransformerLens has no RMS norm with a bias")


def _positions(
    network: Network, longest: int, both_pairs: bool
) -> tuple[Architecture, Array | None]:
    """The architecture with positions that the library has, and their table."""
    what = network.architecture
    match what.positions:
        case PositionTable(first):
            assert network.W_pos is not None
            return dataclasses.replace(what, positions=PositionTable()), network.W_pos[first:]
        case Rotary():
            # Only differences of positions count, so the first one may be 0.
            adjacent = what.positions.adjacent or not both_pairs
            rotary = dataclasses.replace(what.positions, adjacent=adjacent, first=0)
            return dataclasses.replace(what, positions=rotary), None
        case None:
            zeros = np.zeros((longest, network.d_model), dtype=network.W_E.dtype)
            return dataclasses.replace(what, positions=PositionTable()), zeros


def _adjacent(heads: Attention, architecture: Architecture) -> Attention:
    """Heads whose rotary pairs (j, j + n) are put side by side, as (2j, 2j + 1)."""
    rotary = architecture.positions
    if not isinstance(rotary, Rotary) or rotary.adjacent:
        return heads
    half = rotary.dimensions // 2
    order = [place for j in range(half) for place in (j, half + j)]
    order += range(rotary.dimensions, heads.W_Q.shape[2])
    turned = {name: getattr(heads, name)[..., order] for name in ("W_Q", "b_Q", "W_K", "b_K")}
    return dataclasses.replace(heads, **turned)


def _filled_heads(heads: Attention, H: int, K: int) -> Attention:
    """Heads filled up with such as do nothing, to H of size K."""
    sizes: dict[str, tuple[int | None, ...]] = {"W_O": (H, K, None)}
    sizes |= {f"W_{name}": (H, None, K) for name in "QKV"}
    sizes |= {f"b_{name}": (H, K) for name in "QKV"}
    filled: dict[str, Any] = {n: _filled(getattr(heads, n), size) for n, size in sizes.items()}
    return dataclasses.replace(heads, **filled)


def _filled_neurons(network: Network, mlp: Mlp | None, M: int) -> Mlp:
    """Neurons filled up with such as do nothing; the activation of 0 is 0 for all there are."""
    if mlp is None:
        D, dtype = network.d_model, network.W_E.dtype
        gated = any(
            layer.mlp is not None and layer.mlp.W_gate is not None for layer in network.layers
        )
        gate = np.zeros((D, M), dtype) if gated else None
        return Mlp(np.zeros((D, M), dtype), np.zeros(M, dtype), np.zeros((M, D), dtype),
                   np.zeros(D, dtype), gate)  # fmt: skip
    return Mlp(
        _filled(mlp.W_in, (None, M)),
        _filled(mlp.b_in, (M,)),
        _filled(mlp.W_out, (M, None)),
        mlp.b_out,
        None if mlp.W_gate is None else _filled(mlp.W_gate, (None, M)),
    )


def _filled(array: Array, sizes: Sequence[int | None]) -> Array:
    """An array with zeros at the end of the axes that have a size."""
    missing = [
        0 if size is None else size - have for size, have in zip(sizes, array.shape, strict=True)
    ]
    return np.pad(array, [(0, more) for more in missing]) if any(missing) else array


def _filled_norm(network: Network, norm: Norm) -> Norm:
    """A normalisation with a gain, and with a bias where it has one; none where none has."""
    if network.architecture.norm is None or not _has_gains(network):
        return Norm()
    D, dtype = network.d_model, network.W_E.dtype
    w = np.ones(D, dtype) if norm.w is None else norm.w
    if isinstance(network.architecture.norm, RmsNorm):
        return Norm(w)
    return Norm(w, np.zeros(D, dtype) if norm.b is None else norm.b)


def _has_gains(network: Network) -> bool:
    """Whether any normalisation has a gain or a bias."""
    return any(norm.w is not None or norm.b is not None for norm in _norms(network))


def _norms(network: Network) -> list[Norm]:
    layers = [norm for layer in network.layers for norm in (layer.ln1, layer.ln2)]
    return [network.ln_final, *layers]


def lens_config(uniform: Network, longest: int) -> dict[str, Any]:
    """The library's configuration of a network that `uniform_network` made."""
    what, first = uniform.architecture, uniform.layers[0]
    assert uniform.W_U is not None
    config: dict[str, Any] = {
        "n_layers": uniform.n_layers,
        "d_model": uniform.d_model,
        "n_heads": first.attention.W_Q.shape[0],
        "d_head": first.attention.W_Q.shape[2],
        "d_mlp": None if first.mlp is None else first.mlp.W_in.shape[1],
        "n_ctx": longest if uniform.W_pos is None else len(uniform.W_pos),
        "d_vocab": uniform.n_tokens,
        "d_vocab_out": uniform.W_U.shape[1],
        "act_fn": what.activation.value,
        "attn_only": first.mlp is None,
        "gated_mlp": first.mlp is not None and first.mlp.W_gate is not None,
        "normalization_type": _norm_name(uniform),
        "eps": 1e-5 if what.norm is None else what.norm.epsilon,
        "attention_dir": "causal" if what.causal else "bidirectional",
        "default_prepend_bos": False,
        "device": "cpu",
    }
    if isinstance(what.positions, Rotary):
        config |= {
            "positional_embedding_type": "rotary",
            "rotary_dim": what.positions.dimensions,
            "rotary_base": what.positions.base,
            "rotary_adjacent_pairs": what.positions.adjacent,
        }
    return config


def _norm_name(uniform: Network) -> str | None:
    if uniform.architecture.norm is None:
        return None
    name = "LN" if isinstance(uniform.architecture.norm, LayerNorm) else "RMS"
    return name if _has_gains(uniform) else f"{name}Pre"
