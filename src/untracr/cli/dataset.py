"""``untracr dataset``: data sets of programs and their weights."""

from __future__ import annotations

import argparse

from untracr.cli import dataset_build, dataset_info, dataset_show, dataset_verify
from untracr.cli.command import Command, Parser

SUBCOMMANDS: dict[str, Command] = {
    module.COMMAND.name: module.COMMAND
    for module in (dataset_build, dataset_info, dataset_verify, dataset_show)
}


def configure(parser: Parser) -> None:
    """Adds the commands of the command."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in SUBCOMMANDS.values():
        its_parser = commands.add_parser(
            command.name,
            help=command.summary,
            description=command.summary,
            epilog=f"example: {command.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.configure(its_parser)
        its_parser.set_defaults(run_subcommand=command.run)


def run(args: argparse.Namespace) -> int:
    """Runs one of the commands."""
    code: int = args.run_subcommand(args)
    return code


COMMAND = Command(
    name="dataset",
    summary="build, check and look at data sets of programs and their weights",
    example="untracr dataset build programs --programs 10000 --seed 1",
    configure=configure,
    run=run,
    subcommands=tuple(SUBCOMMANDS),
)
