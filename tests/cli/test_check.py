"""`untracr check` of programs: what users see."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import Run

HIST_TOO = "same = Select(tokens, tokens, lambda k, q: q == k)\nother = SelectorWidth(same)\n"


def test_check_finds_nothing(run: Run) -> None:
    """A good program is fine."""
    found = run("check", "reverse")
    assert (found.code, found.err) == (0, "")
    known = "on all 1,364 inputs, as an analysis shows"
    assert found.out == f"fine: the weights mean what the program says, {known}; no warnings\n"
    assert run("check", "reverse", "--json").objects == [
        {
            "ok": True,
            "problems": [],
            "mlp_exactness": 100.0,
            "inputs_checked": 1364,
            "domain_size": 1364,
            "by_analysis": True,
        }
    ]


def test_check_lists_every_problem(run: Run, tmp_path: Path) -> None:
    """All problems at once, with exit code 3."""
    path = tmp_path / "p.py"
    path.write_text(
        "half = numerical(Map(lambda x: x, tokens))\n"
        "bad = Select(half, half, Comparison.EQ)\n"
        "width = SelectorWidth(bad)\n"
    )
    found = run("check", path)
    assert (found.code, found.err) == (3, "")
    assert found.out.count("keys must be categorical") == 1
    assert found.out.count("queries must be categorical") == 1
    assert found.out.splitlines()[-1] == "not fine: 2 errors, no warnings"
    (shown,) = run("check", path, "--json").objects
    assert shown["ok"] is False
    problems = shown["problems"]
    assert isinstance(problems, list)
    assert [set(p) for p in problems] == [{"severity", "expression", "rule", "fix"}] * 2


def test_check_finds_behaviour(run: Run, tmp_path: Path) -> None:
    """A program that compiles to weights that mean something else is found out."""
    path = tmp_path / "p.py"
    path.write_text("low = Select(tokens, tokens, Comparison.LT)\nx = Aggregate(low, tokens)\n")
    assert run("check", path).code == 3


def test_programs_on_too_many_inputs_are_compared_on_some(run: Run, hist: Path) -> None:
    """What differs is shown; what does not is not called equal."""
    letters = ",".join("abcdefghijklmnop")
    found = run("check", hist, "--against", "length", "--vocab", letters, "--max-seq-len", "12")
    assert found.code == 3
    assert found.out.startswith("different: ")
    found = run("check", hist, "--against", hist, "--max-seq-len", "500")
    assert found.code == 3
    assert found.out.startswith("not shown: the same output on 240 different inputs")
    assert "there are some 10^349;" in found.out


@pytest.mark.parametrize("command", [["check"], ["check", "--json"], ["compile", "-o", "p.npz"]])
def test_domains_of_more_inputs_than_python_writes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    """5^6500 has 4,544 digits, and Python writes no more than 4,300."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.py").write_text("x = Map(lambda x: x, tokens)\n")
    found = run(*command, "p.py", "--max-seq-len", "6500")
    assert (found.code, found.err) == (0, "")
    assert "some 10^4543" in found.out


def test_check_against(run: Run, hist: Path, tmp_path: Path) -> None:
    """Two programs are equal, or differ on an input that is shown."""
    other = tmp_path / "other.py"
    other.write_text(HIST_TOO)
    found = run("check", hist, "--against", other)
    assert (found.code, found.out) == (0, "equal: the same output on all 3,905 inputs\n")
    found = run("check", "sort", "--against", "sort_unique")
    assert (found.code, found.out) == (3, "different: 1,1 gives 1,1 and 1,None\n")
    found = run("check", hist, "--against", "length", "--vocab", "0,1", "--json")
    assert found.code == 3
    assert found.objects == [
        {
            "equal": False,
            "inputs_checked": 62,
            "domain_size": 62,
            "counterexample": {"input": [0, 1], "output": [1, 1], "other_output": [2, 2]},
            "unclear": None,
        }
    ]
