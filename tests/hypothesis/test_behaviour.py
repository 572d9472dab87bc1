"""What trivial predictors reach, and what a program reaches beside them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from compiled_models import program_of
from hypothesis_subjects import compiled
from untracr.errors import UsageError
from untracr.evaluate.share import Share
from untracr.hypothesis import baselines as baseline_module
from untracr.hypothesis.baselines import Baseline, baselines, description_bits, most_leaves
from untracr.hypothesis.behaviour import Behaviour, behaviour
from untracr.hypothesis.drawing import domain_of, inputs_of
from untracr.hypothesis.examining import examine, most_traced
from untracr.rasp.domain import Domain
from untracr.task.task import AtToken, Specials

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


def test_a_vocabulary_of_one_token_is_run_to_any_length() -> None:
    subject, _ = compiled("SelectorWidth(Select(tokens, tokens, Comparison.EQ))")
    one = dataclasses.replace(
        subject,
        network=subject.network.replace(W_pos=np.zeros((60, subject.network.d_model), np.float32)),
        task=dataclasses.replace(subject.task, tokens=(0, "BOS"), specials=Specials(bos=1)),
    )
    drawn = next(inputs_of(one, 40, 10, np.random.default_rng(0)))
    assert [len(group) for group in drawn.groups] == [1] * 40


def test_every_input_is_run_once_in_the_order_of_the_domain() -> None:
    subject, _ = compiled("SelectorWidth(Select(tokens, tokens, Comparison.EQ))")
    drawn = next(inputs_of(subject, 3, 10, np.random.default_rng(0)))
    inputs = [tuple(row) for group in drawn.groups for row in group.tolist()]
    assert inputs == list(Domain((0, 1, 2, 3, 4), 3))


def test_one_input_leaves_no_skill_to_tell() -> None:
    share = Share(1, 1)
    found = Behaviour("one", True, share, (Baseline("constant", Share(0, 0)),), ())
    assert found.skill == 0.0


def test_where_no_output_counts_nothing_is_compared() -> None:
    subject, program = compiled("SelectorWidth(Select(tokens, tokens, Comparison.EQ))")
    never = dataclasses.replace(subject.task, counted=AtToken(5))  # BOS, which is no input's
    with pytest.raises(UsageError, match="no output counts on any of the inputs"):
        examine(dataclasses.replace(subject, task=never), program)


def test_lengths_and_widths_that_take_too_much_are_refused_before_they_are_run() -> None:
    subject, program = compiled("SelectorWidth(Select(tokens, tokens, Comparison.EQ))")
    with pytest.raises(UsageError, match="at most 512 tokens are compared, not 513"):
        examine(subject, program, longest=513)
    wide = np.broadcast_to(np.zeros((1, 1), np.float32), (7, 10**7))
    with pytest.raises(UsageError, match="64 inputs of 5 tokens at 8 places of width"):
        most_traced(dataclasses.replace(subject, network=subject.network.replace(W_E=wide)), 5)


def test_a_tree_is_fitted_to_no_more_than_it_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline_module, "MOST_FEATURES", 20_000)
    asked: list[int] = []
    told = baseline_module._told

    def counted(data: Any, rows: Any, count: int) -> Any:
        features = told(data, rows, count)
        asked.append(features.size)
        return features

    monkeypatch.setattr(baseline_module, "_told", counted)
    found = of("SelectorWidth(Select(tokens, tokens, Comparison.EQ))")
    assert max(asked) <= 20_000 + 5_000
    assert found.skill == 1.0


def test_a_table_gives_the_most_frequent_output_and_of_all_for_a_new_key() -> None:
    key = np.array([0, 0, 0, 1, 1, 2])
    output = np.array([2, 2, 1, 1, 0, 0])
    fit = np.array([1, 1, 1, 1, 1, 0], dtype=np.bool_)
    predicted = baseline_module._by_table(key, output, fit)
    assert predicted.tolist() == [2, 2, 2, 1, 1, 1]
