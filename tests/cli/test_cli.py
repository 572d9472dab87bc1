"""Every command in this process: its exit code and its output are what users see."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import untracr
from untracr.cli import main
from untracr.cli.entry import COMMANDS
from untracr.cli.values import parse_value, parse_values, show_values
from untracr.compile.canonical import canonicalise
from untracr.decompile.decompiler import Decompiler
from untracr.decompile.greedy import Decoded
from untracr.rasp.functions import Value
from untracr.syntax.library import named_program
from untracr.syntax.parsing import parse
from untracr.transformer.files import load_model, save_model

HIST = "same = Select(tokens, tokens, Comparison.EQ)\nhist = SelectorWidth(same)\n"
HIST_TOO = "same = Select(tokens, tokens, lambda k, q: q == k)\nother = SelectorWidth(same)\n"


@dataclass(frozen=True)
class Outcome:
    """What one command gave."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, object]]:
        """The lines of JSON on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


class Run:
    """Runs commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: object) -> Outcome:
        code = main([str(argument) for argument in arguments])
        found = self.capsys.readouterr()
        return Outcome(code, found.out, found.err)

    def fails(self, code: int, *arguments: object) -> str:
        """The error line of a command that fails and prints nothing else."""
        found = self(*arguments)
        assert (found.code, found.out) == (code, "")
        assert found.err.startswith("untracr: error: ")
        return found.err.removeprefix("untracr: error: ").rstrip("\n")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command: ``run("sample", "-n", 2)``."""
    return Run(capsys)


@pytest.fixture
def hist(tmp_path: Path) -> Path:
    """A program file."""
    path = tmp_path / "hist.py"
    path.write_text(HIST)
    return path


@pytest.fixture
def model(run: Run, hist: Path, tmp_path: Path) -> Path:
    """A model file."""
    path = tmp_path / "hist.safetensors"
    assert run("compile", hist, "-o", path).code == 0
    return path


@pytest.fixture
def writes_hist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding gives the histogram, whatever the weights: a meta-model that knows the answer."""
    decoded = Decoded(canonicalise(parse(HIST)), 0.0, 1)
    monkeypatch.setattr(
        "untracr.decompile.decompiler.decode_greedily", lambda *args, **kwargs: decoded
    )


# The command line as a whole


