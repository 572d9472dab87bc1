"""``untracr train``: trains the meta-model, or goes on training it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from untracr.cli.command import OK, Command, Parser
from untracr.cli.extras import dataset_extra, training_extra
from untracr.cli.output import JsonOption, add_json_option, print_json
from untracr.cli.stream_options import (
    ExcludeSampledOption,
    OtherDomainsOption,
    add_exclude_sampled_option,
    add_other_domains_option,
    exclusion_of,
    share,
    shares_of,
    treatment_shares,
)
from untracr.cli.values import not_negative, positive, positive_number
from untracr.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Options(ExcludeSampledOption, OtherDomainsOption, JsonOption):
    """What the command is given; `configure` says what each means."""

    out: Path
    hours: float | None
    steps: int | None
    seed: int
    batch_size: int
    learning_rate: float
    workers: int
    threads: int
    log_every: int
    device: str
    dataset: Path | None
    width: int | None
    layers: int | None
    heads: int | None
    exclude: list[Path]
    treatments: tuple[tuple[str, float], ...]
    outside_functions: float
    baseline: bool


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the run; a run found there is resumed",
    )
    parser.add_argument("--hours", type=positive_number, metavar="H", help="wall-clock length; or")
    parser.add_argument("--steps", type=positive, metavar="N", help="length in steps")
    _number(parser, "--seed", not_negative, 0, "of the programs and the initial weights")
    _number(parser, "--batch-size", positive, 256, "examples a step, of all processes together")
    _number(parser, "--learning-rate", positive_number, 2e-3, "at its highest")
    _number(parser, "--workers", not_negative, 1, "processes that make data, for each trainer")
    _number(parser, "--threads", positive, 1, "threads of each trainer")
    _number(parser, "--log-every", positive, 20, "steps between lines of the log")
    parser.add_argument(
        "--device",
        default="auto",
        help="cpu, cuda, ... (default: auto, the GPU where there is one, another for each process)",
    )
    parser.add_argument(
        "--dataset",
        type=Path,
        metavar="DIR",
        help="train on the rows of a data set, again and again in another order, instead of "
        "fresh programs (see `untracr dataset build`)",
    )
    for name, what in (("width", "of its vectors"), ("layers", "of it"), ("heads", "a layer")):
        parser.add_argument(
            f"--{name}", type=positive, metavar="N", help=f"{name} {what} (default: the released)"
        )
    parser.add_argument(
        "--exclude",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a folder of models with programs.jsonl: never trained on are its programs, "
        "nor others of the same behaviour",
    )
    add_exclude_sampled_option(parser)
    add_other_domains_option(parser)
    parser.add_argument(
        "--treatments",
        type=treatment_shares,
        default=(),
        metavar="NAME=SHARE,...",
        help="shares of the weights that are treated before they are read, such as "
        "rotated=0.2,noisy=0.1; the rest is as compiled (default: all)",
    )
    parser.add_argument(
        "--outside-functions",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="share of the programs that hold functions outside the closed lists: random tables, "
        "and other formulas (default: 0)",
    )
    parser.add_argument(
        "--baseline",
        action="store_true",
        help="train the paper's approach, flat weights in and a program out, for comparison",
    )
    add_json_option(parser)


def _number(
    parser: Parser, name: str, kind: Callable[[str], object], default: float, what: str
) -> None:
    parser.add_argument(
        name, type=kind, default=default, metavar="N", help=f"{what} (default: {default})"
    )


def run(options: Options) -> int:
    """Trains and says where the checkpoint is."""
    if (options.hours is None) == (options.steps is None):
        raise UsageError("give either --hours or --steps")
    with training_extra():
        from untracr.metamodel.examples import ExampleSettings
        from untracr.metamodel.network import NetworkConfig
        from untracr.train.baseline import BaselineConfig, baseline_task
        from untracr.train.processes import Processes
        from untracr.train.task import metamodel_task
        from untracr.train.training import TrainingSettings, train
    from untracr.sample.domains import OtherDomains

    settings = TrainingSettings(
        out=options.out,
        hours=options.hours,
        steps=options.steps,
        seed=options.seed,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        workers=options.workers,
        threads=options.threads,
        device=options.device,
        log_every=options.log_every,
    )
    asked = {"width": options.width, "layers": options.layers, "heads": options.heads}
    sizes = {name: size for name, size in asked.items() if size is not None}
    config = BaselineConfig(**sizes) if options.baseline else NetworkConfig(**sizes)
    if config.width % config.heads:
        raise UsageError(f"--heads {config.heads} must divide --width {config.width}")
    if isinstance(config, BaselineConfig):
        _refuse(
            {"dataset": options.dataset, **_for_fresh_programs(options)},
            "the meta-model, not with --baseline",
        )
        task = baseline_task(config)
    elif options.dataset is not None:
        goes_with = "fresh programs; those of --dataset are what they are"
        _refuse(_for_fresh_programs(options), goes_with)
        with dataset_extra():
            from untracr.train.dataset_task import dataset_task
        task = dataset_task(config, options.dataset)
    else:
        examples = ExampleSettings(
            other_domains=OtherDomains(options.other_domains),
            treatments=shares_of(options.treatments),
            outside_functions=options.outside_functions,
            excluded=exclusion_of(options.exclude, options.exclude_sampled),
        )
        task = metamodel_task(config, examples)
    checkpoint = train(task, settings)
    if not Processes.of_environment().is_first:
        return OK
    if options.json:
        print_json({"checkpoint": str(checkpoint)})
    else:
        print(f"checkpoint: {checkpoint}")
        if not options.baseline:
            print(f"use it: untracr decompile FILE --checkpoint {checkpoint}")
    return OK


def _for_fresh_programs(options: Options) -> dict[str, object]:
    """The options that say which programs are made, by name; what is false was not given."""
    return {
        "exclude": options.exclude,
        "exclude-sampled": options.exclude_sampled,
        "other-domains": options.other_domains,
        "treatments": options.treatments,
        "outside-functions": options.outside_functions,
    }


def _refuse(given: dict[str, object], goes_with: str) -> None:
    """Options that would be passed over."""
    for name, value in given.items():
        if value:
            raise UsageError(f"--{name} goes with {goes_with}")


COMMAND = Command(
    name="train",
    summary="train the meta-model, or go on training it",
    example="untracr train --out runs/mine --hours 1",
    configure=configure,
    options=Options,
    run=run,
)
