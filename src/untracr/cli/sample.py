"""``untracr sample``: random programs of the paper's kind."""

from __future__ import annotations

import argparse

from untracr.cli.command import OK, Command, Parser
from untracr.cli.output import add_json_option, print_json, with_progress
from untracr.cli.values import not_negative, positive
from untracr.errors import UsageError

LONGEST = 15
"""Programs much longer than the paper's are found too rarely."""


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument("-n", type=positive, default=1, metavar="N", help="how many (default: 1)")
    parser.add_argument(
        "--seed", type=not_negative, default=0, help="of the stream of programs (default: 0)"
    )
    parser.add_argument(
        "--start",
        type=not_negative,
        default=0,
        metavar="I",
        help="index of the first; program I of a seed is always the same (default: 0)",
    )
    parser.add_argument(
        "--min-length", type=positive, default=4, metavar="N", help="SOps at least (default: 4)"
    )
    parser.add_argument(
        "--max-length", type=positive, default=8, metavar="N", help="SOps at most (default: 8)"
    )
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Prints programs."""
    from untracr.rasp.program import print_program
    from untracr.sample.sampler import SamplerSettings, sample_program

    if not 2 <= args.min_length <= args.max_length <= LONGEST:
        raise UsageError(
            f"lengths must be 2 <= --min-length <= --max-length <= {LONGEST}, "
            f"not {args.min_length} and {args.max_length}"
        )
    settings = SamplerSettings(min_length=args.min_length, max_length=args.max_length)
    indices = range(args.start, args.start + args.n)
    for index in with_progress(indices, args.n, " programs"):
        program = sample_program(args.seed, index, settings)
        source = print_program(program)
        if args.json:
            print_json(
                {"index": index, "seed": args.seed, "length": program.length, "program": source}
            )
        else:
            print(f"# program {index} of seed {args.seed}, length {program.length}\n{source}")
    return OK


COMMAND = Command(
    name="sample",
    summary="print random RASP programs of the paper's kind",
    example="untracr sample -n 3 --seed 7",
    configure=configure,
    run=run,
)
