"""Compiled models with Tracr's surface: `compile_rasp_to_model` and what it returns.

The compiler proper, without checks, is `untracr.compile.compiler.compile_program`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from untracr.compile.compiler import MLP_EXACTNESS, Compiled, NodeParts, compile_program, slope_of
from untracr.compile.lowering import lower_selectors
from untracr.diagnose.checks import static_problems
from untracr.diagnose.judging import RUN, Verification, verify
from untracr.diagnose.weights_run import NUMBERS_AT_ONCE
from untracr.errors import CheckFailed, InputError, did_you_mean
from untracr.loading.compiled_file import save_model
from untracr.loading.haiku import HaikuParams, haiku_params
from untracr.notebook_html import block, heading, table
from untracr.number_ranges import numbered
from untracr.rasp.domain import (
    BOS,
    PAD,
    Domain,
    plain_input,
    plain_inputs,
    plain_length,
    plain_tokens,
)
from untracr.rasp.functions import Value
from untracr.rasp.nodes import Ref
from untracr.rasp.program import Program
from untracr.rasp.values import tracr_sorted
from untracr.short_repr import short_repr
from untracr.shown_text import cut
from untracr.shown_text import shown as shown_values
from untracr.syntax.parsing import parse
from untracr.transformer.transformer import Array, Trace, Transformer


def compile_rasp_to_model(
    program: object,
    vocab: Iterable[Value],
    max_seq_len: int,
    causal: bool = False,
    compiler_bos: str = BOS,
    compiler_pad: str = PAD,
    mlp_exactness: float | Literal["auto"] = MLP_EXACTNESS,
    *,
    strict: bool = True,
) -> CompiledModel:
    """Compiles a RASP program to the weights that Tracr gives it.

    Args:
        program: a `Program`, source text, or a live ``tracr.rasp`` SOp.
        vocab: the tokens.
        max_seq_len: the longest input, BOS not counted.
        causal: mask attention to later positions.
        compiler_bos, compiler_pad: names of the special tokens, not in ``vocab``.
        mlp_exactness: slope of the steps by which MLPs compute functions of numbers.
            ``"auto"``: Tracr's 100 where that is right on all inputs, else the smallest
            whole number above it that is; `CompiledModel.mlp_exactness` tells it.
        strict: refuse a program whose weights give a wrong output on some input
            (`untracr.diagnose.judging`). `CompiledModel.checked` tells whether that was shown
            of all inputs, or of how many. With False such programs are compiled as Tracr
            compiles them.

    Raises:
        CheckFailed: the program breaks rules; all of them are listed.
        ProgramError: the program cannot be read.
        InputError: the vocabulary is no collection, or the length no whole number.
        UsageError: ``mlp_exactness`` is not a number above 0, nor ``"auto"``.
    """
    given, max_seq_len = plain_tokens(vocab), plain_length(max_seq_len)
    ordered = tracr_sorted(tuple(given)) if isinstance(given, (set, frozenset)) else given
    source = parse(program, vocab=ordered, max_seq_len=max_seq_len)
    problems = static_problems(source, given, max_seq_len, bos=compiler_bos, pad=compiler_pad)
    if any(problem.severity == "error" for problem in problems):
        raise CheckFailed(problems)
    lowered = lower_selectors(source, given, max_seq_len)
    domain = Domain(ordered, max_seq_len)

    def compiled(exactness: float) -> Compiled:
        return compile_program(
            lowered,
            given,
            max_seq_len,
            causal=causal,
            bos=compiler_bos,
            pad=compiler_pad,
            mlp_exactness=exactness,
        )

    auto = mlp_exactness == "auto"
    parts = compiled(slope_of(mlp_exactness))
    checked = verify(lowered, parts, domain, as_compiled=True) if strict or auto else None
    if auto and checked is not None and checked.exactness is not None:
        parts = compiled(checked.exactness)
        checked = checked.mended or verify(lowered, parts, domain, as_compiled=True)
    if strict and checked is not None and not checked.ok:
        raise CheckFailed([*problems, *checked.problems])
    return CompiledModel(parts, source, lowered, domain, compiler_bos, compiler_pad, checked)


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of a model, under Tracr's names."""

    num_heads: int
    num_layers: int
    key_size: int
    mlp_hidden_size: int
    dropout_rate: float = 0.0
    activation_function: str = "relu"
    layer_norm: bool = False
    causal: bool = False

    __repr__ = short_repr


