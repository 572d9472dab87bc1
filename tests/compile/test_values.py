"""Values: tuples from end to end, and what weights are not made for."""

from __future__ import annotations

from pathlib import Path

import pytest

from untracr.bounds import MAX_PARTS
from untracr.cli.entry import main
from untracr.decompile.bundled import decompile_model
from untracr.diagnose.checks import check
from untracr.diagnose.model import compile_rasp_to_model
from untracr.errors import CheckFailed, ModelFileError, ProgramError, RaspSyntaxError
from untracr.loading.compiled_file import save_model
from untracr.loading.loading import load_model
from untracr.loading.model_document import document_text, parse_document
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import behaviour_key, decide_equivalence, same_value
from untracr.rasp.functions import formula
from untracr.rasp.interpreter import run
from untracr.rasp.program import print_program
from untracr.rasp.values import Value, parts, plain_value, token_fault, types_of
from untracr.shown_text import shown
from untracr.syntax.parsing import parse

PAIRS = "pair = SequenceMap(lambda x, y: (x, y), tokens, indices)\n"
THREE = """\
pair = SequenceMap(lambda x, y: (x, y), tokens, indices)
hist = SelectorWidth(Select(tokens, tokens, Comparison.EQ))
three = SequenceMap(lambda x, y: x + (y,), pair, hist)
out = Map(lambda t: t[0] + t[1] * t[2], three)
"""
NAMED = "Map(lambda x: {0: 'b', 1: (1, (True, None)), 2: (0, 'a')}[x], tokens)"


@pytest.mark.slow
@pytest.mark.parametrize("source", [PAIRS, THREE, NAMED])
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_tuples_from_end_to_end(source: str, suffix: str, tmp_path: Path) -> None:
    """A program of tuples is printed, compiled, saved, loaded, run, decompiled and certified."""
    program = parse(source)
    assert parse(print_program(program)) == program
    model = compile_rasp_to_model(program, range(3), 3)
    path = tmp_path / f"pairs{suffix}"
    model.save(path)
    assert load_model(path).transformer.output_values == model.transformer.output_values
    assert model.run([[2, 0, 1]]) == run(program, [[2, 0, 1]])
    result = decompile_model(path)
    assert result.verdict == "identical"
    assert result.program is not None
    assert run(result.program, [[2, 0, 1]]) == run(program, [[2, 0, 1]])
    assert main(["decompile", str(path), "--certificate", str(tmp_path / "shown")]) == 0
    assert main(["check", str(tmp_path / "shown" / f"{path.name}.json")]) == 0


def test_a_pair_is_read_as_a_pair() -> None:
    """Where the read-out names pairs, the program that is read says so."""
    result = decompile_model(compile_rasp_to_model(PAIRS, range(3), 3))
    assert "rasp.SequenceMap(lambda x, y: (x, y), rasp.tokens, rasp.indices)" in result.source


