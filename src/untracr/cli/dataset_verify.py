"""``untracr dataset verify``: whether a data set is what its manifest says."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from untracr.cli.command import NO, OK, Command, Parser
from untracr.cli.dataset_progress import Bars, processors
from untracr.cli.extras import dataset_extra
from untracr.cli.output import JsonOption, add_json_option, print_json, say
from untracr.cli.values import not_negative, positive


@dataclass(frozen=True, kw_only=True)
class Options(JsonOption):
    """What the command is given; `configure` says what each means."""

    out: Path
    sample: int
    seed: int
    workers: int | None


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument("out", type=Path, metavar="OUT", help="its folder")
    parser.add_argument(
        "--sample",
        type=not_negative,
        default=100,
        metavar="N",
        help="rows that are made again and compared to the last bit (default: 100)",
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, help="chooses these rows (default: 0)"
    )
    parser.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="processes that hash files and make rows (default: 1 for each processor)",
    )
    add_json_option(parser)


def run(options: Options) -> int:
    """Compares, and names each fault."""
    with dataset_extra():
        from untracr.dataset.local_engine import LocalEngine
        from untracr.dataset.verifying import verify_dataset

    engine = LocalEngine(options.workers or processors())
    with closing(Bars()) as progress:
        verified = verify_dataset(options.out, engine, options.sample, options.seed, progress)
    if options.json:
        print_json(asdict(verified))
    else:
        for fault in verified.faults:
            say(fault)
        word = "faults" if len(verified.faults) != 1 else "fault"
        rows = f"{verified.rows:,}"
        if verified.rows != verified.asked:
            rows += f" of {verified.asked:,}"
        say(
            f"{options.out}: {verified.shards:,} files hashed, {rows} rows made again, "
            f"{len(verified.faults) or 'no'} {word}"
        )
    return NO if verified.faults else OK


COMMAND = Command(
    name="verify",
    summary="compare a data set with its digests, and a sample of its rows with fresh ones",
    example="untracr dataset verify programs --sample 1000",
    configure=configure,
    options=Options,
    run=run,
)
