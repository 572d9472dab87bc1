"""The slope of staircases, Tracr's mlp_exactness, is read off the weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compiled_models import bare
from tracr_reference import fast_initialisation, reset_ids
from untracr import compile_rasp_to_model, decompile_model
from untracr.certificate.certificate import certificate_of
from untracr.certificate.replaying import replay
from untracr.cli.entry import main
from untracr.compile.compiler import compile_program
from untracr.loading.compiled_file import save_model
from untracr.loading.haiku import transformer_from_haiku
from untracr.loading.model import LoadedModel
from untracr.measure.exactness import at_usual_slope, find_exactness
from untracr.measure.simplest import simplest_number
from untracr.rasp.domain import PAPER_DOMAIN
from untracr.sample.sampler import sample_program
from untracr.syntax.tracr_objects import to_tracr
from untracr.transformer import treatments
from untracr.transformer.transformer import Transformer

SLOPES = (0.1, 1, 2.5, 10, 33.3, 50, 99, 100, 150, 1000, 10_000)
HIST = "hist = SelectorWidth(Select(tokens, tokens, Comparison.EQ))"
SHARE = """
same = Select(tokens, tokens, Comparison.EQ)
is_one = numerical(Map(lambda x: x == 1, tokens))
share = numerical(Aggregate(same, is_one, default=0))
most = Map(lambda x: x > 0.5, share)
"""


def model_of(source: str, slope: float) -> Transformer:
    """A compiled model without its read-out."""
    model = compile_rasp_to_model(source, range(3), 4, mlp_exactness=slope, strict=False)
    return bare(model.transformer)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("source", [HIST, SHARE])
def test_any_slope_is_read_exactly(source: str, slope: float) -> None:
    """As compiled, rotated, and with the neurons in any order."""
    model, rng = model_of(source, slope), np.random.default_rng(4)
    order = rng.permutation(model.d_mlp)
    mixed = model.replace(W_in=model.W_in[:, :, order], W_out=model.W_out[:, order])
    for changed in (model, treatments.rotate(model, rng), mixed):
        assert find_exactness(changed).value == slope
        assert not find_exactness(changed).others


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("source", [HIST, SHARE])
def test_programs_of_any_slope_are_identical(source: str, slope: float) -> None:
    """99 was called noise."""
    result = decompile_model(model_of(source, slope))
    assert result.verdict == "identical"
    assert result.mlp_exactness == slope


@pytest.mark.slow
@pytest.mark.parametrize("slope", [1, 99, 1000])
def test_models_of_tracr(slope: float) -> None:
    """Compiled by Tracr itself, some of them rotated."""
    from tracr.compiler import compiling
    from tracr.rasp import rasp

    found = 0
    for index in range(12):
        reset_ids(rasp)
        with fast_initialisation():
            made = compiling.compile_rasp_to_model(
                to_tracr(sample_program(71, index)), {0, 1, 2, 3, 4}, 5, mlp_exactness=slope
            )
        params = {k: {n: np.asarray(a) for n, a in v.items()} for k, v in made.params.items()}
        model = transformer_from_haiku(params, made.model_config.num_heads)
        if index % 2:
            model = treatments.rotate(model, np.random.default_rng(index))
        if find_exactness(model).value is not None:
            found += 1
            assert find_exactness(model).value == slope
            assert decompile_model(model).verdict == "identical"
    assert found > 2


def test_the_usual_slope_is_left_as_it_is() -> None:
    """What the meta-model sees of models of slope 100 is untouched: the same object."""
    for index in range(20):
        program = sample_program(72, index)
        model = compile_program(program, PAPER_DOMAIN.vocab, 5).transformer
        assert at_usual_slope(model) is model
        rotated = treatments.rotate(model, np.random.default_rng(index))
        assert at_usual_slope(rotated) is rotated
        other = compile_program(program, PAPER_DOMAIN.vocab, 5, mlp_exactness=1000).transformer
        assert np.allclose(at_usual_slope(other).W_in, model.W_in, atol=1e-3)


def test_weights_that_are_no_stairs_show_no_slope() -> None:
    """Random ones, compressed ones, and a program without staircases."""
    model, rng = model_of(HIST, 50), np.random.default_rng(1)
    arrays = model.arrays().items()
    noise = {name: rng.normal(size=a.shape).astype(np.float32) for name, a in arrays}
    assert find_exactness(model.replace(**noise)).value is None
    assert find_exactness(treatments.compress(model, rng).model).value is None
    assert find_exactness(model_of("Map(lambda x: x + 1, tokens)", 50)).value is None


def test_several_slopes_are_no_programs() -> None:
    """A layer made steeper by hand is not identical, and the answer says why."""
    twice = "h = SelectorWidth(Select(tokens, tokens, Comparison.EQ))\n" + (
        "g = SelectorWidth(Select(h, h, Comparison.EQ))\n"
    )
    model, other = model_of(twice, 100), model_of(twice, 50)
    W_in = model.W_in.copy()
    W_in[1] = other.W_in[1]
    mixed = model.replace(W_in=W_in)
    assert {find_exactness(mixed).value, *find_exactness(mixed).others} == {50, 100}
    result = decompile_model(mixed, budget=1)
    assert result.verdict == "unverified"
    assert "staircases have several slopes" in result.detail


def test_certificates_hold_the_slope(tmp_path: Path) -> None:
    """They are replayed with it; another one is not confirmed."""
    loaded = LoadedModel(model_of(HIST, 1000), {}, tmp_path / "a.npz")
    certificate = certificate_of(decompile_model(loaded), loaded, tmp_path)
    assert certificate.mlp_exactness == 1000
    assert replay(certificate, loaded).is_proved
    for claimed in (100, None):
        found = replay(replace(certificate, mlp_exactness=claimed), loaded)
        assert not found.is_confirmed
        assert "exactness" in found.conclusion


def test_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the text where it is not the usual one, in JSON always."""
    place = str(tmp_path / "a.npz")
    save_model(place, model_of(HIST, 99))
    assert main(["decompile", place]) == 0
    assert "# compiled with mlp_exactness=99, as the staircases show" in capsys.readouterr().out
    assert main(["decompile", place, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mlp_exactness"] == 99


@pytest.mark.parametrize(
    ("measured", "allowed", "number"),
    [
        (99.99999, 1e-4, 100),
        (99.99999, 1e-6, 99.99999),
        (33.29999923706055, 1e-5, 33.3),
        (0.333333343, 1e-7, 1 / 3),
        (0.1 + 1e-9, 1e-8, 0.1),
        (-2.5, 1e-6, -2.5),
        (float("inf"), 1e-6, float("inf")),
    ],
)
def test_simplest_numbers(measured: float, allowed: float, number: float) -> None:
    """Whole numbers, then fractions, then the fewest digits."""
    found = simplest_number(measured, allowed)
    assert found == number
    assert isinstance(found, int) == (number == int(number) if abs(number) < 1e9 else False)
