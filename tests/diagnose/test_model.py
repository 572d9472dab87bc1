"""`compile_rasp_to_model` and the model it returns."""

from __future__ import annotations

import itertools
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from untracr.diagnose.checks import check
from untracr.diagnose.model import (
    CategoricalEncoder,
    CompiledModel,
    NumericalEncoder,
    compile_rasp_to_model,
)
from untracr.errors import CheckFailed, InputError, RaspSyntaxError, UntracrError, UsageError
from untracr.loading.loading import load_model
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.functions import Value
from untracr.rasp.interpreter import run
from untracr.sample.sampler import sample_program
from untracr.syntax.parsing import parse

HIST = "SelectorWidth(Select(tokens, tokens, Comparison.EQ))"
FRACTION = (
    "number = numerical(Map(lambda x: x == 'a', tokens))\n"
    "numerical(Aggregate(Select(indices, indices, Comparison.LEQ), number, default=0))\n"
)
SHIFT = "Aggregate(Select(indices, indices, lambda k, q: k == q - 1), tokens)"


def assert_close(wanted: list[list[Value]], given: list[list[Value]], tolerance: float) -> None:
    """Values agree, numbers within a tolerance relative to their size."""
    for expected, output in zip(wanted, given, strict=True):
        for a, b in zip(expected, output, strict=True):
            if isinstance(a, (bool, int, float)) and isinstance(b, (bool, int, float)):
                assert abs(a - b) <= tolerance * max(1.0, abs(a))
            else:
                assert a == b


@pytest.fixture
def hist() -> CompiledModel:
    return compile_rasp_to_model(HIST, {"a", "b", "c"}, 4)


@pytest.fixture
def fraction() -> CompiledModel:
    return compile_rasp_to_model(FRACTION, ["a", "b"], 4)


def test_apply_categorical(hist: CompiledModel) -> None:
    output = hist.apply(["compiler_bos", "a", "b", "a"])
    assert output.decoded == ["compiler_bos", 2, 1, 2]
    assert output.unembedded.shape == (1, 4)
    assert output.unembedded.dtype == np.int32
    width = hist.transformer.d_model
    assert [array.shape for array in output.layer_outputs] == [(1, 4, width)] * 2
    assert [array.shape for array in output.residuals] == [(1, 4, width)] * 2
    assert [array.shape for array in output.attn_logits] == [(1, 1, 4, 4)]
    assert output.transformer_output.shape == output.input_embeddings.shape == (1, 4, width)
    assert np.array_equal(output.residuals[-1], output.transformer_output)


def test_apply_numerical(fraction: CompiledModel) -> None:
    output = fraction.apply(["compiler_bos", "a", "b", "a"])
    assert output.decoded[0] == "compiler_bos"
    assert output.decoded[1:] == pytest.approx([1, 1 / 2, 2 / 3], abs=1e-5)
    assert output.unembedded.shape == (1, 4)


def test_surface(hist: CompiledModel) -> None:
    assert hist.unembed is hist.transformer.W_U
    assert hist.model_config.num_heads == 1
    assert hist.model_config.num_layers == 1
    assert hist.model_config.key_size == hist.transformer.d_head
    assert hist.model_config.mlp_hidden_size == hist.transformer.d_mlp
    assert hist.model_config.activation_function == "relu"
    assert not hist.model_config.causal
    assert not hist.model_config.layer_norm
    assert hist.model_config.dropout_rate == 0
    assert hist.domain == Domain(("a", "b", "c"), 4)
    assert hist.program is hist.source
    assert len(hist.residual_labels) == hist.transformer.d_model
    assert hist.params["token_embed"]["embeddings"] is hist.transformer.W_E
    assert set(hist.node_map) == set(hist.program.sops)


