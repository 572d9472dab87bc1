"""Models whose heads have any inner basis, and whose parts stand in any order, are read too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from compiled_models import bare, model_of
from untracr.cli.entry import main
from untracr.compile.compiler import compile_program
from untracr.compile.lowering import lower_selectors
from untracr.decompile.decompiler import Decompiler
from untracr.loading.compiled_file import save_model
from untracr.rasp.domain import BOS, PAD, Domain
from untracr.rasp.program import Program
from untracr.read.frame import Base, Directions
from untracr.read.neuron_order import MAX_TRIED, Profile, _Cover, _Part
from untracr.read.reader import Reader
from untracr.read.scope import true_variables
from untracr.sample.sampler import PAPER, sample_program
from untracr.syntax.library import named_program
from untracr.transformer import treatments
from untracr.transformer.head_basis import BasisKind, change_head_bases
from untracr.transformer.transformer import Transformer

SEED = 777

HARD = (13, 17, 33, 40, 52, 53, 56, 89, 260, 307, 1373, 1433)
"""Programs with several grids, lookups or staircases of one variable, or heads that do nothing."""

BASES: tuple[BasisKind, ...] = ("permuted", "orthogonal", "invertible")

Change = Callable[[Transformer, np.random.Generator], Transformer]


def everything(model: Transformer, rng: np.random.Generator) -> Transformer:
    """All that decides nothing, changed at once."""
    kind = BASES[rng.integers(3)]
    model = change_head_bases(model, rng, kind, model.d_head + int(rng.integers(3)))
    model = treatments.permute_heads(treatments.permute_neurons(model, rng), rng)
    change = treatments.rotate if rng.random() < 0.5 else treatments.permute_residual
    return change(model, rng)


CHANGES: dict[str, Change] = {
    "heads": treatments.permute_heads,
    "neurons": treatments.permute_neurons,
    "columns": lambda m, rng: change_head_bases(m, rng, "permuted"),
    "bases": change_head_bases,
    "fewer": lambda m, rng: change_head_bases(m, rng, d_head=max(1, m.d_head - 1)),
    "everything": everything,
}


@pytest.fixture(scope="module")
def decompiler() -> Decompiler:
    """The released meta-model."""
    return Decompiler()


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_no_form_decides_a_verdict(decompiler: Decompiler, name: str) -> None:
    """Programs that compile to the very weights are found whatever form these are in."""
    for index in (*range(6), *HARD):
        rng = np.random.default_rng([index, 5])
        model = CHANGES[name](bare(model_of(sample_program(SEED, index))), rng)
        result = decompiler.decompile(model, budget=60.0)
        assert result.verdict == "identical", (index, result.detail)


def test_what_was_shown_of_any_form_is_shown_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A certificate of such a model is confirmed, and its heads and neurons are named."""
    program = named_program("sort").program
    model = everything(bare(model_of(program, Domain((0, 1, 2, 3), 4))), np.random.default_rng(4))
    save_model(tmp_path / "model.safetensors", model)
    shown = tmp_path / "shown"
    main(["decompile", str(tmp_path / "model.safetensors"), "--certificate", str(shown)])
    assert "head" in capsys.readouterr().out
    main(["check", *map(str, shown.glob("*.json"))])
    assert "confirmed: identical" in capsys.readouterr().out


def test_half_a_change_is_no_program_s(decompiler: Decompiler) -> None:
    """One factor in another basis than the other one is no head."""
    rng = np.random.default_rng(1)
    program = named_program("hist").program
    model = bare(model_of(program))
    other = change_head_bases(model, rng, "orthogonal")
    for name in ("W_Q", "W_K", "W_V", "W_O"):
        half = model.replace(**{name: getattr(other, name)})
        assert decompiler.decompile(half, budget=1.0).verdict != "identical", name


@pytest.mark.parametrize("name", ["sort", "shuffle_dyck2", "frac_prevs", "reverse"])
def test_what_is_in_tracr_s_form_is_read_as_it_is(name: str) -> None:
    """Neither its neurons nor its heads are put in another form."""
    named = named_program(name)
    assert_as_given(
        lower_selectors(named.program, named.domain.vocab, named.domain.max_seq_len), named.domain
    )


def test_sampled_programs_are_read_as_they_are() -> None:
    """Likewise."""
    for index in range(40):
        assert_as_given(sample_program(SEED + 1, index), PAPER.domain)


def assert_as_given(program: Program, domain: Domain) -> None:
    compiled = compile_program(program, domain.vocab, domain.max_seq_len)
    rows = [compiled.token_values.index(value) for value in (*domain.vocab, BOS, PAD)]
    model = compiled.transformer.replace(W_E=compiled.transformer.W_E[rows])
    base = Base.of(model, domain.vocab)
    variables, _ = true_variables(program, compiled, base)
    reader = Reader(model, base, any_form=True)
    for half_layer in reader.half_layers:
        layer = half_layer.layer
        known = Directions([v for v in variables if v.available_from <= half_layer], base)
        if half_layer.is_mlp:
            order = reader.neurons(layer, known)
            assert np.array_equal(order, np.flatnonzero(reader.alive_neurons[layer]))
            continue
        for head in np.flatnonzero(reader.alive_heads[layer]).tolist():
            assert np.array_equal(reader.head(layer, head, known).W_K, reader.W_K[layer, head])


def test_large_grids_are_put_together() -> None:
    """A cell for each of more results than calls may be nested."""
    count = 1_200
    parts = [_Part([n], frozenset({n})) for n in range(count)]
    profiles = [Profile(np.zeros(1), frozenset(), frozenset())] * count
    cover = _Cover(parts, np.zeros(count), profiles, count, MAX_TRIED)
    assert cover.search(0) == list(range(count))
    assert _Cover(parts, np.zeros(count), profiles, count, 10).search(0) is None
