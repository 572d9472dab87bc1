"""A network of named tensors and what is said of them; what is not said is inferred, and told."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from untracr.errors import ModelFileError
from untracr.loading.lens_names import LensNames, lens_names
from untracr.loading.rotary_tables import rotary_of_tables
from untracr.loading.stated import Scale, Stated
from untracr.loading.tensors import Tensors
from untracr.network.architecture import (
    Activation,
    Architecture,
    LayerNorm,
    Normalisation,
    Positions,
    PositionTable,
    RmsNorm,
)
from untracr.network.compiled_form import why_not_compiled
from untracr.network.network import Array, Attention, Layer, Mlp, Network, Norm

EPSILON = 1e-5
"""What TransformerLens adds to a variance where nothing else is said."""


def assembled(tensors: Tensors, stated: Stated) -> tuple[Network, tuple[str, ...]]:
    """A network, and in sentences what was inferred or assumed.

    Args:
        tensors: by TransformerLens' names.
        stated: what is known besides.

    Raises:
        ModelFileError: tensors are missing, unknown, or fit neither each other nor what is said.
    """
    found = lens_names(tensors, stated.sizes)
    told: list[str] = list(stated.notes)
    architecture = Architecture(
        norm=_norm(found, stated, told),
        activation=_activation(found, stated, told),
        positions=_positions(tensors, found, stated, told),
        causal=bool(stated.causal),
        masked_token=stated.masked_token,
    )
    network = _Parts(tensors, found, stated).network(architecture, told)
    if stated.causal is None:
        network = _with_mask(tensors, found, network, told)
    return network.validate(), tuple(told)


def _norm(found: LensNames, stated: Stated, told: list[str]) -> Normalisation | None:
    gains, biases = found.has("ln1.w"), found.has("ln1.b")
    if stated.norm is not None:
        norm = stated.norm.value
        if norm is None and gains:
            raise ModelFileError(
                "the configuration asks for no normalisation, and there are gains (blocks.0.ln1.w)"
            )
        if stated.gains is not None and stated.gains != gains:
            raise ModelFileError(
                f"the configuration asks for a normalisation {_with(stated.gains)} gains, and "
                f"there {'are some' if gains else 'are none'} (blocks.0.ln1.w)"
            )
        return norm
    if not gains:
        told.append("no normalisation: there are no gains (one without gains cannot be seen)")
        return None
    if biases:
        told.append(f"layer norm, for it has biases; epsilon {EPSILON:g} assumed")
        return LayerNorm(EPSILON)
    told.append(f"RMS norm, for it has no biases; epsilon {EPSILON:g} assumed")
    return RmsNorm(EPSILON)


def _with(there: bool) -> str:
    return "with" if there else "without"


def _activation(found: LensNames, stated: Stated, told: list[str]) -> Activation:
    if stated.activation is not None or not found.has("mlp.W_in"):
        return stated.activation or Activation.RELU
    assumed = Activation.SILU if found.has("mlp.W_gate") else Activation.RELU
    told.append(f"activation {assumed.value} assumed")
    return assumed


def _positions(tensors: Tensors, found: LensNames, stated: Stated, told: list[str]) -> Positions:
    table = "pos_embed.W_pos" in found.names
    if stated.positions is not None:
        match stated.positions.value:
            case PositionTable() if not table:
                raise ModelFileError(
                    "the configuration asks for a table of positions; pos_embed.W_pos is missing"
                )
            case positions:
                return positions
    if table:
        return PositionTable()
    rotary = rotary_of_tables(tensors)
    if rotary is not None:
        told.append(
            f"rotary positions, read off their tables: {rotary.dimensions} dimensions, base "
            f"{rotary.base:g}"
        )
        return rotary
    told.append("no positions: there is no pos_embed.W_pos")
    return None


def _with_mask(tensors: Tensors, found: LensNames, network: Network, told: list[str]) -> Network:
    """The network with attention masked as a buffer shows, or as is usual for its kind."""
    causal = _mask_of_buffer(tensors)
    if causal is not None:
        told.append(f"{'causal' if causal else 'not causal'}, as its mask shows (attn.mask)")
    else:
        causal = why_not_compiled(network) is not None
        told.append(
            "causal assumed, as TransformerLens does"
            if causal
            else "not causal assumed, as for compiled weights"
        )
    return network.replace(architecture=replace(network.architecture, causal=causal))


def _mask_of_buffer(tensors: Tensors) -> bool | None:
    """Whether TransformerLens' mask is causal; None where none is stored, or another one."""
    name = "blocks.0.attn.mask"
    if name not in tensors.names:
        return None
    shape = tensors.shape(name)
    if len(shape) != 2 or shape[0] != shape[1] or not 1 < shape[0] <= 8192:
        return None
    mask = np.asarray(tensors.read(name)) != 0
    if mask.all():
        return False
    return True if np.array_equal(mask, np.tril(np.ones(shape, dtype=bool))) else None


