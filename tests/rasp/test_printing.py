"""Printing programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings

from real_models import real_records
from strategies import RELAXED, programs
from untracr.errors import ProgramError
from untracr.rasp.functions import Value, formula
from untracr.rasp.nodes import INDICES, NUMERICAL, TOKENS, Indices, Map, Node, Tokens
from untracr.rasp.program import Program, print_program
from untracr.syntax.library import LIBRARY
from untracr.syntax.parsing import parse
from untracr.syntax.tracr_objects import to_tracr


def run_printed(text: str) -> Any:
    """What the last line of printed source computes under Tracr."""
    from tracr.rasp import rasp

    *_, last = text.splitlines()
    name, _, expression = last.partition(" = ")
    namespace: dict[str, Any] = {"rasp": rasp}
    exec(text, namespace)
    return eval(name if expression else last, namespace)


def outcome(sop: Any, tokens: Sequence[Value]) -> object:
    """The output on one input, or that there is none."""
    try:
        return list(map(repr, sop(list(tokens))))
    except Exception:
        return "fails"


def test_real_programs_round_trip() -> None:
    """The 100 real programs are the same after printing and reading, labels included."""
    for real in real_records():
        original = parse(real["source"])
        again = parse(print_program(original))
        assert again == original
        assert again.labels == original.labels


@pytest.mark.parametrize("named", LIBRARY, ids=lambda named: named.name)
def test_library_round_trips(named: Any) -> None:
    """Each named program is the same after printing and reading, labels included."""
    again = parse(print_program(named.program))
    assert again == named.program
    assert again.labels == named.program.labels


@RELAXED
@given(programs())
def test_random_programs_round_trip(program: Program) -> None:
    """Any program is the same after printing and reading."""
    again = parse(print_program(program))
    assert again == program
    for before, after in zip(program.labels, again.labels, strict=True):
        kept = before.isascii() and before.isidentifier() and before not in ("rasp", "lambda")
        assert after == before or not kept


@RELAXED
@given(programs())
def test_printing_is_stable(program: Program) -> None:
    """What was read from printed text prints as the same text."""
    text = print_program(program)
    assert print_program(parse(text)) == text


@settings(RELAXED, max_examples=60)
@given(programs())
def test_printed_source_runs_under_tracr(program: Program) -> None:
    """Printed text run by Python computes under Tracr what the live objects compute."""
    printed, live = run_printed(print_program(program)), to_tracr(program)
    for tokens in ([0], [2, 1], [3, 0, 3], ["a", "b"]):
        assert outcome(printed, tokens) == outcome(live, tokens)


def test_printed_real_programs_give_the_recorded_outputs() -> None:
    """Printed text run under Tracr gives the outputs recorded for the original source."""
    for real in real_records():
        sop = run_printed(print_program(parse(real["source"])))
        for example in real["examples"]:
            if None not in example["rasp"]:
                assert sop(example["input"]) == example["rasp"], real["name"]


def test_prints_one_operation_a_line() -> None:
    """The text is Tracr's Python: qualified names, simplify and defaults only where needed."""
    source = """\
a = rasp.numerical(rasp.Map(lambda x: x + 1, rasp.tokens))
b = rasp.Map(lambda x: {2: 'two'}[x], a, simplify=False)
c = rasp.Select(b, rasp.indices, rasp.Comparison.LEQ)
d = rasp.Select(b, rasp.indices, lambda x, y: x == y)
e = rasp.SelectorOr(c, d)
f = rasp.SelectorNot(e)
g = rasp.SelectorAnd(e, f)
h = rasp.SelectorWidth(g)
i = rasp.Aggregate(g, h)
j = rasp.Aggregate(g, h, default='none')
k = rasp.SequenceMap(lambda x, y: x * y, i, j)
m = rasp.numerical(rasp.Aggregate(g, k, default=0))
n = rasp.numerical(rasp.LinearSequenceMap(m, a, 1, -0.5))
"""
    assert print_program(parse(source)) == source


def test_labels_become_identifiers() -> None:
    """Labels that are no distinct identifiers are changed until they are; others stay."""
    step = Map(formula("x + 1"), TOKENS)
    nodes: tuple[Node, ...] = (
        Tokens(),
        Indices(),
        step,
        *(Map(formula("x"), ref) for ref in range(2, 10)),
    )
    labels = ("tokens", "indices", "a-1", "a_1", "rasp", "lambda", "1st", "é", "ﬁ", "Map", "")
    names = [
        line.split(" = ")[0] for line in print_program(Program(nodes, 10, labels)).splitlines()
    ]
    assert names == ["a_1_2", "a_1", "rasp_2", "lambda_", "_1st", "é", "_", "Map", "map"]


def test_sources_print_as_one_line() -> None:
    """A program that is tokens or indices is that one name."""
    sources = (Tokens(), Indices())
    assert print_program(Program(sources, TOKENS)) == "rasp.tokens\n"
    assert print_program(Program(sources, INDICES)) == "rasp.indices\n"


def test_an_output_before_the_end_is_named_last() -> None:
    """Where the last node is not the output, a last line names the output."""
    nodes = (Tokens(), Indices(), Map(formula("x"), TOKENS), Map(formula("x + 1"), TOKENS))
    text = print_program(Program(nodes, 2, ("tokens", "indices", "a", "b")))
    assert text.splitlines()[-1] == "a"
    assert parse(text).nodes[2] == nodes[2]


def test_numerical_sources_cannot_be_printed() -> None:
    """A program that source text cannot say is refused."""
    with pytest.raises(ProgramError, match="must be categorical"):
        print_program(Program((Tokens(NUMERICAL), Indices()), TOKENS))


def test_a_value_used_twice_in_a_composed_function_prints_as_itself() -> None:
    """Both places need parentheses of their own."""
    text = "b = ~tokens\nMap(lambda x: (x - x) * x <= (max(x, True) and 1), b)"
    program = parse(text)
    assert parse(print_program(program)) == program
