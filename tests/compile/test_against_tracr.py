"""Our weights are Tracr's, number by number, and where they are not a test says so.

Three sources: real programs compiled by Tracr elsewhere (``tests/real``),
Tracr's own library compiled here, and fresh random programs compiled here
(``UNTRACR_DIFF_PROGRAMS`` of them).
"""

from __future__ import annotations

import functools
import math
import os
from typing import Any

import numpy as np
import pytest

from real_models import REAL, real_records
from tracr_reference import build, compile_with_tracr, differences
from untracr.compile.compiler import Compiled, compile_program
from untracr.compile.lowering import lower_selectors
from untracr.diagnose.model import CompiledModel, compile_rasp_to_model
from untracr.errors import CheckFailed
from untracr.loading.haiku import haiku_params
from untracr.rasp.functions import Value
from untracr.rasp.nodes import NUMERICAL
from untracr.rasp.program import Program, print_program
from untracr.sample.sampler import sample_program
from untracr.syntax.parsing import parse
from untracr.syntax.tracr_objects import from_tracr

RANDOM_PROGRAMS = int(os.environ.get("UNTRACR_DIFF_PROGRAMS", "300"))
CHUNK = 20


def assert_same(theirs: Any, ours: Compiled) -> None:
    """Tracr's model and ours: parameters, labels and sizes."""
    assert differences(theirs.params, haiku_params(ours.transformer)) == []
    assert theirs.residual_labels == ours.residual.labels()
    config, model = theirs.model_config, ours.transformer
    assert (config.num_heads, config.num_layers) == (model.n_heads, model.n_layers)
    assert (config.key_size, config.mlp_hidden_size) == (model.d_head, model.d_mlp)
    assert config.causal == model.causal


def close(fst: Value, snd: Value) -> bool:
    if isinstance(fst, (bool, int, float)) and isinstance(snd, (bool, int, float)):
        return math.isclose(fst, snd, rel_tol=1e-5, abs_tol=1e-5)
    return fst == snd


@pytest.mark.parametrize("record", real_records(), ids=lambda record: record["name"])
def test_real_programs(record: dict[str, Any]) -> None:
    compiled = compile_program(
        parse(record["source"]),
        set(record["vocab"]),
        record["max_seq_len"],
        causal=record["causal"],
        mlp_exactness=record["mlp_exactness"],
    )
    with np.load(REAL / f"{record['name']}.npz") as arrays:
        assert int(arrays["num_heads"]) == compiled.transformer.n_heads
        theirs: dict[str, dict[str, Any]] = {}
        for key in arrays.files:
            if key != "num_heads":
                module, _, name = key.rpartition("/")
                theirs.setdefault(module, {})[name] = arrays[key]
    assert differences(theirs, haiku_params(compiled.transformer)) == []
    assert compiled.residual.labels() == record["residual_labels"]
    assert (compiled.transformer.output_values is not None) == record["categorical_output"]


def test_real_outputs() -> None:
    checked = 0
    for record in real_records():
        model = compile_rasp_to_model(
            record["source"], record["vocab"], record["max_seq_len"], strict=False
        )
        given = model.run([example["input"] for example in record["examples"]])
        for example, output in zip(record["examples"], given, strict=True):
            assert all(close(a, b) for a, b in zip(example["model"], output, strict=True)), record[
                "name"
            ]
            checked += 1
    assert checked >= 1000


def library_cases() -> list[Any]:
    from tracr.compiler import test_cases

    found = []
    for causal, cases in ((False, test_cases.TEST_CASES), (True, test_cases.CAUSAL_TEST_CASES)):
        for case in cases:
            name = f"{case['testcase_name']}{'-causal' if causal else ''}"
            found.append(pytest.param(case, causal, id=name))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("case", "causal"), library_cases())
def test_tracrs_own_programs(case: dict[str, Any], causal: bool) -> None:
    vocab, length = case["vocab"], case["max_seq_len"]
    theirs = compile_with_tracr(case["program"], vocab, length, causal=causal)
    program = from_tracr(case["program"], sorted(vocab, key=str), length)
    assert_same(theirs, compile_program(program, vocab, length, causal=causal))
    model = compile_rasp_to_model(program, vocab, length, causal, strict=False)
    (output,) = model.run([case["test_input"]])
    for wanted, given in zip(case["expected_output"], output, strict=True):
        assert wanted is None or close(wanted, given) or abs(wanted - given) < 1e-2


