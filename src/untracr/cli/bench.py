"""``untracr bench``: measurements of speed."""

from __future__ import annotations

from dataclasses import dataclass

from untracr.cli.command import OK, Command, Parser
from untracr.cli.dataset_build import treatments
from untracr.cli.dataset_progress import processors
from untracr.cli.extras import dataset_extra, training_extra
from untracr.cli.output import JsonOption, add_json_option, print_json
from untracr.cli.reading_options import CheckpointOption, add_checkpoint_option
from untracr.cli.values import not_negative, positive

SUBCOMMANDS = ("speed", "dataset", "forward")

DATASET_PROGRAMS, QUICK_PROGRAMS = 10_000, 1000


@dataclass(frozen=True, kw_only=True)
class Options(CheckpointOption, JsonOption):
    """What the command is given; `configure` says what each means."""

    what: str
    quick: bool
    double: bool
    programs: int | None
    seed: int
    treatments: tuple[tuple[str, float], ...]
    workers: tuple[int, ...] | None


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "what",
        choices=SUBCOMMANDS,
        help="speed: next to the real Tracr; dataset: building one, with one worker and with one "
        "for each processor; forward: running small networks, next to PyTorch on one thread",
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer repetitions or sizes, about 15 s"
    )
    parser.add_argument(
        "--double", action="store_true", help="networks in double precision (forward)"
    )
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
    treatments_option = parser.add_argument(
        "--treatments",
        type=treatments,
        default=(),
        metavar="NAME,...",
        help="of the data set's weights, as for `untracr dataset build`",
    )
    parser.add_older_spelling("--treat", treatments_option)
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


def run(options: Options) -> int:
    """Prints a report."""
    if options.what == "dataset":
        return _run_dataset(options)
    if options.what == "forward":
        return _run_forward(options)
    from untracr.bench.speed import run_speed_benchmark

    report = run_speed_benchmark(
        programs=options.programs,
        seed=options.seed,
        quick=options.quick,
        checkpoint=options.checkpoint,
    )
    if options.json:
        print_json(report.as_dict())
    else:
        print(report.to_markdown())
    return OK


def _run_dataset(options: Options) -> int:
    with dataset_extra():
        from untracr.bench.dataset_speed import run_dataset_benchmark, to_markdown
        from untracr.dataset.settings import DatasetSettings
    from untracr.cli.stream_options import shares_of

    programs = options.programs or (QUICK_PROGRAMS if options.quick else DATASET_PROGRAMS)
    settings = DatasetSettings(programs, options.seed, treatments=shares_of(options.treatments))
    speeds = run_dataset_benchmark(settings, options.workers or sorted({1, processors()}))
    if options.json:
        for speed in speeds:
            print_json(speed.as_dict())
    else:
        print(to_markdown(speeds))
    return OK


def _run_forward(options: Options) -> int:
    with training_extra():
        from untracr.bench.forward_speed import QUICK, WHOLE, run_forward_benchmark, to_markdown

        speeds = run_forward_benchmark(
            QUICK if options.quick else WHOLE,
            dtype="float64" if options.double else "float32",
            seed=options.seed,
        )
    if options.json:
        for speed in speeds:
            print_json(speed.as_dict())
    else:
        print(to_markdown(speeds))
    return OK


COMMAND = Command(
    name="bench",
    summary="measure speed, next to the real Tracr or PyTorch, or of building data sets",
    example="untracr bench speed --quick",
    configure=configure,
    options=Options,
    run=run,
    subcommands=SUBCOMMANDS,
)
