"""A decoder-style or encoder-style transformer as NumPy arrays, whatever its parts.

Array names and shapes are those of TransformerLens, one `Layer` a layer. Axes:
V tokens, P positions, D = d_model, H heads, K = d_head, M neurons of a layer,
O outputs. Weights that Tracr writes have a form of their own, with all layers in
one array (`untracr.transformer.Transformer`); `untracr.network.compiled_form`
turns one into the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from untracr.errors import ModelFileError
from untracr.network.architecture import Architecture, PositionTable, Rotary
from untracr.short_repr import short_repr

Array = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Norm:
    """Gain and bias of one normalisation, each [D], or None where it has none."""

    w: Array | None = None
    b: Array | None = None

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Attention:
    """The heads of a layer.

    Attributes:
        W_Q, W_K, W_V: [H, D, K]; b_Q, b_K, b_V: [H, K].
        W_O: [H, K, D]; b_O: [D].
        divisor: scores are q.k divided by it; sqrt(K) in most networks.
        window: how many positions back a query reaches, its own included; None for all.
    """

    W_Q: Array
    b_Q: Array
    W_K: Array
    b_K: Array
    W_V: Array
    b_V: Array
    W_O: Array
    b_O: Array
    divisor: float
    window: int | None = None

    __repr__ = short_repr

    @cached_property
    def joined(self) -> tuple[Array, Array]:
        """Weights [D, 3 H K] and biases [3 H K] of all queries, then keys, then values."""
        D = self.W_Q.shape[1]
        weights = [w.transpose(1, 0, 2).reshape(D, -1) for w in (self.W_Q, self.W_K, self.W_V)]
        biases = [b.reshape(-1) for b in (self.b_Q, self.b_K, self.b_V)]
        return np.concatenate(weights, axis=1), np.concatenate(biases)


@dataclass(frozen=True, eq=False)
class Mlp:
    """The neurons of a layer: ``activation(x W_in + b_in) W_out + b_out``.

    With gates (Shazeer, 2020): ``(activation(x W_gate) * (x W_in) + b_in) W_out + b_out``.

    Attributes:
        W_in: [D, M]; b_in: [M]; W_out: [M, D]; b_out: [D].
        W_gate: [D, M], or None.
    """

    W_in: Array
    b_in: Array
    W_out: Array
    b_out: Array
    W_gate: Array | None = None

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer: heads, then neurons, each reading the normalised stream.

    Attributes:
        attention: the heads.
        mlp: the neurons; None in an attention-only network.
        ln1, ln2: gain and bias of the normalisation before heads and before neurons.
    """

    attention: Attention
    mlp: Mlp | None = None
    ln1: Norm = Norm()
    ln2: Norm = Norm()

    __repr__ = short_repr


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """Weights and architecture; immutable by convention.

    Attributes:
        architecture: what the arrays do not say.
        W_E: [V, D], token embedding.
        W_pos: [P, D], position embedding; None unless positions are a table.
        layers: in the order in which they run.
        ln_final: gain and bias of the normalisation before the read-out.
        W_U: [D, O], the read-out, or None when it is not known.
        b_U: [O], its bias, or None.
    """

    architecture: Architecture
    W_E: Array
    W_pos: Array | None
    layers: tuple[Layer, ...]
    ln_final: Norm = Norm()
    W_U: Array | None = None
    b_U: Array | None = None

    def __repr__(self) -> str:
        first = self.layers[0].attention
        heads = f"{len(self.layers)} layers, {first.W_Q.shape[0]} heads, d_model {self.d_model}"
        rows = "any length" if self.n_positions is None else f"{self.n_positions} positions"
        return f"<Network: {heads}, d_head {first.W_Q.shape[2]}, {len(self.W_E)} tokens, {rows}>"

    @property
    def n_layers(self) -> int:
        """L, the number of layers."""
        return len(self.layers)

    @property
    def d_model(self) -> int:
        """D, the width of the residual stream."""
        return int(self.W_E.shape[1])

    @property
    def n_tokens(self) -> int:
        """V, rows of the token embedding."""
        return int(self.W_E.shape[0])

    @property
    def n_positions(self) -> int | None:
        """The longest input, or None where positions have no table."""
        match self.architecture.positions:
            case PositionTable(first) if self.W_pos is not None:
                return int(self.W_pos.shape[0]) - first
            case _:
                return None

    @property
    def tied(self) -> bool:
        """Whether the read-out is the token embedding."""
        return self.W_U is not None and bool(np.array_equal(self.W_U, self.W_E.T))

    @property
    def n_parameters(self) -> int:
        """How many numbers the network holds, a tied read-out counted once."""
        total = sum(array.size for _, array in self.arrays())
        return total - (self.W_E.size if self.tied else 0)

    def arrays(self) -> Iterator[tuple[str, Array]]:
        """Every array that there is, by TransformerLens' name for it."""
        yield "embed.W_E", self.W_E
        if self.W_pos is not None:
            yield "pos_embed.W_pos", self.W_pos
        for number, layer in enumerate(self.layers):
            parts = (
                ("ln1", layer.ln1),
                ("attn", layer.attention),
                ("ln2", layer.ln2),
                ("mlp", layer.mlp),
            )
            for part, holder in parts:
                yield from _arrays_of(f"blocks.{number}.{part}", holder)
        yield from _arrays_of("ln_final", self.ln_final)
        yield from _arrays_of("unembed", (("W_U", self.W_U), ("b_U", self.b_U)))

    def astype(self, dtype: npt.DTypeLike) -> Network:
        """The same network with all numbers of a type, float32 or float64."""
        kind = np.dtype(dtype)

        def cast(holder: Any) -> Any:
            changes = {
                field.name: value.astype(kind, copy=False)
                for field in dataclasses.fields(holder)
                if isinstance(value := getattr(holder, field.name), np.ndarray)
            }
            return dataclasses.replace(holder, **changes)

        layers = tuple(
            Layer(cast(at.attention), at.mlp and cast(at.mlp), cast(at.ln1), cast(at.ln2))
            for at in self.layers
        )
        copy: Network = cast(self)
        return copy.replace(layers=layers, ln_final=cast(self.ln_final))

    def replace(self, **changes: Any) -> Network:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def validate(self) -> Network:
        """Checks shapes, numbers and architecture; called once where foreign weights come in.

        Returns:
            The network itself.

        Raises:
            ModelFileError: an array is no floating-point array, is empty, holds NaN or
                infinity, or does not fit the others or the architecture.
        """
        sizes: dict[str, int] = {}
        for name, array in self.arrays():
            _require_numbers(name, array)
            _bind(sizes, name, array)
        if not self.layers:
            raise ModelFileError("a network must have at least one layer")
        self._require_architecture(sizes)
        return self

    def _require_architecture(self, sizes: dict[str, int]) -> None:
        what = self.architecture
        if what.norm is not None:
            _require_positive("a norm's epsilon", what.norm.epsilon)
        for number, layer in enumerate(self.layers):
            _require_positive(f"the divisor of layer {number}'s scores", layer.attention.divisor)
        match what.positions:
            case PositionTable(first):
                if self.W_pos is None:
                    raise ModelFileError("positions are a table, but there is no W_pos")
                if not 0 <= first < len(self.W_pos):
                    raise ModelFileError(
                        f"the first position's row must be 0 to {len(self.W_pos) - 1}, not {first}"
                    )
            case Rotary(dimensions):
                smallest = min(layer.attention.W_Q.shape[2] for layer in self.layers)
                if dimensions % 2 or not 0 < dimensions <= smallest:
                    raise ModelFileError(
                        f"rotary dimensions must be even and 2 to d_head = {smallest}, "
                        f"not {dimensions}"
                    )
            case None:
                pass
        if self.W_pos is not None and not isinstance(what.positions, PositionTable):
            raise ModelFileError("there is a W_pos, but the architecture's positions are no table")
        if what.masked_token is not None and not 0 <= what.masked_token < sizes["V"]:
            raise ModelFileError(
                f"the masked token's id must be 0 to {sizes['V'] - 1}, not {what.masked_token}"
            )


