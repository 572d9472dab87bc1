"""A version of the package: where its source is, and how it is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

PUBLIC_NAMES = Path(__file__).parent / "with_public_names.py"
"""What is run to ask a version by the names that it exports."""

PATIENCE = 3_600
"""Seconds after which a version is taken to hang."""


class CannotCompare(Exception):
    """Something is missing that a comparison needs; the text says what."""


@dataclass(frozen=True)
class Outcome:
    """How a process ended.

    Attributes:
        code: its exit code.
        out, err: what it printed.
    """

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Version:
    """One of the two versions.

    Attributes:
        source: the folder that holds the package.
        folder: where it works; both versions have the same files in it under the same names.
    """

    source: Path
    folder: Path

    def run(self, *arguments: str) -> Outcome:
        """``untracr`` with these arguments."""
        return self._python("-m", "untracr", *arguments)

    def answer(self, *arguments: str) -> Outcome:
        """Likewise, where it must not fail: the answer may be no (exit code 3).

        Raises:
            CannotCompare: it failed.
        """
        return _succeeded(self.run(*arguments), ("untracr", *arguments))

    def public(self, *arguments: str) -> Outcome:
        """`with_public_names.py` with these arguments.

        Raises:
            CannotCompare: it failed.
        """
        given = (str(PUBLIC_NAMES), *arguments)
        return _succeeded(self._python(*given), (PUBLIC_NAMES.name, *arguments))

    def option(self, command: tuple[str, ...], *spellings: str) -> str:
        """The one of several spellings that the command knows: they may change.

        Raises:
            CannotCompare: it knows none of them.
        """
        known = self.answer(*command, "--help").out.replace(",", " ").replace("[", " ").split()
        for spelling in spellings:
            if spelling in known:
                return spelling
        raise CannotCompare(
            f"untracr {' '.join(command)} --help names none of {', '.join(spellings)}"
        )

    def require(self) -> None:
        """Checks that the package that runs is this version's.

        Raises:
            CannotCompare: it is another one.
        """
        loaded = self._python("-c", "import untracr; print(untracr.__file__)")
        where = Path(loaded.out.strip() or os.devnull)
        if loaded.code or not where.is_relative_to(self.source):
            raise CannotCompare(
                f"the package of {self.source} does not load: {loaded.err.strip() or where}"
            )

    def _python(self, *arguments: str) -> Outcome:
        environment = os.environ | {
            "PYTHONPATH": str(self.source),
            "COLUMNS": "80",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        command = [sys.executable, *arguments]
        try:
            ended = subprocess.run(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="backslashreplace",
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            raise CannotCompare(f"no end within {PATIENCE:,} s: {' '.join(command)}") from None
        return Outcome(ended.returncode, ended.stdout, ended.stderr)


def _succeeded(outcome: Outcome, command: tuple[str, ...]) -> Outcome:
    if outcome.code in (0, 3):
        return outcome
    shown = " ".join(command)
    shown = shown if len(shown) < 200 else f"{shown[:200]}..."
    said = outcome.err.strip().splitlines() or ["nothing"]
    raise CannotCompare(f"`{shown}` ended with code {outcome.code} and said: {said[-1][:300]}")


@contextmanager
def source_of(wanted: str, at: Path) -> Iterator[Path]:
    """The folder ``src`` of a version, for as long as it is needed.

    Args:
        wanted: a folder that holds ``src/untracr``, or a revision of this repository.
        at: where a revision is checked out meanwhile.

    Raises:
        CannotCompare: it is neither.
    """
    folder = Path(wanted).resolve() / "src"
    if (folder / "untracr").is_dir():
        yield folder
        return
    revision = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{wanted}^{{commit}}")
    if revision.returncode:
        raise CannotCompare(
            f"{wanted!r} is neither a folder that holds src/untracr nor a revision of git"
        )
    added = _git("worktree", "add", "--detach", str(at), revision.stdout.strip())
    if added.returncode:
        raise CannotCompare(f"{wanted!r} cannot be checked out: {added.stderr.strip()}")
    try:
        yield at / "src"
    finally:
        _git("worktree", "remove", "--force", str(at))


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True
    )
