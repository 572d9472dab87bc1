"""What a command is, and the argument parser that its mistakes are told by."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from untracr.errors import UsageError, did_you_mean

OK, FAILED, WRONG_USAGE, NO = 0, 1, 2, 3
"""Exit codes; see `untracr.cli`."""

INTERRUPTED, NO_READER = 130, 141


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` that raises `UsageError` and knows no abbreviations.

    Attributes:
        closing: makes the last part of --help, when that is asked for: what it lists may be
            slow to import.
    """

    closing: Callable[[], str] | None = None

    def format_help(self) -> str:
        """The text of --help."""
        text = super().format_help()
        return text if self.closing is None else f"{text}\n{self.closing()}\n"

    def error(self, message: str) -> NoReturn:
        """Raises `UsageError`."""
        raise UsageError(f"{message} ({self.prog} --help shows how)")

    def require_known_options(self, arguments: Sequence[str]) -> None:
        """Finds mistyped options before argparse misses what they stand for.

        Raises:
            UsageError: an argument looks like an option and is none, or is a list of
                values that argparse takes for one.
        """
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction) and arguments:
                its_parser = action.choices.get(arguments[0])
                if isinstance(its_parser, Parser):
                    its_parser.require_known_options(arguments[1:])
                    return
        known = set(re.findall(r"--[a-z][a-z-]*", super().format_help()))
        for argument in arguments:
            if argument == "--":
                return
            if re.match(r"-[\d.][^,]*,", argument):
                self.error(
                    f"{argument} begins like an option; "
                    f"write --vocab={argument}, or put -- before inputs"
                )
            option = argument.split("=")[0]
            if option.startswith("--") and option not in known:
                self.error(f"there is no option {option}.{did_you_mean(option, known)}")


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: as typed.
        summary: a sentence for the list of commands.
        example: one line that works, for --help.
        configure: adds the arguments.
        run: does the work and returns the exit code.
        subcommands: names that must follow the command's own.
    """

    name: str
    summary: str
    example: str
    configure: Callable[[Parser], None]
    run: Callable[[argparse.Namespace], int]
    subcommands: tuple[str, ...] = ()


def require_known(kind: str, name: str, known: Iterable[str]) -> None:
    """Checks a name against a closed list.

    Raises:
        UsageError: it is not in the list.
    """
    names = list(known)
    if name not in names:
        raise UsageError(
            f"there is no {kind} {name!r}.{did_you_mean(name, names)} There are {', '.join(names)}"
        )
