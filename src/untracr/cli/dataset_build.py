"""``untracr dataset build``: builds a data set, or goes on building it."""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from untracr.cli.command import OK, Command, Parser
from untracr.cli.dataset_info import print_info
from untracr.cli.dataset_progress import Bars, processors
from untracr.cli.extras import dataset_extra
from untracr.cli.output import JsonOption, add_json_option
from untracr.cli.sample import LONGEST_PROGRAM
from untracr.cli.stream_options import (
    ExcludeSampledOption,
    OtherDomainsOption,
    add_exclude_sampled_option,
    add_other_domains_option,
    exclusion_of,
    share,
    treatment_shares,
)
from untracr.cli.values import not_negative, positive
from untracr.errors import UsageError

if TYPE_CHECKING:
    from untracr.dataset.engine import Engine
    from untracr.dataset.excluded import Excluded
    from untracr.dataset.settings import DatasetSettings

ENGINES = ("local", "ray")


@dataclass(frozen=True, kw_only=True)
class Options(ExcludeSampledOption, OtherDomainsOption, JsonOption):
    """What the command is given; `configure` says what each means."""

    out: Path
    programs: int
    seed: int
    treatments: tuple[tuple[str, float], ...]
    exclude: list[Path]
    splits: tuple[float, float, float]
    min_length: int
    max_length: int
    shard_size: int
    workers: int | None
    engine: str
    address: str | None


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="its folder; a build found there is gone on with"
    )
    parser.add_argument(
        "--programs", type=positive, required=True, metavar="N", help="how many, all different"
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, help="of the stream of programs (default: 0)"
    )
    treatments_option = parser.add_argument(
        "--treatments",
        type=treatments,
        default=(),
        metavar="NAME,...",
        help="treatments of the weights, each for as many programs as any other "
        "(compiled,rotated,noisy), or for a share of them (rotated=0.2,noisy=0.1; the rest is as "
        "compiled); rotated, compressed, rotated-compressed, compressed-bos, "
        "rotated-compressed-bos, noisy (default: compiled)",
    )
    parser.add_older_spelling("--treat", treatments_option)
    parser.add_argument(
        "--exclude",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a data set, or a folder of models with programs.jsonl: none of its programs, nor "
        "others of the same behaviour, are in this one",
    )
    add_exclude_sampled_option(parser)
    parser.add_argument(
        "--splits",
        type=split_shares,
        default=(0.9, 0.05, 0.05),
        metavar="A,B,C",
        help="shares of train, validation and test; the same behaviour is always in the same "
        "(default: 0.9,0.05,0.05)",
    )
    add_other_domains_option(parser)
    parser.add_argument(
        "--min-length", type=positive, default=4, metavar="N", help="SOps at least (default: 4)"
    )
    parser.add_argument(
        "--max-length", type=positive, default=8, metavar="N", help="SOps at most (default: 8)"
    )
    parser.add_argument(
        "--shard-size",
        type=positive,
        default=1000,
        metavar="N",
        help="programs a file, and what is done anew after an interruption (default: 1000)",
    )
    parser.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="processes; any number gives the same files (default: 1 for each processor)",
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="local",
        help="who does the work; ray: a Ray cluster (default: local)",
    )
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="of a running Ray cluster, or auto (default: none)"
    )
    add_json_option(parser)


def run(options: Options) -> int:
    """Builds, and says what there is."""
    with dataset_extra():
        from untracr.dataset.building import build_dataset

    if options.address is not None and options.engine != "ray":
        raise UsageError("--address goes with --engine ray")
    if options.address is not None and options.workers is not None:
        raise UsageError("--workers is for this machine; the cluster at --address has its own")
    if any(path.resolve() == options.out.resolve() for path in options.exclude):
        raise UsageError(f"a data set cannot exclude itself: {options.out}")
    settings = settings_of(options)
    with closing(Bars()) as progress:
        manifest = build_dataset(
            options.out,
            settings,
            engine_of(options),
            excluded_of(options.exclude, options.exclude_sampled),
            progress,
        )
    print_info(options.out, manifest, as_json=options.json)
    return OK


def settings_of(options: Options) -> DatasetSettings:
    """What the options ask for.

    Raises:
        UsageError: they make no sense.
    """
    from untracr.dataset.settings import DatasetSettings
    from untracr.sample.domains import OtherDomains
    from untracr.sample.sampler import SamplerSettings
    from untracr.sample.treatment_shares import TreatmentShares

    if not 2 <= options.min_length <= options.max_length <= LONGEST_PROGRAM:
        raise UsageError(
            f"lengths must be 2 <= --min-length <= --max-length <= {LONGEST_PROGRAM}, "
            f"not {options.min_length} and {options.max_length}"
        )
    try:
        return DatasetSettings(
            programs=options.programs,
            seed=options.seed,
            sampler=SamplerSettings(min_length=options.min_length, max_length=options.max_length),
            other_domains=OtherDomains(options.other_domains),
            treatments=TreatmentShares(options.treatments),
            shares=options.splits,
            shard_size=options.shard_size,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None


def engine_of(options: Options) -> Engine:
    """Who does the work."""
    from untracr.dataset.local_engine import LocalEngine
    from untracr.dataset.ray_engine import RayEngine

    workers = options.workers or processors()
    return RayEngine(workers, options.address) if options.engine == "ray" else LocalEngine(workers)


def excluded_of(folders: list[Path], sampled: list[tuple[int, int]]) -> Excluded:
    """What is left out.

    Raises:
        UsageError: one of the folders is none.
        DatasetError: a data set among the folders is unfinished or damaged.
        ModelFileError: another folder has no list of programs, an empty or a damaged one.
    """
    from untracr.dataset.excluded import Excluded
    from untracr.dataset.folder import DatasetFolder
    from untracr.dataset.other_sets import excluding

    datasets: list[Path] = []
    others: list[Path] = []
    for path in folders:
        if not path.is_dir():
            raise UsageError(f"--exclude takes the folder of a data set or of models, not {path}")
        folder = DatasetFolder(path)
        is_dataset = folder.manifest.exists() or folder.settings.exists()
        (datasets if is_dataset else others).append(path)
    excluded = Excluded.of(exclusion_of(others, sampled))
    for path in datasets:
        excluded |= excluding(path)
    return excluded


def treatments(text: str) -> tuple[tuple[str, float], ...]:
    """Reads ``rotated=0.2,noisy=0.1``, or ``compiled,rotated`` of equal shares.

    Raises:
        ArgumentTypeError: it is a mixture of both, a name stands twice, or a share is no
            number from 0 to 1.
    """
    if "=" in text:
        return treatment_shares(text)
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"each treatment may be named once, not {text!r}")
    return tuple((name, 1 / len(names)) for name in names if name != "compiled")


def split_shares(text: str) -> tuple[float, float, float]:
    """Reads ``0.9,0.05,0.05``.

    Raises:
        ArgumentTypeError: it is not three numbers from 0 to 1.
    """
    shares = tuple(share(word) for word in text.split(","))
    if len(shares) != 3:
        raise argparse.ArgumentTypeError(
            f"must be three shares, of train, validation and test, not {text!r}"
        )
    return shares


COMMAND = Command(
    name="build",
    summary="build a data set, or go on building it",
    example="untracr dataset build programs --programs 10000 --treatments compiled,rotated",
    configure=configure,
    options=Options,
    run=run,
)
