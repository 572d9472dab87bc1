"""What weights do not say about results is said of every line: other programs there are the same.

A program may be one of many with its weights. The faulty value kept here: a cube was printed as
`x + 1` with five listed others, and `names_are_open` was False.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compiled_models import bare, model_of
from near_misses import covers, named_places, renamed_at
from outsiders import OUTSIDERS
from untracr.cli import main
from untracr.decompile.bundled import decompile_model
from untracr.decompile.result import Result
from untracr.loading.compiled_file import save_model
from untracr.rasp.domain import Domain
from untracr.rasp.program import Program
from untracr.sample.sampler import PAPER, sample_program
from untracr.syntax.parsing import parse
from untracr.transformer.transformer import Transformer
from untracr.transformer.treatments import rotate
from untracr.verify.weight_equivalence import same_weights

DOMAIN = Domain((0, 1, 2, 3), 4)
BIT = "a = numerical(Map(lambda x: {0: 0, 1: 1, 2: 0, 3: 0}[x], tokens))\n"
VALUE = "a = Map(lambda x: {0: None, 1: 'q', 2: None, 3: None}[x], tokens)\n"
BEFORE = "s = Select(indices, indices, Comparison.LEQ)\n"
SUM = BIT + "b = numerical(Map(lambda x: x, indices))\n"

# Two programs with the same weights, rotated or not, and what is open about the last line.
PAIRS = {
    "a number or a value": (BIT, VALUE, False, "kind"),
    "moved or averaged": (
        f"{BIT}{BEFORE}m = numerical(Aggregate(s, a, default=0))",
        f"{VALUE}{BEFORE}m = Aggregate(s, a)",
        False,
        "",
    ),
    "a sum's sign": (
        f"{SUM}c = numerical(LinearSequenceMap(a, b, 1, 2))",
        f"{SUM}c = numerical(LinearSequenceMap(a, b, -1, -2))",
        True,
        "sign",
    ),
}


def weights(source: str) -> Transformer:
    """A program's weights as it stands, without a read-out."""
    return bare(model_of(parse(source), DOMAIN))


def read(model: Transformer, domain: Domain = DOMAIN) -> Result:
    """What is read off a model."""
    return decompile_model(model, vocab=domain.vocab, budget=1.0)


def test_a_cube_is_not_shown_as_something_else() -> None:
    """Any rising function has its weights: the answer says that no name is known."""
    result = read(weights("cube = Map(lambda x: x * x * x, tokens)"))
    assert result.verdict == "identical"
    assert [(r.label, r.what) for r in result.open_results] == [("sop_00", "names")]
    assert result.names_are_open
    assert "the weights do not say what the results of sop_00 are called" in result.detail


def test_names_between_lines_are_open_too() -> None:
    """Where nothing of the output is open, an operation before it may be."""
    source = "d = Map(lambda x: x * 2, tokens)\nless = SelectorWidth(Select(d, d, Comparison.LT))"
    result = read(weights(source))
    assert [(r.label, r.what) for r in result.open_results] == [("sop_00", "names")]
    assert "rasp.Comparison.LT" in result.source
    counted = read(weights("h = SelectorWidth(Select(tokens, tokens, Comparison.EQ))"))
    assert (counted.verdict, counted.open_results) == ("identical", ())


def test_a_read_out_names_the_output_alone() -> None:
    """What is between is open still."""
    source = "a = Map(lambda x: x % 2, tokens)\nb = SequenceMap(lambda x, y: x + y, a, indices)"
    with_read_out = model_of(parse(source), DOMAIN)
    result = read(with_read_out)
    assert result.verdict == "identical"
    assert [(r.label, r.what) for r in result.open_results] == [("sop_00", "names")]
    alone = read(bare(with_read_out))
    assert [r.label for r in alone.open_results] == ["sop_00", "sop_01"]


def test_functions_of_means_are_open_between_values() -> None:
    """A third of three is no value that Tracr counts with for two of three."""
    mean = f"{BIT}{BEFORE}m = numerical(Aggregate(s, a, default=0))\n"
    one, other = (f"{mean}c = Map(lambda x: x {sign}, m)" for sign in ("> 0.55", "> 0.95"))
    assert same_weights(weights(one), weights(other)).same
    assert ("sop_02", "between") in {(r.label, r.what) for r in read(weights(one)).open_results}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_of_the_same_weights(name: str) -> None:
    """The weights are the same, and the answer says in which way programs may differ."""
    one, other, rotated, what = PAIRS[name]
    found = same_weights(weights(one), weights(other))
    assert found.same
    assert found.axes_permuted is not rotated
    for source in (one, other):
        model = weights(source)
        result = read(rotate(model, np.random.default_rng(3)) if rotated else model)
        assert result.verdict == "identical"
        last = result.source.splitlines()[-1].partition(" = ")[0]
        assert not what or (last, what) in {(r.label, r.what) for r in result.open_results}
        assert what or "kind" in {r.what for r in result.open_results}


def near_miss(program: Program, domain: Domain, seed: int) -> Program | None:
    """The program with one operation's results called otherwise, if it has one."""
    rng = np.random.default_rng(seed)
    places = named_places(program)
    return renamed_at(program, int(rng.choice(places)), domain, rng) if places else None


SAMPLED = [(f"sampled {n}", sample_program(4, n), PAPER.domain) for n in range(30)]
WRITTEN = [(n.name, n.program, n.domain) for n in OUTSIDERS if n.domain.size < 50_000]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "program", "domain"), SAMPLED + WRITTEN)
@pytest.mark.parametrize("rotated", [False, True], ids=["compiled", "rotated"])
def test_near_misses_are_covered(
    name: str, program: Program, domain: Domain, rotated: bool
) -> None:
    """Of two programs with the same weights each is printed, listed, or said to be open."""
    other = near_miss(program, domain, len(name))
    if other is None:
        return
    model = bare(model_of(program, domain))
    theirs = model_of(other, domain)
    assert all(np.array_equal(a, theirs.arrays()[k]) for k, a in model.arrays().items())
    result = read(rotate(model, np.random.default_rng(1)) if rotated else model, domain)
    if result.verdict == "identical":
        assert covers(result, program, domain)
        assert covers(result, other, domain)


def test_the_judge_can_say_no() -> None:
    """A program of other weights, and one whose names are not said to be open, are not covered."""
    program = parse(
        "a = Map(lambda x: x * 2, tokens)\nb = Map(lambda x: x > 2, tokens)\n"
        "c = SequenceMap(lambda x, y: x - y, a, b)"
    )
    result = read(weights(str(program)))
    assert covers(result, program, DOMAIN)
    other = parse(str(program).replace("x > 2", "x > 1"))
    assert not covers(result, other, DOMAIN)

    assert not covers(
        replace(result, open_results=()), near_miss(program, DOMAIN, 1) or other, DOMAIN
    )


def test_it_stands_beside_the_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In words that are explained once, and as data."""
    path = tmp_path / "cube.npz"
    save_model(path, weights("cube = Map(lambda x: x * x * x, tokens)"))
    assert main(["decompile", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "; names open\n" in shown
    assert shown.count("# names open: weights show which results are equal") == 1
    assert main(["decompile", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["names_are_open"] is True
    assert found["open_results"] == [{"label": "sop_00", "what": "names"}]
    assert [line["open"] for line in found["lines"]] == [["names"]]
