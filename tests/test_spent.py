"""What a program may cost is counted before it is spent, at every door."""

from __future__ import annotations

import pytest

from untracr.bounds import (
    MAX_FILLED_CELLS,
    MAX_FUNCTION_CALLS,
    MAX_PROGRAM_NODES,
    MAX_SELECTOR_CELLS,
    MAX_SOURCE,
)
from untracr.compile.compiler import compile_program
from untracr.diagnose.checks import check
from untracr.diagnose.model import compile_rasp_to_model
from untracr.errors import CheckFailed, InputError, ProgramError, RaspSyntaxError
from untracr.rasp import interpreter
from untracr.rasp import spent as spent_module
from untracr.rasp.domain import PAPER_DOMAIN
from untracr.rasp.functions import Formula, Table, brief
from untracr.rasp.interpreter import Batch, run
from untracr.rasp.spent import Spent, TooCostly
from untracr.rasp.tabulating import MAX_TOLD, unary_table
from untracr.syntax.parsing import parse

GROWS = "a = tokens\n" + "a = SequenceMap(lambda x, y: x * 10 + y, a, indices)\n" * 10
"""Ten lines: of each value of the last, five new ones, of which the input has one."""


def calls_of(source: str, inputs: list[list[int]]) -> int:
    """How often a program's functions are called on some inputs."""
    spent = Spent()
    Batch(inputs).evaluate(parse(source), spent)
    return spent.calls


def test_only_pairs_that_occur_are_tried() -> None:
    """Ten lines on one input of three tokens are some calls, not five to the tenth."""
    assert run(parse(GROWS), [[1, 2, 3]]) == [[10000000000, 21111111111, 32222222222]]
    assert calls_of(GROWS, [[1, 2, 3]]) < 1_000
    domain = Batch.of_domain(PAPER_DOMAIN)
    spent = Spent()
    domain.evaluate(parse(GROWS), spent)
    assert spent.calls < 10 * domain.valid.size


def test_selectors_of_many_values_try_pairs_that_occur() -> None:
    """Keys and queries of thousands of values have millions of pairs; few stand in one input."""
    source = GROWS + "s = Select(a, a, lambda x, y: x <= y)\nSelectorWidth(s)\n"
    batch, spent = Batch.of_domain(PAPER_DOMAIN), Spent()
    column = batch.evaluate(parse(source), spent)
    assert batch.row(column, 3_000) == run(parse(source), [batch.input(3_000)])[0]
    assert spent.calls < 3 * batch.valid.size * 5


def test_rows_are_worked_on_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a batch give what the whole gives."""
    source = "s = Select(tokens, indices, lambda k, q: k < q + 1)\nAggregate(s, indices)\n"
    batch = Batch.of_domain(PAPER_DOMAIN)
    whole = batch.evaluate(parse(source))
    wanted = [batch.row(whole, row) for row in range(len(batch))]
    monkeypatch.setattr(interpreter, "CELLS_AT_A_TIME", 1_000)
    parts = batch.evaluate(parse(source))
    assert [batch.row(parts, row) for row in range(len(batch))] == wanted
    inputs = [batch.input(row) for row in range(2_000)]
    assert run(parse(source), inputs) == wanted[:2_000]


def test_inputs_too_long_for_selectors_are_refused() -> None:
    """A selector of one input has the square of its length in cells."""
    with pytest.raises(InputError, match=f"at most {MAX_SELECTOR_CELLS:,}"):
        run(parse("SelectorWidth(Select(tokens, tokens, Comparison.EQ))"), [[0] * 20_000])


def test_calls_and_cells_are_bounded() -> None:
    """Long functions count as several calls; what is too much is told with its place."""
    spent = Spent()
    spent.call(Formula("x + 1", 1), MAX_FUNCTION_CALLS, "a")
    with pytest.raises(TooCostly, match="b: a program may call"):
        spent.call(Formula("x + 1", 1), 1, "b")
    with pytest.raises(TooCostly, match="at most 4,000 characters"):
        Spent().call(Formula("x" + " + 1" * 2_000, 1), 1)
    with pytest.raises(TooCostly, match="c: a program may fill"):
        Spent().fill(MAX_FILLED_CELLS + 1, "c")


@pytest.mark.slow
def test_an_average_of_many_values_costs_more_than_its_cells() -> None:
    """Each mean of means is a new value, which is looked at alone."""
    source = "s = ~Select(tokens, tokens, Comparison.EQ)\na = tokens\n"
    source += "a = numerical(Aggregate(s, a, default=1))\n" * 2_000 + "a\n"
    with pytest.raises(TooCostly, match="cells"):
        Batch.of_domain(PAPER_DOMAIN).evaluate(parse(source))


def test_a_function_that_fails_everywhere_says_so_some_times() -> None:
    """What it fails on is told of its first failures; the others are one value."""
    count = MAX_TOLD + 500
    _, results, fails = unary_table(Formula("max()", 1), tuple(range(count)), (int,) * count)
    assert fails
    assert len(results) == MAX_TOLD + 1
    assert results[0] != results[1]


def test_the_size_of_new_values_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value is within its bounds, and there may be any number of them."""
    monkeypatch.setattr(spent_module, "MAX_NEW_VALUES", 1_000)
    program = parse("a = Map(lambda x: 'a' * (x + 200), tokens)\n")
    with pytest.raises(TooCostly, match="may have at most 1,000 characters"):
        run(program, [[0, 1, 2, 3, 4]])
    assert any("at most 1,000" in problem.rule for problem in check(program, range(5), 5))


