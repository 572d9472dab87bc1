"""Deciding whether programs behave the same, on all inputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slow_interpreter import evaluate
from strategies import RELAXED
from untracr.errors import EvaluationError, InputError
from untracr.rasp import equivalence
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.equivalence import behaviour_key, decide_equivalence, numbers_agree, same_value
from untracr.rasp.functions import Value
from untracr.sample.sampler import sample_program
from untracr.syntax.parsing import parse

SMALL = Domain((0, 1, 2), 3)
INFINITY, NAN = float("inf"), float("nan")


def test_equal_programs_are_compared_on_the_whole_domain() -> None:
    fst = parse("a = Map(lambda x: x + 1, tokens)\nb = Map(lambda x: x + 1, a)\n")
    snd = parse("b = Map(lambda x: x + 2, tokens)\n")
    found = decide_equivalence(fst, snd, PAPER_DOMAIN)
    assert (found.equal, found.inputs_checked, found.counterexample) == (True, 3905, None)


def test_the_first_input_that_differs_is_the_counterexample() -> None:
    fst = parse("a = Aggregate(Select(indices, tokens, Comparison.EQ), tokens)\n")
    snd = parse("a = Aggregate(Select(indices, tokens, Comparison.EQ), tokens, default=9)\n")
    found = decide_equivalence(fst, snd, SMALL)
    assert not found.equal
    example = found.counterexample
    assert example is not None
    assert (example.input, example.fst_output, example.snd_output) == ((1,), (None,), (9,))
    earlier = list(SMALL)[: list(SMALL).index(example.input)]
    assert all(evaluate(fst, tokens) == evaluate(snd, tokens) for tokens in earlier)


@given(st.integers(0, 400), st.integers(0, 400))
@RELAXED
def test_decisions_agree_with_running_both(fst: int, snd: int) -> None:
    a, b = sample_program(23, fst), sample_program(23, snd)
    domain = Domain((0, 1, 4), 2)
    differ = [
        tokens
        for tokens in domain
        if not all(map(same_value, evaluate(a, tokens), evaluate(b, tokens)))
    ]
    found = decide_equivalence(a, b, domain)
    assert found.equal == (not differ) == (behaviour_key(a, domain) == behaviour_key(b, domain))
    if found.counterexample is not None:
        assert found.counterexample.input == differ[0]


def test_domains_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equivalence, "INPUTS_AT_ONCE", 7)
    fst = parse("a = Map(lambda x: x, tokens)\n")
    snd = parse(
        "r = Aggregate(Select(indices, indices, lambda x, y: x == y - 2), tokens, default=0)\n"
        "a = SequenceMap(lambda x, y: 5 if x == 2 and y == 2 else y, r, tokens)\n"
    )
    found = decide_equivalence(fst, snd, SMALL)
    assert found.counterexample is not None
    assert found.counterexample.input == (2, 0, 2)
    assert found.inputs_checked % 7 == 0 or found.inputs_checked == SMALL.size
    assert decide_equivalence(fst, fst, SMALL).inputs_checked == SMALL.size
    assert behaviour_key(fst, SMALL) != behaviour_key(snd, SMALL)
    assert behaviour_key(fst, SMALL) == behaviour_key(parse("a = tokens - 0\n"), SMALL)


def test_a_domain_beyond_the_limit_is_refused() -> None:
    program = parse("a = Map(lambda x: x, tokens)\n")
    with pytest.raises(InputError, match="more than the limit of 100"):
        decide_equivalence(program, program, PAPER_DOMAIN, limit=100)


def test_a_program_that_fails_is_an_error() -> None:
    fails = parse("a = Map(lambda x: 1 / x, tokens)\n")
    fine = parse("a = Map(lambda x: x, tokens)\n")
    with pytest.raises(EvaluationError):
        decide_equivalence(fine, fails, SMALL)
    with pytest.raises(EvaluationError):
        behaviour_key(fails, SMALL)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1, True, True),
        (1, 1.0, True),
        (0.1 + 0.2, 0.3, True),
        (1e13, 1e13 + 1, True),
        (2e9, 2e9 + 0.5, False),
        (2_000_000_000, 2_000_000_001, False),
        (10**17, 10**17 + 1, False),
        (10**400, 10**400, True),
        (10**400, 10**400 + 1, False),
        (10**400, 1.0, False),
        (10**400, INFINITY, False),
        (INFINITY, INFINITY, True),
        (INFINITY, -INFINITY, False),
        (INFINITY, 5, False),
        (INFINITY, 1e308, False),
        (1e308, -1e308, False),
        (NAN, NAN, True),
        (NAN, 0, False),
        (NAN, INFINITY, False),
        (-0.0, 0, True),
        (0, 1e-8, False),
        (0, None, False),
        (None, None, True),
        (1, "1", False),
        ("a", "a", True),
        (False, None, False),
    ],
)
def test_values(a: Value, b: Value, same: bool) -> None:
    assert same_value(a, b) is same
    assert same_value(b, a) is same


def test_infinity_is_no_other_number() -> None:
    """An overflow once counted as equal to any number."""
    overflows = parse("a = Map(lambda x: x + 1e308 * 10, tokens)\n")
    doubles = parse("a = Map(lambda x: x * 2, tokens)\n")
    assert not decide_equivalence(overflows, doubles, SMALL).equal
    assert decide_equivalence(overflows, overflows, SMALL).equal
    keys = {behaviour_key(program, SMALL) for program in (overflows, doubles)}
    assert len(keys) == 2


def test_integers_of_any_size_are_told_apart() -> None:
    """Floats hold neither: not the sum of 1 and a large integer, nor a very large one."""
    sources = [f"a = Map(lambda x: {size} + x, tokens)\n" for size in (10**17, 10**17 + 1, 10**400)]
    fst, snd, huge = map(parse, sources)
    assert not decide_equivalence(fst, snd, SMALL).equal
    assert decide_equivalence(huge, huge, SMALL).equal
    assert len({behaviour_key(program, SMALL) for program in (fst, snd, huge)}) == 3


@pytest.mark.parametrize(
    ("found", "wanted", "agree"),
    [
        (1.0, 1.0005, True),
        (1.0, 1.1, False),
        (5.0, INFINITY, False),
        (INFINITY, 5.0, False),
        (INFINITY, INFINITY, False),
        (NAN, NAN, False),
        (NAN, 1.0, False),
    ],
)
def test_what_is_not_finite_agrees_with_nothing(found: float, wanted: float, agree: bool) -> None:
    """Weights that overflow give no value, whatever a program says."""
    assert numbers_agree(np.array([found]), np.array([wanted]), 1e-3).tolist() == [agree]
