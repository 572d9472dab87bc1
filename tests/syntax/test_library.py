"""The list of named programs."""

from __future__ import annotations

from importlib import import_module

import pytest

from untracr.errors import UsageError
from untracr.syntax.hand_written import HAND_WRITTEN
from untracr.syntax.library import LIBRARY, NamedProgram, named_program
from untracr.syntax.tracr_objects import to_tracr

each = pytest.mark.parametrize("named", [*LIBRARY, *HAND_WRITTEN], ids=lambda named: named.name)


@each
def test_programs_parse_and_are_described(named: NamedProgram) -> None:
    """Every program parses, is described in a sentence and has examples of its domain."""
    assert named.program.length >= 1
    assert named.description.endswith(".")
    assert named.examples
    for tokens, output in named.examples:
        named.domain.require(tokens)
        assert len(output) == len(tokens)


@each
def test_examples_hold_under_tracr(named: NamedProgram) -> None:
    """Every example's output is what Tracr's evaluation of the program gives."""
    import_module("tracr.rasp.rasp")
    sop = to_tracr(named.program)
    for tokens, output in named.examples:
        assert tuple(sop(list(tokens))) == output


@each
def test_sources_run_as_they_stand_under_tracr(named: NamedProgram) -> None:
    """The source text itself, run by Python with Tracr's names, gives the examples' outputs."""
    rasp = import_module("tracr.rasp.rasp")
    namespace = dict(vars(rasp))
    exec(named.source, namespace)
    last = named.source.splitlines()[-1].split(" = ")[0]
    for tokens, output in named.examples:
        assert tuple(namespace[last](list(tokens))) == output


@pytest.mark.parametrize(
    "named", [named for named in LIBRARY if named.causal], ids=lambda named: named.name
)
def test_causal_programs_mean_the_same_under_causal_evaluation(named: NamedProgram) -> None:
    """A program marked causal gives its examples' outputs under causal evaluation too."""
    evaluation = import_module("tracr.rasp.causal_eval")
    sop = to_tracr(named.program)
    for tokens, output in named.examples:
        assert tuple(evaluation.evaluate(sop, list(tokens))) == output


def test_names_are_unique() -> None:
    """No two programs have one name."""
    names = [named.name for named in (*LIBRARY, *HAND_WRITTEN)]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)


def test_programs_are_found_by_name() -> None:
    """named_program finds each program, and suggests one for a misspelt name."""
    assert all(named_program(named.name) is named for named in LIBRARY)
    with pytest.raises(UsageError, match="Did you mean 'reverse'"):
        named_program("revers")


def test_parsing_is_kept() -> None:
    """The parsed program is made once."""
    named = named_program("hist")
    assert named.program is named.program