def test_the_list_of_commands_is_printed_without_numpy() -> None:
    """What a command's own help lists is imported only where that is asked for."""
    code = (
        "import sys\nfrom untracr.cli import main\nmain(['--help'])\nprint('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_help_lists_every_command(run: Run) -> None:
    """--help names each command, and each command's help ends with an example."""
    found = run("--help")
    assert (found.code, found.err) == (0, "")
    for name in COMMANDS:
        assert f"    {name}" in found.out
        assert f"example: untracr {name}" in run(name, "--help").out


def test_version(run: Run) -> None:
    """--version prints the version."""
    assert run("--version").out == "untracr 0.1.0\n"


def test_no_command_is_wrong_usage(run: Run) -> None:
    """Without a command the help is shown, on standard error."""
    found = run()
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("usage: untracr")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["smaple"], "there is no command 'smaple'. Did you mean 'sample'?"),
        (["sample", "--sed", "1"], "there is no option --sed. Did you mean '--seed'?"),
        (["--versoin"], "there is no option --versoin. Did you mean '--version'?"),
        (["sample", "-n", "0"], "argument -n: must be at least 1, not 0"),
        (["sample", "--seed", "-1"], "argument --seed: must not be negative, not -1"),
        (["sample", "-n", "x"], "argument -n: must be a whole number, not 'x'"),
        (["sample", "--min-length", "6", "--max-length", "5"], "lengths must be 2 <= --min-length"),
        (["compile", "hist"], "the following arguments are required: -o/--output"),
        (["compile", "hist", "-o", "m.bin"], "--output must end in .safetensors or .npz"),
        (["compile", "hist", "-o", "m.npz", "--mlp-exactness", "0"], "must be a number above 0"),
        (["compile", "hist", "-o", "m.npz", "--mlp-exactness", "x"], "must be a number above 0"),
        (["compile", "hist", "-o", "m.npz", "--vocab", "a,,b"], "separated by single commas"),
        (["compile", "hist", "-o", "m.npz", "--vocab", "-1,2"], "write --vocab=-1,2, or put --"),
        (["run", "hist"], "the following arguments are required: INPUT"),
        (["run", "m.npz", "a", "--max-seq-len", "3"], "--max-seq-len is for programs"),
        (["decompile"], "give at least one FILE, or --example"),
        (["train", "--out", "x"], "give either --hours or --steps"),
        (["train", "--out", "x", "--hours", "1", "--steps", "1"], "give either --hours or --steps"),
        (["train", "--out", "x", "--exclude-sampled", "777"], "as in 777:1000, not '777'"),
        (["train", "--out", "x", "--exclude-sampled", "7:0"], "must be at least 1, not 0"),
        (["train", "--out", "x", "--exclude-sampled=-7:1"], "must not be negative, not -7"),
        (["train", "--out", "x", "--other-domains", "2"], "must be a number from 0 to 1, not 2"),
        (["train", "--out", "x", "--other-domains", "x"], "must be a number from 0 to 1, not x"),
        (["train", "--out", "x", "--outside-functions", "2"], "must be a number from 0 to 1, not"),
        (["train", "--out", "x", "--treatments", "noisy"], "as in rotated=0.2,noisy=0.1, not 'no"),
        (["train", "--out", "x", "--treatments", "noisy=2"], "must be a number from 0 to 1, not 2"),
        (["export", "x", "-o", "y.npz"], "--output must end in .safetensors"),
        (["eval"], "give either DIR or --programs"),
        (["bench", "speed", "--quik"], "there is no option --quik. Did you mean '--quick'?"),
        (["bench", "sped"], "there is no bench command 'sped'. Did you mean 'speed'?"),
    ],
    ids=" ".join,
)
def test_wrong_usage(run: Run, arguments: list[str], message: str) -> None:
    """A mistake in the arguments is told in one line with exit code 2."""
    error = run.fails(2, *arguments)
    assert message in error
    assert "\n" not in error


def test_interrupting(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a command with the shell's code for it and no traceback."""

    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("untracr.sample.sampler.sample_program", interrupt)
    assert run.fails(130, "sample") == "interrupted"


def test_memory_and_disk_errors_are_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine cannot do is one line, too."""

    def fail(error: Exception) -> None:
        def raise_it(*args: object) -> None:
            raise error

        monkeypatch.setattr("untracr.sample.sampler.sample_program", raise_it)

    fail(MemoryError("10 TiB"))
    assert run.fails(1, "sample") == "out of memory: 10 TiB"
    fail(MemoryError())
    assert run.fails(1, "sample") == "out of memory"
    fail(OSError(28, "No space left on device"))
    assert run.fails(1, "sample") == "No space left on device"
    fail(OSError(13, "Permission denied", "there"))
    assert run.fails(1, "sample") == "there: Permission denied"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_behind_standard_output() -> None:
    """``untracr sample > /dev/full`` says what could not be written."""
    command = [sys.executable, "-m", "untracr", "sample"]
    with open("/dev/full", "w", encoding="utf-8") as full:
        found = subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            check=False,
        )
    reason = "standard output cannot be written: No space left on device"
    assert (found.returncode, found.stderr) == (1, f"untracr: error: {reason}\n")


def test_streams_that_are_closed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``untracr compile ... >&-`` does its work; Python has None for a closed stream."""
    with monkeypatch.context() as patch:
        for name in ("stdin", "stdout", "stderr"):
            patch.setattr(sys, name, None)
        assert main(["compile", "hist", "-o", str(tmp_path / "m.npz")]) == 0
        assert main(["check", "-"]) == 1
        for stream in (sys.stdin, sys.stdout, sys.stderr):
            stream.close()
    assert run("run", tmp_path / "m.npz", "a").out == "1\n"


def test_file_names_that_the_terminal_cannot_show(model: Path) -> None:
    """They are escaped; the result is printed all the same."""
    place = model.rename(model.with_name("mödel ☃.safetensors"))
    command = [sys.executable, "-m", "untracr", "decompile", str(place)]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    found = subprocess.run(command, capture_output=True, text=True, env=ascii_only, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.splitlines()[0].endswith(r"m\xf6del \u2603.safetensors")


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="no pipes of this kind")
def test_a_reader_that_leaves_is_no_error() -> None:
    """``untracr sample | head -1`` is quiet."""
    command = [sys.executable, "-m", "untracr", "sample", "-n", "100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"# program 0")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("3,1,4", (3, 1, 4)),
        ("a, b", ("a", "b")),
        ("(,),{", ("(", ")", "{")),
        ("0.5,-1,+", (0.5, -1, "+")),
        ("True,None,nan,inf", (True, None, "nan", "inf")),
        ("'3',\"x\"", ("3", "x")),
    ],
)
def test_values_are_read_and_shown(text: str, values: Sequence[Value]) -> None:
    """Values come from text as one would expect, and what is shown reads back."""
    found = parse_values(text)
    assert found == tuple(values)
    assert [type(v) for v in found] == [type(v) for v in values]
    assert parse_values(show_values(values)) == found
    assert parse_value("1e3") == 1000.0


