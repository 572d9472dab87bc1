"""Models that people bring: what is shown as proved holds under Tracr, and most are read."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from brought import BROUGHT, Brought
from brought_judge import (
    Compiled,
    compiled,
    fault,
    inputs,
    save_weights,
    save_with_read_out,
    streams,
)
from untracr import decompile_model
from untracr.decompile.result import Result

SAMPLE = BROUGHT[::4]
"""As many as a test may take; `recipes/read_brought.py` reads all."""

SECONDS = 1.0
"""Of search a model: enough for all that the reader and a short search find."""


def by_name(name: str) -> Brought:
    """One program of the list."""
    return next(brought for brought in BROUGHT if brought.name == name)


def answered(given: Compiled, folder: Path, *, read_out: bool) -> Result:
    """What is read off a file of the weights, alone or with the read-out and the tokens."""
    path = folder / "model.npz"
    (save_with_read_out if read_out else save_weights)(given, path)
    return decompile_model(path, vocab=given.tokens if read_out else None, budget=SECONDS)


def test_there_are_many_of_many_kinds() -> None:
    """The list keeps its size and its variety: settings, vocabularies, lengths."""
    assert len({brought.name for brought in BROUGHT}) == len(BROUGHT) >= 120
    assert {brought.mlp_exactness for brought in BROUGHT} == {100, 1000}
    assert any(brought.causal for brought in BROUGHT)
    assert any(brought.bos != "compiler_bos" for brought in BROUGHT)
    assert max(brought.max_seq_len for brought in BROUGHT) == 12


@pytest.mark.slow
@pytest.mark.parametrize("read_out", [False, True], ids=["weights", "read-out"])
@pytest.mark.parametrize("brought", SAMPLE, ids=lambda brought: brought.name)
def test_nothing_false_is_shown(brought: Brought, read_out: bool, tmp_path: Path) -> None:
    """An answer shown as proved is what Tracr says it is."""
    given = compiled(brought)
    answer = answered(given, tmp_path, read_out=read_out)
    assert fault(given, answer, read_out=read_out) == ""


@pytest.mark.slow
def test_streams_are_those_of_tracr() -> None:
    """The judge's own forward pass is the one that Tracr runs."""
    for name in ("two_pairs_dyck", "running_share_thresholded", "reverse_late_letters"):
        given = compiled(by_name(name))
        xs = [given.brought.bos, *list(inputs(given.tokens, 5, 50))[-1]]
        theirs = np.array(given.model.apply(xs).residuals)
        np.testing.assert_allclose(streams(given.model, [xs]), theirs, atol=1e-4)


@pytest.mark.slow
def test_a_false_answer_is_found(tmp_path: Path) -> None:
    """The judge can say no: to another program's text, and to other outputs alone."""
    given = compiled(by_name("twice_minus_index"))
    answer = answered(given, tmp_path, read_out=True)
    other = (
        "a = rasp.Map(lambda x: x + 3, rasp.tokens)\n"
        "b = rasp.SequenceMap(lambda x, y: x - y, a, rasp.indices)\n"
    )
    wrong = dataclasses.replace(answer, source=other, verdict="identical")
    assert fault(given, wrong, read_out=False).startswith("the printed program's ")
    behaves = dataclasses.replace(answer, source=other, verdict="equivalent")
    assert "where the program gives" in fault(given, behaves, read_out=True)
