"""What trivial predictors reach, and what a program reaches beside them."""

from __future__ import annotations

import numpy as np
import pytest

from compiled_models import program_of
from hypothesis_subjects import compiled
from untracr.hypothesis.baselines import baselines, description_bits, most_leaves
from untracr.hypothesis.behaviour import Behaviour, behaviour
from untracr.hypothesis.drawing import domain_of, inputs_of

LONG = "SequenceMap(lambda x, y: x + y, tokens, Map(lambda x: x * x, tokens))"


def of(source: str) -> Behaviour:
    """A compiled model's behaviour beside its own program."""
    subject, program = compiled(source)
    rng = np.random.default_rng(0)
    drawn = next(inputs_of(subject, 5, 100, rng))
    return behaviour(subject, program, domain_of(subject), drawn, rng)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (LONG, "table of the token"),
        (
            "SequenceMap(lambda x, y: x + y, tokens, indices)",
            "table of the token and the position",
        ),
    ],
)
def test_a_table_that_is_enough_leaves_no_skill(source: str, name: str) -> None:
    found = of(source)
    shares = {baseline.name: baseline.share.fraction for baseline in found.baselines}
    assert shares[name] == 1.0
    assert found.skill == 0.0


def test_what_no_table_gives_is_skill() -> None:
    found = of("SelectorWidth(Select(tokens, tokens, Comparison.EQ))")
    assert found.best_baseline.share.fraction < 0.9
    assert found.skill == 1.0


def test_baselines_are_counted_on_inputs_that_they_were_not_fitted_to() -> None:
    rng = np.random.default_rng(1)
    tokens = rng.integers(50, size=(400, 1))
    outputs = rng.integers(2, size=(400, 1))
    program = program_of(LONG)
    found = baselines([(tokens, outputs, np.ones_like(tokens, dtype=bool))], program, rng)
    for baseline in found:
        assert baseline.share.fraction < 0.7


def test_a_longer_program_allows_a_larger_tree() -> None:
    short, long = description_bits(program_of("Map(lambda x: x + 1, tokens)")), 300.0
    assert short < description_bits(program_of(LONG)) < long
    assert most_leaves(short, 10, 5) < most_leaves(long, 10, 5)
    assert most_leaves(0.0, 10, 5) == 2


def test_the_networks_errors_are_compared_with_the_programs() -> None:
    wrong = "SequenceMap(lambda x, y: x + 9 if x == 2 and y == 3 else x + y, tokens, indices)"
    subject, program = compiled(wrong)
    rng = np.random.default_rng(0)
    drawn = next(inputs_of(subject, 5, 100, rng))
    truth = program_of("SequenceMap(lambda x, y: x + y, tokens, indices)")
    errors = behaviour(subject, program, domain_of(subject), drawn, rng, truth).errors
    assert errors is not None
    assert errors.count == errors.total == 5**3 + 5**4
    guess = behaviour(subject, truth, domain_of(subject), drawn, rng, truth).errors
    assert guess is not None
    assert guess.count == 0
    assert guess.total == errors.total
