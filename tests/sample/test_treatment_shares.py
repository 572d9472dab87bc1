"""Treated weights for training: what was asked for, and the true directions in them."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest

from untracr.compile.compiler import Compiled, compile_program
from untracr.metamodel.examples import Example, ExampleSettings, example_of, training_example
from untracr.metamodel.network import NetworkConfig
from untracr.metamodel.vocabulary import EOL, ID
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.interpreter import Batch, Column
from untracr.rasp.program import Program
from untracr.read.frame import Base, Variable
from untracr.read.scope import true_variables
from untracr.sample.acceptance import evaluate_all
from untracr.sample.sampler import SamplerSettings, sample_program
from untracr.sample.treatment_shares import NOISE_RANGE, SHARED, TreatmentShares
from untracr.train.task import metamodel_task
from untracr.transformer.named_treatments import Treated
from untracr.transformer.transformer import Transformer
from untracr.transformer.treatments import compress

SHARES = TreatmentShares((("rotated-compressed", 0.2), ("compressed-bos", 0.15), ("noisy", 0.15)))
CHANGED = [name for name in SHARED if name != "noisy"]


def compiled_program(seed: int, index: int) -> tuple[Program, Compiled]:
    program = sample_program(seed, index)
    return program, compile_program(program, PAPER_DOMAIN.vocab, PAPER_DOMAIN.max_seq_len)


def treated(name: str, model: Transformer, index: int) -> Treated:
    return TreatmentShares(((name, 1.0),)).treat(model, 5, index)


def test_shares_are_as_asked() -> None:
    """Of 4,000 items each treatment has its share, within 4 standard errors; the rest has none."""
    found = Counter(SHARES.name(3, index) for index in range(4000))
    wanted = {"rotated-compressed": 800, "compressed-bos": 600, "noisy": 600, None: 2000}
    assert set(found) == set(wanted)
    for name, count in wanted.items():
        assert abs(found[name] - count) < 4 * math.sqrt(count * (1 - count / 4000)), name


def test_treated_weights_depend_on_seed_and_index_alone() -> None:
    """The same item is treated the same again, others otherwise; untreated ones stay."""
    _, compiled = compiled_program(5, 0)
    model = compiled.transformer
    for name in SHARED:
        fst, again, other = (treated(name, model, index).model for index in (1, 1, 2))
        assert np.array_equal(fst.W_in, again.W_in)
        assert not np.array_equal(fst.W_in, other.W_in)
    assert TreatmentShares().treat(model, 5, 0).model is model
    assert TreatmentShares().treat(model, 5, 0).basis is None


def test_compressions_are_those_of_the_evaluation() -> None:
    """Training sees the weights that `compress` makes, found in less time."""
    _, compiled = compiled_program(5, 1)
    model = compiled.transformer
    for name, include_bos in (("compressed", False), ("compressed-bos", True)):
        wanted = compress(model, np.random.default_rng([5, 3]), include_bos=include_bos)
        found = treated(name, model, 3)
        assert found.basis is not None
        assert np.array_equal(found.basis, wanted.basis)
        for field in dataclasses.fields(model):
            assert np.array_equal(
                getattr(found.model, field.name), getattr(wanted.model, field.name)
            )
    for name in ("rotated-compressed", "rotated-compressed-bos"):
        plain = treated(name.removeprefix("rotated-"), model, 3)
        turned = treated(name, model, 3)
        assert plain.basis is not None
        assert turned.basis is not None
        same_space = plain.basis @ plain.basis.T - turned.basis @ turned.basis.T
        assert np.abs(same_space).max() < 1e-9
        assert np.abs(plain.basis - turned.basis).max() > 0.1


def test_noise_is_of_all_sizes_between_its_bounds() -> None:
    """Sizes are log-uniform: about half of them lie below the geometric mean of the bounds."""
    _, compiled = compiled_program(5, 2)
    exact = compiled.transformer.W_E
    scale = math.sqrt((exact**2).sum() / np.count_nonzero(exact))
    sizes = [
        (treated("noisy", compiled.transformer, index).model.W_E - exact).std() / scale
        for index in range(200)
    ]
    assert min(sizes) > 0.9 * NOISE_RANGE[0]
    assert max(sizes) < 1.1 * NOISE_RANGE[1]
    below = sum(size < math.sqrt(NOISE_RANGE[0] * NOISE_RANGE[1]) for size in sizes)
    assert 70 < below < 130


@pytest.mark.parametrize("name", CHANGED)
def test_true_directions_make_up_the_residual_stream(name: str) -> None:
    """The stream is the embedding plus, for each operation, its value's direction.

    Values come from the interpreter, directions from `true_variables` in the new basis; the
    stream from the forward pass of the compiled model, brought into that basis.
    """
    inputs = [[3, 1, 4, 1, 0], [2, 2, 0, 4, 4]]
    batch = Batch(inputs)
    ids = np.array([[5, *tokens] for tokens in inputs])  # 5 is BOS
    operations = 0
    for index in range(12):
        program, compiled = compiled_program(5, index)
        model = compiled.transformer
        changed = treated(name, model, index)
        assert changed.basis is not None
        base = Base.of(model, PAPER_DOMAIN.vocab)
        variables, order = true_variables(program, compiled, base, changed.basis)
        found = (changed.model.W_E[ids] + changed.model.W_pos)[:, 1:].astype(np.float64)
        states = evaluate_all(program, batch)
        for variable in variables[2:]:
            column = states[order[variable.slot - 2]]
            assert isinstance(column, Column)
            for row, place in itertools.product(range(2), range(5)):
                value = column.values[column.codes[row, place]]
                found[row, place] += written(variable, value)
            operations += 1
        wanted = model.forward(ids).output[:, 1:] @ changed.basis
        assert np.abs(found - wanted).max() < 1e-3
    assert operations > 40


def written(variable: Variable, value: object) -> npt.NDArray[np.float64]:
    """What a variable adds to the residual stream, [width]; None is written as nothing."""
    if value is None:
        return np.zeros(variable.directions.shape[1])
    if variable.is_categorical:
        place = [known == value for known in variable.values].index(True)
        row: npt.NDArray[np.float64] = variable.directions[place]
        return row
    assert isinstance(value, (bool, int, float))
    number = 1 / (value + 1) if variable.is_auxiliary else float(value)
    scaled: npt.NDArray[np.float64] = number * variable.directions[0]
    return scaled


def test_reading_rotated_weights_gives_the_same_example() -> None:
    """All that the network is given is free of the basis, the signs of axes aside."""
    for index in range(8):
        program, compiled = compiled_program(6, index)
        plain = example_of(program, compiled, axis_signs=False)
        turned = treated("rotated", compiled.transformer, index)
        found = example_of(program, compiled, turned, axis_signs=False)
        for field in dataclasses.fields(plain):
            fst, snd = getattr(plain, field.name), getattr(found, field.name)
            assert np.allclose(fst, snd, atol=1e-3), field.name


@pytest.mark.parametrize("name", SHARED)
def test_treated_examples_have_the_same_program(name: str) -> None:
    """Only what is read changes; and item i stays item i.

    Noise may fill a half-layer that is empty, which then ends without an operation.
    """

    def operations(example: Example) -> list[int]:
        return [token for token in example.targets.tolist() if token != ID[EOL]]

    settings = ExampleSettings(treatments=TreatmentShares(((name, 1.0),)))
    for index in range(6):
        plain, found = training_example(5, index), training_example(5, index, settings)
        assert np.isfinite(found.numbers).all()
        again = training_example(5, index, settings)
        assert np.array_equal(found.numbers, again.numbers)
        assert operations(plain) == operations(found)


def test_a_run_knows_its_treatments() -> None:
    """Shares are among the settings that a checkpoint records."""
    task = metamodel_task(NetworkConfig(16, 1, 2), ExampleSettings(treatments=SHARES))
    assert task.config["treatments"] == [list(pair) for pair in SHARES.shares]
    assert metamodel_task(NetworkConfig(16, 1, 2)).config["treatments"] == []
    other = ExampleSettings(SamplerSettings(Domain((0, 1, 2), 4)))
    assert other.as_dict() != ExampleSettings().as_dict()
    assert json.loads(json.dumps(other.as_dict())) == other.as_dict()


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((("rotatd", 0.1),), "a treatment is one of rotated, compressed, .*, not 'rotatd'"),
        ((("noisy", 0.1), ("noisy", 0.2)), "the share of noisy is given twice"),
        ((("noisy", 1.5),), "the share of noisy must be from 0 to 1, not 1.5"),
        ((("noisy", math.nan),), "the share of noisy must be from 0 to 1, not nan"),
        ((("noisy", 0.6), ("rotated", 0.6)), "must add up to at most 1, not 1.2"),
    ],
)
def test_senseless_shares_are_refused(shares: tuple[tuple[str, float], ...], message: str) -> None:
    """Each mistake is named."""
    with pytest.raises(ValueError, match=message):
        TreatmentShares(shares)
