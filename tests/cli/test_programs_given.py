"""Programs given to commands: sampled, read from files and standard input, and bad ones."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from command_line import HIST, Run
from untracr.syntax.parsing import parse


def test_sample_prints_programs(run: Run) -> None:
    """Programs are source that reads back; program i of a seed is always the same."""
    found = run("sample", "--programs", 2, "--seed", 7, "--json")
    assert (found.code, found.err) == (0, "")
    first, second = found.objects
    assert set(first) == {"index", "seed", "length", "program"}
    assert parse(first["program"]).length == first["length"]
    assert run("sample", "--start", 1, "--seed", 7, "--json").objects == [second]
    text = run("sample", "--start", 1, "--seed", 7).out
    assert text == (f"# program 1 of seed 7, length {second['length']}\n{second['program']}\n")


def test_sample_respects_lengths(run: Run) -> None:
    """--min-length and --max-length bound the number of SOps."""
    found = run("sample", "--programs", 3, "--min-length", 4, "--max-length", 4, "--json")
    assert [program["length"] for program in found.objects] == [4, 4, 4]


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("x = Select(", ["p.py:1:11: not Python: '(' was never closed", "    x = Select("]),
        ("x = Map(lambda x: x, tokenz)", ["p.py:1:22: ", "    x = Map(lambda x: x, tokenz)"]),
        ("x = Map(lambda x: y, x)", ["p.py:1:"]),
        ("x = Map(lambda x: exit(x), tokens)", ["p.py:1:"]),
        ("import os", ["p.py:1:1: "]),
        ("", ["p.py"]),
    ],
    ids=["syntax", "unknown name", "cycle", "function outside the table", "import", "empty"],
)
def test_bad_programs(run: Run, tmp_path: Path, source: str, lines: list[str]) -> None:
    """A bad program gives its place and line, whatever command reads it."""
    (tmp_path / "p.py").write_text(source)
    for command in (["compile", "-o", tmp_path / "m.npz"], ["check"], ["run"]):
        name, *rest = command
        rest = ["1", *rest] if name == "run" else rest
        error = run.fails(1, name, tmp_path / "p.py", *rest)
        shown = error.replace(f"{tmp_path}{os.sep}", "").splitlines()
        for found, wanted in zip(shown, lines, strict=False):
            assert found.startswith(wanted)
    assert not (tmp_path / "m.npz").exists()


def test_unknown_names_of_programs(run: Run, tmp_path: Path) -> None:
    """What is no file and not in the library gets a suggestion."""
    assert "Did you mean 'reverse'?" in run.fails(1, "check", "revers")
    domain = ("--vocab", "a", "--max-seq-len", "3")
    assert "is a directory" in run.fails(1, "compile", tmp_path, "-o", tmp_path / "m.npz", *domain)
    assert "a model is compared" in run.fails(2, "check", tmp_path)  # a folder may hold a model


def test_a_model_is_no_program(run: Run, model: Path, tmp_path: Path) -> None:
    """A binary file where a program belongs is told from one."""
    assert "is not text" in run.fails(1, "explain", model, "0", "--program", model)
    assert "by --against" in run.fails(2, "check", model)
    (tmp_path / "null.py").write_bytes(b"x = \0")
    assert "null bytes" in run.fails(1, "check", tmp_path / "null.py")


def test_programs_from_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """- reads standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO(HIST))
    assert run("run", "-", "3,1,3").out == "2,1,2\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("1 +"))
    assert "<stdin>:1" in run.fails(1, "run", "-", "1")
