"""Models in memory that are not ours are decompiled as their files are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from tracr_reference import compile_with_tracr
from untracr.cli.entry import main
from untracr.decompile.bundled import decompile_model
from untracr.diagnose.model import CompiledModel, compile_rasp_to_model
from untracr.errors import ModelFileError, UntracrError, UsageError
from untracr.loading.compiled_file import save_model
from untracr.loading.lens_tensors import lens_tensors
from untracr.loading.loading import load_model
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import decide_equivalence
from untracr.rasp.functions import Value
from untracr.syntax.tracr_objects import from_tracr


def tracr_programs() -> dict[str, tuple[Any, tuple[Value, ...]]]:
    """Programs of Tracr's own tutorial and library, and their vocabularies."""
    from tracr.compiler import lib
    from tracr.rasp import rasp

    tokens, indices = rasp.tokens, rasp.indices
    everywhere = rasp.Select(tokens, tokens, rasp.Comparison.TRUE)
    length = rasp.SelectorWidth(everywhere).named("length")
    opposite = rasp.SequenceMap(lambda x, y: x - y - 1, length, indices).named("opposite")
    flip = rasp.Select(indices, opposite, rasp.Comparison.EQ)
    pair = rasp.SequenceMap(lambda x, y: (x, y), tokens, indices)
    return {
        "reverse": (rasp.Aggregate(flip, tokens).named("reverse"), ("a", "b", "c")),
        "hist": (lib.make_hist(), ("a", "b", "c")),
        "frac_prevs": (lib.make_frac_prevs(tokens == "a"), ("a", "b", "c")),
        "sort_unique": (lib.make_sort_unique(tokens, tokens), (1, 2, 3)),
        "pairs": (pair, (0, 1, 2)),
    }


@pytest.mark.parametrize("name", tracr_programs())
def test_a_model_of_tracr_s_is_read_with_its_read_out(name: str) -> None:
    """Tokens, BOS, PAD and output values come with the object, and the answer is the program."""
    sop, vocab = tracr_programs()[name]
    theirs = compile_with_tracr(sop, set(vocab), 4)
    program = from_tracr(sop, vocab, 4)
    ours = compile_rasp_to_model(program, set(vocab), 4, strict=False)
    live = load_model(theirs)
    assert live.transformer.W_U is not None
    assert np.array_equal(live.transformer.W_U, ours.unembed)
    assert live.transformer.output_values == ours.transformer.output_values
    for ours_says in ("token_values", "bos", "pad", "residual_labels"):
        assert live.metadata[ours_says] == ours.description()[ours_says]
    result = decompile_model(theirs)
    assert result.verdict == "identical"
    assert result.program is not None
    assert set(result.vocab) == set(vocab)
    assert decide_equivalence(result.program, program, Domain(vocab, 4)).equal


@pytest.fixture(scope="module")
def model() -> CompiledModel:
    """A model with two heads in a layer."""
    source = (
        "a = SelectorWidth(Select(tokens, tokens, Comparison.EQ))\n"
        "b = SelectorWidth(Select(tokens, indices, Comparison.LT))\n"
        "SequenceMap(lambda x, y: x - y, a, b)"
    )
    return compile_rasp_to_model(source, range(3), 3, strict=False)


def test_parameters_are_read(model: CompiledModel) -> None:
    """Haiku's parameters, nested or flat, are read once the number of heads is told."""
    flat = {f"{m}/{leaf}": a for m, leaves in model.params.items() for leaf, a in leaves.items()}
    heads = model.model_config.num_heads
    assert heads == 2
    for params in (model.params, flat):
        assert decompile_model(params, num_heads=heads).verdict == "identical"
    with pytest.raises(ModelFileError, match="num_heads="):
        decompile_model(model.params)


@pytest.mark.slow
def test_state_dicts_are_read(model: CompiledModel) -> None:
    """So is a state dict of TransformerLens' names, of NumPy or PyTorch, and a module of it."""
    import torch

    arrays = lens_tensors(model.transformer)
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
    tensors["blocks.0.attn.mask"] = torch.ones((4, 4), dtype=torch.bool)
    tensors["unembed.b_U"] = torch.zeros(arrays["unembed.W_U"].shape[1], dtype=torch.bfloat16)

    class Module:
        def state_dict(self) -> dict[str, Any]:
            return tensors

    for given in (arrays, tensors, Module()):
        assert decompile_model(given).verdict == "identical"
    assert load_model(tensors, causal=True).transformer.causal


