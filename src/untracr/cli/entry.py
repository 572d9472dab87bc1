"""`main`: finds the command, runs it, turns errors into lines and exit codes."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from untracr.cli.command import (
    FAILED,
    INTERRUPTED,
    NO_READER,
    WRONG_USAGE,
    Command,
    Group,
    Parser,
    require_known,
    run_parsed,
)
from untracr.cli.output import complain
from untracr.errors import UntracrError, UsageError
from untracr.version import __version__

NAMES = (
    "sample",
    "dataset",
    "compile",
    "run",
    "check",
    "decompile",
    "explain",
    "test",
    "train",
    "export",
    "eval",
    "audit",
    "bench",
)
"""Of the commands, in the order of --help; each is the module of its name."""


class Commands(Mapping[str, "Command[Any] | Group"]):
    """The commands by name; one is imported when it is asked for."""

    def __getitem__(self, name: str) -> Command[Any] | Group:
        if name not in NAMES:
            raise KeyError(name)
        command: Command[Any] | Group = import_module(f"untracr.cli.{name}").COMMAND
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


COMMANDS = Commands()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _prepare_streams()
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except UsageError as error:
        return _fail(str(error), WRONG_USAGE)
    except UntracrError as error:
        return _fail(str(error), FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _drop_output()
        return NO_READER
    except MemoryError as error:
        return _fail(f"out of memory: {error}".rstrip(": "), FAILED)
    except OSError as error:
        return _fail(_cause(error), FAILED)


def _prepare_streams() -> None:
    """Makes printing possible whatever the streams are.

    One that was closed before we started (``>&-``) is None; what goes there is
    dropped. File names with characters that a stream cannot encode are escaped.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif mode == "w" and isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _run(arguments: list[str]) -> int:
    named = [name for name in NAMES if name in arguments[:1]] or NAMES
    parser = _parser(named)
    if not arguments:
        print(parser.format_help(), file=sys.stderr, end="")
        return WRONG_USAGE
    first = arguments[0]
    if first.startswith("-"):
        parser.require_known_options(arguments[:1])
    else:
        require_known("command", first, COMMANDS)
        _require_known_subcommand(COMMANDS[first], arguments[1:])
        parser.require_known_options(arguments)
    try:
        parsed = parser.parse_args(arguments)
    except SystemExit as end:  # --help and --version print and leave
        return int(end.code or 0)
    return run_parsed(parsed)


def _require_known_subcommand(command: Command[Any] | Group, arguments: list[str]) -> None:
    if command.subcommands and arguments and not arguments[0].startswith("-"):
        require_known(f"{command.name} command", arguments[0], command.subcommands)


def _parser(names: Iterable[str]) -> Parser:
    """Knows these commands: those that --help lists, or the one that was asked for."""
    parser = Parser(
        prog="untracr",
        description="RASP to transformer weights, and weights back to RASP.",
        epilog="untracr COMMAND --help tells more, with an example.",
    )
    parser.add_argument("--version", action="version", version=f"untracr {__version__}")
    parser.add_commands(COMMANDS[name] for name in names)
    return parser


def _cause(error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.filename is not None:
        return f"{error.filename}: {reason}"
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
        return f"standard output cannot be written: {reason}"
    return reason


def _fail(message: str, code: int) -> int:
    # What was printed before the error comes before it, also where both streams meet.
    with suppress(OSError):
        sys.stdout.flush()
    complain(message)
    return code


def _drop_output() -> None:
    """Keeps Python's own flush at exit from failing once more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
