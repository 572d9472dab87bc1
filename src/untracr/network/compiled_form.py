"""Between a network of any architecture and the form that Tracr's weights have."""

from __future__ import annotations

import math

import numpy as np

from untracr.errors import ModelFileError
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
        (len({at.W_Q.shape for at in heads}) > 1, "its layers differ in heads"),
        (network.b_U is not None and bool(network.b_U.any()), "its read-out has a bias"),
    )
    return next((reason for holds, reason in reasons if holds), None)


def compiled_form(network: Network) -> Transformer:
    """The network in the form of compiled weights, all layers in one array.

    Layers without neurons get one that does nothing, layers with fewer than the largest
    are filled up with such.

    Raises:
        ModelFileError: it has a part that no compiled model has (`why_not_compiled`).
    """
    if (reason := why_not_compiled(network)) is not None:
        raise ModelFileError(f"not the form that a compiler writes: {reason}")
    assert isinstance(network.architecture.positions, PositionTable)
    assert network.W_pos is not None
    D = network.d_model
    width = max((layer.mlp.W_in.shape[1] for layer in network.layers if layer.mlp), default=1)
    arrays = {
        name: np.stack([getattr(layer.attention, name) for layer in network.layers])
        for name in _HEADS
    }
    filled = [_filled(layer.mlp, D, width) for layer in network.layers]
    arrays |= {name: np.stack([mlp[name] for mlp in filled]) for name in _NEURONS}
    return Transformer(
        network.W_E.astype(np.float32, copy=False),
        network.W_pos[network.architecture.positions.first :].astype(np.float32, copy=False),
        **{name: array.astype(np.float32, copy=False) for name, array in arrays.items()},  # type: ignore[arg-type]
        causal=network.architecture.causal,
        W_U=None if network.W_U is None else network.W_U.astype(np.float32, copy=False),
    )


_HEADS = ("W_Q", "b_Q", "W_K", "b_K", "W_V", "b_V", "W_O", "b_O")
_NEURONS = ("W_in", "b_in", "W_out", "b_out")


def _filled(mlp: Mlp | None, width: int, neurons: int) -> dict[str, Array]:
    """A layer's neurons by name, filled up with zeros to a number."""
    shapes = {
        "W_in": (width, neurons),
        "b_in": (neurons,),
        "W_out": (neurons, width),
        "b_out": (width,),
    }
    filled: dict[str, Array] = {
        name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()
    }
    for name, array in filled.items():
        if mlp is not None:
            own = getattr(mlp, name)
            array[tuple(slice(size) for size in own.shape)] = own
    return filled