# sample


def test_sample_prints_programs(run: Run) -> None:
    """Programs are source that reads back; program i of a seed is always the same."""
    found = run("sample", "-n", 2, "--seed", 7, "--json")
    assert (found.code, found.err) == (0, "")
    first, second = found.objects
    assert set(first) == {"index", "seed", "length", "program"}
    assert parse(first["program"]).length == first["length"]
    assert run("sample", "--start", 1, "--seed", 7, "--json").objects == [second]
    text = run("sample", "--start", 1, "--seed", 7).out
    assert text == (f"# program 1 of seed 7, length {second['length']}\n{second['program']}\n")


def test_sample_respects_lengths(run: Run) -> None:
    """--min-length and --max-length bound the number of SOps."""
    found = run("sample", "-n", 3, "--min-length", 4, "--max-length", 4, "--json")
    assert [program["length"] for program in found.objects] == [4, 4, 4]


# Programs that cannot be read


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
    assert "is a directory" in run.fails(1, "check", tmp_path)


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


# compile and run


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


# check


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


# decompile


def bad_files(folder: Path, model: Path) -> dict[str, Path]:
    """Files that are no models, by what is wrong with them."""
    data = model.read_bytes()
    contents = {
        "text": b"not a model at all, just text",
        "empty": b"",
        "truncated": data[: len(data) // 2],
        "pickle": pickle.dumps({"W_E": [1.0]}),
    }
    paths = {name: folder / f"{name}.safetensors" for name in (*contents, "missing", "nan")}
    for name, content in contents.items():
        paths[name].write_bytes(content)
    paths["nan"] = folder / "nan.npz"
    with np.load(folder / "hist.npz") as found:
        arrays = dict(found)
    arrays["token_embed"] = arrays["token_embed/embeddings"] * np.nan
    arrays["token_embed/embeddings"] = arrays.pop("token_embed")
    np.savez(paths["nan"], **arrays)
    paths["directory"] = folder
    return paths


@pytest.fixture
def bad(run: Run, model: Path, hist: Path) -> dict[str, Path]:
    """Files that are no models."""
    assert run("compile", hist, "-o", model.with_suffix(".npz")).code == 0
    return bad_files(model.parent, model)


@pytest.mark.usefixtures("writes_hist")
def test_decompile_proves(run: Run, model: Path, untrained: Path) -> None:
    """A program that recompiles to the weights is identical: exit code 0."""
    found = run("decompile", model, "--checkpoint", untrained)
    assert (found.code, found.err) == (0, "")
    lines = found.out.splitlines()
    assert lines[0] == f"# {model}"
    assert lines[2].startswith("sop_00 = rasp.SelectorWidth(select_2) ")
    assert lines[3].startswith("# identical: ")


@pytest.mark.usefixtures("writes_hist")
def test_decompile_does_not_prove(run: Run, model: Path, tmp_path: Path, untrained: Path) -> None:
    """One verdict that is not proved among others makes it exit code 3."""
    wrong = tmp_path / "length.npz"
    assert run("compile", "length", "-o", wrong, "--vocab", "0,1,2,3,4").code == 0
    found = run("decompile", model, wrong, "--checkpoint", untrained, "--json", "--greedy")
    assert (found.code, found.err) == (3, "")
    assert [(o["file"], o["verdict"]) for o in found.objects] == [
        (str(model), "identical"),
        (str(wrong), "unverified"),
    ]
    for key in ("file", "program", "verdict", "inputs_checked", "seconds"):
        assert all(key in shown for shown in found.objects)


def test_decompile_with_any_network(run: Run, untrained: Path) -> None:
    """A network that knows nothing still writes a program, and nothing is claimed of it."""
    arguments = ("decompile", "--example", "--no-progress", "--checkpoint", untrained)
    found = run(*arguments, "--greedy")
    assert (found.code, found.err) == (3, "")
    assert "# unverified: " in found.out


def test_a_search_needs_no_network(run: Run, untrained: Path) -> None:
    """What a network that knows nothing gets wrong is found by comparing with the weights."""
    found = run("decompile", "--example", "--no-progress", "--checkpoint", untrained)
    assert (found.code, found.err) == (0, "")
    assert "# identical: " in found.out


@pytest.mark.usefixtures("writes_hist")
def test_bad_files_do_not_stop_the_others(
    run: Run, model: Path, bad: dict[str, Path], untrained: Path
) -> None:
    """Each bad file has its line, the good ones their results; exit code 1."""
    files = [model, *bad.values(), model]
    found = run("decompile", *files, "--checkpoint", untrained)
    assert found.code == 1
    assert found.out.count("# identical: ") == 2
    errors = found.err.splitlines()
    assert len(errors) == len(bad)
    for line, path in zip(errors, bad.values(), strict=True):
        assert line.startswith(f"untracr: error: {path}: ")
    found = run("decompile", *files, "--checkpoint", untrained, "--json")
    assert (found.code, found.err) == (1, "")
    assert [shown["file"] for shown in found.objects] == [str(file) for file in files]
    assert ["error" in shown for shown in found.objects] == [False, *[True] * len(bad), False]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", "this is text"),
        ("empty", "empty"),
        ("truncated", ""),
        ("pickle", "a pickle is never loaded"),
        ("missing", "there is no such file"),
        ("nan", "finite"),
        ("directory", "this is a directory"),
    ],
)
def test_bad_files(
    run: Run, bad: dict[str, Path], untrained: Path, kind: str, message: str
) -> None:
    """Each kind of bad file is told by what is wrong with it, by decompile and by run."""
    error = run.fails(1, "decompile", bad[kind], "--checkpoint", untrained)
    assert message in error
    assert "\n" not in error
    if bad[kind].suffix:
        assert message in run.fails(1, "run", bad[kind], "1")


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "missing", "model"])
def test_bad_checkpoints(run: Run, bad: dict[str, Path], model: Path, kind: str) -> None:
    """A checkpoint that is none is told before any model is read."""
    path = model if kind == "model" else bad[kind]
    error = run.fails(1, "decompile", model, "--checkpoint", path)
    assert str(path) in error
    assert "\n" not in error


