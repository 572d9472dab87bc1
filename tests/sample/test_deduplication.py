"""Keys of programs and of behaviours, and what they leave out of a sample."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from untracr.errors import ProgramError
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.equivalence import decide_equivalence
from untracr.rasp.program import Program
from untracr.sample.deduplication import behaviour_key, first_of_each, overlap, program_key
from untracr.sample.sampler import sample_program
from untracr.syntax.parsing import parse

SMALL = Domain((0, 1, 2), 3)

REVERSE = """\
length = SelectorWidth(Select(tokens, tokens, Comparison.TRUE))
opposite = SequenceMap(lambda x, y: x - y, length, indices)
target = Map(lambda x: x - 1, opposite)
reverse = Aggregate(Select(indices, target, Comparison.EQ), tokens)
"""


def same_program(fst: str, snd: str) -> bool:
    return program_key(parse(fst)) == program_key(parse(snd))


def same_behaviour(fst: str, snd: str) -> bool:
    return behaviour_key(parse(fst), SMALL) == behaviour_key(parse(snd), SMALL)


def test_names_do_not_matter() -> None:
    renamed = REVERSE.replace("length", "n").replace("opposite", "o").replace("target", "t")
    assert same_program(REVERSE, renamed)
    program = sample_program(0, 0)
    labels = tuple(f"other_{n}" for n in range(len(program.nodes)))
    renamed_program = dataclasses.replace(program, labels=labels)
    assert program_key(program) == program_key(renamed_program)


def test_order_of_statements_does_not_matter() -> None:
    fst = "a = Map(lambda x: x + 1, tokens)\nb = Map(lambda x: x - 1, indices)\n"
    snd = "b = Map(lambda x: x - 1, indices)\na = Map(lambda x: x + 1, tokens)\n"
    end = "c = SequenceMap(lambda x, y: x * y, a, b)\n"
    assert same_program(fst + end, snd + end)


def test_sharing_a_select_does_not_matter() -> None:
    select = "Select(tokens, tokens, Comparison.EQ)"
    shared = f"s = {select}\na = Aggregate(s, indices)\nb = Aggregate(s, tokens)\n"
    apart = f"a = Aggregate({select}, indices)\nb = Aggregate({select}, tokens)\n"
    end = "c = SequenceMap(lambda x, y: x or y, a, b)\n"
    assert same_program(shared + end, apart + end)


def test_swapped_arguments_are_another_program_of_the_same_behaviour() -> None:
    fst = "c = SequenceMap(lambda x, y: x * y, tokens, indices)\n"
    snd = "c = SequenceMap(lambda x, y: x * y, indices, tokens)\n"
    assert not same_program(fst, snd)
    assert same_behaviour(fst, snd)


def test_swapped_arguments_of_an_asymmetric_function_behave_differently() -> None:
    fst = "c = SequenceMap(lambda x, y: x - y, tokens, indices)\n"
    snd = "c = SequenceMap(lambda x, y: x - y, indices, tokens)\n"
    assert not same_behaviour(fst, snd)


@pytest.mark.parametrize(
    ("fst", "snd"),
    [
        (
            "a = Map(lambda x: x + 1, tokens)\nb = Map(lambda x: x + 1, a)\n",
            "b = Map(lambda x: x + 2, tokens)\n",
        ),
        (
            "a = SelectorWidth(Select(tokens, tokens, Comparison.LT))\n",
            "s = Select(tokens, tokens, Comparison.GEQ)\n"
            "w = SelectorWidth(s)\n"
            "n = SelectorWidth(Select(tokens, tokens, Comparison.TRUE))\n"
            "a = SequenceMap(lambda x, y: x - y, n, w)\n",
        ),
        (  # True and 1, 2 and 2.0 are one value
            "a = Map(lambda x: x == 1, tokens)\n",
            "a = Map(lambda x: 1.0 if x == 1 else 0, tokens)\n",
        ),
        (  # a value that never occurs does not count
            "a = Map(lambda x: x, tokens)\n",
            "a = Map(lambda x: 7 if x == 9 else x, tokens)\n",
        ),
    ],
)
def test_other_ways_to_write_the_same_behave_the_same(fst: str, snd: str) -> None:
    assert not same_program(fst, snd)
    assert same_behaviour(fst, snd)
    assert decide_equivalence(parse(fst), parse(snd), SMALL).equal


def test_behaviour_keys_tell_values_apart() -> None:
    sources = ["x", "x + 1", "None if x == 0 else x", "'0' if x == 0 else x", "x + 0.25"]
    keys = {behaviour_key(parse(f"a = Map(lambda x: {f}, tokens)\n"), SMALL) for f in sources}
    assert len(keys) == len(sources)


def test_text_that_looks_like_a_list_of_values_is_told_apart() -> None:
    fst = "a = Map(lambda x: 'a' if x == 0 else 'b', tokens)\n"
    snd = "a = Map(lambda x: \"a'|'b\" if x == 0 else 'c', tokens)\n"
    assert not same_behaviour(fst, snd)


def test_behaviour_belongs_to_a_domain() -> None:
    fst = parse("a = Map(lambda x: x, tokens)\n")
    snd = parse("a = Map(lambda x: 0 if x == 4 else x, tokens)\n")
    assert behaviour_key(fst, SMALL) == behaviour_key(snd, SMALL)
    assert behaviour_key(fst, PAPER_DOMAIN) != behaviour_key(snd, PAPER_DOMAIN)


def test_defaults_and_plain_inputs_are_told_apart() -> None:
    select = "s = Select(tokens, indices, Comparison.LT)\n"
    assert not same_program(
        select + "a = Aggregate(s, tokens, default=None)\n",
        select + "a = Aggregate(s, tokens, default=1)\n",
    )
    assert program_key(Program(parse("a = tokens\n").nodes, 0)) != program_key(
        Program(parse("a = indices\n").nodes, 1)
    )


def test_composite_selectors_have_no_program_key() -> None:
    source = "s = SelectorNot(Select(tokens, tokens, Comparison.EQ))\nw = SelectorWidth(s)\n"
    with pytest.raises(ProgramError, match="composite"):
        program_key(parse(source))
    assert behaviour_key(parse(source), SMALL)


def test_behaviour_keys_agree_with_exhaustive_comparison() -> None:
    programs = [sample_program(1, index) for index in range(40)]
    keys = [behaviour_key(program, SMALL) for program in programs]
    for (fst, a), (snd, b) in itertools.combinations(zip(programs, keys, strict=True), 2):
        assert decide_equivalence(fst, snd, SMALL).equal == (a == b)


def test_first_of_each_keeps_the_first_in_order() -> None:
    fst = parse("a = SequenceMap(lambda x, y: x * y, tokens, indices)\n")
    again = parse("b = SequenceMap(lambda x, y: x * y, tokens, indices)\n")
    swapped = parse("c = SequenceMap(lambda x, y: x * y, indices, tokens)\n")
    other = parse("d = Map(lambda x: x + 1, tokens)\n")
    programs = [fst, again, other, swapped, fst]
    assert [p.labels[-1] for p in first_of_each(programs)] == ["a", "d", "c"]
    by_behaviour = first_of_each(programs, lambda program: behaviour_key(program, SMALL))
    assert [p.labels[-1] for p in by_behaviour] == ["a", "d"]
    assert first_of_each([]) == []


def test_overlap_names_test_programs_that_train_holds() -> None:
    train = [sample_program(0, index) for index in range(20)]
    fst = parse("a = SequenceMap(lambda x, y: x * y, tokens, indices)\n")
    swapped = parse("c = SequenceMap(lambda x, y: x * y, indices, tokens)\n")
    other = parse("d = Map(lambda x: x + 17, tokens)\n")
    found = overlap(iter([*train, fst]), [other, train[3], swapped, fst])
    assert found.by_program == (1, 3)
    assert found.by_behaviour == (1, 2, 3)
    assert not found.disjoint
    assert overlap(train, [other]).disjoint


def test_a_sample_holds_few_programs_twice() -> None:
    programs = [sample_program(4, index) for index in range(300)]
    assert len(first_of_each(programs)) > 290
