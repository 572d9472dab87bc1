"""`untracr compile` and `run`: what users see."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import Run
from untracr.cli.values import show_values
from untracr.loading.loading import load_model
from untracr.syntax.library import named_program


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_compile_then_run(run: Run, tmp_path: Path, suffix: str) -> None:
    """A saved model gives what the program gives, by its weights; the domain travels with it."""
    path = tmp_path / f"m{suffix}"
    named = named_program("reverse")
    found = run("compile", "reverse", "-o", path)
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith(f"wrote {path}: layers 4, heads 1, ")
    for tokens, output in named.examples:
        given = show_values(tokens)
        assert run("run", path, given).out == run("run", "reverse", given).out
        assert run("run", path, given, "--json").objects == [
            {"input": list(tokens), "output": list(output)}
        ]


LONG = ",".join("abcd" * 3)


@pytest.mark.slow
def test_long_selections_are_refused_and_auto_mends_them(run: Run, tmp_path: Path) -> None:
    """Compile and check say the same, and what is saved says its slope."""
    path = tmp_path / "m.npz"
    long = ("hist", "--max-seq-len", 12)
    assert "needs mlp_exactness 157 at length 12" in run.fails(1, "compile", *long, "-o", path)
    assert run("check", *long).code == 3
    found = run("compile", *long, "-o", path, "--mlp-exactness", "auto")
    known = "the weights do what the program says on all 22,369,620 inputs, as an analysis shows"
    assert found.out.splitlines()[1] == f"{known}; mlp_exactness 157 was chosen"
    assert load_model(path).metadata["mlp_exactness"] == 157
    assert run("check", *long, "--mlp-exactness", "auto").out.startswith("fine: with mlp_exac")


def test_what_was_only_tried_is_not_called_fine(run: Run) -> None:
    """A domain too large to run: the number of different inputs comes first."""
    found = run("check", "count_less_freq", "--max-seq-len", 10)
    assert found.out.splitlines()[-1].startswith("no fault found on the 20,000 different inputs")


def test_running_a_model_tells_where_it_is_not_its_program(run: Run, tmp_path: Path) -> None:
    """Weights that were compiled all the same: their output is printed, and a note beside it."""
    path = tmp_path / "m.npz"
    found = run("compile", "reverse", "--max-seq-len", 12, "-o", path, "--no-strict")
    assert found.out.splitlines()[1] == "not checked"
    assert run("run", path, "a,b,c").err == ""
    assert "the program in the file gives something else" in run("run", path, LONG).err


def test_running_numbers_and_none(run: Run, tmp_path: Path) -> None:
    """Numbers are shown to six digits, None by name, several inputs on a line each."""
    assert run("run", "frac_prevs", "b,a,a").out == "False,0.5,0.666667\n"  # as in Tracr
    assert run("run", "shift_by_1", "a,b", "c").out == "None,a\nNone\n"
    path = tmp_path / "m.npz"
    found = run("compile", "frac_prevs", "-o", path, "--json")
    assert found.objects[0]["file"] == str(path)
    assert load_model(path).transformer.causal
    assert run("run", path, "b,a,a").out == "0,0.5,0.666667\n"


def test_options_of_compile(run: Run, hist: Path, tmp_path: Path) -> None:
    """Vocabulary, length and causality end up in the file."""
    path = tmp_path / "m.npz"
    options = ["--vocab", "x,y,z", "--max-seq-len", 3, "--causal", "--mlp-exactness", 50]
    assert run("compile", hist, "-o", path, *options).code == 0
    loaded = load_model(path)
    assert loaded.metadata["vocab"] == ["x", "y", "z"]
    assert loaded.metadata["max_seq_len"] == 3
    assert loaded.transformer.causal
    assert run("run", path, "x,x").out == "1,2\n"


def test_strict_compiling(run: Run, tmp_path: Path) -> None:
    """A program whose weights would be wrong is refused, unless told otherwise."""
    path = tmp_path / "p.py"
    path.write_text("low = Select(tokens, tokens, Comparison.LT)\nx = Aggregate(low, tokens)\n")
    out = tmp_path / "m.npz"
    error = run.fails(1, "compile", path, "-o", out)
    assert error.startswith("the program cannot be compiled faithfully: ")
    assert not out.exists()
    assert run("compile", path, "-o", out, "--no-strict").code == 0
    assert out.exists()


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ("0,7", "token 7 at position 1 is outside the vocabulary [0, 1, 2, 3, 4]"),
        ("0,0,0,0,0,0", "an input may hold at most max_seq_len=5 tokens, not 6"),
    ],
    ids=["outside the vocabulary", "too long"],
)
def test_inputs_outside_the_domain(
    run: Run, model: Path, hist: Path, tokens: str, message: str
) -> None:
    """Models know their inputs; programs where the library or an option says so."""
    assert message in run.fails(1, "run", model, tokens)
    assert message in run.fails(1, "run", hist, tokens, "--vocab", "0,1,2,3,4")
    assert run("run", hist, tokens).code == 0
    assert "outside the vocabulary" in run.fails(1, "run", "hist", "a,z")


def test_failing_evaluation(run: Run, tmp_path: Path) -> None:
    """A program that fails on the input given says so in one line."""
    path = tmp_path / "p.py"
    path.write_text("x = Map(lambda x: 1 / x, tokens)\n")
    assert "\n" not in run.fails(1, "run", path, "0")


def test_files_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    """A folder that does not exist is one line."""
    assert "\n" not in run.fails(1, "compile", "hist", "-o", tmp_path / "no" / "m.npz")