def test_encoders(hist: CompiledModel, fraction: CompiledModel) -> None:
    encoder = hist.input_encoder
    assert encoder.encoding_map == {"a": 0, "b": 1, "c": 2, "compiler_bos": 3, "compiler_pad": 4}
    assert encoder.encode(["compiler_bos", "c"]) == [3, 2]
    assert encoder.decode([3, 2]) == ["compiler_bos", "c"]
    assert (encoder.bos_token, encoder.pad_token) == ("compiler_bos", "compiler_pad")
    assert (encoder.bos_encoding, encoder.pad_encoding, encoder.vocab_size) == (3, 4, 5)
    output = hist.output_encoder
    assert isinstance(output, CategoricalEncoder)
    assert output.decode([0, 4]) == [0, 4]
    assert output.bos_encoding is None
    assert output.pad_encoding is None
    numbers = fraction.output_encoder
    assert isinstance(numbers, NumericalEncoder)
    assert numbers.decode(numbers.encode([0.5])) == [0.5]


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([], "must be BOS"),
        (["a"], "must be BOS"),
        (["compiler_bos", "d"], "outside the vocabulary"),
        (["compiler_bos", *"aaaaa"], "at most 5 tokens"),
    ],
)
def test_apply_refuses_other_inputs(hist: CompiledModel, tokens: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        hist.apply(tokens)


def test_decode_refuses_other_ids(hist: CompiledModel) -> None:
    with pytest.raises(InputError, match="0 to 4, not 7"):
        hist.input_encoder.decode([7])


def test_a_near_miss_is_suggested() -> None:
    model = compile_rasp_to_model(HIST, ["open", "close"], 3)
    with pytest.raises(InputError, match="Did you mean 'close'"):
        model.apply(["compiler_bos", "clos"])


@pytest.mark.parametrize("tokens", [[], ["a"] * 5, ["d"]])
def test_run_refuses_other_inputs(hist: CompiledModel, tokens: list[str]) -> None:
    with pytest.raises(InputError):
        hist.run([["a"], tokens])


def test_run_is_apply_on_every_input_and_keeps_the_order(hist: CompiledModel) -> None:
    inputs = [list(tokens) for tokens in hist.domain][::-1]
    outputs = hist.run(inputs)
    assert outputs == run(hist.program, inputs)
    for tokens, output in itertools.islice(zip(inputs, outputs, strict=True), 0, None, 10):
        assert hist.apply(["compiler_bos", *tokens]).decoded[1:] == output
    assert hist.run([]) == []


def test_run_numerical(fraction: CompiledModel) -> None:
    inputs = [list(tokens) for tokens in fraction.domain]
    expected = run(fraction.program, inputs)
    assert_close(expected, fraction.run(inputs), 1e-5)


def test_source_text_program_and_special_names() -> None:
    program = parse(HIST)
    model = compile_rasp_to_model(program, ["a"], 2, compiler_bos="<s>", compiler_pad="<p>")
    assert model.source is program
    assert model.apply(["<s>", "a", "a"]).decoded == ["<s>", 2, 2]
    assert (model.bos, model.pad) == ("<s>", "<p>")
    with pytest.raises(RaspSyntaxError):
        compile_rasp_to_model("Map(", ["a"], 2)


def test_names_of_special_tokens_must_be_free() -> None:
    with pytest.raises(CheckFailed, match="BOS token 'a'"):
        compile_rasp_to_model(HIST, ["a"], 2, compiler_bos="a")
    with pytest.raises(CheckFailed, match="must differ"):
        compile_rasp_to_model(HIST, ["a"], 2, compiler_bos="x", compiler_pad="x")


def test_causal_models_see_no_later_position() -> None:
    source = "SelectorWidth(Select(tokens, tokens, Comparison.TRUE))"
    model = compile_rasp_to_model(source, ["a"], 4, causal=True)
    assert model.run([["a"] * 4]) == [[1, 2, 3, 4]]
    assert model.model_config.causal
    assert model.verify().ok


def test_strict_lists_all_static_problems_even_when_not_strict() -> None:
    source = (
        "a = Map(lambda x: x + 'a', tokens)\n"
        "b = LinearSequenceMap(tokens, indices, 1, 1)\n"
        "SequenceMap(lambda x, y: x, a, b)"
    )
    for strict in (True, False):
        with pytest.raises(CheckFailed) as caught:
            compile_rasp_to_model(source, [0, 1], 2, strict=strict)
        assert len(caught.value.problems) == 2


STRICT = {
    "issue 25: None becomes some value": (SHIFT, "issue 25"),
    "negative numbers are clipped": ("numerical(Map(lambda x: 0 - x, tokens))", "ReLU"),
    "categorical mean": (
        "Aggregate(Select(tokens, tokens, Comparison.TRUE), tokens)",
        "average",
    ),
}


@pytest.mark.parametrize("name", STRICT)
def test_strict_refuses_what_weights_cannot_mean(name: str) -> None:
    source, rule = STRICT[name]
    with pytest.raises(CheckFailed, match=rule):
        compile_rasp_to_model(source, [0, 1, 2], 3)
    model = compile_rasp_to_model(source, [0, 1, 2], 3, strict=False)
    assert not model.verify().ok


def test_without_strict_none_is_some_value_as_with_tracr() -> None:
    model = compile_rasp_to_model(SHIFT, ["a", "b"], 3, strict=False)
    assert run(model.program, [["b", "b"]]) == [[None, "b"]]
    assert model.run([["b", "b"]]) == [["b", "b"]]


def test_composites_are_compiled() -> None:
    source = (
        "same = Select(tokens, tokens, Comparison.EQ)\n"
        "before = Select(indices, indices, Comparison.LT)\n"
        "SelectorWidth(SelectorAnd(same, before))"
    )
    model = compile_rasp_to_model(source, ["a", "b"], 4)
    assert model.source == parse(source)
    assert model.program != model.source
    assert model.run([list("abaa")]) == [[0, 0, 1, 2]]
    assert model.verify().ok


def test_live_tracr_programs_are_compiled() -> None:
    lib = import_module("tracr.compiler.lib")
    model = compile_rasp_to_model(lib.make_hist(), {"a", "b"}, 4)
    assert model.run([list("aba")]) == [[2, 1, 2]]
    assert model.verify().ok


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_saved_models_load_with_their_description(
    hist: CompiledModel, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"model.{suffix}"
    hist.save(path)
    loaded = load_model(path)
    for name, array in hist.transformer.arrays().items():
        assert np.array_equal(loaded.transformer.arrays()[name], array)
    assert loaded.metadata["vocab"] == ["a", "b", "c"]
    assert loaded.metadata["residual_labels"] == hist.residual_labels
    assert parse(str(loaded.metadata["source"])) == hist.source
    with pytest.raises(UsageError):
        hist.save(tmp_path / "model.txt")


@pytest.mark.slow
@pytest.mark.parametrize("index", range(30))
def test_strict_models_are_right_on_every_input(index: int) -> None:
    program = sample_program(6, index)
    domain = PAPER_DOMAIN
    model = compile_rasp_to_model(program, domain.vocab, domain.max_seq_len, strict=False)
    inputs = list(domain)
    if model.verify().ok:
        compile_rasp_to_model(program, domain.vocab, domain.max_seq_len)
        assert_close(run(program, inputs), model.run(inputs), 1e-2)
    else:
        with pytest.raises(CheckFailed, match="On input"):
            compile_rasp_to_model(program, domain.vocab, domain.max_seq_len)


def test_tokens_of_numpy_s_are_plain_ones(tmp_path: Path) -> None:
    """A vocabulary may be an array; what is saved is plain."""
    given: tuple[Any, ...] = (
        np.arange(3),
        {np.int64(0), np.int64(1), np.int64(2)},
        [np.str_("a"), "b"],
    )
    for vocab in given:
        model = compile_rasp_to_model("Map(lambda x: x, tokens)", vocab, 3)
        assert all(type(token) in (int, str) for token in model.domain.vocab)
        model.save(tmp_path / "m.npz")
        assert model.run([[model.domain.vocab[1]]]) == [[model.domain.vocab[1]]]


@pytest.mark.parametrize(
    ("vocab", "length", "words"),
    [
        (5, 3, "a vocabulary is a set or list of tokens, not 5"),
        ("ab", "3", "max_seq_len must be a whole number, not '3'"),
        ("ab", 2.5, "max_seq_len must be a whole number, not 2.5"),
        ([[0], [1]], 3, "a value must be None, bool, int, float, str or a tuple"),
    ],
)
def test_arguments_of_other_kinds_are_told(vocab: Any, length: Any, words: str) -> None:
    """Neither compiling nor checking ends in an error of Python's."""
    for build in (compile_rasp_to_model, check):
        with pytest.raises(UntracrError, match=re.escape(words)):
            build("Map(lambda x: x, tokens)", vocab, length)


def test_models_are_printed_in_a_line() -> None:
    """A notebook shows sizes, not pages of numbers."""
    model = compile_rasp_to_model("hist = " + HIST, (0, 1), 3)
    assert repr(model) == (
        "<CompiledModel of hist: <Transformer: 1 layers, 1 heads, d_model 13, d_head 4, d_mlp 8, "
        "4 tokens, 4 positions>>"
    )


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([1, 2], "an input is a sequence of tokens such as [3, 1, 4], not 1"),
        (5, "inputs are a list of token sequences, not 5"),
        ([[[1]]], "no token: a value must be None, bool, int, float, str or a tuple"),
        ([[{}]], "no token: a value must be"),
    ],
)
def test_what_is_no_input_is_told(inputs: Any, words: str) -> None:
    """A single input where a list of inputs is meant is the usual mistake."""
    model = compile_rasp_to_model("Map(lambda x: x + 1, tokens)", (0, 1, 2), 3)
    for go in (model.run, lambda given: run(model.source, given)):
        with pytest.raises(InputError, match=re.escape(words)):
            go(inputs)
    with pytest.raises(InputError):
        model.apply(inputs)


def test_numbers_of_an_array_are_python_s_own() -> None:
    found = run(parse("Map(lambda x: x, tokens)"), np.array([[1, 2]]))  # type: ignore[arg-type]
    assert [type(value) for value in found[0]] == [int, int]