@dataclass(frozen=True)
class _Parts:
    """The parts of a network as they are read."""

    tensors: Tensors
    found: LensNames
    stated: Stated

    def network(self, architecture: Architecture, told: list[str]) -> Network:
        """All of it, not yet validated."""
        W_E = self.tensors.array("embed.W_E")
        layers = tuple(self._layer(layer) for layer in range(self.found.layers))
        if self.stated.scale is None:
            told.append("scores divided by sqrt(d_head) assumed")
        return Network(
            architecture,
            W_E,
            self._optional("pos_embed.W_pos"),
            layers,
            Norm(self._optional("ln_final.w"), self._optional("ln_final.b")),
            self._read_out(W_E, told),
            self._bias(),
        )

    def _read_out(self, W_E: Array, told: list[str]) -> Array | None:
        own = self._optional("unembed.W_U")
        if self.stated.tied:
            if own is not None and not np.array_equal(own, W_E.T):
                raise ModelFileError(
                    "the configuration says that the read-out is the token embedding "
                    "(tie_word_embeddings), and both are there and differ; say false there if "
                    "the read-out is to be used"
                )
            return W_E.T if own is None else own
        if own is None:
            told.append("no read-out: there is no unembed.W_U")
        return own

    def _bias(self) -> Array | None:
        bias = self._optional("unembed.b_U")
        return bias if bias is not None and bias.any() else None

    def _layer(self, layer: int) -> Layer:
        block = f"blocks.{layer}."
        norms = [
            Norm(self._optional(f"{block}{ln}.w"), self._optional(f"{block}{ln}.b"))
            for ln in ("ln1", "ln2")
        ]
        return Layer(self._attention(layer, f"{block}attn."), self._mlp(f"{block}mlp."), *norms)

    def _attention(self, layer: int, at: str) -> Attention:
        weights = {one: self.tensors.array(f"{at}W_{one}") for one in "QKVO"}
        H, D, K = weights["Q"].shape
        biases = {one: self._or_zeros(f"{at}b_{one}", (H, K)) for one in "QKV"}
        stated = self.stated
        return Attention(
            weights["Q"],
            biases["Q"],
            weights["K"],
            biases["K"],
            weights["V"],
            biases["V"],
            weights["O"],
            self._or_zeros(f"{at}b_O", (D,)),
            (stated.scale or Scale()).of(layer, K),
            None if stated.windows is None else stated.windows[layer],
        )

    def _mlp(self, at: str) -> Mlp | None:
        if f"{at}W_in" not in self.found.names:
            return None
        W_in, W_out = self.tensors.array(f"{at}W_in"), self.tensors.array(f"{at}W_out")
        D, M = W_in.shape
        b_in, b_out = self._or_zeros(f"{at}b_in", (M,)), self._or_zeros(f"{at}b_out", (D,))
        return Mlp(W_in, b_in, W_out, b_out, self._optional(f"{at}W_gate"))

    def _optional(self, name: str) -> Array | None:
        return self.tensors.array(name) if name in self.found.names else None

    def _or_zeros(self, name: str, shape: tuple[int, ...]) -> Array:
        array = self._optional(name)
        return np.zeros(shape, dtype=np.float32) if array is None else array