def test_vocabularies_must_fit(run: Run, model: Path, untrained: Path) -> None:
    """--vocab names every token row."""
    arguments = ["decompile", model, "--checkpoint", untrained, "--vocab", "a,b"]
    assert "a vocabulary must name all rows of W_E but BOS and PAD, 5 of 7" in run.fails(
        1, *arguments
    )
    assert "a vocabulary must name all" in run.fails(1, "run", model, "a", "--vocab", "a,b")


@pytest.mark.usefixtures("writes_hist")
def test_special_tokens_may_be_any_rows(run: Run, tmp_path: Path, untrained: Path) -> None:
    """Tracr sorts BOS and PAD in among the tokens; a file that names its rows is understood."""
    path = tmp_path / "m.npz"
    assert run("compile", "hist", "-o", path, "--vocab", "d,z,a").code == 0
    assert load_model(path).metadata["token_values"] == [
        *("a", "compiler_bos", "compiler_pad", "d", "z")
    ]
    assert run("run", path, "z,a,z").out == "2,1,2\n"
    (shown,) = run("decompile", path, "--checkpoint", untrained, "--json").objects
    assert (shown["verdict"], shown["vocab"]) == ("identical", ["a", "d", "z"])


def test_rows_that_are_named_wrongly(run: Run, model: Path, untrained: Path) -> None:
    """A file that names other rows than it has is refused."""
    loaded = load_model(model)
    for names in (["a"], [0, 1, 2, 3, 4, 5, 6]):
        save_model(model, loaded.transformer, {**loaded.metadata, "token_values": names})
        for command in (["run", model, "1"], ["decompile", model, "--checkpoint", untrained]):
            assert "must name each of the 7 rows" in run.fails(1, *command)


