"""Networks of random weights, one of each kind of part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from untracr.network.architecture import (
    Activation,
    Architecture,
    LayerNorm,
    PositionTable,
    RmsNorm,
    Rotary,
)
from untracr.network.network import Array, Attention, Layer, Mlp, Network, Norm

V, P, D, H, K, M, OUTPUTS = 7, 11, 12, 3, 4, 10, 5


COMPILED = Architecture()


@dataclass(frozen=True)
class Kind:
    """A network to draw: its architecture and which optional tensors it has."""

    architecture: Architecture = COMPILED
    layers: int = 2
    gain: bool = True
    gates: bool = False
    neurons: Sequence[bool] = (True,)
    windows: Sequence[int | None] = (None,)
    divisors: Sequence[float] = (2.0,)
    outputs: int | None = OUTPUTS
    biases: bool = True
    bias: bool = False
    tied: bool = False
    dtype: npt.DTypeLike = field(default=np.float32)


LLAMA = Architecture(RmsNorm(), Activation.SILU, Rotary(4), causal=True)

KINDS = {
    "compiled": Kind(),
    "gpt2": Kind(Architecture(LayerNorm(), Activation.GELU_TANH, causal=True), tied=True),
    "gelu": Kind(Architecture(LayerNorm(1e-3), Activation.GELU, causal=True), bias=True),
    "llama": Kind(LLAMA, gates=True, biases=False),
    "gates and biases": Kind(Architecture(None, Activation.SILU), gates=True),
    "adjacent": Kind(Architecture(None, positions=Rotary(2, 100.0, adjacent=True, first=3))),
    "attention-only": Kind(Architecture(LayerNorm(), causal=True), neurons=(False,)),
    "masked": Kind(Architecture(LayerNorm(), masked_token=2)),
    "masked causal": Kind(Architecture(None, masked_token=2, causal=True)),
    "no positions": Kind(Architecture(LayerNorm(), positions=None, causal=True)),
    "later rows": Kind(Architecture(positions=PositionTable(2))),
    "windows": Kind(Architecture(causal=True), windows=(None, 3), divisors=(1.0, 2.5)),
    "no gains": Kind(Architecture(LayerNorm()), gain=False),
    "uneven": Kind(Architecture(), layers=3, neurons=(True, False, True)),
    "no read-out": Kind(Architecture(LayerNorm()), outputs=None),
    "one number": Kind(Architecture(), outputs=1),
}
"""One of each kind of part; names say what is special."""


def network_of(kind: Kind, seed: int = 0) -> Network:
    """A network of random weights."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> Array:
        numbers = rng.normal(size=shape) / math.sqrt(shape[0])
        return numbers.astype(kind.dtype)

    def norm() -> Norm:
        rms = isinstance(kind.architecture.norm, RmsNorm)
        if kind.architecture.norm is None or not kind.gain:
            return Norm()
        return Norm(1 + draw(D), None if rms else draw(D))

    def layer(number: int) -> Layer:
        heads = {
            f"{part}_{name}": draw(*((H, D, K) if part == "W" else (H, K)))
            for name in "QKV"
            for part in "Wb"
        }
        attention = Attention(
            **heads,
            W_O=draw(H, K, D),
            b_O=draw(D),
            divisor=kind.divisors[number % len(kind.divisors)],
            window=kind.windows[number % len(kind.windows)],
        )
        mlp = None
        if kind.neurons[number % len(kind.neurons)]:
            b_in, b_out = draw(M) * kind.biases, draw(D) * kind.biases
            mlp = Mlp(draw(D, M), b_in, draw(M, D), b_out, draw(D, M) if kind.gates else None)
        return Layer(attention, mlp, norm(), norm() if mlp else Norm())

    W_E = draw(V, D)
    table = isinstance(kind.architecture.positions, PositionTable)
    W_U = None if kind.outputs is None else draw(D, kind.outputs)
    return Network(
        kind.architecture,
        W_E,
        draw(P, D) if table else None,
        tuple(map(layer, range(kind.layers))),
        norm(),
        np.ascontiguousarray(W_E.T) if kind.tied else W_U,
        draw(kind.outputs) if kind.bias and kind.outputs else None,
    ).validate()


def ids_of(network: Network, inputs: int = 20, seed: int = 1) -> npt.NDArray[np.int64]:
    """Random token ids [inputs, positions] as long as the network takes them, 9 at most."""
    length = min(9, network.n_positions or 9)
    return np.random.default_rng(seed).integers(0, network.n_tokens, (inputs, length))
