"""A small pre-norm-free transformer as plain NumPy arrays, and its forward pass.

The architecture is Tracr's: learned token and position embeddings, layers of
attention then MLP added to the residual stream, softmax over
``q.k / sqrt(d_head)``, ReLU, no layer norm. Array names and shapes are those of
TransformerLens; a leading axis runs over the layers.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.arrays import Annotated, Bools, Ints
from untracr.errors import ModelFileError
from untracr.rasp.values import Value
from untracr.short_repr import short_repr

Array = npt.NDArray[np.float32]

MASKED_LOGIT = np.float32(-1e30)

ARRAY_NAMES = (
    "W_E",
    "W_pos",
    "W_Q",
    "b_Q",
    "W_K",
    "b_K",
    "W_V",
    "b_V",
    "W_O",
    "b_O",
    "W_in",
    "b_in",
    "W_out",
    "b_out",
)

BIASES = ("b_Q", "b_K", "b_V", "b_O", "b_in", "b_out")
"""Those of `ARRAY_NAMES` that a compiled model leaves at zero."""


@dataclass(frozen=True, eq=False, repr=False)
class Transformer:
    """Weights of a transformer; immutable by convention.

    Shapes: L layers, H heads, D = d_model (the residual stream's width),
    K = d_head, M = d_mlp, V tokens, P positions.

    Attributes:
        W_E: [V, D], token embedding.
        W_pos: [P, D], position embedding; row 0 is the BOS position.
        W_Q, W_K, W_V: [L, H, D, K]; b_Q, b_K, b_V: [L, H, K].
        W_O: [L, H, K, D]; b_O: [L, D].
        W_in: [L, D, M]; b_in: [L, M]; W_out: [L, M, D]; b_out: [L, D].
        causal: whether position i attends only to positions up to i.
        W_U: [D, outputs], the read-out, or None when it is not known.
        output_values: for a categorical read-out, the value of each output;
            None when the output is the number itself.

    Raises:
        ModelFileError: shapes do not fit each other, or a weight is NaN or infinite.
    """

    W_E: Annotated[Array, "V D"]
    W_pos: Annotated[Array, "P D"]
    W_Q: Annotated[Array, "L H D K"]
    b_Q: Annotated[Array, "L H K"]
    W_K: Annotated[Array, "L H D K"]
    b_K: Annotated[Array, "L H K"]
    W_V: Annotated[Array, "L H D K"]
    b_V: Annotated[Array, "L H K"]
    W_O: Annotated[Array, "L H K D"]
    b_O: Annotated[Array, "L D"]
    W_in: Annotated[Array, "L D M"]
    b_in: Annotated[Array, "L M"]
    W_out: Annotated[Array, "L M D"]
    b_out: Annotated[Array, "L D"]
    causal: bool = False
    W_U: Annotated[Array, "D outputs"] | None = None
    output_values: tuple[Value, ...] | None = None

    def __repr__(self) -> str:
        sizes = f"{self.n_layers} layers, {self.n_heads} heads, d_model {self.d_model}"
        rows = f"{len(self.W_E)} tokens, {len(self.W_pos)} positions"
        return f"<Transformer: {sizes}, d_head {self.d_head}, d_mlp {self.d_mlp}, {rows}>"

    @property
    def n_layers(self) -> int:
        """L, the number of layers."""
        return int(self.W_Q.shape[0])

    @property
    def n_heads(self) -> int:
        """H, heads a layer, unused ones included."""
        return int(self.W_Q.shape[1])

    @property
    def d_model(self) -> int:
        """D, the width of the residual stream."""
        return int(self.W_E.shape[1])

    @property
    def d_head(self) -> int:
        """K, the size of queries, keys and values."""
        return int(self.W_Q.shape[3])

    @property
    def d_mlp(self) -> int:
        """M, hidden neurons a layer, unused ones included."""
        return int(self.W_in.shape[2])

    @property
    def n_parameters(self) -> int:
        """How many numbers the model holds, the read-out not counted."""
        return sum(int(getattr(self, name).size) for name in ARRAY_NAMES)

    def numbers_of_a_run(self, length: int) -> int:
        """How many numbers one input of a length takes while the model runs, its trace included."""
        a_layer = 4 * self.d_model + self.n_heads * length
        within = self.d_mlp + self.n_heads * (3 * self.d_head + self.d_model + 3 * length)
        return length * (self.n_layers * a_layer + within)

    def arrays(self) -> dict[str, Annotated[Array, "..."]]:
        """The weights by name, without the read-out."""
        return {name: getattr(self, name) for name in ARRAY_NAMES}

    def equals(self, other: Transformer) -> bool:
        """Whether all weights, the mask and the outputs' values are the other's.

        What is not a number equals nothing, as everywhere.
        """
        meaning = (self.causal, repr(self.output_values), self.W_U is None)
        if meaning != (other.causal, repr(other.output_values), other.W_U is None):
            return False
        names = (*ARRAY_NAMES, *(() if self.W_U is None else ("W_U",)))
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    def replace(self, **changes: object) -> Transformer:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def validate(self) -> Transformer:
        """Checks shapes and numbers; called once where foreign weights come in.

        Returns:
            The model itself.

        Raises:
            ModelFileError: a weight is no floating-point number, NaN or infinite, or a
                shape does not fit.
        """
        _require_floats(self)
        _require_shapes(self)
        for name, array in self.arrays().items():
            finite = np.isfinite(array)
            if not finite.all():
                entry = tuple(int(i) for i in np.argwhere(~finite)[0])
                raise ModelFileError(
                    f"weights must be finite numbers; {name}{list(entry)} is {array[entry]}"
                )
        return self

    def forward(self, token_ids: npt.ArrayLike) -> Trace:
        """Runs the model.

        Args:
            token_ids: [batch, position] integers, rows of W_E; position 0 is BOS.

        Returns:
            A `Trace` of everything the model computed.

        Raises:
            ValueError: an id is out of range or the sequence is longer than W_pos.
        """
        ids = np.asarray(token_ids, dtype=np.int64)
        if ids.ndim != 2 or ids.shape[1] > self.W_pos.shape[0] or ids.shape[1] == 0:
            raise ValueError(
                f"token_ids must be [batch, 1 to {self.W_pos.shape[0]}], not {list(ids.shape)}"
            )
        if ids.size and (ids.min() < 0 or ids.max() >= len(self.W_E)):
            raise ValueError(f"token ids must be 0 to {len(self.W_E) - 1}, not {ids.max()}")
        with np.errstate(over="ignore", invalid="ignore"):  # huge weights give what is not finite
            return self._trace(ids)

    def _trace(self, ids: Annotated[Ints, "B T"]) -> Trace:
        embedded = self.W_E[ids] + self.W_pos[: ids.shape[1]]
        allowed = np.ones((ids.shape[1],) * 2, dtype=bool)
        if self.causal:
            allowed = np.tril(allowed)
        residual, residuals, outputs, logits = embedded, [], [], []
        for layer in range(self.n_layers):
            attention, attention_logits = self._attention(layer, residual, allowed)
            residual = residual + attention
            mlp_in = residual
            hidden = np.maximum(residual @ self.W_in[layer] + self.b_in[layer], 0.0)
            mlp = hidden @ self.W_out[layer] + self.b_out[layer]
            residual = residual + mlp
            residuals += [mlp_in, residual]
            outputs += [attention, mlp]
            logits.append(attention_logits)
        return Trace(embedded, tuple(residuals), tuple(outputs), tuple(logits), residual)

    def _attention(
        self,
        layer: int,
        residual: Annotated[Array, "B T D"],
        allowed: Annotated[Bools, "T T"],
    ) -> tuple[Annotated[Array, "B T D"], Annotated[Array, "B H T T"]]:
        """One attention block: its output, and the logits."""
        stream = residual[:, None]  # [B, 1, T, D]
        query = stream @ self.W_Q[layer] + self.b_Q[layer][:, None]
        key = stream @ self.W_K[layer] + self.b_K[layer][:, None]
        value = stream @ self.W_V[layer] + self.b_V[layer][:, None]
        logits = query @ key.swapaxes(-1, -2) / np.float32(np.sqrt(self.d_head))
        logits = np.where(allowed, logits, MASKED_LOGIT)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = (weights @ value) @ self.W_O[layer]  # [B, H, T, D]
        return mixed.sum(axis=1) + self.b_O[layer], logits


@dataclass(frozen=True)
class Trace:
    """What one forward pass computed; B inputs, T positions.

    Attributes:
        input_embeddings: [B, T, D].
        residuals: [B, T, D] after each half-layer.
        layer_outputs: [B, T, D] added by each half-layer.
        attn_logits: [B, H, T, T] of each layer.
        output: [B, T, D], the final residual stream.
    """

    input_embeddings: Annotated[Array, "B T D"]
    residuals: tuple[Annotated[Array, "B T D"], ...]
    layer_outputs: tuple[Annotated[Array, "B T D"], ...]
    attn_logits: tuple[Annotated[Array, "B H T T"], ...]
    output: Annotated[Array, "B T D"]

    __repr__ = short_repr


def _require_floats(model: Transformer) -> None:
    for name in (*ARRAY_NAMES, "W_U"):
        array: object = getattr(model, name)
        if array is None and name == "W_U":
            continue
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        if not (isinstance(kind, np.dtype) and np.issubdtype(kind, np.floating)):
            raise ModelFileError(
                f"weights must be NumPy arrays of floating-point numbers; {name} is {kind}"
            )


def _require_shapes(model: Transformer) -> None:
    sizes: dict[str, int] = {}
    spec = {
        "W_E": "VD",
        "W_pos": "PD",
        "W_Q": "LHDK",
        "b_Q": "LHK",
        "W_K": "LHDK",
        "b_K": "LHK",
        "W_V": "LHDK",
        "b_V": "LHK",
        "W_O": "LHKD",
        "b_O": "LD",
        "W_in": "LDM",
        "b_in": "LM",
        "W_out": "LMD",
        "b_out": "LD",
    }
    for name, axes in spec.items():
        shape = getattr(model, name).shape
        wanted = [sizes.get(axis) for axis in axes]
        if len(shape) != len(axes) or any(
            want is not None and want != have for want, have in zip(wanted, shape, strict=False)
        ):
            shown = ", ".join(f"{a}={sizes.get(a, 'any')}" for a in axes)
            raise ModelFileError(
                f"{name} must have shape [{shown}] to fit the other arrays, not {list(shape)}"
            )
        sizes.update(zip(axes, shape, strict=True))
    if model.W_U is not None and (model.W_U.ndim != 2 or model.W_U.shape[0] != sizes["D"]):
        raise ModelFileError(
            f"W_U must have shape [D={sizes['D']}, outputs], not {list(model.W_U.shape)}"
        )
    if model.output_values is not None and (
        model.W_U is None or len(model.output_values) != model.W_U.shape[1]
    ):
        raise ModelFileError("output_values must name each column of W_U")
