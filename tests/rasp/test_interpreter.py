"""What programs compute: by batch as one by one, and as Tracr's evaluator does."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slow_interpreter import ComparesNone, evaluate
from steps import at_most
from strategies import RELAXED, programs, values
from untracr.errors import EvaluationError, InputError, ProgramError
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.equivalence import same_value
from untracr.rasp.functions import Value
from untracr.rasp.interpreter import Batch, distinct_codes, distinct_numbers, run
from untracr.rasp.nodes import INDICES, NUMERICAL, TOKENS, Aggregate, LinearSequenceMap, Map, Select
from untracr.rasp.program import Builder, Program
from untracr.sample.sampler import sample_program
from untracr.syntax.library import LIBRARY, NamedProgram
from untracr.syntax.parsing import parse
from untracr.syntax.tracr_objects import to_tracr

inputs = st.lists(st.lists(values, min_size=1, max_size=4), min_size=1, max_size=5)
integer_inputs = st.lists(
    st.lists(st.integers(0, 4), min_size=1, max_size=5), min_size=1, max_size=5
)
FAILS = (ProgramError, ComparesNone, TypeError, ValueError, ArithmeticError)


def slowly(
    program: Program, batch: Sequence[Sequence[Value]], *, causal: bool = False
) -> list[list[Value]] | None:
    try:
        return [evaluate(program, tokens, causal=causal) for tokens in batch]
    except FAILS:
        return None


def quickly(
    program: Program, inputs: Sequence[Sequence[Value]], *, causal: bool = False
) -> list[list[Value]] | None:
    batch = Batch(inputs, causal=causal)
    try:
        column = batch.evaluate(program)
    except EvaluationError:
        return None
    return [batch.row(column, row) for row in range(len(batch))]


def same(fst: Sequence[Sequence[Value]], snd: Sequence[Sequence[Value]]) -> bool:
    return all(
        len(a) == len(b) and all(same_value(x, y) for x, y in zip(a, b, strict=True))
        for a, b in zip(fst, snd, strict=True)
    )


def assert_same(program: Program, batch: Sequence[Sequence[Value]], causal: bool = False) -> None:
    theirs = slowly(program, batch, causal=causal)
    ours = quickly(program, batch, causal=causal)
    assert (theirs is None) == (ours is None), (theirs, ours)
    if theirs is not None and ours is not None:
        assert same(theirs, ours), (theirs, ours)


@given(programs(), st.one_of(inputs, integer_inputs), st.booleans())
@RELAXED
def test_by_batch_as_one_by_one(program: Program, batch: list[list[Value]], causal: bool) -> None:
    assert_same(program, batch, causal)


@pytest.mark.slow
@given(programs(), integer_inputs)
@RELAXED
def test_as_tracr_evaluates(program: Program, batch: list[list[Value]]) -> None:
    rasp: Any = import_module("tracr.rasp.rasp")
    ours = quickly(program, batch)
    assume(ours is not None)
    assert ours is not None
    # `evaluate` of the module, not `SOp.__call__`, which needs an output of one type.
    sop = to_tracr(program)
    theirs = [list(rasp.evaluate(sop, tokens)) for tokens in batch]
    assert same(theirs, ours)


@pytest.mark.parametrize("index", range(25))
def test_sampled_programs_on_every_input_of_up_to_three_tokens(index: int) -> None:
    program = sample_program(17, index)
    assert_same(program, list(Domain(PAPER_DOMAIN.vocab, 3)))


@pytest.mark.parametrize("named", LIBRARY, ids=lambda named: named.name)
def test_library_examples(named: NamedProgram) -> None:
    given_inputs = [tokens for tokens, _ in named.examples]
    assert same(run(named.program, given_inputs), [out for _, out in named.examples])
    assert_same(named.program, given_inputs)


def outputs(source: str, tokens: Sequence[Value]) -> list[Value]:
    return run(parse(source), [tokens])[0]


def test_none_passes_through_maps() -> None:
    nothing = "n = Map(lambda x: None if x == 1 else x, tokens)\n"
    assert outputs(nothing + "m = Map(lambda x: x + 1, n, simplify=False)\n", [0, 1]) == [1, None]
    both = nothing + "m = SequenceMap(lambda x, y: x or y, n, indices)\n"
    assert outputs(both, [0, 1]) == [0, None]
    linear = nothing + "m = LinearSequenceMap(n, indices, 2, 3)\n"
    assert outputs(linear, [2, 1]) == [4, None]


def test_aggregates_move_average_and_fall_back() -> None:
    before = "s = Select(indices, indices, Comparison.LT)\n"
    assert outputs(before + "a = Aggregate(s, tokens)\n", [4, 2, 1]) == [None, 4, 3.0]
    with_default = before + "a = Aggregate(s, tokens, default=0)\n"
    assert outputs(with_default, [4, 2, 1]) == [0, 4, 3.0]


def test_one_selected_value_is_returned_as_it_is() -> None:
    source = "a = Aggregate(Select(indices, indices, Comparison.EQ), tokens)\n"
    row = outputs(source, ["a", None, True, 2])
    assert row == ["a", None, True, 2]
    assert row[2] is True


def test_means_are_added_from_left_to_right() -> None:
    source = "a = Aggregate(Select(tokens, tokens, Comparison.TRUE), tokens)\n"
    row = [0.1, 0.2, 0.3, 0.7]
    assert outputs(source, row) == [sum(row) / 4] * 4


def test_booleans_numbers_and_text_stay_what_they_are() -> None:
    row = outputs("a = Map(lambda x: x, tokens)\n", [1, True, 1.0, "1"])
    assert [type(value) for value in row] == [int, bool, float, str]


def test_selectors() -> None:
    equal = "s = Select(tokens, tokens, Comparison.EQ)\n"
    assert outputs(equal + "w = SelectorWidth(s)\n", [1, 2, 1]) == [2, 1, 2]
    assert outputs(equal + "n = SelectorNot(s)\nw = SelectorWidth(n)\n", [1, 2, 1]) == [1, 2, 1]
    late = "t = Select(indices, indices, Comparison.LEQ)\n"
    for joined, widths in (("SelectorAnd", [1, 1, 2]), ("SelectorOr", [2, 2, 3])):
        source = f"{equal}{late}u = {joined}(s, t)\nw = SelectorWidth(u)\n"
        assert outputs(source, [1, 2, 1]) == widths


def test_predicates_take_the_key_first() -> None:
    source = "w = SelectorWidth(Select(tokens, indices, Comparison.LT))\n"
    assert outputs(source, [0, 0, 5]) == [0, 2, 2]


@pytest.mark.parametrize(
    ("source", "tokens", "message"),
    [
        ("a = Map(lambda x: 1 / x, tokens)\n", [1, 0], "fails on 0"),
        ("a = SequenceMap(lambda x, y: x - y, tokens, indices)\n", ["a"], "fails on 'a', 0"),
        ("a = Aggregate(Select(tokens, tokens, Comparison.TRUE), tokens)\n", ["a", 1], "average"),
        ("a = SelectorWidth(Select(tokens, indices, Comparison.EQ))\n", [None], "compare None"),
        ("a = SelectorWidth(Select(tokens, indices, Comparison.TRUE))\n", [None], "compare None"),
        ("a = SelectorWidth(Select(tokens, indices, Comparison.LT))\n", ["a"], "fails on 'a', 0"),
        ("a = Map(lambda x: {0: 1}[x], tokens)\n", [1], "no entry for 1"),
    ],
)
def test_failures_are_reported(source: str, tokens: list[Value], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        outputs(source, tokens)


def test_a_value_that_never_occurs_cannot_fail() -> None:
    table = "w = SelectorWidth(Select(tokens, tokens, Comparison.EQ))\n"
    source = table + "a = Map(lambda x: {1: 7, 2: 8}[x], w)\n"
    assert outputs(source, [0, 1, 1]) == [7, 8, 8]  # no entry for 0 nor 3
    batch = [[1, 2, 4], [4]]  # 1 / 0 only beyond the end of the second input
    assert run(parse("a = Map(lambda x: 1 / x, tokens)\n"), batch) == [[1, 0.5, 0.25], [0.25]]


def test_large_integers_stay_exact() -> None:
    big = 2**60
    add = Builder()
    total = add.add(LinearSequenceMap(TOKENS, INDICES, 1, 1))
    assert run(add.build(total), [[big, big, 3]]) == [[big, big + 1, 5]]
    select = "w = SelectorWidth(Select(tokens, tokens, Comparison.LT))\n"
    assert outputs(select, [big, big + 1, 10**400]) == [0, 1, 2]


def test_infinite_numbers_make_no_warnings() -> None:
    huge = "a = Map(lambda x: x * 1e308 * 10, tokens)\n"
    linear = huge + "b = LinearSequenceMap(a, a, 1, -1)\nc = Map(lambda x: x == x, b)\n"
    assert outputs(linear, [1, 2]) == [False, False]
    mean = huge + "b = Aggregate(Select(tokens, tokens, Comparison.NEQ), a)\n"
    assert outputs(mean, [1, -2]) == [-float("inf"), float("inf")]


def test_causal_batches_hide_later_keys() -> None:
    everywhere = parse("w = SelectorWidth(Select(tokens, tokens, Comparison.TRUE))\n")
    assert quickly(everywhere, [[1, 1, 1], [1]], causal=True) == [[1, 2, 3], [1]]
    nowhere = parse(
        "s = SelectorNot(Select(tokens, tokens, Comparison.FALSE))\nw = SelectorWidth(s)\n"
    )
    assert quickly(nowhere, [[1, 1, 1], [1]], causal=True) == [[1, 2, 3], [1]]
    domain = Batch.of_domain(Domain((0, 1), 3), causal=True)
    column = domain.evaluate(everywhere)
    assert domain.row(column, len(domain) - 1) == [1, 2, 3]


def test_inputs_of_a_domain_come_in_its_order() -> None:
    domain = Domain(("b", "a", 3), 3)
    expected = [list(tokens) for tokens in domain]
    batch = Batch.of_domain(domain)
    assert [batch.input(row) for row in range(len(batch))] == expected
    part = Batch.of_domain(domain, 5, 21)
    assert [part.input(row) for row in range(len(part))] == expected[5:21]
    assert len(Batch.of_domain(PAPER_DOMAIN)) == PAPER_DOMAIN.size == 3905


def test_empty_inputs() -> None:
    program = parse("a = Map(lambda x: x, tokens)\n")
    assert run(program, []) == []
    empties: list[list[list[Value]]] = [[[]], [[1], []]]
    for empty in empties:
        with pytest.raises(InputError, match="at least one token"):
            run(program, empty)


def test_every_node_can_be_stepped_by_itself() -> None:
    batch = Batch([[1, 2], [3]])
    tokens = batch.step(batch_node := Map(_plus_one(), TOKENS, NUMERICAL), {TOKENS: batch.tokens})
    assert batch_node.inner == TOKENS
    assert not isinstance(tokens, np.ndarray)
    assert batch.row(tokens, 0) == [2, 3]
    with pytest.raises(KeyError):
        batch.step(Aggregate(5, TOKENS), {TOKENS: batch.tokens})


def _plus_one() -> Any:
    node = parse("a = Map(lambda x: x + 1, tokens)\n").nodes[-1]
    assert isinstance(node, Map)
    return node.function


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.sampled_from([31, 4000]))
def test_distinct_codes(codes: list[int], stop: int) -> None:
    new, used = distinct_codes(np.array([codes]), stop)
    assert new.shape == (1, len(codes))
    assert used.tolist() == sorted(set(codes))
    assert used[new].tolist() == [codes]


@given(st.lists(st.floats(allow_nan=False), max_size=40))
def test_distinct_numbers(numbers: list[float]) -> None:
    found, codes = distinct_numbers(np.array(numbers, dtype=np.float64))
    assert found.tolist() == sorted(set(numbers))
    assert found[codes].tolist() == numbers


def test_unused_nodes_are_not_evaluated() -> None:
    builder = Builder()
    select = builder.add(Select(TOKENS, TOKENS, parse_predicate("1 / x > y")))
    builder.add(Aggregate(select, TOKENS))
    kept = builder.add(Map(_plus_one(), TOKENS))
    program = dataclasses.replace(
        Program(tuple(builder.nodes), kept), labels=("tokens", "indices", "s", "a", "m")
    )
    assert run(program, [[0]]) == [[1]]


def parse_predicate(text: str) -> Any:
    node = parse(f"w = SelectorWidth(Select(tokens, tokens, lambda x, y: {text}))\n").nodes[2]
    assert isinstance(node, Select)
    return node.predicate


@pytest.mark.parametrize(
    "source",
    [
        "Map(lambda x: ((((x ** 64) ** 64) ** 64) ** 64) ** 64, tokens)",
        "Map(lambda x: round(x, -1000000000), tokens)",
        "Map(lambda x: '%1000000000d' % x, tokens)",
        "Map(lambda x: 'ab' * 1000000000, tokens)",
        "a = Map(lambda x: 'ab', tokens)\n" + "a = Map(lambda x: x + x, a, simplify=False)\n" * 40,
        "a = Map(lambda x: 'ab', tokens)\nLinearSequenceMap(a, a, 1000000000, 1)",
    ],
)
def test_what_grows_without_bounds_fails(source: str) -> None:
    """No short program fills the memory with one number or text; it fails on its input."""
    with at_most(100_000), pytest.raises(EvaluationError):
        run(parse(source), [[3, 1]])
