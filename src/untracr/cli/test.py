"""``untracr test``: does a network run a program?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from untracr.cli.command import NO, OK, Command, Parser
from untracr.cli.output import JsonOption, add_json_option, print_json, say, with_progress
from untracr.cli.programs import (
    PROGRAM_HELP,
    CausalOption,
    add_causal_option,
    read_program,
)
from untracr.cli.reading_options import RowsOptions, add_rows_options
from untracr.cli.task_models import TaskOptions, add_task_options, told_by_options
from untracr.cli.values import not_negative, positive, positive_number

if TYPE_CHECKING:
    from untracr.hypothesis.examining import Amount
    from untracr.hypothesis.subject import View
    from untracr.task.task import Task


@dataclass(frozen=True, kw_only=True)
class Options(TaskOptions, RowsOptions, CausalOption, JsonOption):
    """What the command is given; `configure` says what each means."""

    model: str
    program: str
    truth: str | None
    reads: Literal["input", "all"] | None
    max_seq_len: int | None
    within: float | None
    quick: bool
    seed: int
    no_progress: bool


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument("model", metavar="MODEL", help="a weights file or folder of any kind")
    parser.add_argument("program", metavar="PROGRAM", help=f"the hypothesis: {PROGRAM_HELP}")
    parser.add_argument(
        "--truth",
        metavar="PROGRAM",
        help="what the network was meant to do: does the hypothesis make the network's errors?",
    )
    parser.add_argument(
        "--reads",
        choices=("input", "all"),
        help="whether the program reads the tokens of an input, or all that the network reads, "
        "special tokens too (default: what the task suggests)",
    )
    parser.add_argument(
        "--max-seq-len",
        type=positive,
        metavar="N",
        help="tokens of the longest input (default: the task's, at most 20)",
    )
    parser.add_argument(
        "--within",
        type=positive_number,
        metavar="X",
        help="numbers put out that differ by no more, relative to 1, are the same (default: 0.001)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a quarter of the inputs and of the exchanges"
    )
    parser.add_argument("--seed", type=not_negative, default=0, metavar="N", help="of all draws")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    add_causal_option(parser)
    add_task_options(parser)
    add_rows_options(parser)
    add_json_option(parser)


def run(options: Options) -> int:
    """Prints what was shown; fails where the program gave another output on some input."""
    from untracr.hypothesis.examining import examine
    from untracr.hypothesis.report_text import report_json, report_text
    from untracr.hypothesis.subject import WITHIN, Subject
    from untracr.loading.loading import load_model

    program = read_program(options.program).program
    loaded = load_model(
        options.model, causal=options.causal, task=told_by_options(options, options)
    )
    subject = Subject(
        loaded.network, loaded.task, _view(options, loaded.task), options.within or WITHIN
    )
    report = examine(
        subject,
        program,
        longest=options.max_seq_len,
        amount=_amount(options),
        seed=options.seed,
        truth=None if options.truth is None else read_program(options.truth).program,
        watch=lambda lines: with_progress(
            lines, len(lines), " lines", show=not options.no_progress
        ),
    )
    if options.json:
        print_json({**report_json(report), "assumed": list(loaded.said)})
    else:
        say(report_text(report))
        for sentence in loaded.said:
            say(f"assumed: {sentence}")
    return OK if all(each.share.count == each.share.total for each in report.behaviours) else NO


def _view(options: Options, task: Task) -> View:
    from untracr.hypothesis.subject import View, usual_view

    return usual_view(task) if options.reads is None else View(options.reads)


def _amount(options: Options) -> Amount:
    from untracr.hypothesis.causes import Effort
    from untracr.hypothesis.examining import Amount

    return Amount(1_000, 400, Effort(search=32, held_out=64)) if options.quick else Amount()


COMMAND = Command(
    name="test",
    summary="test whether a network runs a program",
    example="untracr test model.safetensors program.rasp",
    configure=configure,
    options=Options,
    run=run,
)
