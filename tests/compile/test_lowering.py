"""Composite selectors become plain Selects of the same meaning."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import assume, given

from strategies import RELAXED, programs
from untracr.compile.compiler import compile_program
from untracr.compile.lowering import lower_selectors
from untracr.diagnose.model import compile_rasp_to_model
from untracr.errors import ProgramError
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import decide_equivalence
from untracr.rasp.functions import Comparison, Predicate, formula
from untracr.rasp.interpreter import Batch
from untracr.rasp.nodes import (
    INDICES,
    TOKENS,
    Ref,
    Select,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    SequenceMap,
)
from untracr.rasp.program import Builder, Program
from untracr.syntax.parsing import parse

T = TypeVar("T")

DOMAIN = Domain((0, 1, 2), 3)

SELECTS: tuple[tuple[Ref, Ref, Predicate], ...] = (
    (TOKENS, TOKENS, Comparison.EQ),
    (INDICES, INDICES, Comparison.LT),
    (TOKENS, INDICES, formula("x == y + 1", 2)),
    (TOKENS, TOKENS, formula("x + y", 2)),
)


def lowered(program: Program) -> Program:
    return lower_selectors(program, DOMAIN.vocab, DOMAIN.max_seq_len)


def pair_program(
    fst: tuple[Ref, Ref, Predicate], snd: tuple[Ref, Ref, Predicate], word: str, inverted: bool
) -> Program:
    b = Builder()
    sides = b.add(Select(*fst)), b.add(Select(*snd))
    both = b.add(SelectorAnd(*sides) if word == "and" else SelectorOr(*sides), "both")
    if inverted:
        both = b.add(SelectorNot(both))
    return b.build(b.add(SelectorWidth(both)))


def or_none(work: Callable[[], T]) -> T | None:
    """What some work gives; None where the program makes it fail."""
    try:
        return work()
    except ProgramError:
        return None


def composites(program: Program) -> list[Ref]:
    kinds = (SelectorAnd, SelectorOr, SelectorNot)
    return [ref for ref in program.reachable if isinstance(program.nodes[ref], kinds)]


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("word", ["and", "or"])
@pytest.mark.parametrize(("fst", "snd"), list(itertools.product(SELECTS, SELECTS)))
def test_every_pair_of_selects_keeps_its_meaning(
    fst: tuple[Ref, Ref, Predicate], snd: tuple[Ref, Ref, Predicate], word: str, inverted: bool
) -> None:
    program = pair_program(fst, snd, word, inverted)
    plain = lowered(program)
    assert not composites(plain)
    assert decide_equivalence(program, plain, DOMAIN).equal


def test_programs_without_composites_stay_the_same_object() -> None:
    program = parse("SelectorWidth(Select(tokens, tokens, Comparison.EQ))")
    assert lowered(program) is program


def test_same_keys_and_queries_need_no_product() -> None:
    program = pair_program(SELECTS[0], (TOKENS, TOKENS, Comparison.LT), "or", False)
    plain = lowered(program)
    assert not any(isinstance(node, SequenceMap) for node in plain.nodes)
    assert "both" in plain.labels


def test_equal_products_are_shared() -> None:
    b = Builder()
    fst, snd = b.add(Select(*SELECTS[0])), b.add(Select(*SELECTS[1]))
    both = b.add(SelectorAnd(fst, snd))
    either = b.add(SelectorOr(fst, snd))
    less = b.add(SelectorNot(both))
    all_of = b.add(SelectorAnd(less, either))
    program = b.build(b.add(SelectorWidth(all_of)))
    plain = lowered(program)
    assert sum(isinstance(node, SequenceMap) for node in plain.nodes) == 1
    assert decide_equivalence(program, plain, DOMAIN).equal


def test_labels_stay_distinct() -> None:
    source = (
        "both_keys = Map(lambda x: x, tokens)\n"
        "a = Select(both_keys, tokens, Comparison.EQ)\n"
        "b = Select(indices, indices, Comparison.LT)\n"
        "both = SelectorAnd(a, b)\n"
        "SelectorWidth(both)"
    )
    labels = lowered(parse(source)).labels
    assert len(set(labels)) == len(labels)


def test_a_failing_predicate_is_a_program_error() -> None:
    program = pair_program(SELECTS[1], (TOKENS, TOKENS, formula("x % y", 2)), "and", False)
    with pytest.raises(ProgramError, match="predicate fails"):
        lowered(program)


def test_the_compiler_alone_refuses_composites() -> None:
    program = pair_program(SELECTS[0], SELECTS[1], "and", False)
    with pytest.raises(ProgramError, match="lowered before compiling"):
        compile_program(program, DOMAIN.vocab, DOMAIN.max_seq_len)


def test_weights_of_a_composite_compute_it_on_every_input() -> None:
    source = (
        "same = Select(tokens, tokens, Comparison.EQ)\n"
        "before = Select(indices, indices, Comparison.LT)\n"
        "SelectorWidth(SelectorAnd(same, SelectorNot(before)))"
    )
    model = compile_rasp_to_model(source, DOMAIN.vocab, DOMAIN.max_seq_len)
    assert model.verify().problems == ()
    assert model.run([[1, 1, 2], [2]]) == [[2, 1, 1], [1]]


@pytest.mark.slow
@RELAXED
@given(programs())
def test_random_programs_keep_their_meaning(program: Program) -> None:
    """What can be lowered means the same, and fails on no input on which it did not fail."""
    plain = or_none(lambda: lowered(program))
    assume(plain is not None)  # else its values cannot be told
    assert plain is not None
    assert not composites(plain)
    assume(or_none(lambda: Batch.of_domain(DOMAIN).evaluate(program)) is not None)
    assert decide_equivalence(program, plain, DOMAIN).equal
