"""The command line as a whole: help, wrong usage, streams, and how values are written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from command_line import Run
from untracr.cli import main
from untracr.cli.entry import COMMANDS
from untracr.cli.values import parse_value, parse_values, show_values
from untracr.rasp.functions import Value


def test_the_list_of_commands_is_printed_without_numpy() -> None:
    """What a command's own help lists is imported only where that is asked for."""
    code = (
        "import sys\nfrom untracr.cli import main\nmain(['--help'])\nprint('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_only_the_command_that_is_asked_for_is_loaded() -> None:
    """The other commands' options are not built for it."""
    code = (
        "import sys\nfrom untracr.cli import main\nmain(['export', '--help'])\n"
        "print(sorted({'train', 'decompile', 'export'} & {m[12:] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['export']"


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
        (["sample", "--programs", "0"], "argument --programs: must be at least 1, not 0"),
        (["sample", "--seed", "-1"], "argument --seed: must not be negative, not -1"),
        (["sample", "--programs", "x"], "argument --programs: must be a whole number, not 'x'"),
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
    command = [sys.executable, "-m", "untracr", "sample", "--programs", "100000"]
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
