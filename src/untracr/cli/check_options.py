"""What ``untracr check`` may be given: programs, saved models or certificates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from untracr.cli.command import Parser
from untracr.cli.output import JsonOption, add_json_option
from untracr.cli.programs import (
    PROGRAM_HELP,
    ExactnessOption,
    add_causal_option,
    add_domain_options,
    add_exactness_option,
)
from untracr.cli.reading_options import add_rows_options
from untracr.cli.saved_models import SavedModelOptions


@dataclass(frozen=True, kw_only=True)
class CheckOptions(SavedModelOptions, ExactnessOption, JsonOption):
    """What the command is given; `configure` says what each means."""

    programs: list[str]
    against: str | None
    model: Path | None


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "programs",
        metavar="PROGRAM",
        nargs="+",
        help=f"{PROGRAM_HELP}; with --against also a model; or certificates that untracr "
        "decompile wrote",
    )
    parser.add_argument(
        "--against",
        metavar="OTHER",
        help="a second program or a model (weights, or a folder): decide whether both give "
        "the same output on every input, or show one on which they do not",
    )
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="the model of a certificate, or the folder that it is in "
        "(default: where the certificate says)",
    )
    add_domain_options(parser)
    add_causal_option(parser)
    add_rows_options(parser)
    add_exactness_option(parser)
    add_json_option(parser)
