"""The PROGRAM argument: a file, standard input, or the name of a library program."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from untracr.cli.values import Value, parse_values, positive, positive_number
from untracr.errors import ProgramError, did_you_mean
from untracr.shown_text import printable
from untracr.strangers_files import read_file

if TYPE_CHECKING:
    from untracr.rasp.domain import Domain
    from untracr.rasp.program import Program
    from untracr.syntax.library import NamedProgram

PROGRAM_HELP = "a file of RASP in Tracr's syntax, - for standard input, or a library program's name"
DEFAULT_VOCAB: tuple[Value, ...] = (0, 1, 2, 3, 4)
DEFAULT_LENGTH = 5
DEFAULT_EXACTNESS = 100.0


@dataclass(frozen=True, kw_only=True)
class DomainOptions:
    """What `add_domain_options` adds."""

    vocab: tuple[Value, ...] | None
    max_seq_len: int | None


@dataclass(frozen=True, kw_only=True)
class CausalOption:
    """What `add_causal_option` adds; None: neither option was given."""

    causal: bool | None


@dataclass(frozen=True, kw_only=True)
class ExactnessOption:
    """What `add_exactness_option` adds."""

    mlp_exactness: float | Literal["auto"]


@dataclass(frozen=True)
class GivenProgram:
    """A program from the command line.

    Attributes:
        program: as parsed.
        named: the library's entry, if it came from there.
    """

    program: Program
    named: NamedProgram | None = None

    def has_domain(self, options: DomainOptions) -> bool:
        """Whether the library or the options say what the inputs are."""
        return self.named is not None or bool(options.vocab or options.max_seq_len)

    def domain(self, options: DomainOptions) -> Domain:
        """The inputs: as the options say, else as the library does, else the paper's.

        Raises:
            InputError: the vocabulary repeats a token.
        """
        from untracr.rasp.domain import Domain

        vocab, length = DEFAULT_VOCAB, DEFAULT_LENGTH
        if self.named is not None:
            vocab, length = self.named.vocab, self.named.max_seq_len
        return Domain(options.vocab or vocab, options.max_seq_len or length)

    def causal(self, options: CausalOption) -> bool:
        """Whether attention is causal: as the option says, else as the library does."""
        if options.causal is not None:
            return options.causal
        return self.named is not None and self.named.causal


def add_domain_options(parser: argparse.ArgumentParser) -> None:
    """Adds --vocab and --max-seq-len."""
    parser.add_argument(
        "--vocab",
        type=parse_values,
        metavar="A,B,...",
        help="the tokens (default: the library program's, else 0,1,2,3,4)",
    )
    parser.add_argument(
        "--max-seq-len",
        type=positive,
        metavar="N",
        help="the longest input (default: the library program's, else 5)",
    )


def add_causal_option(parser: argparse.ArgumentParser) -> None:
    """Adds --causal and --no-causal."""
    parser.add_argument(
        "--causal",
        action=argparse.BooleanOptionalAction,
        help="a selector selects no key after its query, as causal attention does "
        "(default: as the library program or the model's file says, else not)",
    )


def add_exactness_option(parser: argparse.ArgumentParser) -> None:
    """Adds --mlp-exactness."""
    parser.add_argument(
        "--mlp-exactness",
        type=_exactness,
        default=DEFAULT_EXACTNESS,
        metavar="X",
        help="slope of the steps by which MLPs compute functions of numbers (default: 100); "
        "auto: 100, or the smallest larger whole number that is right on all inputs",
    )


def _exactness(text: str) -> float | Literal["auto"]:
    return "auto" if text == "auto" else positive_number(text)


def read_program(argument: str) -> GivenProgram:
    """Reads the program that a PROGRAM argument means; a file comes before the library.

    Raises:
        RaspSyntaxError: it is not RASP.
        ProgramError: it cannot be read, or there is no such file or library program.
    """
    from untracr.bounds import MAX_SOURCE
    from untracr.syntax.library import LIBRARY
    from untracr.syntax.parsing import parse

    if argument == "-":
        return GivenProgram(
            parse(_text(_standard_input(MAX_SOURCE), "standard input"), filename="<stdin>")
        )
    if os.path.exists(argument) and not os.path.isdir(argument):
        try:
            data = read_file(Path(argument), MAX_SOURCE, "a program", ProgramError)
        except ProgramError as error:
            raise ProgramError(f"{printable(argument)}: {error}") from None
        return GivenProgram(parse(_text(data, printable(argument)), filename=argument))
    for named in LIBRARY:
        if named.name == argument:
            return GivenProgram(named.program, named)
    names = [named.name for named in LIBRARY]
    hint = did_you_mean(argument, names)
    what = "is a directory" if os.path.isdir(argument) else "there is no such file"
    raise ProgramError(
        f"{printable(argument)}: {what}, and the library has no program of that name.{hint} "
        f"It holds {', '.join(names)}"
    )


def _standard_input(most: int) -> bytes:
    """All of it.

    Raises:
        ProgramError: it has more than ``most`` bytes, or cannot be read.
    """
    stream = getattr(sys.stdin, "buffer", None)
    try:
        data: bytes = sys.stdin.read(most + 1).encode() if stream is None else stream.read(most + 1)
    except OSError as error:
        raise ProgramError(f"standard input cannot be read: {error.strerror}") from None
    if len(data) > most:
        raise ProgramError(f"a program may have at most {most:,} bytes; there are more")
    return data


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ProgramError(
            f"{name} is not text; a program is Python source. "
            "To read the program off a model: untracr decompile FILE"
        ) from None
