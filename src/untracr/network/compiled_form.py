"""Between a network of any architecture and the form that Tracr's weights have."""

from __future__ import annotations

import math

import numpy as np

from untracr.bounds import MAX_MODEL_BYTES
from untracr.errors import ModelFileError
from untracr.file_tensors import require_filled_up_size
from untracr.network.architecture import Activation, Architecture, PositionTable
from untracr.network.network import Array, Attention, Layer, Mlp, Network
from untracr.transformer.transformer import Transformer


def network_of_compiled(model: Transformer) -> Network:
    """A compiled model as a network; its arrays are views, nothing is copied."""
    layers = tuple(
        Layer(
            Attention(
                **{name: getattr(model, name)[layer] for name in _HEADS},
                divisor=math.sqrt(model.d_head),
            ),
            Mlp(**{name: getattr(model, name)[layer] for name in _NEURONS}),
        )
        for layer in range(model.n_layers)
    )
    architecture = Architecture(causal=model.causal)
    return Network(architecture, model.W_E, model.W_pos, layers, W_U=model.W_U)


def why_not_compiled(network: Network) -> str | None:
    """What a network has that no compiled model has, in words; None where it has nothing."""
    what = network.architecture
    heads = [layer.attention for layer in network.layers]
    neurons = [layer.mlp for layer in network.layers if layer.mlp is not None]
    reasons = (
        (what.norm is not None, f"its streams are normalised ({type(what.norm).__name__})"),
        (
            bool(neurons) and what.activation is not Activation.RELU,
            f"its activation is {what.activation.value}, not relu",
        ),
        (not isinstance(what.positions, PositionTable), "its positions are no table"),
        (what.masked_token is not None, "a token is masked"),
        (any(mlp.W_gate is not None for mlp in neurons), "its neurons have gates"),
        (any(at.window is not None for at in heads), "its heads see a window only"),
        (
            any(not math.isclose(at.divisor, math.sqrt(at.W_Q.shape[2])) for at in heads),
            "its scores are not divided by sqrt(d_head)",
        ),
        (len({at.W_Q.shape[2] for at in heads}) > 1, "its layers differ in d_head"),
        (network.b_U is not None and bool(network.b_U.any()), "its read-out has a bias"),
    )
    return next((reason for holds, reason in reasons if holds), None)


def compiled_form(network: Network) -> Transformer:
    """The network in the form of compiled weights, all layers in one array.

    Layers without neurons get one that does nothing; layers with fewer heads or neurons
    than the largest are filled up with such.

    Raises:
        ModelFileError: it has a part that no compiled model has (`why_not_compiled`), or would
            be too large with all layers as large as the largest.
    """
    if (reason := why_not_compiled(network)) is not None:
        raise ModelFileError(f"not the form that a compiler writes: {reason}")
    assert isinstance(network.architecture.positions, PositionTable)
    assert network.W_pos is not None
    layers = network.layers
    D, K = network.d_model, layers[0].attention.W_Q.shape[2]
    H = max(layer.attention.W_Q.shape[0] for layer in layers)
    M = max((layer.mlp.W_in.shape[1] for layer in layers if layer.mlp), default=1)
    require_filled_up_size(len(layers), D, H * K, M, MAX_MODEL_BYTES)
    all_heads = [_filled(layer.attention, _HEADS, H, D, K, M) for layer in layers]
    neurons = [_filled(layer.mlp, _NEURONS, H, D, K, M) for layer in layers]
    arrays = {name: np.stack([of[name] for of in all_heads]) for name in _HEADS}
    arrays |= {name: np.stack([of[name] for of in neurons]) for name in _NEURONS}
    return Transformer(
        network.W_E.astype(np.float32, copy=False),
        network.W_pos[network.architecture.positions.first :].astype(np.float32, copy=False),
        **{name: array.astype(np.float32, copy=False) for name, array in arrays.items()},  # type: ignore[arg-type]
        causal=network.architecture.causal,
        W_U=None if network.W_U is None else network.W_U.astype(np.float32, copy=False),
    )


_HEADS = {
    "W_Q": "HDK",
    "b_Q": "HK",
    "W_K": "HDK",
    "b_K": "HK",
    "W_V": "HDK",
    "b_V": "HK",
    "W_O": "HKD",
    "b_O": "D",
}
_NEURONS = {"W_in": "DM", "b_in": "M", "W_out": "MD", "b_out": "D"}


def _filled(
    holder: Attention | Mlp | None, axes: dict[str, str], H: int, D: int, K: int, M: int
) -> dict[str, Array]:
    """A half-layer's arrays by name, filled up with zeros to H heads and M neurons."""
    sizes = {"H": H, "D": D, "K": K, "M": M}
    filled: dict[str, Array] = {}
    for name, letters in axes.items():
        shape = tuple(sizes[letter] for letter in letters)
        own: Array | None = getattr(holder, name, None)
        if own is not None and own.shape == shape:
            filled[name] = own
            continue
        filled[name] = np.zeros(shape, dtype=np.float32)
        if own is not None:
            filled[name][tuple(map(slice, own.shape))] = own
    return filled