def test_models_without_a_read_out_cannot_run(run: Run) -> None:
    """A model that never says what its outputs mean is not run."""
    from untracr.decompile.bundled import example_file

    assert "no read-out" in run.fails(1, "run", example_file(), "1,2")


def test_outputs_that_overflow_are_no_answer(run: Run, model: Path) -> None:
    """Weights near the limit of float32 are finite in the file and not in use."""
    transformer = load_model(model).transformer
    save_model(model, transformer.replace(W_E=np.full_like(transformer.W_E, 3e38)))
    error = run.fails(1, "run", model, "1,2")
    assert "outputs must be finite numbers" in error
    assert "\n" not in error


def test_the_network_is_loaded_once(
    run: Run, model: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many files are read with one network."""
    made = []

    class Counting(Decompiler):
        def __init__(self, path: Path | None = None) -> None:
            made.append(path)
            super().__init__(path)

    monkeypatch.setattr("untracr.decompile.decompiler.Decompiler", Counting)
    assert len(run("decompile", *[model] * 3, "--checkpoint", untrained, "--json").objects) == 3
    assert made == [untrained]


@pytest.mark.usefixtures("writes_hist")
def test_decompiling_in_python(
    model: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The functions behind the command take files and weights alike."""
    decompiler = Decompiler(untrained)
    monkeypatch.setattr("untracr.decompile.bundled.bundled_decompiler", lambda: decompiler)
    assert untracr.decompile_model(model).verdict == "identical"
    found = untracr.decompile_models([str(model), untracr.load(model).transformer])
    assert [(result.name, result.verdict) for result in found] == [
        (str(model), "identical"),
        ("", "identical"),
    ]


# train, export, eval, bench


def test_train_export_decompile(run: Run, tmp_path: Path, model: Path) -> None:
    """A checkpoint of one step is resumed, exported and used."""
    import_module("torch")
    out = tmp_path / "run"
    small = ["--batch-size", 2, "--workers", 0, "--width", 16, "--layers", 1, "--heads", 2]
    options = ["--device", "cpu", *small]
    found = run("train", "--out", out, "--steps", 1, *options)
    assert found.code == 0
    saved = out / "checkpoint.safetensors"
    assert found.out.startswith(f"checkpoint: {saved}\n")
    assert run("train", "--out", out, "--steps", 2, *options, "--json").objects == [
        {"checkpoint": str(saved)}
    ]
    error = run.fails(2, "train", "--out", out, "--steps", 2, "--seed", 1, *options)
    assert "belongs to a run with" in error
    exported = tmp_path / "small.safetensors"
    assert run("export", saved, "-o", exported).out.startswith(f"wrote {exported}: ")
    assert run("decompile", model, "--checkpoint", exported).code in (0, 3)


def test_heads_must_divide_the_width(run: Run, tmp_path: Path) -> None:
    """Sizes that do not fit are told before anything is made."""
    import_module("torch")
    sizes = ["--width", 10, "--heads", 3]
    error = run.fails(2, "train", "--out", tmp_path / "run", "--steps", 1, *sizes)
    assert error == "--heads 3 must divide --width 10"
    assert not (tmp_path / "run").exists()


def test_training_treatments_must_exist(run: Run, tmp_path: Path) -> None:
    """What is no treatment is told before anything is made."""
    import_module("torch")
    options = ["--steps", 1, "--treatments", "rotated=0.5,noisy=0.6"]
    error = run.fails(2, "train", "--out", tmp_path / "run", *options)
    assert error == "argument --treatments: shares of treatments must add up to at most 1, not 1.1"
    options[-1] = "rotate=0.5"
    error = run.fails(2, "train", "--out", tmp_path / "run", *options)
    assert error.endswith("not 'rotate'")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--exclude", "x"),
        ("--exclude-sampled", "1:1"),
        ("--other-domains", "0.5"),
        ("--treatments", "noisy=0.1"),
        ("--outside-functions", "0.2"),
    ],
)
def test_the_baseline_takes_no_options_of_the_meta_model(
    run: Run, tmp_path: Path, option: tuple[str, str]
) -> None:
    """An option that would be passed over is refused by name."""
    import_module("torch")
    error = run.fails(2, "train", "--out", tmp_path / "run", "--steps", 1, "--baseline", *option)
    assert error == f"{option[0]} goes with the meta-model, not with --baseline"


