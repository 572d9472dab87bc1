"""Hypotheses about next-token networks, of which every output is known."""

from __future__ import annotations

import numpy as np
import pytest

from untracr.errors import ModelFileError, UsageError
from untracr.hypothesis.causes import Effort
from untracr.hypothesis.drawing import inputs_of
from untracr.hypothesis.examining import Amount, examine
from untracr.hypothesis.subject import Subject, View, usual_view
from untracr.network.architecture import Architecture
from untracr.network.network import Attention, Layer, Network
from untracr.syntax.parsing import parse
from untracr.task.task import Layout, NextToken, NextTokens, Specials, Task

TOKENS = ("a", "b", "<bos>", "<eos>")
MAY_FOLLOW = {"<bos>": {"a"}, "a": {"b"}, "b": {"a", "<eos>"}, "<eos>": set()}
"""(ab)*, read off the last token."""


def network() -> Network:
    """One layer whose head adds nothing; the read-out is a table of the token."""
    eye = np.eye(4, dtype=np.float32)
    zeros = np.zeros((1, 4, 2), dtype=np.float32)
    none = np.zeros((1, 2), dtype=np.float32)
    head = Attention(
        zeros,
        none,
        zeros,
        none,
        zeros,
        none,
        np.zeros((1, 2, 4), np.float32),
        np.zeros(4, np.float32),
        2.0**0.5,
    )
    allowed = [[1.0 if to in MAY_FOLLOW[name] else -1.0 for to in TOKENS] for name in TOKENS]
    positions = np.zeros((12, 4), dtype=np.float32)
    table = np.array(allowed, dtype=np.float32)
    return Network(Architecture(causal=True), eye, positions, (Layer(head),), W_U=table).validate()


ALLOWED = NextTokens()


def subject(meaning: NextTokens | NextToken = ALLOWED) -> Subject:
    """The network with the words of its tokens."""
    task = Task(TOKENS, Specials(bos=2, eos=3), Layout((2,), None, (3,)), meaning=meaning)
    return Subject(network(), task, usual_view(task))


SMALL = Amount(200, 200, Effort(search=32, held_out=64))
RIGHT = 'Map(lambda x: "b" if x == "a" else "a" if x == "<bos>" else "a <eos>", tokens)'


def test_a_program_gives_sets_of_tokens_as_texts() -> None:
    report = examine(subject(), parse(RIGHT), amount=SMALL)
    assert [each.share.fraction for each in report.behaviours] == [1.0] * len(report.behaviours)
    assert report.lines[0].supported
    assert report.idle is not None
    assert report.idle.worst.fraction == 1.0


def test_a_set_with_one_token_more_is_refuted_where_it_is_put_out() -> None:
    report = examine(subject(), parse(RIGHT.replace('"a <eos>"', '"a b <eos>"')), amount=SMALL)
    example = report.behaviours[0].counter_examples[0]
    assert example.tokens[-1] == "b"
    assert example.program[-1] == "a b <eos>"
    assert set(str(example.network[-1]).split()) == {"a", "<eos>"}


def test_inputs_go_on_as_the_network_allows_and_do_not_end_before_they_must() -> None:
    kinds = list(inputs_of(subject(), 8, 50, np.random.default_rng(0)))
    walked = next(kind for kind in kinds if kind.kind.startswith("as the network goes on"))
    longest = max(walked.groups, key=lambda group: group.shape[1])
    names = [subject().vocab[code] for code in longest[0]]
    assert names == ["<bos>", "a", "b", "a", "b", "a", "b", "a"]


def test_next_tokens_are_read_with_all_special_tokens() -> None:
    assert usual_view(subject().task) is View.WHOLE
    assert subject(NextToken()).vocab == TOKENS


def test_a_network_without_a_read_out_has_nothing_to_compare() -> None:
    with pytest.raises(ModelFileError, match="without a read-out"):
        Subject(network().replace(W_U=None), subject().task, View.WHOLE)


def test_sets_of_very_many_tokens_are_refused() -> None:
    wide = network().replace(W_U=np.ones((4, 70), dtype=np.float32))
    with pytest.raises(UsageError, match="at most 62 tokens"):
        Subject(wide, subject().task, View.WHOLE)


def test_a_network_that_goes_on_with_what_no_program_reads_is_tried_on_other_inputs() -> None:
    padding = network().replace(W_U=np.tile(np.array([-1, -1, -1, -1, 1], np.float32), (4, 1)))
    wider = padding.replace(W_E=np.eye(5, 4, dtype=np.float32), W_pos=np.zeros((12, 4), np.float32))
    task = Task(
        (*TOKENS, "<pad>"), Specials(bos=2, eos=3, pad=4), Layout((2,), None, (3,)), meaning=ALLOWED
    )
    few = Amount(3, 60, Effort(search=16, held_out=16))
    report = examine(Subject(wider, task, View.WHOLE), parse(RIGHT), amount=few)
    assert all(each.share.total for each in report.behaviours)
