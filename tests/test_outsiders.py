"""The programs of strangers mean what they say they mean, in RASP and as weights."""

from __future__ import annotations

import pytest

from outsiders import OUTSIDERS
from untracr.diagnose.checks import check
from untracr.rasp.interpreter import run
from untracr.syntax.library import NamedProgram

NAMES = [named.name for named in OUTSIDERS]


@pytest.mark.parametrize("named", OUTSIDERS, ids=NAMES)
def test_examples_hold(named: NamedProgram) -> None:
    """RASP gives the outputs that the description promises."""
    for tokens, wanted in named.examples:
        assert tuple(run(named.program, [tokens])[0]) == wanted


@pytest.mark.parametrize("named", OUTSIDERS, ids=NAMES)
def test_weights_are_faithful(named: NamedProgram) -> None:
    """Their compiled weights compute them on every input."""
    problems = check(named.program, named.vocab, named.max_seq_len, causal=named.causal)
    assert not [problem for problem in problems if problem.severity == "error"]
