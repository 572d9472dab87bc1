"""Every rule is found, all at once, and the culprit is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from untracr.compile.compiler import compile_program
from untracr.diagnose.checks import check
from untracr.diagnose.inputs import INPUTS_DRAWN
from untracr.diagnose.judging import verify
from untracr.diagnose.model import compile_rasp_to_model
from untracr.errors import CheckFailed, Problem, ProgramError
from untracr.rasp.domain import Domain
from untracr.rasp.functions import Value, formula
from untracr.rasp.nodes import INDICES, NUMERICAL, TOKENS, Indices, Map, SequenceMap, Tokens
from untracr.rasp.program import Program
from untracr.syntax.parsing import parse

VOCAB: tuple[Value, ...] = (0, 1, 2)

HIST = "hist = SelectorWidth(Select(tokens, tokens, Comparison.EQ))\n"
NUMBER = "number = numerical(Map(lambda x: x == 1, tokens))\n"
FRACTION = NUMBER + (
    "mean = numerical(Aggregate(Select(indices, indices, Comparison.LEQ), number, default=0))\n"
)


def found(source: str, vocab: Sequence[Value] = VOCAB, length: int = 3) -> tuple[Problem, ...]:
    return check(parse(source), vocab, length)


def errors(problems: Sequence[Problem]) -> list[Problem]:
    return [problem for problem in problems if problem.severity == "error"]


def the_error(source: str, vocab: Sequence[Value] = VOCAB, length: int = 3) -> Problem:
    (problem,) = errors(found(source, vocab, length))
    return problem


STATIC = [
    (NUMBER + "s = Select(number, tokens, Comparison.EQ)\nSelectorWidth(s)", "keys must be"),
    (NUMBER + "s = Select(tokens, number, Comparison.EQ)\nSelectorWidth(s)", "queries must be"),
    (
        "Aggregate(Select(tokens, tokens, Comparison.EQ), tokens, default=1)",
        "default must be None, not 1",
    ),
    (
        NUMBER + "numerical(Aggregate(Select(tokens, tokens, Comparison.EQ), number, default=2))",
        "default must be 0, not 2",
    ),
    (
        NUMBER + "Aggregate(Select(tokens, tokens, Comparison.EQ), number)",
        "encoding must be its SOp's",
    ),
    ("numerical(SequenceMap(lambda x, y: x + y, tokens, indices))", "must be categorical"),
    (NUMBER + "SequenceMap(lambda x, y: x + y, tokens, number)", "must be categorical"),
    ("LinearSequenceMap(tokens, indices, 1, 2)", "must be numerical"),
    ("numerical(Map(lambda x: 'a', tokens))", "must hold numbers"),
    ("numerical(Map(lambda x: x if x > 0 else None, tokens))", "must hold numbers"),
    ("Map(lambda x: x + 'a', tokens)", "fails on"),
    ("Map(lambda x: 1 / x, tokens)", "fails on 0"),
    ("SequenceMap(lambda x, y: x % y, tokens, indices)", "fails on"),
    ("Map(lambda x: {0: 1}[x], tokens)", "must cover every value"),
    ("SelectorWidth(Select(tokens, tokens, lambda k, q: k % q == 0))", "fails on key"),
    ("Map(lambda x: None, tokens)", "always None"),
    ("tokens", "at least one operation"),
    (
        "n = numerical(Map(lambda x: x, tokens))\n"
        "numerical(Aggregate(Select(tokens, tokens, Comparison.EQ), n, default=0))",
        "can only average 0 and 1",
    ),
]


@pytest.mark.parametrize(("source", "rule"), STATIC)
def test_static_rules(source: str, rule: str) -> None:
    problem = the_error(source)
    assert rule in problem.rule
    assert problem.fix
    assert str(problem).startswith("error: ")


def test_numerical_inputs_are_refused() -> None:
    nodes = (Tokens(NUMERICAL), Indices(), Map(formula("x"), TOKENS))
    (problem,) = errors(check(Program(nodes, 2), VOCAB, 3))
    assert "tokens and indices must be categorical" in problem.rule
    nodes2 = (Tokens(), Indices(NUMERICAL), SequenceMap(formula("x + y", 2), TOKENS, INDICES))
    assert any("tokens and indices" in p.rule for p in check(Program(nodes2, 2), VOCAB, 3))


@pytest.mark.parametrize(
    ("vocab", "length", "rule"),
    [
        ((), 3, "at least one token"),
        ((0, 0), 3, "must not repeat"),
        ((0, 1), 0, "max_seq_len"),
        (("a", "compiler_bos"), 3, "BOS"),
        (("a", "compiler_pad"), 3, "PAD"),
        ((0, None), 3, "a token must be a bool, int, float or str, not None"),
    ],
)
def test_domains(vocab: tuple[Value, ...], length: int, rule: str) -> None:
    (problem,) = errors(check(parse(HIST), vocab, length))
    assert rule in problem.rule
    assert problem.expression == "the domain"


def test_all_problems_are_listed_and_nodes_of_one_name_told_apart() -> None:
    source = (
        "a = numerical(Map(lambda x: x, tokens)).named('same')\n"
        "b = Map(lambda x: 1 / x, tokens).named('same')\n"
        "c = SequenceMap(lambda x, y: x + y, tokens, a).named('same')\n"
        "d = SequenceMap(lambda x, y: x + y, tokens, b).named('same')\n"
        "SequenceMap(lambda x, y: x, c, d)"
    )
    problems = errors(found(source))
    assert len(problems) == 2
    assert len({problem.ref for problem in problems}) == 2
    shown = str(CheckFailed(problems))
    assert "2 problems" in shown
    assert all(str(problem) in shown for problem in problems)
    assert isinstance(CheckFailed(problems), ProgramError)


def test_a_program_without_tokens_is_compiled_with_a_warning() -> None:
    (problem,) = found("Map(lambda x: x + 1, indices)")
    assert problem.severity == "warning"
    assert "Tracr refuses" in problem.rule


def test_negative_numbers_of_a_categorical_map_are_clipped() -> None:
    problem = the_error("n = numerical(Map(lambda x: x - 1, tokens))")
    assert "ReLU clips it to 0" in problem.rule
    assert "position 0" in problem.rule
    assert problem.expression.startswith("n = ")


def test_a_negative_number_that_never_occurs_is_no_error() -> None:
    every = "every = SelectorWidth(Select(tokens, tokens, Comparison.TRUE))\n"
    assert found(every + "numerical(Map(lambda x: x - 1, every))") == ()


def test_averaging_categorical_values_names_the_aggregate() -> None:
    source = "mean = Aggregate(Select(tokens, tokens, Comparison.TRUE), tokens)\n"
    problem = the_error(source + "Map(lambda x: x > 0.5, mean)")
    assert "average" in problem.rule
    assert problem.expression.startswith("mean = ")


def test_moving_equal_values_is_no_average() -> None:
    assert found("Aggregate(Select(tokens, tokens, Comparison.EQ), tokens)") == ()


def test_none_of_an_empty_selection_is_tracr_issue_25() -> None:
    source = "before = Aggregate(Select(indices, indices, lambda k, q: k == q - 1), tokens)\n"
    problem = the_error(source + "Map(lambda x: x + 1, before)")
    assert "issue 25" in problem.rule
    assert "None" in problem.rule
    assert problem.expression.startswith("before = ")


def test_none_of_a_function_is_reported() -> None:
    problem = the_error("Map(lambda x: x if x > 0 else None, tokens)")
    assert "function gives None" in problem.rule


def test_none_that_a_later_operation_hides_is_fine() -> None:
    source = (
        "before = Aggregate(Select(indices, indices, lambda k, q: k == q - 1), tokens)\n"
        "same = SelectorWidth(Select(tokens, indices, Comparison.EQ))\n"
    )
    assert found(source + "same") == ()


def test_functions_of_means_are_exact_only_on_inferred_values() -> None:
    problem = the_error(FRACTION + "Map(lambda x: x > 0.6, mean)", length=5)
    assert "function of a number" in problem.rule
    assert problem.expression.startswith("map_")


def test_keys_that_hold_a_value_at_bos_select_it() -> None:
    source = NUMBER + (
        "key = Map(lambda x: x > 0.5, number, simplify=False)\n"
        "always = numerical(Map(lambda x: x >= 0, tokens))\n"
        "s = Select(key, tokens, lambda k, q: not k)\n"
        "part = numerical(Aggregate(s, always, default=0))"
    )
    problem = the_error(source)
    assert "BOS is selected like a token" in problem.rule
    assert problem.expression.startswith("part = ")


def test_two_selector_widths_of_one_layer_are_a_warning() -> None:
    source = HIST + (
        "less = SelectorWidth(Select(tokens, tokens, Comparison.LT))\n"
        "SequenceMap(lambda x, y: x + y, hist, less)"
    )
    (problem,) = found(source)
    assert problem.severity == "warning"
    assert "share the neuron" in problem.rule


def test_wide_values_are_a_warning() -> None:
    source = (
        "pair = SequenceMap(lambda x, y: 10 * x + y, tokens, indices)\n"
        "Aggregate(Select(indices, indices, Comparison.EQ), pair)"
    )
    (problem,) = found(source)
    assert problem.severity == "warning"
    assert "Tracr crashes" in problem.rule


def test_a_program_that_fails_names_the_node() -> None:
    source = (
        "before = Aggregate(Select(indices, indices, lambda k, q: k == q - 1), tokens)\n"
        "s = Select(before, tokens, Comparison.EQ)\n"
        "SelectorWidth(s)"
    )
    problem = the_error(source)
    assert "the program itself fails" in problem.rule
    assert problem.expression.startswith("s = ")


def test_predicates_that_give_numbers_are_found() -> None:
    problem = the_error("SelectorWidth(Select(tokens, tokens, lambda k, q: k + q))")
    assert "predicate gives numbers" in problem.rule


def test_static_only() -> None:
    program = parse("numerical(Map(lambda x: x - 1, tokens))")
    assert check(program, VOCAB, 3, strict=False) == ()
    assert check(program, VOCAB, 3) != ()


def test_large_domains_are_sampled_and_say_so() -> None:
    program = parse("numerical(Map(lambda x: x - 1, tokens))")
    vocab = tuple(range(8))
    domain = Domain(vocab, 8)
    compiled = compile_program(program, vocab, 8)
    outcome = verify(program, compiled, domain, as_compiled=True)
    assert not outcome.ok
    assert not outcome.exhaustive
    before = "before = Aggregate(Select(tokens, tokens, Comparison.LEQ), tokens)\n"
    fine = parse(before + "Map(lambda x: 0, before)")
    outcome = verify(fine, compile_program(fine, vocab, 8), domain, as_compiled=True)
    assert outcome.inputs_checked == INPUTS_DRAWN
    assert outcome.domain_size == domain.size
    assert str(outcome).startswith("no fault found on the 20,000 different inputs that were")


def test_causal_models_are_compared_with_causal_rasp() -> None:
    program = parse("SelectorWidth(Select(indices, indices, Comparison.TRUE))")
    domain = Domain(VOCAB, 3)
    causal = compile_program(program, VOCAB, 3, causal=True)
    assert verify(program, causal, domain).ok
    assert errors(check(program, VOCAB, 3, causal=True)) == []


def test_wrong_weights_are_found_where_they_are() -> None:
    program = parse(HIST + "SequenceMap(lambda x, y: x + y, hist, indices)")
    domain = Domain(VOCAB, 3)
    compiled = compile_program(program, VOCAB, 3)
    assert verify(program, compiled, domain).ok
    w_out = compiled.transformer.W_out.copy()
    (hist,) = [ref for ref in program.sops if program.labels[ref] == "hist"]
    parts = compiled.node_map[hist]
    assert parts.layer is not None
    w_out[parts.layer, list(parts.neurons)] = 0.0
    broken = dataclasses.replace(compiled, transformer=compiled.transformer.replace(W_out=w_out))
    outcome = verify(program, broken, domain)
    assert [problem.ref for problem in outcome.problems] == [hist]


@pytest.mark.parametrize(
    ("source", "mended"),
    [
        ("Aggregate(all, number, default=0)", "numerical(Aggregate(all, number, default=0))"),
        ("Aggregate(all, number)", "numerical(Aggregate(all, number, default=0))"),
        (
            "numerical(Aggregate(all, tokens))",
            "numerical(Aggregate(all, numerical(Map(lambda x: x, tokens))))",
        ),
        (
            "LinearSequenceMap(number, number, 1, 2)",
            "numerical(LinearSequenceMap(number, number, 1, 2))",
        ),
        (
            "numerical(LinearSequenceMap(number, tokens, 1, 2))",
            "numerical(LinearSequenceMap(number, numerical(Map(lambda x: x, tokens)), 1, 2))",
        ),
    ],
)
def test_encodings_are_mended_as_told(source: str, mended: str) -> None:
    """One error, whose fix names the conversion that is missing; with it the program is fine."""
    before = NUMBER + "all = Select(tokens, tokens, Comparison.TRUE)\n"
    (problem,) = errors(check(parse(before + source), (0, 1), 3))
    missing = "Map(" if source.startswith("numerical") else source.partition("(")[0]
    assert f"numerical({missing}" in problem.fix
    assert errors(check(parse(before + mended), (0, 1), 3)) == []


def test_a_default_that_the_compiler_does_not_infer_is_found() -> None:
    """Every token is less than 3, so means are never 0 but where nothing is selected."""
    source = """
n = numerical(Map(lambda x: x != 3, tokens))
greater = Select(tokens, tokens, Comparison.GT)
mean = numerical(Aggregate(greater, n, default=0))
Map(lambda x: x, mean)
"""
    with pytest.raises(CheckFailed, match="it meets 0"):
        compile_rasp_to_model(parse(source), range(3), 2)
    never_empty = source.replace("GT", "GEQ")
    model = compile_rasp_to_model(parse(never_empty), range(3), 2)
    assert model.run([[0, 1]]) == [[1.0, 1.0]]
