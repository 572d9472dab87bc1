"""``untracr bench``: measurements of speed."""

from __future__ import annotations

import argparse

from untracr.cli.command import OK, Command, Parser
from untracr.cli.dataset_build import treatments
from untracr.cli.dataset_progress import processors
from untracr.cli.extras import dataset_extra
from untracr.cli.output import add_json_option, print_json
from untracr.cli.reading_options import add_checkpoint_option
from untracr.cli.values import not_negative, positive

SUBCOMMANDS = ("speed", "dataset")

DATASET_PROGRAMS, QUICK_PROGRAMS = 10_000, 1000


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "what",
        choices=SUBCOMMANDS,
        help="speed: next to the real Tracr; dataset: building one, with one worker and with one "
        "for each processor",
    )
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, about 15 s")
    parser.add_argument(
        "--programs",
        type=positive,
        metavar="N",
        help="random programs that Tracr compiles, or in the data set (default: 10,000 there)",
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, help="of the random programs (default: 0)"
    )
    add_checkpoint_option(parser)
    parser.add_argument(
        "--treat",
        type=treatments,
        default=(),
        metavar="NAME,...",
        help="of the data set's weights, as for `untracr dataset build`",
    )
    parser.add_argument(
        "--workers",
        type=worker_counts,
        metavar="N,...",
        help="with how many worker processes the data set is built, one build for each number "
        "(default: 1 and one for each processor)",
    )
    add_json_option(parser)


def worker_counts(text: str) -> tuple[int, ...]:
    """``1,2`` as numbers."""
    return tuple(positive(part) for part in text.split(","))


def run(args: argparse.Namespace) -> int:
    """Prints a report."""
    if args.what == "dataset":
        return _run_dataset(args)
    from untracr.bench.speed import run_speed_benchmark

    report = run_speed_benchmark(
        programs=args.programs, seed=args.seed, quick=args.quick, checkpoint=args.checkpoint
    )
    if args.json:
        print_json(report.as_dict())
    else:
        print(report.to_markdown())
    return OK


def _run_dataset(args: argparse.Namespace) -> int:
    with dataset_extra():
        from untracr.bench.dataset_speed import run_dataset_benchmark, to_markdown
        from untracr.dataset.settings import DatasetSettings
    from untracr.cli.stream_options import shares_of

    programs = args.programs or (QUICK_PROGRAMS if args.quick else DATASET_PROGRAMS)
    settings = DatasetSettings(programs, args.seed, treatments=shares_of(args.treat))
    found = run_dataset_benchmark(settings, args.workers or sorted({1, processors()}))
    if args.json:
        for speed in found:
            print_json(speed.as_dict())
    else:
        print(to_markdown(found))
    return OK


COMMAND = Command(
    name="bench",
    summary="measure speed, next to the real Tracr or of building data sets",
    example="untracr bench speed --quick",
    configure=configure,
    run=run,
    subcommands=SUBCOMMANDS,
)
