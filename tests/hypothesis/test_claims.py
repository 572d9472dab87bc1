"""What a report may not claim: programs and lines that look right and are not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from compiled_models import model_of, program_of
from hypothesis_subjects import COUNT, compiled, subject_of
from untracr.evaluate.share import Share
from untracr.hypothesis.causes import Effort
from untracr.hypothesis.controls import Control
from untracr.hypothesis.examining import Amount, HypothesisReport, LineReport, examine, recorded_for
from untracr.hypothesis.idle import idle
from untracr.hypothesis.interchange import draw_pairs
from untracr.hypothesis.report_text import report_text
from untracr.rasp.domain import Domain
from untracr.rasp.interpreter import Column
from untracr.syntax.parsing import parse
from untracr.task.task import AtToken

pytestmark = pytest.mark.slow

SMALL = Amount(traced=400, effort=Effort(search=32, held_out=64))

EQUAL = "SelectorWidth(Select(tokens, tokens, Comparison.EQ))"


def test_where_every_half_layer_is_left_alone_nothing_is_said_to_be_idle() -> None:
    subject, program = compiled(COUNT)
    domain = Domain(subject.vocab, 5)
    tokens = np.random.default_rng(0).integers(5, size=(100, 5))
    data = recorded_for(subject, program, domain, tokens)
    report = examine(subject, program, amount=SMALL)
    support = report.lines[-1].support
    assert support.best is not None
    stream = [at for at in support.places if at.place.name == "blocks.2.hook_resid_post"]
    behind = type(support)(support.line, stream[0], tuple(stream), 9, 9, 9, 9)
    left = idle(subject, data, [behind], np.random.default_rng(0))
    assert not left.tested
    assert len(left.kept) == 7
    text = report_text(type(report)(**{**vars(report), "idle": left}))
    assert "Nothing else: not tested" in text
    assert "keep their output" not in text


def test_exchanges_are_counted_once_each() -> None:
    subject, program = compiled(EQUAL)
    tokens = np.tile(np.array([[0, 0], [0, 1]]), (50, 1))
    data = recorded_for(subject, program, Domain(subject.vocab, 5), tokens)
    pairs = draw_pairs(subject, data, 0, np.arange(100), 64, np.random.default_rng(0))
    assert len(pairs) == 2
    everywhere = draw_pairs(
        subject, data, 0, np.arange(100), 64, np.random.default_rng(0), everywhere=True
    )
    assert len(everywhere) == 2


def test_few_inputs_are_not_said_to_be_held_out() -> None:
    subject, program = compiled(COUNT)
    text = report_text(examine(subject, program, longest=2, amount=SMALL))
    assert "places are looked for and counted on the same" in text
    assert "half to count" not in text


def test_another_kind_of_inputs_that_differs_is_in_the_verdict() -> None:
    subject, _ = compiled(COUNT)
    wrong = COUNT.replace("x + y", "x + y + (1 if y > 2 else 0)")
    report = examine(subject, parse(wrong), longest=2, amount=SMALL)
    text = report_text(report)
    assert "equivalent to the network on all 30 inputs" in text
    assert "4 to 5 tokens:" in text.split("Causes support")[0].split("equivalent")[1]


MEAN = (
    "numerical(Aggregate(Select(indices, indices, Comparison.LEQ), "
    "numerical(Map(lambda x: x == 3, tokens)), default=0))"
)


@pytest.mark.parametrize(
    "wrong",
    [
        f"numerical(Map(lambda x: x + 0.04, {MEAN}))",
        MEAN.replace("x == 3", "0.96 if x == 3 else 0"),
        MEAN.replace("x == 3", "0.03 if x == 2 else x == 3"),
    ],
)
def test_numbers_that_are_a_little_off_are_not_called_equivalent(wrong: str) -> None:
    subject, _ = compiled(MEAN)
    report = examine(subject, parse(wrong), amount=SMALL)
    assert report.behaviours[0].share.fraction < 1
    assert report.behaviours[0].counter_examples
    loose = dataclasses.replace(subject, within=0.05)
    text = report_text(examine(loose, parse(wrong), amount=SMALL))
    assert "to within 0.05, relative to 1 on all 3,905 inputs" in text
    assert "equivalent" not in text


def test_what_is_not_a_number_is_no_output() -> None:
    subject, _ = compiled(EQUAL)
    assert subject.network.W_U is not None
    network = subject.network.replace(W_U=np.full_like(subject.network.W_U, np.nan))
    broken = dataclasses.replace(subject, network=network)
    logits = broken.logits(broken.ids(np.zeros((1, 2), dtype=np.int64)))
    output = broken.outputs(logits)
    assert broken.value_of(int(output[0, 0])) is None
    for code in range(subject.columns):
        assert not broken.same(output, np.full_like(output, code)).any()


def test_inputs_without_an_output_that_counts_are_not_counted() -> None:
    subject, program = compiled(COUNT)
    task = dataclasses.replace(subject.task, counted=AtToken(3))
    report = examine(dataclasses.replace(subject, task=task), program, amount=SMALL)
    assert report.behaviours[0].share.total == 3905 - 4 - 16 - 64 - 256 - 1024


COUNTS = "\n".join(
    f"n{token} = SelectorWidth(Select(Map(lambda x: x == {token}, tokens), "
    "Map(lambda x: True, tokens), Comparison.EQ))"
    for token in range(3)
)

ALL_COUNTED = f"""{COUNTS}
two = SequenceMap(lambda x, y: (x, y), n0, n1)
three = SequenceMap(lambda x, y: x + (y,), two, n2)
all = SequenceMap(lambda x, y: x + (y,), three, tokens)
Map(lambda x: x[x[3]], all)
"""
"""Counts every token everywhere, and gives the count of its own: the network counts one."""


def line_of(report: HypothesisReport, label: str) -> LineReport:
    """A line by its name."""
    return next(line for line in report.lines if report.program.labels[line.line] == label)


def test_a_line_that_holds_more_than_its_place_tells_is_not_supported() -> None:
    domain = Domain((0, 1, 2), 5)
    subject = subject_of(model_of(program_of(EQUAL), domain), domain)
    report = examine(subject, parse(ALL_COUNTED), amount=SMALL)
    line = line_of(report, "all")
    assert line.support.share.fraction == 1.0  # the output follows it nevertheless
    assert line.support.told < 0.5
    assert not line.supported
    text = report_text(report)
    assert "the place may hold only what becomes of it" in text
    assert "Nothing shows that the network runs this program" in text


def test_a_line_that_another_at_its_place_tells_is_told_as_such() -> None:
    guess = f"more = Map(lambda x: x + 7, {EQUAL})\nMap(lambda x: x - 7, more)"
    subject, _ = compiled(EQUAL)
    report = examine(subject, parse(guess), amount=SMALL)
    line = line_of(report, "selector_width_2")
    assert line.supported
    assert [report.program.labels[ref] for ref in line.told_by] == ["map_1"]
    assert "told by map_1 at the same place" in report_text(report)
    assert "Of these 2 are told by another line at the same place." in report_text(report)


def test_a_few_exchanges_are_not_enough_to_support_a_line() -> None:
    subject, program = compiled(COUNT)
    line = examine(subject, program, amount=SMALL).lines[-1]
    assert line.supported
    assert not dataclasses.replace(
        line, support=dataclasses.replace(line.support, right=9, tried=10)
    ).supported


def test_a_number_beyond_all_floats_is_no_output_of_a_network() -> None:
    subject, _ = compiled(MEAN)
    column = Column(np.zeros((1, 1), dtype=np.int64), (10**400,))
    wanted = subject.wanted(column)
    assert not subject.possible(wanted).any()
    assert not subject.same(np.array([[np.inf]]), wanted).any()


def test_a_control_that_does_as_well_speaks_against_a_line_whatever_its_chance() -> None:
    subject, program = compiled(COUNT)
    line = examine(subject, program, amount=SMALL).lines[-1]
    near = Control("wrong variable", Share(61, 64), chance=0.95)
    assert line.supported
    assert not dataclasses.replace(line, controls=(near,)).supported


def test_equal_values_of_several_codes_are_told_alike() -> None:
    subject, program = compiled(
        "Map(lambda x: x - 1, Aggregate(Select(tokens, tokens, Comparison.EQ), tokens))"
    )
    report = examine(subject, program, amount=SMALL)
    assert all(line.support.told > 0.99 for line in report.lines if line.support.informative)