class CategoricalEncoder:
    """Values to ids and back.

    Attributes:
        encoding_map: the id of each value.
    """

    def __init__(
        self,
        values: Sequence[Value],
        *,
        enforce_bos: bool = False,
        bos_token: Value = None,
        pad_token: Value = None,
        max_seq_len: int | None = None,
    ) -> None:
        self.encoding_map: dict[Value, int] = {value: i for i, value in enumerate(values)}
        self._values = tuple(values)
        self.enforce_bos = enforce_bos
        self.bos_token = bos_token
        self.pad_token = pad_token
        self._max_seq_len = max_seq_len

    def __repr__(self) -> str:
        return f"<CategoricalEncoder: {cut(shown_values(self._values), 200)}>"

    def encode(self, inputs: Sequence[Value]) -> list[int]:
        """The ids of ``inputs``.

        Raises:
            InputError: BOS is missing, a value is unknown, or there are too many.
        """
        inputs = plain_input(inputs)
        if self.enforce_bos and (not inputs or inputs[0] != self.bos_token):
            first = repr(inputs[0]) if inputs else "nothing"
            raise InputError(f"the first token must be BOS, {self.bos_token!r}, not {first}")
        if self._max_seq_len is not None and len(inputs) > self._max_seq_len:
            raise InputError(
                f"an input may hold at most {self._max_seq_len} tokens, BOS included, "
                f"not {len(inputs)}: {list(inputs)}"
            )
        for position, value in enumerate(inputs):
            if value not in self.encoding_map:
                known = list(self.encoding_map)
                hint = did_you_mean(str(value), [str(v) for v in known])
                raise InputError(
                    f"token {value!r} at position {position} is outside the vocabulary "
                    f"{known}.{hint}"
                )
        return [self.encoding_map[value] for value in inputs]

    def decode(self, encodings: Sequence[int]) -> list[Value]:
        """The values of ids.

        Raises:
            InputError: an id is out of range.
        """
        for encoding in encodings:
            if not 0 <= encoding < len(self._values):
                raise InputError(f"an id must be 0 to {len(self._values) - 1}, not {encoding}")
        return [self._values[encoding] for encoding in encodings]

    @property
    def vocab_size(self) -> int:
        """How many values there are."""
        return len(self._values)

    @property
    def bos_encoding(self) -> int | None:
        """The id of BOS, None without one."""
        return None if self.bos_token is None else self.encoding_map[self.bos_token]

    @property
    def pad_encoding(self) -> int | None:
        """The id of PAD, None without one."""
        return None if self.pad_token is None else self.encoding_map[self.pad_token]


class NumericalEncoder:
    """Numbers stand for themselves."""

    def __repr__(self) -> str:
        return "<NumericalEncoder>"

    bos_token: Value = None
    pad_token: Value = None
    bos_encoding: int | None = None
    pad_encoding: int | None = None

    def encode(self, inputs: Sequence[float]) -> list[float]:
        """The numbers as they are."""
        return list(inputs)

    def decode(self, encodings: Sequence[float]) -> list[Value]:
        """The numbers as they are."""
        return list(encodings)


@dataclass(frozen=True)
class ModelOutput:
    """What a model computes on one input; T positions, BOS included; batch axis of 1.

    Attributes:
        decoded: the output values, first of them the BOS token.
        unembedded: [1, T], ids of values, or numbers.
        layer_outputs, residuals: [1, T, D], two a layer.
        attn_logits: [1, H, T, T], one a layer.
        transformer_output, input_embeddings: [1, T, D].
    """

    decoded: list[Value]
    unembedded: npt.NDArray[np.int32] | npt.NDArray[np.float32]
    layer_outputs: list[Array]
    residuals: list[Array]
    attn_logits: list[Array]
    transformer_output: Array
    input_embeddings: Array

    __repr__ = short_repr


def computed_by(parts: NodeParts) -> str:
    """Which heads and neurons compute a SOp, in words; empty for an input."""
    words = [f"layer {layer} head {head}" for layer, head in parts.heads]
    if parts.neurons:
        words.append(f"layer {parts.layer} {numbered('neuron', parts.neurons)}")
    return "; ".join(words)


