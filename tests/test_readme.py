"""What the README promises is so."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from pathlib import Path

import pytest

from untracr.cli.entry import COMMANDS, main
from untracr.decompile.decompiler import BUNDLED
from untracr.verify.evidence import Verdict

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
VERDICTS: tuple[Verdict, ...] = ("identical", "equivalent", "unverified")


def blocks(language: str) -> list[str]:
    """The README's code blocks in one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_quickstart_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python block runs as it stands, and prints what its comments say."""
    (source,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "README.md", "exec"), {})
    lines = printed.getvalue().splitlines()
    promised = re.findall(r"print\(.*\)  # (.*)", source)
    assert promised
    assert lines[: len(promised)] == promised
    assert lines[-1].split()[0] in VERDICTS


def test_the_example_is_decompiled(capsys: pytest.CaptureFixture[str]) -> None:
    """The first command's last part runs with the meta-model that is bundled."""
    code = main(["decompile", "--example"])
    shown = capsys.readouterr()
    assert (code, shown.err) == (0, "")
    assert "identical" in shown.out


def test_there_are_two_commands() -> None:
    """One line sets up and runs the main job, one sets up and runs the tests."""
    assert [len(block.strip().splitlines()) for block in blocks("sh")] == [1, 1]
    assert blocks("sh")[0].rstrip().endswith("&& .venv/bin/untracr decompile --example")
    assert "pip install -e '.[test]'" in blocks("sh")[1]


def test_ci_runs_the_readme_s_command() -> None:
    """.ci/run takes the test command out of the README, and may be executed."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    wanted = "pip install -e '.[test]'"
    assert f'grep -F "{wanted}" README.md' in script.read_text("utf-8")
    assert README.count(wanted) == 1


def test_commands_of_the_table_exist() -> None:
    """Every command of the README is one of ours with options it knows, and none is left out."""
    lines = re.findall(r"^\| `untracr (.*?)` \|", README, flags=re.MULTILINE)
    assert {line.split()[0] for line in lines} == set(COMMANDS)
    for line in lines:
        command, *arguments = shlex.split(line)
        subcommand = [word for word in arguments[:1] if word in COMMANDS[command].subcommands]
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert main([command, *subcommand, "--help"]) == 0
        for option in (a for a in arguments if a.startswith("-")):
            assert f"{option} " in printed.getvalue()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_examples_of_help_name_their_command(name: str) -> None:
    """Each command's --help ends in an example of that command."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main([name, "--help"]) == 0
    assert f"example: untracr {name} " in printed.getvalue()


def test_links_and_folders_exist() -> None:
    """Files and folders that the README names are there, and it leaves no folder out."""
    package = ROOT / "src" / "untracr"
    tree = README.split("## The source tree")[1].split("##")[0]
    rows = re.findall(r"^\| (`.*?) \|", tree, flags=re.MULTILINE)
    named = {folder for row in rows for folder in re.findall(r"`(\w+)`", row)}
    folders = {path.name for path in package.iterdir() if path.is_dir()}
    assert named == folders - {"__pycache__"}
    links = re.findall(r"\]\((?!http)(.*?)\)", README)
    assert "LICENSE" in links
    for link in links:
        assert (ROOT / link).is_file(), link
    assert (package / BUNDLED).parent.is_dir()
