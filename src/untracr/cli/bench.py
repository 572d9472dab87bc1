"""``untracr bench``: measurements of speed."""

from __future__ import annotations

import argparse
from pathlib import Path

from untracr.cli.command import OK, Command, Parser
from untracr.cli.output import add_json_option, print_json
from untracr.cli.values import not_negative, positive

SUBCOMMANDS = ("speed",)


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument("what", choices=SUBCOMMANDS, help="speed: next to the real Tracr")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, about 15 s")
    parser.add_argument(
        "--programs", type=positive, metavar="N", help="random programs that Tracr compiles"
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, help="of the random programs (default: 0)"
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="another meta-model than the package's own",
    )
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Prints a report."""
    from untracr.bench.speed import run_speed_benchmark

    report = run_speed_benchmark(
        programs=args.programs, seed=args.seed, quick=args.quick, checkpoint=args.checkpoint
    )
    if args.json:
        print_json(report.as_dict())
    else:
        print(report.to_markdown())
    return OK


COMMAND = Command(
    name="bench",
    summary="measure speed next to the real Tracr",
    example="untracr bench speed --quick",
    configure=configure,
    run=run,
    subcommands=SUBCOMMANDS,
)