@dataclass(frozen=True, eq=False, repr=False)
class CompiledModel:
    """A program compiled to weights.

    Attributes:
        compiled: weights, residual basis and where each SOp lives.
        source: the program as given.
        program: the program as compiled: composite selectors lowered; `node_map`
            refers to its nodes.
        domain: vocabulary and longest input.
        bos, pad: the special tokens.
        checked: what was shown of the weights when they were compiled; None where
            nothing was asked.
    """

    compiled: Compiled
    source: Program
    program: Program
    domain: Domain
    bos: Value = BOS
    pad: Value = PAD
    checked: Verification | None = None

    @property
    def mlp_exactness(self) -> float:
        """Slope of the steps by which MLPs compute functions of numbers."""
        return self.compiled.mlp_exactness

    def __repr__(self) -> str:
        output = self.source.labels[self.source.output]
        return f"<CompiledModel of {cut(output, 60)}: {self.transformer!r}>"

    def _repr_html_(self) -> str:
        """Its sizes, and where each operation lives."""
        labels = self.program.labels
        rows = [
            (labels[ref], computed_by(parts), numbered("dim", parts.dims))
            for ref, parts in self.node_map.items()
        ]
        return block(heading(repr(self)), table(("variable", "computed by", "held in"), rows))

    @property
    def transformer(self) -> Transformer:
        """The weights as arrays."""
        return self.compiled.transformer

    @property
    def node_map(self) -> Mapping[Ref, NodeParts]:
        """Where each SOp of `program` lives."""
        return self.compiled.node_map

    @functools.cached_property
    def params(self) -> HaikuParams:
        """The weights under Tracr's names (see `untracr.loading.haiku`)."""
        return haiku_params(self.transformer)

    @property
    def unembed(self) -> Array:
        """W_U, [D, outputs]: the read-out, which Tracr keeps apart from its params."""
        assert self.transformer.W_U is not None
        return self.transformer.W_U

    @functools.cached_property
    def residual_labels(self) -> list[str]:
        """The name of each residual dimension."""
        return self.compiled.residual.labels()

    @property
    def model_config(self) -> ModelConfig:
        """The sizes."""
        model = self.transformer
        return ModelConfig(
            num_heads=model.n_heads,
            num_layers=model.n_layers,
            key_size=model.d_head,
            mlp_hidden_size=model.d_mlp,
            causal=model.causal,
        )

    @functools.cached_property
    def input_encoder(self) -> CategoricalEncoder:
        """Tokens, BOS first, to rows of the token embedding."""
        return CategoricalEncoder(
            self.compiled.token_values,
            enforce_bos=True,
            bos_token=self.bos,
            pad_token=self.pad,
            max_seq_len=self.domain.max_seq_len + 1,
        )

    @functools.cached_property
    def output_encoder(self) -> CategoricalEncoder | NumericalEncoder:
        """Output values to columns of the read-out; numbers as they are."""
        values = self.transformer.output_values
        return NumericalEncoder() if values is None else CategoricalEncoder(values)

    def apply(self, tokens: Sequence[Value]) -> ModelOutput:
        """Runs the model on one input.

        Args:
            tokens: BOS and the input.

        Raises:
            InputError: BOS is missing, a token is unknown, or the input is too long.
        """
        ids = self.input_encoder.encode(tokens)
        trace = self.transformer.forward([ids])
        unembedded = self._unembedded(trace)
        decoded = self._decoded(unembedded)[0]
        return ModelOutput(
            decoded=[self.bos, *decoded[1:]],
            unembedded=unembedded,
            layer_outputs=list(trace.layer_outputs),
            residuals=list(trace.residuals),
            attn_logits=list(trace.attn_logits),
            transformer_output=trace.output,
            input_embeddings=trace.input_embeddings,
        )

    def run(self, inputs: Sequence[Sequence[Value]]) -> list[list[Value]]:
        """Runs the model on many inputs of any lengths, without BOS.

        Returns:
            One output sequence an input, without BOS.

        Raises:
            InputError: an input is empty, too long, no sequence of tokens, or holds an
                unknown one.
        """
        by_length: dict[int, list[int]] = {}
        inputs = plain_inputs(inputs)
        for row, tokens in enumerate(inputs):
            self.domain.require(tokens)
            by_length.setdefault(len(tokens), []).append(row)
        outputs: list[list[Value]] = [[] for _ in inputs]
        ids = self.input_encoder.encoding_map
        for length, rows in by_length.items():
            step = max(1, NUMBERS_AT_ONCE // self.transformer.numbers_of_a_run(length + 1))
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                batch = [[self.compiled.bos_id, *(ids[t] for t in inputs[r])] for r in part]
                decoded = self._decoded(self._unembedded(self.transformer.forward(batch))[:, 1:])
                for row, values in zip(part, decoded, strict=True):
                    outputs[row] = values
        return outputs

    def verify(self, *, max_inputs: int = RUN) -> Verification:
        """Runs the weights against the program on its domain, or some inputs of it."""
        return verify(self.program, self.compiled, self.domain, max_inputs=max_inputs)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the weights to a ``.safetensors`` or ``.npz`` file, with what describes them.

        Raises:
            UsageError: another suffix.
            ModelFileError: the file cannot be written.
        """
        save_model(path, self.transformer, self.description())

    def description(self) -> dict[str, object]:
        """What a file says of the model besides its weights, as plain JSON values."""
        return {
            "vocab": list(self.domain.vocab),
            "max_seq_len": self.domain.max_seq_len,
            "bos": self.bos,
            "pad": self.pad,
            "token_values": list(self.compiled.token_values),
            "residual_labels": self.residual_labels,
            "source": str(self.source),
            "mlp_exactness": self.mlp_exactness,
        }

    def _unembedded(self, trace: Trace) -> npt.NDArray[np.int32] | npt.NDArray[np.float32]:
        out = trace.output @ self.unembed
        if self.transformer.output_values is not None:
            return np.asarray(out.argmax(axis=-1), dtype=np.int32)
        return np.asarray(out[:, :, 0])

    def _decoded(
        self, unembedded: npt.NDArray[np.int32] | npt.NDArray[np.float32]
    ) -> list[list[Value]]:
        rows: list[list[Value]] = unembedded.tolist()
        values = self.transformer.output_values
        if values is None:
            return rows
        return [[values[i] for i in row] for row in unembedded.tolist()]