def test_a_module_s_configuration_counts(model: CompiledModel) -> None:
    """Its mask is taken along, and what we would run otherwise than it runs is refused."""

    class Module:
        def __init__(self, **cfg: object) -> None:
            self.cfg = SimpleNamespace(**cfg)

        def state_dict(self) -> dict[str, Any]:
            return dict(lens_tensors(model.transformer))

    assert load_model(Module(attention_dir="causal", act_fn="relu")).transformer.causal
    assert not load_model(Module(attention_dir="bidirectional")).transformer.causal
    for name, value, why in (("act_fn", "gelu", "gelu"), ("use_attn_scale", False, "sqrt")):
        with pytest.raises(ModelFileError, match=f"not the form that a compiler writes.*{why}"):
            load_model(Module(**{name: value})).transformer  # noqa: B018
    with pytest.raises(ModelFileError, match=r"not supported: a soft cap on scores; .*=5\.0"):
        load_model(Module(attn_scores_soft_cap=5.0))
    config = replace(model.model_config, activation_function=lambda x: x)  # type: ignore[arg-type]
    other = SimpleNamespace(params=model.params, model_config=config)
    with pytest.raises(ModelFileError, match="must be relu, not <lambda>"):
        load_model(other)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3, "not int"),
        (None, "not NoneType"),
        ([], "not list"),
        (b"reverse.npz", "not bytes"),
        ({}, "missing"),
        ({1: 2}, "TransformerLens"),
        ({"embed.W_E": "text"}, "missing"),
        ({"embed.W_E": object()}, "missing"),
        ({"token_embed": {"embeddings": np.zeros((3, 3))}}, "num_heads="),
        ({"token_embed": 3}, "num_heads="),
    ],
)
def test_what_is_no_model_is_refused(given: Any, words: str) -> None:
    """One error of ours says what a model may be, or what is missing."""
    with pytest.raises(ModelFileError, match=words):
        decompile_model(given)


def test_damaged_models_in_memory_are_refused(model: CompiledModel) -> None:
    """Arrays of strange kinds, shapes or numbers are errors of ours too."""
    arrays: dict[str, Any] = lens_tensors(model.transformer)
    strange = (np.zeros(3), np.array("a"), [[1, [2]]], 1j, float("nan"), np.zeros((0, 2)))
    for value in strange:
        with pytest.raises(ModelFileError, match=r"embed\.W_E"):
            decompile_model({**arrays, "embed.W_E": value})
    params = {**model.params, "token_embed": {"embeddings": "text"}}
    with pytest.raises(ModelFileError, match="token_embed"):
        decompile_model(params, num_heads=2)
    for heads in (0, 7):
        with pytest.raises(UntracrError, match="num_heads"):
            decompile_model(model.params, num_heads=heads)


def test_what_a_model_tells_is_not_told_again(model: CompiledModel) -> None:
    """Heads are given for params only."""
    with pytest.raises(UsageError, match="this model does"):
        decompile_model(model.transformer, num_heads=2)


def test_the_mask_of_any_model_may_be_told(tmp_path: Path) -> None:
    """A file of bare tensors says nothing of it; what is given goes before what a model says."""
    source = "SelectorWidth(Select(tokens, tokens, Comparison.TRUE))"
    masked = compile_rasp_to_model(source, range(3), 3, causal=True)
    bare = tmp_path / "bare.safetensors"
    safetensors.numpy.save_file(lens_tensors(masked.transformer), bare)
    assert not load_model(bare).transformer.causal
    assert load_model(bare, causal=True).transformer.causal
    given = (bare, load_model(bare), load_model(bare).transformer, masked)
    for one in given:
        result = decompile_model(one, causal=True)
        assert result.verdict == "identical"
    assert main(["decompile", str(bare), "--causal"]) == 0
    assert main(["decompile", str(bare), "--causal", "--certificate", str(tmp_path)]) == 2
    told = tmp_path / "told.safetensors"  # as the error says
    save_model(told, load_model(bare, causal=True).transformer)
    assert main(["decompile", str(told), "--certificate", str(tmp_path / "shown")]) == 0
