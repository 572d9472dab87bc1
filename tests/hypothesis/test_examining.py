"""Hypotheses about compiled models, of which the answer is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hypothesis_subjects import COUNT, compiled
from untracr.hypothesis.causes import Effort
from untracr.hypothesis.examining import Amount, HypothesisReport, examine
from untracr.hypothesis.report_text import report_json, report_text, verdict
from untracr.network.controls import random_like, shuffled_within
from untracr.rasp.nodes import Map, SelectorWidth, SequenceMap

pytestmark = pytest.mark.slow

SMALL = Amount(traced=600, effort=Effort(search=48, held_out=64))


@pytest.fixture(scope="module")
def report() -> HypothesisReport:
    """A compiled model examined for its own program."""
    subject, program = compiled(COUNT)
    return examine(subject, program, amount=SMALL)


def test_a_compiled_model_does_what_its_program_does_on_every_input(
    report: HypothesisReport,
) -> None:
    (behaviour,) = report.behaviours
    assert behaviour.every
    assert behaviour.share.count == behaviour.share.total == 3905
    assert behaviour.skill == 1.0
    assert not behaviour.counter_examples


def test_every_line_is_supported_where_the_compiler_put_it(report: HypothesisReport) -> None:
    places = {
        type(report.program.nodes[line.line]): [at.place.name for at in line.support.places]
        for line in report.lines
        if line.supported
    }
    assert "blocks.0.hook_mlp_out" in places[SelectorWidth]
    assert "blocks.1.hook_mlp_out" in places[Map]
    assert "blocks.2.hook_mlp_out" in places[SequenceMap]
    told = [line for line in report.lines if line.support.informative]
    assert all(line.support.share.fraction == 1.0 for line in told)
    assert len(told) >= 4


def test_controls_stay_at_chance(report: HypothesisReport) -> None:
    for line in report.lines:
        assert all(at.share.fraction <= at.chance + 0.1 for at in line.controls)
        assert len(line.controls) == (4 if line.support.informative else 0)


def test_nothing_but_what_lines_claim_is_needed(report: HypothesisReport) -> None:
    assert report.idle is not None
    assert report.idle.worst.fraction == 1.0
    assert report.idle.whole
    assert not report.idle.kept


def test_each_claimed_part_is_needed(report: HypothesisReport) -> None:
    costs = [1 - line.broken.same.fraction for line in report.lines if line.broken]
    assert min(costs) > 0.2


def test_the_same_seed_gives_the_same_figures(report: HypothesisReport) -> None:
    subject, program = compiled(COUNT)
    assert report_json(examine(subject, program, amount=SMALL)) == report_json(report)


def test_text_and_json_say_the_verdict(report: HypothesisReport) -> None:
    text = report_text(report)
    assert "equivalent to the network on all 3,905 inputs" in text
    for sentence in verdict(report):
        assert sentence in text
        assert sentence in report_json(report)["verdict"]  # type: ignore[operator]


def test_a_program_that_differs_on_few_inputs_is_refuted_by_one_of_them() -> None:
    subject, _ = compiled(COUNT)
    _, wrong = compiled(COUNT.replace("x * 2", "9 if x == 5 else x * 2"))
    report = examine(subject, wrong, amount=SMALL)
    (behaviour,) = report.behaviours
    assert behaviour.share.total - behaviour.share.count == 5
    assert behaviour.counter_examples[0].tokens == (0, 0, 0, 0, 0)
    assert "5 of 3,905 inputs differ" in report_text(report)


@pytest.mark.parametrize("change", [random_like, shuffled_within])
def test_nothing_is_supported_in_a_network_without_the_algorithm(change) -> None:  # type: ignore[no-untyped-def]
    subject, program = compiled(COUNT)
    network = change(subject.network, np.random.default_rng(3))
    report = examine(dataclasses.replace(subject, network=network), program, amount=SMALL)
    assert not any(line.supported for line in report.lines)
    assert report.behaviours[0].skill <= 0.05
    assert "Nothing shows that the network runs this program" in report_text(report)


def test_few_inputs_of_one_length_are_repeated() -> None:
    subject, program = compiled(COUNT)
    report = examine(subject, program, longest=2, amount=SMALL)
    assert report.traced == (25, 2)
    assert any(line.supported for line in report.lines)


def test_lines_that_values_do_not_part_are_exchanged_together() -> None:
    subject, program = compiled(
        """
more = Map(lambda x: x + 1, tokens)
three = numerical(Map(lambda x: x != 3, tokens))
sums = SequenceMap(lambda x, y: x + y, more, indices)
numerical(Aggregate(Select(more, sums, Comparison.LEQ), three, default=0))
        """
    )
    report = examine(subject, program, amount=SMALL)
    both = [line for line in report.lines if line.support.together]
    assert len(both) == 2
    assert all(line.support.share.fraction == 1.0 for line in both)
    assert "exchanged together with" in report_text(report)
