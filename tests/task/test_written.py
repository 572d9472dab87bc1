"""Tasks written as documents and read back."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from known_networks import network_of_table
from strategies import RELAXED
from untracr.task.documents import told_of
from untracr.task.settling import settled
from untracr.task.task import (
    AfterToken,
    AtToken,
    Counted,
    EveryPosition,
    FromToken,
    Label,
    LastPosition,
    Layout,
    Lengths,
    Meaning,
    NextToken,
    NextTokens,
    Number,
    Specials,
    Task,
)
from untracr.task.written import task_document

NAMES = st.one_of(
    st.sampled_from(
        ["x", "y", "w", "BOS", "<eos>", "END", "'", '"', " ", "a b", "PAD...", "=", "1"]
    ),
    st.integers(-3, 3),
    st.floats(-1, 1).map(lambda x: round(x, 2)),
    st.text(max_size=3),
)


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """A task with names that look like other things."""
    tokens = tuple(draw(st.lists(NAMES, min_size=6, max_size=9, unique=True)))
    token = st.integers(0, len(tokens) - 1)
    few = st.lists(token, max_size=2).map(tuple)
    between = st.none() | st.lists(token, min_size=1, max_size=2).map(tuple)
    at = draw(token)
    by_token: list[Counted] = [AtToken(at), AfterToken(at), FromToken(at)]
    counted: list[Counted] = [EveryPosition(), LastPosition(), *by_token]
    meanings: list[Meaning] = [NextToken(), NextTokens(0.25), Label(tokens[::-1])]
    optional = st.none() | token
    return Task(
        tokens,
        Specials(*draw(st.tuples(optional, optional, optional, optional))),
        Layout(draw(few), draw(between), draw(few), draw(optional)),
        draw(st.sampled_from([Lengths(0, 3), Lengths(2, 2)])),
        draw(st.sampled_from([Lengths(), Lengths(1), Lengths(2, 5)])),
        draw(st.sampled_from(counted)),
        draw(st.sampled_from(meanings)),
        draw(st.sampled_from(["", "of the sum so far"])),
    )


@RELAXED
@given(tasks())
def test_a_task_comes_back_from_its_document(task: Task) -> None:
    """Whatever its tokens are called."""
    network = network_of_table(np.zeros((len(task.tokens),) * 2))
    document = json.loads(json.dumps(task_document(task)))
    assert settled(told_of(document), network)[0] == task


def test_a_number_comes_back() -> None:
    task = Task((0, 1), lengths=Lengths(1, 12), meaning=Number())
    network = network_of_table(np.zeros((2, 1)))
    assert settled(told_of(task_document(task)), network)[0] == task
