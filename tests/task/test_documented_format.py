"""What docs/tasks.md says of the format is so."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from known_networks import network_of_table
from untracr.cli.entry import main
from untracr.task import phrases
from untracr.task.documents import told_of
from untracr.task.settling import settled
from untracr.task.task import Label, Number

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text("utf-8")
EXAMPLES = re.findall(r"```(json|toml)\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize(("language", "text"), EXAMPLES)
def test_examples_tell_whole_tasks(language: str, text: str) -> None:
    """They are read, and nothing in them is misunderstood."""
    document = json.loads(text) if language == "json" else tomllib.loads(text)
    told = told_of(document)
    assert told.outputs is not None
    assert not told.outputs.unread
    columns = len(told.outputs.labels or document["tokens"])
    columns = 1 if told.outputs.means == "number" else columns
    table = np.zeros((len(document["tokens"]), columns))
    task, said = settled(told, network_of_table(table, positions=60))
    assert isinstance(task.meaning, Label | Number) or columns == len(task.tokens)
    assert not any("not understood" in sentence for sentence in said)


def test_there_is_an_example_of_each_kind() -> None:
    texts = "".join(text for _, text in EXAMPLES)
    assert len(EXAMPLES) >= 5
    for kind in ("next token,", "next-token sets", "at START: ", "at every position: ", "number"):
        assert kind in texts


def test_the_grammar_is_that_of_the_reader() -> None:
    assert phrases.__doc__ is not None
    grammar = re.findall(
        r"^    (?:phrase|where|meaning|labels|clause) .*$", PAGE, flags=re.MULTILINE
    )
    assert len(grammar) == 5
    assert all(line in phrases.__doc__ for line in grammar)


def test_options_that_are_named_are_options_of_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    shown = capsys.readouterr().out
    for option in re.findall(r"`(--[a-z]+)", PAGE):
        assert f"{option} " in shown
