"""What a report may not claim: programs and lines that look right and are not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hypothesis_subjects import COUNT, compiled
from untracr.hypothesis.causes import Effort
from untracr.hypothesis.examining import Amount, examine, recorded_for
from untracr.hypothesis.idle import idle
from untracr.hypothesis.interchange import draw_pairs
from untracr.hypothesis.report_text import report_text
from untracr.rasp.domain import Domain
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