def live_programs() -> dict[str, Any]:
    """Programs of live objects whose functions are none of ours."""
    from tracr.rasp import rasp

    tokens, indices = rasp.tokens, rasp.indices

    def shifted(x: int, by: int = 5) -> int:
        return x + by

    def selecting(predicate: Any) -> Any:
        return rasp.SelectorWidth(rasp.Select(tokens, indices, predicate))

    pair = rasp.SequenceMap(lambda x, y: (x, y), tokens, indices)
    number = rasp.numerical(rasp.Map(lambda x: x, tokens))
    so_far = rasp.Select(indices, indices, rasp.Comparison.LEQ)
    share = rasp.numerical(rasp.Aggregate(so_far, rasp.numerical(tokens == 1), default=0))
    return {
        "a default": rasp.Map(shifted, tokens),
        "a partial": rasp.Map(functools.partial(shifted, by=3), tokens),
        "a method": rasp.Map("abcde".__getitem__, tokens),
        "a method of a text": rasp.Map("{}!".format, tokens),
        "a function of NumPy's": rasp.Map(np.sqrt, tokens),
        "two arguments of NumPy's": rasp.SequenceMap(np.maximum, tokens, indices),
        "any number of arguments": rasp.SequenceMap(lambda *both: max(both), tokens, indices),
        "a dictionary": rasp.Map({0: 2, 1: 0, 2: 1, 3: 3, 4: 3}.get, tokens),
        "a predicate that adds": selecting(lambda key, query: key + query),
        "a predicate of one of two": selecting(lambda key, query: key and query),
        "a predicate that weighs": selecting(lambda key, query: 0.5 * (key == query)),
        "a predicate of 0 and 1": selecting(lambda key, query: int(key < query)),
        "fails on a number": rasp.numerical(rasp.Map(lambda x: 6 / x, number, simplify=False)),
        "pairs": pair,
        "keys that are pairs": rasp.SelectorWidth(
            rasp.Select(pair, tokens, lambda key, query: key[0] == query)
        ),
        "pairs compared": rasp.SelectorWidth(rasp.Select(pair, pair, rasp.Comparison.LT)),
        "fails where Tracr infers no value": rasp.Map(
            lambda x: {0: 0, 1 / 3: 1, 1 / 2: 2, 1: 3}[x], share, simplify=False
        ),
        "truths of NumPy's add up": rasp.SequenceMap(
            lambda x, y: x + y, rasp.Map(lambda x: np.equal(x, 2), tokens), tokens
        ),
        "texts and numbers": rasp.SequenceMap(
            lambda x, y: (x, y), rasp.Map(lambda x: x if x < 2 else "ab"[x % 2], tokens), indices
        ),
        "pairs and texts": rasp.Map(lambda x: (x, (x, True)) if x else "none", tokens),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", live_programs())
def test_live_functions(name: str) -> None:
    """Whatever a live function is, its weights are Tracr's, and its printed text reads back."""
    sop, vocab = live_programs()[name], set[Value](range(5))
    theirs = compile_with_tracr(sop, vocab, 3)
    program = from_tracr(sop, tuple(range(5)), 3)
    assert_same(theirs, compile_program(program, vocab, 3))
    again = parse(print_program(program))
    assert [*again.nodes] == [*program.nodes] or "fails" in name


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, RANDOM_PROGRAMS, CHUNK))
def test_fresh_random_programs(start: int) -> None:
    for index in range(start, min(start + CHUNK, RANDOM_PROGRAMS)):
        sop, program = build(sample_program(20_26, index))
        causal = index % 5 == 4
        theirs = compile_with_tracr(sop, {0, 1, 2, 3, 4}, 5, causal=causal)
        assert_same(theirs, compile_program(program, {0, 1, 2, 3, 4}, 5, causal=causal))