_AXES = {
    "embed.W_E": "VD",
    "pos_embed.W_pos": "PD",
    "W_Q": "HDK",
    "W_K": "HDK",
    "W_V": "HDK",
    "b_Q": "HK",
    "b_K": "HK",
    "b_V": "HK",
    "W_O": "HKD",
    "b_O": "D",
    "W_in": "DM",
    "W_gate": "DM",
    "b_in": "M",
    "W_out": "MD",
    "b_out": "D",
    "w": "D",
    "b": "D",
    "W_U": "DO",
    "b_U": "O",
}
"""The axes of each array, by its name or by the last part of it."""

_OF_A_LAYER = "HKM"
"""Axes that have a size of their own in each layer."""


def _arrays_of(prefix: str, holder: object) -> Iterator[tuple[str, Array]]:
    if holder is None:
        return
    if isinstance(holder, tuple):
        pairs = list(holder)
    else:
        pairs = [(f.name, getattr(holder, f.name)) for f in dataclasses.fields(holder)]  # type: ignore[arg-type]
    for name, value in pairs:
        if isinstance(value, np.ndarray):
            yield f"{prefix}.{name}", value


def _require_numbers(name: str, array: Array) -> None:
    if not np.issubdtype(array.dtype, np.floating):
        raise ModelFileError(f"weights must be floating-point numbers; {name} is {array.dtype}")
    if not array.size:
        raise ModelFileError(f"arrays must not be empty; {name} has shape {list(array.shape)}")
    finite = np.isfinite(array)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ModelFileError(
            f"weights must be finite numbers; {name}{list(index)} is {array[index]}"
        )


def _require_positive(what: str, value: float) -> None:
    """Checks a number that arrays are divided by, as it is in single precision."""
    with np.errstate(over="ignore", under="ignore"):
        single = np.float32(value)
    if not 0 < single < np.inf:
        raise ModelFileError(f"{what} must be above 0 and finite in float32; it is {value!r}")


def _bind(sizes: dict[str, int], name: str, array: Array) -> None:
    """Compares an array's shape with the sizes known so far, and adds those that it gives."""
    axes = _AXES.get(name) or _AXES[name.rsplit(".", 1)[1]]
    layer = name.split(".")[1] if name.startswith("blocks.") else ""
    keys = [axis + layer if axis in _OF_A_LAYER else axis for axis in axes]
    wanted = [sizes.get(key) for key in keys]
    fits = len(array.shape) == len(axes) and all(
        want in (None, have) for want, have in zip(wanted, array.shape, strict=True)
    )
    if not fits:
        shown = ", ".join(f"{a}={w or 'any'}" for a, w in zip(axes, wanted, strict=True))
        raise ModelFileError(
            f"{name} must have shape [{shown}] to fit the other arrays, not {list(array.shape)}"
        )
    sizes.update(zip(keys, array.shape, strict=True))