def test_exporting_what_is_no_checkpoint(run: Run, model: Path, tmp_path: Path) -> None:
    """export refuses other files."""
    import_module("torch")
    assert "\n" not in run.fails(1, "export", tmp_path / "no", "-o", tmp_path / "x.safetensors")


def test_training_without_torch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch is missing, the command says what to install."""
    for name in [name for name in sys.modules if name.startswith("untracr.metamodel.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    error = run.fails(1, "train", "--out", "x", "--steps", "1")
    assert error == "this needs PyTorch, which is not installed: pip install 'untracr[train]'"


class FakeReport:
    """A report that shows what it was made from."""

    def __init__(self, *made_from: object) -> None:
        self.made_from = made_from

    def as_dict(self) -> dict[str, object]:
        """As the real one."""
        return {"made_from": [str(part) for part in self.made_from]}

    def to_markdown(self) -> str:
        """As the real one."""
        return f"made from {self.made_from[1:]}"


def test_eval_reports(run: Run, untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, or programs of a seed, are evaluated and reported as text or JSON."""
    fake = types.SimpleNamespace(
        evaluate_folder=lambda d, folder, **how: FakeReport(d.checkpoint, folder, how),
        evaluate_samples=lambda d, seed, n, **how: FakeReport(d.checkpoint, seed, n, how),
    )
    import_module("untracr.evaluate")  # its front door needs the true one
    monkeypatch.setitem(sys.modules, "untracr.evaluate.evaluation", fake)
    common = ["--checkpoint", untrained]
    found = run("eval", "--programs", 3, "--seed", 5, *common)
    assert (found.code, found.out) == (0, "made from (5, 3, {'treatment': 'compiled'})\n")
    found = run("eval", "models", *common, "--treatment", "rotated", "--json")
    how = "{'seed': 0, 'treatment': 'rotated'}"
    assert found.objects == [{"made_from": [str(untrained), "models", how]}]


def test_eval_for_real(run: Run, untrained: Path, tmp_path: Path) -> None:
    """The evaluation that is there accepts what the command hands it."""
    found = run("eval", "--programs", 2, "--checkpoint", untrained, "--json")
    assert found.code == 0
    assert len(found.objects) == 1
    assert run("eval", "--programs", 1, "--checkpoint", untrained).out
    assert "\n" not in run.fails(1, "eval", tmp_path, "--checkpoint", untrained)
    arguments = ["eval", "--programs", 1, "--checkpoint", untrained, "--treatment", "rotatd"]
    assert "rotat" in run.fails(2, *arguments)


def test_bench_reports(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options reach the benchmark, and its report is shown as text or JSON."""
    fake = types.SimpleNamespace(
        run_speed_benchmark=lambda **how: FakeReport("", sorted(how.items()))
    )
    monkeypatch.setitem(sys.modules, "untracr.bench.speed", fake)
    found = run("bench", "speed", "--quick", "--seed", 2)
    how = "[('checkpoint', None), ('programs', None), ('quick', True), ('seed', 2)]"
    assert (found.code, found.out) == (0, f"made from ({how},)\n")
    assert run("bench", "speed", "--json").code == 0


def test_results_carry_file_names_as_given(
    run: Run, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``./model`` stays ``./model``: scripts match results to files by what they passed."""
    monkeypatch.chdir(model.parent)
    given = f"./{model.name}"
    found = run("decompile", given, "--json", "--no-progress")
    assert json.loads(found.out)["file"] == given
