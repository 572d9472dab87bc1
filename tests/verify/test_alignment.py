"""Given weights beside a program's: reordered, rotated, projected, noisy, or others."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import pytest

from compiled_models import bare, model_of
from untracr.audit.forms import with_random_names
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.program import Program
from untracr.sample.sampler import sample_program
from untracr.syntax.library import named_program
from untracr.transformer import treatments
from untracr.transformer.transformer import Transformer
from untracr.verify.alignment import align
from untracr.verify.recompiling import recompile

Treat = Callable[[Transformer, np.random.Generator], Transformer]

TREATMENTS: dict[str, tuple[Treat, str]] = {
    "none": (lambda model, rng: model, "reordered"),
    "axes": (treatments.permute_residual, "reordered"),
    "heads and neurons": (
        lambda m, rng: treatments.permute_neurons(treatments.permute_heads(m, rng), rng),
        "reordered",
    ),
    "rotated": (treatments.rotate, "rotated"),
    "compressed": (lambda m, rng: treatments.rotate_and_compress(m, rng).model, "projected"),
    "compressed by half": (lambda m, rng: treatments.compress(m, rng, 0.6).model, "projected"),
    "noise": (lambda m, rng: treatments.add_noise(m, rng, 0.01), "noisy"),
    "rotated noise": (
        lambda m, rng: treatments.rotate(treatments.add_noise(m, rng, 0.03), rng),
        "noisy",
    ),
    "noise on a rotation": (
        lambda m, rng: treatments.add_noise(treatments.rotate(m, rng), rng, 0.01),
        "noisy",
    ),
}


def beside(model: Transformer, program: Program, domain: Domain = PAPER_DOMAIN) -> str:
    again = recompile(program, domain, model)
    return "too large" if again is None else align(model, again).relation


@pytest.mark.parametrize("name", TREATMENTS)
def test_a_program_is_recognised_in_its_treated_weights(name: str) -> None:
    """And the one behind it in the stream is not."""
    treat, wanted = TREATMENTS[name]
    rng = np.random.default_rng(3)
    for index in range(15):
        program = sample_program(501, index)
        model = treat(bare(model_of(program)), rng)
        assert beside(model, program) == wanted
        assert beside(model, sample_program(501, index + 1)) in ("different", "too large")


@pytest.mark.parametrize("name", ["none", "rotated", "compressed", "noise"])
def test_one_changed_weight_shows(name: str) -> None:
    """A weight of one that becomes zero is no noise, nor lost by a projection."""
    treat, wanted = TREATMENTS[name]
    rng = np.random.default_rng(4)
    program = named_program("sort").program
    domain = Domain((0, 1, 2, 3, 4), 5)
    raw = bare(model_of(program, domain))
    for array in ("W_in", "W_out", "W_K", "W_V", "W_O", "W_E"):
        weights = getattr(raw, array).copy()
        place = np.argwhere(np.abs(weights) == 1)[0]
        weights[tuple(place)] = 0
        model = treat(raw.replace(**{array: weights}), rng)
        assert beside(model, program, domain) != wanted, array


def test_the_noise_is_measured() -> None:
    """As the share of each matrix's root mean square that was added."""
    rng = np.random.default_rng(5)
    program = sample_program(502, 0)
    for size in (0.001, 0.01, 0.1):
        model = treatments.add_noise(bare(model_of(program)), rng, size)
        again = recompile(program, PAPER_DOMAIN, model)
        assert again is not None
        assert align(model, again).off == pytest.approx(size, rel=0.2)


def test_the_change_of_basis_is_found() -> None:
    """Every vector of the program's is carried to the model's."""
    rng = np.random.default_rng(6)
    program = sample_program(502, 1)
    raw = bare(model_of(program))
    for treated in (treatments.rotate(raw, rng), treatments.rotate_and_compress(raw, rng).model):
        again = recompile(program, PAPER_DOMAIN, treated)
        assert again is not None
        change = align(treated, again).change
        assert change is not None
        assert change.shape == (again.d_model, treated.d_model)
        assert np.allclose(again.W_E @ change, treated.W_E, atol=1e-4)


def test_heads_and_neurons_are_told_by_their_numbers() -> None:
    """Where they were reordered, the numbers are the model's own."""
    rng = np.random.default_rng(7)
    program = named_program("sort").program
    raw = bare(model_of(program))
    moved = treatments.permute_neurons(treatments.permute_heads(raw, rng), rng)
    again = recompile(program, PAPER_DOMAIN, moved)
    assert again is not None
    found = align(moved, again)
    for layer, neurons in enumerate(found.neurons):
        mine = np.flatnonzero(np.abs(again.W_in[layer]).max(axis=0) > 0)
        assert np.array_equal(again.W_in[layer][:, mine], moved.W_in[layer][:, neurons])
    for layer, heads in enumerate(found.heads):
        mine = np.flatnonzero(np.abs(again.W_Q[layer]).max(axis=(1, 2)) > 0)
        assert np.array_equal(again.W_Q[layer][mine], moved.W_Q[layer][heads])


def test_noise_of_nothing_is_no_noise() -> None:
    """Weights drawn at random are no program's, however much noise is allowed."""
    rng = np.random.default_rng(8)
    for index in range(10):
        program = sample_program(503, index)
        raw = bare(model_of(program))
        drawn = {
            name: rng.normal(0, float(array.std()) + 0.01, array.shape).astype(np.float32)
            for name, array in raw.arrays().items()
            if name.startswith("W_") and name != "W_U"
        }
        assert beside(raw.replace(**drawn), program) == "different"


@pytest.mark.parametrize("name", ["none", "rotated", "compressed", "noise"])
def test_names_of_variables_decide_nothing(name: str) -> None:
    """Their order is that of neurons and of columns; it is found again, or guessed."""
    treat, wanted = TREATMENTS[name]
    rng = np.random.default_rng(9)
    told = 0
    for index in range(20):
        program = sample_program(779, index)
        model = treat(bare(model_of(with_random_names(program, Random(index)))), rng)
        found = beside(model, program)
        assert found in (wanted, "different")
        told += found == wanted
    assert told >= (20 if name in ("none", "rotated") else 19)
