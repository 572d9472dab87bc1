"""``untracr audit``: whether answers shown as checked are true."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from untracr.cli.command import NO, OK, Command, Parser
from untracr.cli.extras import training_extra
from untracr.cli.output import JsonOption, add_json_option, print_json
from untracr.cli.reading_options import CheckpointOption, add_checkpoint_option
from untracr.cli.values import not_negative, positive, positive_number

MODELS_OF_A_KIND = 50


@dataclass(frozen=True, kw_only=True)
class Options(CheckpointOption, JsonOption):
    """What the command is given; `configure` says what each means."""

    kinds: str
    models: int
    seed: int
    budget: float | None
    out: Path | None
    processes: int


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "--kinds",
        default="compiled,rotated,spliced,changed",
        metavar="NAME,...",
        help="kinds of models, listed below, or all (default: %(default)s)",
    )
    models = parser.add_argument(
        "--models",
        type=positive,
        default=MODELS_OF_A_KIND,
        metavar="N",
        help="of each kind (default: %(default)s)",
    )
    parser.add_older_spelling("-n", models)
    parser.add_argument(
        "--seed", type=not_negative, default=0, help="of all models (default: %(default)s)"
    )
    parser.add_argument(
        "--budget",
        type=positive_number,
        metavar="SECONDS",
        help="that a search may take a model (default: as for untracr decompile)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="a line of JSON a model; if the file is there already, the audit goes on with it",
    )
    parser.add_argument(
        "--processes",
        type=positive,
        default=1,
        metavar="N",
        help="that share the work (default: %(default)s)",
    )
    add_checkpoint_option(parser)
    add_json_option(parser)
    parser.closing = _list_of_kinds


def _list_of_kinds() -> str:
    from untracr.audit.kinds import KINDS

    width = max(map(len, KINDS))
    lines = (
        f"  {name:{width}}  {kind.what}{' (needs PyTorch)' if kind.needs_torch else ''}"
        for name, kind in KINDS.items()
    )
    return "\n".join(("kinds:", *lines))


def run(options: Options) -> int:
    """Prints a table; the code is 3 where a claim is false."""
    from untracr.audit.kinds import KINDS, parse_kinds
    from untracr.audit.running import Audit, run_audit
    from untracr.audit.summary import summaries, summary_table

    kinds = parse_kinds(options.kinds)
    if any(KINDS[name].needs_torch for name in kinds):
        with training_extra():
            import untracr.audit.trained  # noqa: F401
    audit = Audit(options.seed, checkpoint=options.checkpoint)
    if options.budget is not None:
        audit = replace(audit, budget=options.budget)
    records = run_audit(audit, kinds, options.models, file=options.out, processes=options.processes)
    told = summaries(replace(record, source="") for record in records)
    if options.json:
        for summary in told:
            print_json(summary.as_dict())
    else:
        print(summary_table(told))
    return NO if any(s.false or any(r.is_unlisted for r in s.records) for s in told) else OK


COMMAND = Command(
    name="audit",
    summary="measure whether answers shown as checked are true",
    example="untracr audit --kinds compiled,changed --models 100 --seed 1",
    configure=configure,
    options=Options,
    run=run,
)
