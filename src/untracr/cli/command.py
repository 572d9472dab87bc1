"""What a command is, and the argument parser that its mistakes are told by."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

from untracr.errors import UsageError, did_you_mean

OK, FAILED, WRONG_USAGE, NO = 0, 1, 2, 3
"""Exit codes; see `untracr.cli`."""

INTERRUPTED, NO_READER = 130, 141

Options = TypeVar("Options")


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` that raises `UsageError` and knows no abbreviations.

    Attributes:
        closing: makes the last part of --help, when that is asked for: what it lists may be
            slow to import.
        commands: the parsers of the commands that were added, by name.
    """

    closing: Callable[[], str] | None = None

    def __init__(self, **settings: Any) -> None:
        self.commands: dict[str, Parser] = {}
        self._options: set[str] = set()
        self._older_options: set[str] = set()
        super().__init__(**settings, allow_abbrev=False)

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """Adds an argument, as argparse does."""
        action = super().add_argument(*names, **settings)
        shown = settings.get("help") is not argparse.SUPPRESS
        (self._options if shown else self._older_options).update(action.option_strings)
        return action

    def add_older_spelling(self, name: str, of: argparse.Action) -> None:
        """Lets an option also be given by a name that it once had; --help does not show that."""
        hidden = argparse.SUPPRESS
        self.add_argument(name, dest=of.dest, type=of.type, default=hidden, help=hidden)

    def add_commands(self, commands: Iterable[Command[Any] | Group]) -> None:
        """Adds commands, one of which must follow; `run_parsed` runs it."""
        adding = self.add_subparsers(title="commands", metavar="COMMAND", required=True)
        for command in commands:
            parser = adding.add_parser(
                command.name,
                help=command.summary,
                description=command.summary,
                epilog=f"example: {command.example}",
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            command.configure(parser)
            parser.set_defaults(command=command)
            self.commands[command.name] = parser

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
        if arguments and arguments[0] in self.commands:
            self.commands[arguments[0]].require_known_options(arguments[1:])
            return
        for argument in arguments:
            if argument == "--":
                return
            if re.match(r"-[\d.][^,]*,", argument):
                self.error(
                    f"{argument} begins like an option; "
                    f"write --vocab={argument}, or put -- before inputs"
                )
            option = argument.split("=")[0]
            if option.startswith("--") and option not in self._options | self._older_options:
                hint = did_you_mean(option, self._options)
                self.error(f"there is no option {option}.{hint}")


@dataclass(frozen=True)
class Command(Generic[Options]):
    """One command.

    Attributes:
        name: as typed.
        summary: a sentence for the list of commands.
        example: one line that works, for --help.
        configure: adds the arguments.
        options: the frozen dataclass of what is given for these arguments: a field for each,
            without default.
        run: does the work and returns the exit code.
        subcommands: names one of which must come first.
    """

    name: str
    summary: str
    example: str
    configure: Callable[[Parser], None]
    options: Callable[..., Options]
    run: Callable[[Options], int]
    subcommands: tuple[str, ...] = ()

    def run_on(self, given: Mapping[str, object]) -> int:
        """Does the work on parsed arguments.

        Raises:
            TypeError: their names are not those of the fields of ``options``.
        """
        return self.run(self.options(**given))


@dataclass(frozen=True)
class Group:
    """A command that is one of several, which stand after its name.

    Attributes:
        name, summary, example: as of `Command`.
        commands: the several.
    """

    name: str
    summary: str
    example: str
    commands: tuple[Command[Any], ...]

    @property
    def subcommands(self) -> tuple[str, ...]:
        """Names one of which must come first."""
        return tuple(command.name for command in self.commands)

    def configure(self, parser: Parser) -> None:
        """Adds the commands."""
        parser.add_commands(self.commands)


def run_parsed(parsed: argparse.Namespace) -> int:
    """Runs the command that was parsed on its arguments; returns the exit code."""
    given = dict(vars(parsed))
    command: Command[Any] = given.pop("command")
    return command.run_on(given)


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
