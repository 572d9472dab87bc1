"""Options of the commands that read programs off weights."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from untracr.cli.command import Parser
from untracr.cli.values import Value, parse_value, parse_values
from untracr.errors import UsageError

if TYPE_CHECKING:
    from untracr.transformer.token_rows import Naming


@dataclass(frozen=True, kw_only=True)
class CheckpointOption:
    """What `add_checkpoint_option` adds."""

    checkpoint: Path | None


@dataclass(frozen=True, kw_only=True)
class RowsOptions:
    """What `add_rows_options` adds."""

    rows: tuple[Value, ...] | None
    bos: Value
    pad: Value


@dataclass(frozen=True, kw_only=True)
class RowValuesOptions(RowsOptions):
    """What `add_row_values_option` adds."""

    vocab: tuple[Value, ...] | None


def add_checkpoint_option(parser: Parser) -> None:
    """Adds ``--checkpoint``."""
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="another meta-model than the package's own",
    )


def add_row_values_option(parser: Parser) -> None:
    """Adds ``--vocab``, and the options of `add_rows_options`."""
    parser.add_argument(
        "--vocab",
        type=parse_values,
        metavar="A,B,...",
        help="the values of the tokens' rows of W_E, in the order of the rows, BOS's and PAD's "
        "left out (default: as the file says, else 0,1,2,...)",
    )
    add_rows_options(parser)


def add_rows_options(parser: argparse.ArgumentParser) -> None:
    """Adds ``--rows``, ``--bos`` and ``--pad``, for `naming_of`."""
    parser.add_argument(
        "--rows",
        type=parse_values,
        metavar="A,B,...",
        help="the values of all rows of W_E in order, BOS's and PAD's names among them",
    )
    for name in ("bos", "pad"):
        parser.add_argument(
            f"--{name}",
            type=parse_value,
            metavar="NAME",
            help=f"the name of {name.upper()}'s row, where rows have names (default: as the file "
            f"says, else compiler_{name}); else the row's number (default: as the weights show)",
        )


def refuse_rows_options(options: RowsOptions, what_for: str) -> None:
    """Checks that none of the options of `add_rows_options` is given.

    Raises:
        UsageError: one is; the message says what it is for.
    """
    for name, given in (("rows", options.rows), ("bos", options.bos), ("pad", options.pad)):
        if given is not None:
            raise UsageError(f"--{name} is for {what_for}")


def naming_of(vocab: tuple[Value, ...] | None, options: RowsOptions) -> Naming:
    """What ``--vocab`` and the options of `add_rows_options` say of the token rows.

    Raises:
        UsageError: ``--vocab`` and ``--rows`` are both given.
    """
    from untracr.transformer.token_rows import Naming

    if vocab is not None and options.rows is not None:
        raise UsageError("--rows names all rows and --vocab those of tokens: give one of them")
    return Naming(vocab, options.rows, options.bos, options.pad)
