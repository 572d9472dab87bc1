"""Options of the commands that read programs off weights."""

from __future__ import annotations

from pathlib import Path

from untracr.cli.command import Parser
from untracr.cli.values import parse_values


def add_checkpoint_option(parser: Parser) -> None:
    """Adds ``--checkpoint``."""
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="another meta-model than the package's own",
    )


def add_row_values_option(parser: Parser) -> None:
    """Adds ``--vocab``, as `in_standard_order` takes it."""
    parser.add_argument(
        "--vocab",
        type=parse_values,
        metavar="A,B,...",
        help="the values of the token rows (default: as the file says, else 0,1,2,...)",
    )
