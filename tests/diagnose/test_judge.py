"""The judge of whether weights do what their program says: nothing wrong gets by, nothing right
is refused, and what it says of a fault is so."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import pytest

from untracr.compile import Compiled, compile_program
from untracr.diagnose import CompiledModel, Verification, check, judging, verify
from untracr.diagnose import compile_rasp_to_model as compile_rasp
from untracr.diagnose.bounds import bounds
from untracr.diagnose.checks import check_weights
from untracr.diagnose.inputs import SHAPES, shaped
from untracr.diagnose.judging import departures
from untracr.diagnose.precision import tolerances
from untracr.diagnose.program_run import ProgramRun
from untracr.diagnose.steps import Staircase
from untracr.diagnose.weights_run import Differences, differences
from untracr.errors import CheckFailed, UsageError
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.functions import Value
from untracr.rasp.interpreter import Codes, run
from untracr.rasp.program import Program
from untracr.sample.sampler import sample_program
from untracr.syntax.library import named_program
from untracr.syntax.parsing import parse

LETTERS: tuple[Value, ...] = ("a", "b", "c", "d")


def library(name: str) -> Program:
    return named_program(name).program


def is_right(model: CompiledModel, inputs: Sequence[Sequence[Value]]) -> bool:
    return model.run(inputs) == run(model.source, inputs)


def repeats(length: int, vocab: Sequence[Value] = LETTERS) -> list[list[Value]]:
    """Each token again and again, alone and with another one at the end."""
    return [[token] * (n - m) + [vocab[-1]] * m for token in vocab for n in (length, length - 1)
            for m in (0, 1)]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "length"),
    [("length", 16), ("hist", 10), ("hist", 12), ("reverse", 12), ("last_token", 10)],
)
def test_wide_selections_are_refused_with_the_smallest_remedy(name: str, length: int) -> None:
    """Widths up to n are told apart by slopes above n (n + 1) alone."""
    with pytest.raises(CheckFailed, match="too flat") as caught:
        compile_rasp(library(name), LETTERS, length)
    bound = length * (length + 1)
    assert f"{length} * {length + 1} = {bound}" in str(caught.value)
    assert f"needs mlp_exactness {bound + 1} at length {length}" in str(caught.value)
    tie = compile_rasp(library(name), LETTERS, length, mlp_exactness=bound, strict=False)
    assert not is_right(tie, repeats(length))
    model = compile_rasp(library(name), LETTERS, length, mlp_exactness="auto")
    assert model.mlp_exactness == bound + 1
    assert is_right(model, repeats(length))
    assert model.checked is not None
    assert model.checked.ok


def test_a_slope_of_one_gives_0_everywhere_and_is_refused() -> None:
    model = compile_rasp(library("length"), LETTERS, 5, mlp_exactness=1, strict=False)
    assert model.run([["a"] * 5]) == [[0] * 5]
    (problem,) = check(library("length"), LETTERS, 5, mlp_exactness=1)
    assert "needs mlp_exactness 31 at length 5" in problem.fix


def test_auto_is_100_where_that_is_right_and_saved() -> None:
    model = compile_rasp(library("hist"), LETTERS, 5, mlp_exactness="auto")
    assert model.mlp_exactness == 100
    assert model.description()["mlp_exactness"] == 100
    found = check_weights(library("hist"), LETTERS, 12, mlp_exactness="auto")
    assert (found.problems, found.mlp_exactness) == ((), 157)


@pytest.mark.parametrize("slope", [0, -1, float("nan"), float("inf"), "steep"])
def test_slopes_that_are_none_are_refused(slope: object) -> None:
    with pytest.raises(UsageError, match="mlp_exactness must be a number above 0"):
        compile_rasp(library("hist"), LETTERS, 5, mlp_exactness=slope)  # type: ignore[arg-type]


NEAR = "n = numerical(Map(lambda x: x * 0.005, tokens))\n"
FAR = "n = numerical(Map(lambda x: x + 10000000, tokens))\n"


def test_numbers_that_are_near_to_each_other_need_a_steep_slope() -> None:
    source = NEAR + "numerical(Map(lambda x: x * 2, n, simplify=False))"
    (problem,) = check(parse(source), range(5), 5)
    assert "0.005 away" in problem.rule
    model = compile_rasp(source, range(5), 5, mlp_exactness="auto")
    assert f"needs mlp_exactness {model.mlp_exactness:g};" in problem.fix
    least = int(model.mlp_exactness) - 1
    assert check(parse(source), range(5), 5, mlp_exactness=least)


def test_numbers_that_single_precision_holds_apart_no_more_are_refused_at_any_slope() -> None:
    source = FAR + "Map(lambda x: x - 10000000, n, simplify=False)"
    for slope in (2, 100, 1e5, "auto"):
        with pytest.raises(CheckFailed, match="in single precision, whatever the mlp_exactness"):
            compile_rasp(source, range(5), 5, mlp_exactness=slope)
    with pytest.raises(CheckFailed, match="single precision"):
        compile_rasp("numerical(Map(lambda x: x + 30000000, tokens))", range(5), 5)


EXACT = {
    "reverse": (library("reverse"), 312 + 8),
    "hist": (library("hist"), 157),
    "first_token": (library("first_token"), 100),
    "last_token": (library("last_token"), 312 + 8),
    "frac_prevs": (library("frac_prevs"), 1),
    "moved": (parse("Aggregate(Select(indices, indices, Comparison.EQ), tokens)"), 1),
}


@pytest.mark.parametrize("name", EXACT)
def test_programs_that_are_right_are_proved_on_domains_too_large_to_run(name: str) -> None:
    program, slope = EXACT[name]
    model = compile_rasp(program, LETTERS, 12, mlp_exactness=slope)
    assert model.checked is not None
    assert (model.checked.how, model.checked.exhaustive) == ("analysis", True)
    assert "on all 22,369,620 inputs, as an analysis shows" in str(model.checked)


def test_what_was_only_tried_is_said_first() -> None:
    found = check_weights(library("count_less_freq"), LETTERS, 10).verification
    assert found is not None
    assert not found.exhaustive
    assert str(found).startswith("no fault found on the 20,000 different inputs that were tried")


def test_faults_of_repetitive_inputs_are_found_in_huge_domains() -> None:
    """Widths of ten and more equal tokens: hardly ever drawn uniformly of twenty."""
    hist = library("hist")
    assert not check(hist, tuple(range(20)), 9)
    assert check(hist, tuple(range(20)), 12)


def test_shaped_inputs_are_different_and_of_all_shapes() -> None:
    domain = Domain(tuple(range(20)), 12)
    inputs = shaped(domain, 2_000)
    assert len(set(inputs)) == len(inputs) == 2_000
    assert all(1 <= len(tokens) <= 12 and set(tokens) <= set(domain.vocab) for tokens in inputs)
    assert inputs == shaped(domain, 2_000)
    constant = {tokens for tokens in inputs if len(tokens) == 12 and len(set(tokens)) == 1}
    assert len(constant) == 20
    assert sum(len(set(tokens)) == 12 for tokens in inputs) >= 1_500 // len(SHAPES) // 2
    small = Domain((0, 1), 3)
    assert sorted(shaped(small, 2_000)) == sorted(small)


def test_staircases_are_clear_from_twice_the_inverse_gap_on() -> None:
    points = np.array([1 / 13, 1 / 12, 1 / 11])
    for slope, clear in ((157, False), (300, False), (312, True), (1e9, False)):
        stairs = Staircase(points, np.array([0.0, 1.0, 2.0]), True, slope)
        assert bool((stairs.off(points, points)[0] < 1e-2).all()) is clear
        assert stairs.sufficient() == pytest.approx(312)


def test_tolerances_tell_neighbours_apart() -> None:
    found = tolerances((0, 0.001, 0.1 + 0.2, 0.3, 1e7, 1e7 + 1, None, "a"))
    assert found[:2] == pytest.approx([0.00049] * 2)
    assert found[2:4] == pytest.approx([1e-3] * 2)
    assert found[4:6] == pytest.approx([0.49] * 2)
    assert np.isnan(found[6:]).all()


def exhaustively(program: Program, domain: Domain, slope: float) -> Verification:
    """By running the weights on every input, without an analysis."""
    compiled = compile_program(program, domain.vocab, domain.max_seq_len, mlp_exactness=slope)
    return verify(program, compiled, domain)


@pytest.mark.slow
@pytest.mark.parametrize("index", range(60))
def test_the_analysis_agrees_with_running_every_input(index: int) -> None:
    program, slope = sample_program(5, index), (1, 20, 31, 45, 60, 100, 300)[index % 7]
    compiled = compile_program(
        program, PAPER_DOMAIN.vocab, PAPER_DOMAIN.max_seq_len, mlp_exactness=slope
    )
    quick = verify(program, compiled, PAPER_DOMAIN, as_compiled=True)
    assert quick.exhaustive
    assert quick.ok == exhaustively(program, PAPER_DOMAIN, slope).ok


@pytest.mark.parametrize("index", range(40))
def test_errors_stay_within_their_bounds(index: int) -> None:
    """What weights hold is no farther off than told, where nothing is in doubt."""
    program = sample_program(7, index)
    domain = PAPER_DOMAIN
    compiled = compile_program(program, domain.vocab, domain.max_seq_len, mlp_exactness=200)
    found = bounds(program, compiled, domain.max_seq_len)
    assert all(off.one <= off.all + 1e-12 for off in found.off.values())
    if found.right and verify(program, compiled, domain, as_compiled=True).how == "analysis":
        assert exhaustively(program, domain, 200).problems == ()


FAILS = """
before = Aggregate(Select(indices, indices, lambda k, q: k == q - 1), tokens)
width = SelectorWidth(Select(before, tokens, Comparison.EQ))
"""


def test_inputs_on_which_a_program_fails_are_departures() -> None:
    program = parse(FAILS)
    compiled = compile_program(program, (0, 1), 3)
    found = departures(program, compiled, Domain((0, 1), 3))
    assert found.count == found.failing == 14
    assert "cannot compare None" in found.failure


def test_a_value_that_tracr_decodes_where_rasp_has_none_is_a_departure() -> None:
    program = parse("Aggregate(Select(indices, indices, lambda k, q: k == q - 1), tokens)")
    compiled = compile_program(program, (0, 1), 3)
    found = departures(program, compiled, Domain((0, 1), 3))
    assert (found.count, found.failing, found.inputs_checked) == (14, 0, 14)


def test_long_widths_are_departures_as_soon_as_they_go_wrong() -> None:
    program = library("length")
    compiled = compile_program(program, (0, 1), 10)
    found = departures(program, compiled, Domain((0, 1), 10))
    assert found.count == 2**10
    assert found.exhaustive
    steep = compile_program(program, (0, 1), 10, mlp_exactness=111)
    assert departures(program, steep, Domain((0, 1), 10)).count == 0


MIXED_THEN_MAPPED = (
    """
    others = Select(tokens, tokens, Comparison.NEQ)
    place = Aggregate(others, indices)
    alike = SequenceMap(lambda x, y: x == y, place, place)
    """,
    """
    other = Select(indices, tokens, Comparison.NEQ)
    place = Aggregate(other, indices)
    both = SequenceMap(lambda x, y: x * 10 + y, indices, place)
    large = Map(lambda x: True if x > 1 else 1, both, simplify=False)
    """,
)


@pytest.mark.parametrize("source", MIXED_THEN_MAPPED)
def test_a_warning_of_an_expression_hides_no_error_of_it(source: str) -> None:
    """One averages where no output shows it, and elsewhere gives None, which an output shows."""
    program = parse(textwrap.dedent(source))
    model = compile_rasp(program, (0, 1), 3, strict=False)
    assert departures(program, model.compiled, model.domain).count
    with pytest.raises(CheckFailed, match="RASP's value is None"):
        compile_rasp(program, (0, 1), 3)
    assert not model.verify().ok


def test_programs_as_long_as_may_be_are_judged() -> None:
    """A chain of nearly as many Maps as a program may have; nothing goes as deep as it is long."""
    lines = ["a0 = Map(lambda x: x, indices, simplify=False)"]
    lines += [f"a{n} = Map(lambda x: x, a{n - 1}, simplify=False)" for n in range(1, 993)]
    lines += ["Aggregate(Select(a992, tokens, Comparison.TRUE), tokens)"]
    assert check("\n".join(lines), (0, 1), 1) == ()


PALINDROME = """
length = SelectorWidth(Select(tokens, tokens, Comparison.TRUE))
opposite = SequenceMap(lambda x, y: x - y - 1, length, indices)
reverse = Aggregate(Select(indices, opposite, Comparison.EQ), tokens)
same = SequenceMap(lambda x, y: x == y, reverse, tokens)
"""


@pytest.mark.slow
def test_a_warning_names_the_first_expression_that_is_unclear_and_promises_what_holds() -> None:
    """What reads unclear widths attends unclearly: not for want of a sharper predicate."""
    program = parse(PALINDROME)
    found = check_weights(program, ("a", "b"), 12, mlp_exactness="auto")
    (problem,) = found.problems
    assert (problem.severity, found.mlp_exactness) == ("warning", 157)
    assert problem.expression.startswith("length = ")
    assert "too flat, with mlp_exactness 157" in problem.rule
    assert "auto" not in problem.fix
    slope = int(problem.fix.split("mlp_exactness ")[1].split(",")[0])
    assert not check(program, ("a", "b"), 12, mlp_exactness=slope)


def test_the_rule_of_widths_is_told_where_it_is_why_a_slope_is_needed() -> None:
    both = parse(
        "count = SelectorWidth(Select(tokens, tokens, Comparison.EQ))\n"
        "alike = SelectorWidth(Select(count, count, Comparison.EQ))\n"
        "SequenceMap(lambda x, y: 10 * x + y, count, alike)"
    )
    rules = [problem.rule for problem in check(both, ("a", "b"), 6, mlp_exactness=50)]
    assert all("6 * 7 = 42, up to twice that" in rule for rule in rules)
    small = parse(
        "count = SelectorWidth(Select(tokens, tokens, Comparison.EQ))\n"
        "Map(lambda x: x > 1, count, simplify=False)"
    )
    (problem,) = check(small, ("a", "b"), 6, mlp_exactness=2)
    assert "42" not in problem.rule
    assert "needs mlp_exactness" in problem.fix


GRADED = "SelectorWidth(Select(indices, indices, lambda k, q: k))"
"""The predicate gives 0, 1, 2, ...: wrong from three positions on, whatever the slope."""


@pytest.mark.parametrize("slope", [0.3, 1, 3, 1e5, 1e9])
def test_no_slope_is_promised_where_none_mends_all(slope: float) -> None:
    program = parse(f"{GRADED}\n")
    problems = check(program, ("a", "b"), 5, mlp_exactness=slope)
    assert any(problem.severity == "error" for problem in problems)
    assert not any("auto" in problem.fix for problem in problems)
    with pytest.raises(CheckFailed, match="the predicate gives numbers"):
        compile_rasp(program, ("a", "b"), 5, mlp_exactness="auto")


def test_faults_of_a_large_model_end_the_run_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is enough for some 200 inputs of the first batch; the fault shows on a tenth."""
    widths = "\n".join(
        f"w{i} = SelectorWidth(Select(tokens, tokens, lambda k, q: k == {i % 4} or q > {i}))"
        for i in range(6)
    )
    sums = "\n".join(
        f"w{i + 1} = SequenceMap(lambda x, y: (x * 3 + y) % 50, w{i}, w{i - 5})"
        for i in range(5, 11)
    )
    program = parse(f"{widths}\n{sums}")
    monkeypatch.setattr(judging, "OPERATIONS", 4e9)
    monkeypatch.setattr(judging, "SLOPES_TRIED", 0)
    rows: list[int] = []

    def counted(run: ProgramRun, compiled: Compiled, some: Codes, rounded: None) -> Differences:
        rows.append(len(some))
        return differences(run, compiled, some)

    monkeypatch.setattr(judging, "differences", counted)
    compiled = compile_program(program, range(4), 7, mlp_exactness=20)
    found = verify(program, compiled, Domain(tuple(range(4)), 7), as_compiled=True)
    assert not found.ok
    assert len(rows) == 1
    assert 8 < rows[0] < 30
