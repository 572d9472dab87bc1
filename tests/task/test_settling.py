"""What is told of a task, made whole for a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from known_networks import network_of_table, successor
from untracr.errors import TaskError
from untracr.task.documents import told_of
from untracr.task.settling import masked_token, settled
from untracr.task.task import (
    AtToken,
    EveryPosition,
    FromToken,
    Label,
    LastPosition,
    Layout,
    Lengths,
    NextToken,
    NextTokens,
    Number,
    Specials,
    Task,
)

LETTERS = ["a", "b", "[SOS]", "[SEP]", "[EOS]", "[PAD]"]


def task_of(
    document: Mapping[str, object], columns: int | None = None, positions: int = 12
) -> Task:
    """The task that a document tells for a network with as many tokens as it names."""
    count = len(document.get("tokens", LETTERS))  # type: ignore[arg-type]
    table = np.zeros((count, count if columns is None else columns))
    return settled(told_of(document), network_of_table(table, positions))[0]


def test_a_next_token_task_with_a_separator_has_answers() -> None:
    task = task_of({"tokens": LETTERS, "outputs": "next token, the largest logit"})
    assert task.specials == Specials(2, 3, 4, 5)
    assert task.layout == Layout((2,), (3,), (4,))
    assert task.counted == FromToken(3)
    assert task.meaning == NextToken()
    assert task.lengths == Lengths(0, 9)


def test_next_token_sets_have_none() -> None:
    phrase = "next-token sets, one logit a token, allowed where it is above 0.5"
    task = task_of({"tokens": LETTERS, "outputs": phrase})
    assert task.layout == Layout((2,), None, (4,))
    assert task.counted == EveryPosition()
    assert task.meaning == NextTokens(0.5)


def test_a_token_that_is_not_special_may_separate() -> None:
    task = task_of({"tokens": ["1", "+", "="], "outputs": "next token after ="})
    assert task.layout == Layout((), (2,), ())
    assert task.counted == FromToken(2)


def test_labels_stand_in_the_order_of_columns() -> None:
    document = {"tokens": ["START", "u", "END"], "outputs": "at END: 1 even, 0 odd"}
    task = task_of(document, columns=2)
    assert task.counted == AtToken(2)
    assert task.meaning == Label(("odd", "even"))
    assert task.layout == Layout((0,), None, (2,))


def test_a_masked_token_fills_up() -> None:
    told = told_of({"tokens": ["u", "blank"], "pad": 1})
    assert masked_token(told, 2) == 1
    assert settled(told, successor(2))[0].specials == Specials(pad=1)


def test_what_is_told_goes_before_what_names_look_like() -> None:
    task = task_of({"tokens": ["END", "u", "."], "specials": {"EOS": ".", "BOS": None}}, columns=3)
    assert task.specials == Specials(eos=2)


def test_without_any_word_shapes_tell_and_all_is_said() -> None:
    task, said = settled(told_of({}), network_of_table(np.zeros((4, 1))))
    assert task == Task((0, 1, 2, 3), lengths=Lengths(1, 12), meaning=Number())
    assert len(said) == 4


def test_tokens_that_never_come_next_may_have_no_column() -> None:
    told = told_of({"tokens": ["a", "b", "SEP"], "outputs": "next token after the separator"})
    task, said = settled(told, network_of_table(np.zeros((3, 2))))
    assert task.counted == FromToken(2)
    assert any("2 columns for 3 tokens" in sentence for sentence in said)


def test_words_not_understood_are_not_taken_for_next_tokens() -> None:
    told = told_of({"outputs": "at every position: the first that stands alone"})
    task, said = settled(told, network_of_table(np.zeros((3, 3))))
    assert task.meaning == Label((0, 1, 2))
    assert any("the first that stands alone" in sentence for sentence in said)


def test_a_phrase_that_is_not_understood_is_said() -> None:
    told = told_of({"outputs": "at the last position: as many as it takes"})
    task, said = settled(told, network_of_table(np.zeros((4, 3))))
    assert task.meaning == Label((0, 1, 2))
    assert task.counted == LastPosition()
    assert any("as many as it takes" in sentence for sentence in said)


@pytest.mark.parametrize(
    ("document", "columns", "words"),
    [
        ({"tokens": ["a", "b"]}, 2, "each of the 3 rows"),
        ({"outputs": "at EDN: 0 no, 1 yes", "tokens": ["a", "b", "END"]}, 2, "mean 'END'"),
        ({"outputs": "next token"}, 4, "one logit for each of the 3 tokens"),
        ({"outputs": "at every position: 0 no, 1 yes"}, 3, "each of the 3 columns"),
        ({"outputs": {"means": "number"}}, 3, "the read-out has 3"),
        ({"input": "BOS x"}, 3, "no token is called 'BOS'"),
        ({"lengths": [3, 13]}, 3, "12 positions"),
        ({"pad": 3}, 3, "ids are 0 to 2"),
        ({"specials": {"EOS": -1}}, 3, "ids are 0 to 2"),
    ],
)
def test_what_does_not_fit_the_network_is_refused(
    document: dict[str, object], columns: int, words: str
) -> None:
    network = network_of_table(np.zeros((3, columns)))
    with pytest.raises(TaskError, match=words):
        settled(told_of(document), network)


def test_filling_up_needs_a_longest_length() -> None:
    network = successor(3)
    network = network.replace(
        architecture=replace(network.architecture, positions=None), W_pos=None
    ).validate()
    assert settled(told_of({"input": "x 0..."}), successor(3))[0].lengths == Lengths(1, 12)
    with pytest.raises(TaskError, match="give lengths"):
        settled(told_of({"input": "x 0..."}), network)
    assert settled(told_of({"input": "x 0...", "lengths": [1, 5]}), network)[0].layout.fill == 0


def test_a_tasks_repr_is_short_and_obeys_no_terminal() -> None:
    task = task_of({"tokens": ["\x1b[31m", "b" * 900], "input": "x '\x1b[31m' " + "b" * 900})
    assert len(repr(task)) < 200
    assert repr(task).isprintable()
