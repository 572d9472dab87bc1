"""``untracr bench``: measurements of speed."""

from __future__ import annotations

import argparse

from untracr.cli.command import OK, Command, Parser
from untracr.cli.output import add_json_option, print_json

SUBCOMMANDS = ("speed",)


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument("what", choices=SUBCOMMANDS, help="speed: how fast each stage is")
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the benchmark."""
    from untracr.bench.speed import run_speed_benchmark

    report = run_speed_benchmark()
    print_json(report) if args.json else print(report)
    return OK


COMMAND = Command(
    name="bench",
    summary="measure speed",
    example="untracr bench speed --json",
    configure=configure,
    run=run,
    subcommands=SUBCOMMANDS,
)
