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
        "--seed", type=not_negative, default=0, help="of programs and treatments (default: 0)"
    )
    parser.add_argument(
        "--treatment",
        default="compiled",
        metavar="NAME",
        help="what is done to the weights first, such as rotated (default: compiled, nothing)",
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
    decompiler = Decompiler(args.checkpoint)
    how = {"treatment": args.treatment}
    if args.folder is not None:
        report = evaluate_folder(decompiler, args.folder, seed=args.seed, **how)
    else:
        report = evaluate_samples(decompiler, args.seed, args.programs, **how)
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
