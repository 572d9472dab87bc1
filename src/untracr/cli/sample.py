"""``untracr sample``: random programs of the paper's kind."""

from __future__ import annotations

from dataclasses import dataclass

from untracr.cli.command import OK, Command, Parser
from untracr.cli.output import JsonOption, add_json_option, print_json, with_progress
from untracr.cli.values import not_negative, positive
from untracr.errors import UsageError

LONGEST_PROGRAM = 15
"""Programs much longer than the paper's are found too rarely."""


@dataclass(frozen=True, kw_only=True)
class Options(JsonOption):
    """What the command is given; `configure` says what each means."""

    programs: int
    seed: int
    start: int
    min_length: int
    max_length: int


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    programs = parser.add_argument(
        "--programs", type=positive, default=1, metavar="N", help="how many (default: 1)"
    )
    parser.add_older_spelling("-n", programs)
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


def run(options: Options) -> int:
    """Prints programs."""
    from untracr.rasp.program import print_program
    from untracr.sample.sampler import SamplerSettings, sample_program

    if not 2 <= options.min_length <= options.max_length <= LONGEST_PROGRAM:
        raise UsageError(
            f"lengths must be 2 <= --min-length <= --max-length <= {LONGEST_PROGRAM}, "
            f"not {options.min_length} and {options.max_length}"
        )
    settings = SamplerSettings(min_length=options.min_length, max_length=options.max_length)
    indices = range(options.start, options.start + options.programs)
    for index in with_progress(indices, options.programs, " programs"):
        program = sample_program(options.seed, index, settings)
        source = print_program(program)
        if options.json:
            print_json(
                {"index": index, "seed": options.seed, "length": program.length, "program": source}
            )
        else:
            print(f"# program {index} of seed {options.seed}, length {program.length}\n{source}")
    return OK


COMMAND = Command(
    name="sample",
    summary="print random RASP programs of the paper's kind",
    example="untracr sample --programs 3 --seed 7",
    configure=configure,
    options=Options,
    run=run,
)
