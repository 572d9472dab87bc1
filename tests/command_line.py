"""Runs commands in this process, as users see them: exit code, what is printed, and errors."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from untracr.cli import main

HIST = "same = Select(tokens, tokens, Comparison.EQ)\nhist = SelectorWidth(same)\n"
"""A program file of which most commands are asked."""


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