COSTLY = {
    "values": GROWS,
    "pairs": "a = SequenceMap(lambda x, y: x * 10 + y, tokens, indices)\n"
    + "a = SequenceMap(lambda x, y: x * 1000 + y, a, tokens)\n" * 3
    + "Aggregate(Select(a, a, Comparison.EQ), a)\n",
    "products": "a = SequenceMap(lambda x, y: x * 9 + y, tokens, indices)\n"
    "b = SequenceMap(lambda x, y: x * 8 + y, tokens, indices)\n"
    "s = SelectorAnd(Select(a, b, Comparison.LT), Select(b, a, Comparison.LT))\n"
    "t = SelectorOr(s, SelectorAnd(Select(b, b, Comparison.LT), s))\n"
    "SelectorWidth(SelectorAnd(t, SelectorAnd(Select(a, a, Comparison.GT), t)))\n",
    "tuples": "a = SequenceMap(lambda x, y: (x, y), tokens, indices)\n"
    + "a = SequenceMap(lambda x, y: (x, y), a, a)\n" * 10,
    "operations": "a = tokens\n"
    + "a = Map(lambda x: x + 1, a, simplify=False)\n" * MAX_PROGRAM_NODES,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COSTLY)
def test_no_door_makes_more_than_is_affordable(name: str) -> None:
    """Checking and compiling end with what would be too much."""
    program = parse(COSTLY[name])
    problems = check(program, range(5), 5)
    assert any("at most" in problem.rule for problem in problems), problems
    with pytest.raises(CheckFailed, match="at most"):
        compile_rasp_to_model(program, range(5), 5)


def test_models_too_large_to_be_read_are_not_made() -> None:
    """The size of the weights is told before they are there."""
    wide = parse("a = SequenceMap(lambda x, y: x * 1000 + y, tokens, indices)\nMap(lambda x: x, a)")
    with pytest.raises(TooCostly, match="at most 50,000,000 weights"):
        compile_program(wide, range(70), 70)


MERGES = {
    "formulas": f"a = Map(lambda x: {'x + ' * 60}1, tokens)\n"
    + "b = Map(lambda x: x, a)\n" * 10_000,
    "tables": f"a = Map(lambda x: {{{', '.join(f'{i}: {i}' for i in range(5_000))}}}[x], tokens)\n"
    + "b = Map(lambda x: x, a)\n" * 1_000,
    "selectors": f"s = Select(tokens, tokens, lambda k, q: {'k + ' * 60}q)\n"
    + "t = ~s\n" * 10_000
    + "tokens + 1\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MERGES)
def test_what_is_merged_is_counted(name: str) -> None:
    """Each line is short and writes a long function anew."""
    with pytest.raises(RaspSyntaxError, match="functions that are merged may have at most"):
        parse(MERGES[name])


def test_a_text_may_not_be_of_any_length() -> None:
    """Python's parser takes many times the memory of the text."""
    with pytest.raises(RaspSyntaxError, match=f"at most {MAX_SOURCE:,} characters"):
        parse("#" * (MAX_SOURCE + 1))


def test_functions_are_brief_in_messages() -> None:
    """A table of thousands of entries is counted, not written out on each failure."""
    table = Table(tuple(((i,), i) for i in range(100)), 1)
    assert brief(table) == "a lookup table of 100 entries"
    assert len(brief(Formula("x" + " + 1" * 900, 1))) < 250
    with pytest.raises(ProgramError) as caught:
        run(parse(f"Map({table}, Map(lambda x: x + 100, tokens), simplify=False)"), [[1]])
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "formula",
    ["(x - 9) ** 0.5", "int('9' * 999) * int('9' * 999)", "x / 0", "round(x, 10 ** 9)", "int('x')"],
)
def test_functions_that_give_no_value_fail_cleanly(formula: str) -> None:
    """Complex numbers and numbers without an end are no values."""
    with pytest.raises(ProgramError):
        run(parse(f"Map(lambda x: {formula}, tokens)"), [[1, 2]])


def test_numbers_in_place_of_truths_must_fit_weights() -> None:
    """A predicate that gives 1e308 made weights that were infinite."""
    program = parse("SelectorWidth(Select(tokens, tokens, lambda k, q: 1e308 if k == q else 0))")
    with pytest.raises(ProgramError, match="a predicate may give numbers up to"):
        compile_rasp_to_model(program, range(3), 3, strict=False)


def test_factors_larger_than_any_float_fail_cleanly() -> None:
    """NumPy raises what no door expects on them."""
    program = parse(f"LinearSequenceMap(tokens, indices, {'9' * 310}, 1)")
    assert run(program, [[1]]) == [[int("9" * 310)]]