OPERATIONS = {
    "reads one SOp twice": "SequenceMap(lambda x, y: x + y, tokens, tokens)",
    "linear of one SOp": (
        "n = numerical(Map(lambda x: x, tokens))\nnumerical(LinearSequenceMap(n, n, 2, -3))"
    ),
    "None in a Map": "Map(lambda x: x if x > 1 else None, tokens)",
    "mixed values": "Map(lambda x: 'a' if x == 0 else x, tokens)",
    "truth values and numbers": "Map(lambda x: x == 0 if x < 2 else x, tokens)",
    "a constant of a number": (
        "n = numerical(Map(lambda x: x, tokens))\nMap(lambda x: 1, n, simplify=False)"
    ),
    "division by zero of a number": (
        "n = numerical(Map(lambda x: x, tokens))\n"
        "numerical(Map(lambda x: 6 / x, n, simplify=False))"
    ),
    "three widths in a layer": (
        "a = SelectorWidth(Select(tokens, tokens, Comparison.EQ))\n"
        "b = SelectorWidth(Select(tokens, tokens, Comparison.LT))\n"
        "c = numerical(SelectorWidth(Select(tokens, indices, Comparison.GEQ)))\n"
        "d = SequenceMap(lambda x, y: x - y, a, b)\n"
        "e = Map(lambda x: x > 1, c, simplify=False)\n"
        "SequenceMap(lambda x, y: x if y else 0, d, e)"
    ),
    "graded predicate": "SelectorWidth(Select(tokens, tokens, lambda k, q: k + q))",
    "chain behind an aggregate": (
        "a = Aggregate(Select(tokens, tokens, Comparison.EQ), tokens)\n"
        "b = Map(lambda x: x + 1, a)\n"
        "c = Aggregate(Select(b, tokens, Comparison.EQ), b)\n"
        "SequenceMap(lambda x, y: x * y, c, a)"
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("causal", [False, True])
def test_corner_cases(name: str, causal: bool) -> None:
    sop, program = build(parse(OPERATIONS[name]))
    theirs = compile_with_tracr(sop, {0, 1, 2}, 4, causal=causal)
    assert_same(theirs, compile_program(program, {0, 1, 2}, 4, causal=causal))


@pytest.mark.slow
def test_the_fast_reference_is_tracr_itself() -> None:
    for index in range(3):
        sop, _ = build(sample_program(8, index))
        fast = compile_with_tracr(sop, {0, 1, 2, 3, 4}, 5)
        full = compile_with_tracr(sop, {0, 1, 2, 3, 4}, 5, fast=False)
        arrays = {k: {n: np.asarray(a) for n, a in v.items()} for k, v in full.params.items()}
        assert differences(fast.params, arrays) == []
        assert fast.residual_labels == full.residual_labels


def tracr_and_ours(program: Program, vocab: set[Value], length: int) -> tuple[Any, CompiledModel]:
    sop, labelled = build(program)
    theirs = compile_with_tracr(sop, vocab, length, fast=False)
    return theirs, compile_rasp_to_model(labelled, vocab, length, strict=False)


@pytest.mark.slow
def test_activations_are_tracrs() -> None:
    for index in range(3):
        theirs, ours = tracr_and_ours(sample_program(9, index), {0, 1, 2, 3, 4}, 5)
        tokens: list[Value] = ["compiler_bos", 3, 1, 4, 1]
        left, right = theirs.apply(tokens), ours.apply(tokens)
        for name in ("layer_outputs", "residuals", "attn_logits"):
            pairs = zip(getattr(left, name), getattr(right, name), strict=True)
            assert all(np.allclose(a, b, atol=1e-4) for a, b in pairs)
        for name in ("transformer_output", "input_embeddings", "unembedded"):
            fst, snd = np.asarray(getattr(left, name)), getattr(right, name)
            assert fst.shape == snd.shape
            assert np.allclose(fst, snd, atol=1e-4)
        assert all(close(a, b) for a, b in zip(left.decoded, right.decoded, strict=True))
        assert theirs.input_encoder.encoding_map == ours.input_encoder.encoding_map
        if ours.program.encoding(ours.program.output) is not NUMERICAL:
            output = ours.output_encoder
            assert theirs.output_encoder.encoding_map == getattr(output, "encoding_map", None)


@pytest.mark.slow
def test_none_is_some_value_in_tracr_and_an_error_with_us() -> None:
    source = "Aggregate(Select(indices, indices, lambda k, q: k == q - 1), tokens)"
    theirs, ours = tracr_and_ours(parse(source), {"a", "b"}, 3)
    # Traces of the tokens that are not selected decide: softmax is never quite 0.
    assert theirs.apply(["compiler_bos", "b", "b"]).decoded[1:] == ["b", "b"]
    assert ours.run([["b", "b"]]) == [["b", "b"]]
    with pytest.raises(CheckFailed, match="issue 25"):
        compile_rasp_to_model(source, {"a", "b"}, 3)


@pytest.mark.slow
def test_negative_numbers_are_zero_in_tracr_and_an_error_with_us() -> None:
    source = "numerical(Map(lambda x: x - 1, tokens))"
    theirs, _ = tracr_and_ours(parse(source), {0, 1, 2}, 3)
    assert theirs.apply(["compiler_bos", 0, 2]).decoded[1:] == [0.0, 1.0]
    with pytest.raises(CheckFailed, match="ReLU"):
        compile_rasp_to_model(source, {0, 1, 2}, 3)


@pytest.mark.slow
def test_a_value_at_bos_misleads_tracr_and_is_an_error_with_us() -> None:
    source = (
        "number = numerical(Map(lambda x: x == 1, tokens))\n"
        "key = Map(lambda x: x > 0.5, number, simplify=False)\n"
        "always = numerical(Map(lambda x: x >= 0, tokens))\n"
        "numerical(Aggregate(Select(key, tokens, lambda k, q: not k), always, default=0))"
    )
    theirs, _ = tracr_and_ours(parse(source), {0, 1, 2}, 3)
    assert theirs.apply(["compiler_bos", 0]).decoded[1] == pytest.approx(0, abs=1e-3)
    with pytest.raises(CheckFailed, match="BOS is selected"):
        compile_rasp_to_model(source, {0, 1, 2}, 3)


def test_wide_values_crash_tracr_and_get_wider_heads_with_us() -> None:
    source = (
        "pair = SequenceMap(lambda x, y: 10 * x + y, tokens, indices)\n"
        "Aggregate(Select(indices, indices, Comparison.EQ), pair)"
    )
    sop, program = build(parse(source))
    with pytest.raises(ValueError, match="broadcast"):
        compile_with_tracr(sop, {0, 1, 2}, 3)
    model = compile_rasp_to_model(program, {0, 1, 2}, 3)
    assert model.verify().ok
    assert model.model_config.key_size == 9


def test_programs_without_tokens_are_refused_by_tracr_and_compiled_by_us() -> None:
    sop, program = build(parse("Map(lambda x: x + 1, indices)"))
    with pytest.raises(ValueError, match="tokens"):
        compile_with_tracr(sop, {0, 1}, 3)
    assert compile_rasp_to_model(program, {0, 1}, 3).run([[0, 0]]) == [[1, 2]]


def test_composite_selectors_are_refused_by_tracr_and_compiled_by_us() -> None:
    source = (
        "same = Select(tokens, tokens, Comparison.EQ)\n"
        "SelectorWidth(SelectorAnd(same, Select(indices, indices, Comparison.LT)))"
    )
    sop, program = build(parse(source))
    with pytest.raises(AttributeError, match="SelectorAnd"):
        compile_with_tracr(sop, {0, 1}, 3)
    assert compile_rasp_to_model(program, {0, 1}, 3).verify().ok


def test_lowered_composites_are_compiled_as_tracr_compiles_them() -> None:
    source = (
        "same = Select(tokens, tokens, Comparison.EQ)\n"
        "before = Select(indices, indices, Comparison.LT)\n"
        "SelectorWidth(SelectorOr(SelectorAnd(same, before), SelectorNot(same)))"
    )
    sop, program = build(lower_selectors(parse(source), {0, 1, 2}, 4))
    theirs = compile_with_tracr(sop, {0, 1, 2}, 4)
    assert_same(theirs, compile_program(program, {0, 1, 2}, 4))
