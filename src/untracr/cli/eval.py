"""``untracr eval``: how often decompiling succeeds."""

from __future__ import annotations

import argparse
from pathlib import Path

from untracr.cli.command import OK, Command, Parser
from untracr.cli.output import add_json_option, print_json
from untracr.cli.values import not_negative, positive
from untracr.errors import UsageError


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="DIR",
        help="models with their true programs: programs.jsonl and a .npz for each; or",
    )
    parser.add_argument(
        "--programs", type=positive, metavar="N", help="evaluate on N fresh random programs"
    )
    parser.add_argument(
        "--seed", type=not_negative, help="of the random programs (default: 0; with --programs)"
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
    from untracr.decompile.decompiler import Decompiler
    from untracr.evaluate.evaluation import evaluate_folder, evaluate_samples

    if (args.folder is None) == (args.programs is None):
        raise UsageError("give either DIR or --programs")
    if args.programs is None and args.seed is not None:
        raise UsageError("--seed goes with --programs; a folder's programs are given")
    decompiler = Decompiler(args.checkpoint)
    if args.folder is not None:
        report = evaluate_folder(decompiler, args.folder)
    else:
        report = evaluate_samples(decompiler, args.seed or 0, args.programs)
    if args.json:
        print_json(report.as_dict())
    else:
        print(report.to_markdown())
    return OK


COMMAND = Command(
    name="eval",
    summary="measure how often decompiling succeeds",
    example="untracr eval --programs 100 --seed 1",
    configure=configure,
    run=run,
)