def test_tuples_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the command line a tuple is printed as Python prints it, in JSON as a list."""
    path = tmp_path / "pairs.npz"
    compile_rasp_to_model(PAIRS, range(3), 3).save(path)
    assert main(["run", str(path), "2,1"]) == 0
    assert capsys.readouterr().out == "(2, 0),(1, 1)\n"
    assert main(["run", str(path), "2,1", "--json"]) == 0
    assert "[[2, 0], [1, 1]]" in capsys.readouterr().out


def test_messages_show_tuples() -> None:
    """An error shows a tuple as Python does, and a list of values as a list."""
    assert (shown((1, "a")), shown((1,)), shown([(1, 2)])) == ("(1, 'a')", "(1,)", "[(1, 2)]")
    problems = check(parse(PAIRS + "Map(lambda p: p + 1, pair, simplify=False)"), (0,), 1)
    assert "fails on (0, 0)" in problems[0].rule


def test_tuples_of_equal_parts_of_other_types_stay_apart() -> None:
    """(1,) and (True,) are equal, and still two values."""
    assert types_of([(1, (True,))]) != types_of([(1, (1,))])
    program = parse("Map(lambda x: {0: (1,), 1: (True,)}[x], tokens)")
    assert repr(run(program, [[0, 1]])) == "[[(1,), (True,)]]"


def test_tuples_are_compared_part_by_part() -> None:
    """What counts as the same number does so within a tuple too."""
    assert same_value((0.1 + 0.2, (True,)), (0.3, (1,)))
    assert not same_value((1, 2), (1, 2, 3))
    assert not same_value((1, 2), (1, 3))
    sums = "SequenceMap(lambda x, y: (x + 1 + y, y), tokens, indices)"
    other = "SequenceMap(lambda x, y: (x + (y + 1.0), y), tokens, indices)"
    domain = Domain((0.1, 0.2), 3)
    assert decide_equivalence(parse(sums), parse(other), domain).equal
    assert behaviour_key(parse(sums), domain) == behaviour_key(parse(other), domain)


def test_the_format_tells_tuples(tmp_path: Path) -> None:
    """In a file a list among output values is a tuple, for no value is a list."""
    model = compile_rasp_to_model(NAMED, range(3), 3).transformer
    text = document_text(model, {"note": [1, 2]})
    assert parse_document(text)["output_values"] == model.output_values
    assert parse_document(text)["metadata"] == {"note": [1, 2]}
    long = (0,) * (MAX_PARTS + 1)
    save_model(tmp_path / "m.npz", model.replace(output_values=(long, 1, 2)))
    with pytest.raises(ModelFileError, match="short lists"):
        load_model(tmp_path / "m.npz")


@pytest.mark.parametrize(
    ("text", "argument", "words"),
    [
        ("(x, x)", (0,) * 60, "at most 100 values"),
        ("x + x", (0,) * 60, "at most 100 values"),
        ("x * 1000000000", (0,), "at most 100 values"),
        ("x[2]", (0, 1), "has no part 2"),
        ("x[0]", 3, "parts by number"),
        ("x['a']", (0, 1), "parts by number"),
    ],
)
def test_functions_of_tuples_are_bounded(text: str, argument: Value, words: str) -> None:
    """No function makes an endless tuple, and a part that is not there is an error of ours."""
    with pytest.raises((TypeError, ValueError), match=words):
        formula(text)(argument)


def test_a_tuple_is_counted_before_it_is_walked() -> None:
    """Tuples that share their parts would be endless to look at; the count ends first."""
    nested: object = ()
    for _ in range(200):
        nested = (nested, nested)
    with pytest.raises(ProgramError, match="at most 100 values"):
        plain_value(nested)
    assert parts(((1, 2), 3)) == 5


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("Map(lambda x: float('inf') if x == 1 else x, tokens)", "must be finite, not inf"),
        ("Map(lambda x: float('nan') if x == 1 else x, tokens)", "must be finite, not nan"),
        ("Map(lambda x: (x, float('inf')), tokens)", "must be finite, not inf"),
        ("Map(lambda x: (2 ** 60) ** 18 * x, tokens)", "at most 1,023 bits"),
        ("numerical(Map(lambda x: x * 1e39, tokens))", "float32"),
        (
            "n = numerical(Map(lambda x: 0, tokens))\nnumerical(LinearSequenceMap(n, n, 1, 1e39))",
            "fit float32",
        ),
    ],
)
def test_values_that_no_weights_hold(source: str, words: str) -> None:
    """What could not be saved, loaded or compared is refused where a program is compiled."""
    with pytest.raises(CheckFailed, match=words):
        compile_rasp_to_model(source, range(3), 3, strict=False)
    problems = check(parse(source), range(3), 3)
    assert [problem.severity for problem in problems] == ["error"]


@pytest.mark.parametrize(
    "token", [float("inf"), float("nan"), 1e13, 10**400, (0, 1), None, "a" * 20_000]
)
def test_tokens_that_are_refused(token: Value) -> None:
    """Tokens that no later step takes are refused at the first, in one short line."""
    with pytest.raises(CheckFailed) as caught:
        compile_rasp_to_model("Map(lambda x: x, tokens)", (1, token), 3)
    assert len(caught.value.problems) == 1
    assert len(caught.value.problems[0].rule) < 200
    assert token_fault(token)


@pytest.mark.parametrize("token", [1e12, -(10**12), 0.5, True, "", "a b"])
def test_tokens_that_are_taken_go_all_the_way(token: Value, tmp_path: Path) -> None:
    """What is not refused is compiled, saved, loaded and decompiled."""
    path = tmp_path / "m.npz"
    compile_rasp_to_model(
        "SelectorWidth(Select(tokens, tokens, Comparison.EQ))", (token, 7), 3
    ).save(path)
    assert decompile_model(path).verdict == "identical"


def test_a_tuple_is_no_sop() -> None:
    """A tuple stands where a constant may stand, nowhere else."""
    with pytest.raises(RaspSyntaxError, match="a SOp is wanted here"):
        parse("Map(lambda x: x, (0, 1))")
