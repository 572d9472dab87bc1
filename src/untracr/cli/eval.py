"""``untracr eval``: how often decompiling succeeds."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from untracr.cli.command import OK, Command, Parser
from untracr.cli.extras import training_extra
from untracr.cli.output import JsonOption, add_json_option, print_json
from untracr.cli.reading_options import CheckpointOption, add_checkpoint_option
from untracr.cli.sample import LONGEST_PROGRAM
from untracr.cli.values import not_negative, positive
from untracr.errors import UsageError

if TYPE_CHECKING:
    from untracr.decompile.decompiler import Decompiler
    from untracr.evaluate.cases import CaseSet
    from untracr.evaluate.evaluation import Report
    from untracr.evaluate.flat_reader import FlatReader
    from untracr.transformer.named_treatments import Treatment

SHORTEST = 2

LARGEST_DOMAIN = 10
"""Vocabulary and length of random programs: beyond, the sampler finds hardly any in its limits."""


@dataclass(frozen=True, kw_only=True)
class Options(CheckpointOption, JsonOption):
    """What the command is given; `configure` says what each means."""

    folder: Path | None
    programs: int | None
    library: bool
    length: tuple[int, int] | None
    domain: tuple[int, int] | None
    seed: int
    treatments: str
    report: Path | None
    baseline: Path | None
    no_controls: bool


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
        "--programs", type=positive, metavar="N", help="evaluate on N fresh random programs; or"
    )
    parser.add_argument(
        "--library",
        action="store_true",
        help="on the package's named programs; besides DIR or --programs they are listed apart",
    )
    parser.add_argument(
        "--length",
        type=lengths,
        metavar="N-M",
        help="SOps of the random programs, such as 6 or 9-12 (default: 4-8)",
    )
    parser.add_argument(
        "--domain",
        type=vocab_and_length,
        metavar="VxN",
        help="of the random programs: V tokens 0, 1, ... and inputs of up to N (default: 5x5)",
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, help="of programs and treatments (default: 0)"
    )
    treatments = parser.add_argument(
        "--treatments",
        default="compiled",
        metavar="NAME[:SIZE],...",
        help="what is done to the weights first: compiled (nothing, the default), rotated, "
        "compressed, compressed-bos, rotated-compressed, rotated-compressed-bos (size: share of "
        "the width kept, 0.9), noisy (size: share of each matrix's scale, 0.01), shuffled, "
        "gaussian (controls); several separated by commas, several sizes by colons, as in "
        "compiled,noisy:0.001:0.01",
    )
    parser.add_older_spelling("--treatment", treatments)
    add_checkpoint_option(parser)
    parser.add_argument(
        "--report",
        type=Path,
        metavar="DIR",
        help="write everything that can be measured there, as JSON, Markdown and pictures; an "
        "earlier report is replaced, anything else is left alone",
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="FILE",
        help="for a report: also a checkpoint of untracr train --baseline, on the first treatment",
    )
    parser.add_argument(
        "--no-controls", action="store_true", help="for a report: leave random weights out"
    )
    add_json_option(parser)


def lengths(text: str) -> tuple[int, int]:
    """Reads ``6`` or ``9-12``.

    Raises:
        ArgumentTypeError: it is neither, or outside what is sampled.
    """
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not SHORTEST <= low <= high <= LONGEST_PROGRAM:
        raise argparse.ArgumentTypeError(
            f"must be a length from {SHORTEST} to {LONGEST_PROGRAM} or a range such as "
            f"9-12, not {text!r}"
        )
    return low, high


def vocab_and_length(text: str) -> tuple[int, int]:
    """Reads ``8x6``.

    Raises:
        ArgumentTypeError: it is something else, or too small or large to sample programs for.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    vocab, length = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (2 <= vocab <= LARGEST_DOMAIN and 2 <= length <= LARGEST_DOMAIN):
        raise argparse.ArgumentTypeError(
            f"must be two numbers from 2 to {LARGEST_DOMAIN} such as 8x6, not {text!r}"
        )
    return vocab, length


def run(options: Options) -> int:
    """Prints reports, or writes a full one."""
    from untracr.decompile.decompiler import Decompiler
    from untracr.transformer.named_treatments import parse_treatments

    _require_one_set(options)
    treatments = parse_treatments(options.treatments)
    if options.report is not None:
        return _write_report(options.report, options, treatments)
    decompiler = Decompiler(options.checkpoint)
    for number, report in enumerate(_reports(options, decompiler, treatments)):
        if options.json:
            print_json(report.as_dict())
        else:
            print(f"\n{report.to_markdown()}" if number else report.to_markdown())
    return OK


def _require_one_set(options: Options) -> None:
    """Refuses what does not go together.

    Raises:
        UsageError: no set or two, or an option without the one it belongs to.
    """
    given = (options.folder is not None) + (options.programs is not None)
    if given > 1 or not (given or options.library):
        also = "" if given else ", or --library"
        raise UsageError(f"give either DIR or --programs{also}")
    for name, value in (("length", options.length), ("domain", options.domain)):
        if value is not None and options.programs is None:
            raise UsageError(f"--{name} is for random programs, so it needs --programs")
    for_reports = {"baseline": options.baseline, "no-controls": options.no_controls}
    for name, wanted in for_reports.items():
        if wanted and options.report is None:
            raise UsageError(f"--{name} is for a report, so it needs --report")


def _reports(
    options: Options, decompiler: Decompiler, treatments: tuple[Treatment, ...]
) -> Iterator[Report]:
    from untracr.evaluate.evaluation import evaluate_folder, evaluate_samples

    for treatment in treatments:
        label = treatment.label
        if options.folder is not None:
            yield evaluate_folder(decompiler, options.folder, seed=options.seed, treatment=label)
        if options.programs is not None:
            yield evaluate_samples(
                decompiler, options.seed, options.programs, treatment=label, **_sampler(options)
            )
    if options.library:
        from untracr.evaluate.evaluation import evaluate_library

        for treatment in treatments:
            yield evaluate_library(decompiler, seed=options.seed, treatment=treatment.label)


def _sampler(options: Options) -> dict[str, Any]:
    """The sampler's settings, where they are not the usual ones."""
    from untracr.rasp.domain import Domain
    from untracr.sample.sampler import SamplerSettings

    changes: dict[str, Any] = {}
    if options.length is not None:
        changes |= {"min_length": options.length[0], "max_length": options.length[1]}
    if options.domain is not None:
        vocab, max_seq_len = options.domain
        changes["domain"] = Domain(tuple(range(vocab)), max_seq_len)
    return {"settings": SamplerSettings(**changes)} if changes else {}


def _write_report(folder: Path, options: Options, treatments: tuple[Treatment, ...]) -> int:
    from untracr.decompile.decompiler import Decompiler
    from untracr.evaluate.cases import library_cases
    from untracr.evaluate.full_report import Plan, measure
    from untracr.evaluate.markdown import accuracy_table
    from untracr.evaluate.pictures import require_matplotlib
    from untracr.evaluate.report_folder import MARKDOWN_NAME, require_writable, write_report
    from untracr.transformer.named_treatments import CONTROLS

    require_writable(folder)
    require_matplotlib()
    decompiler = Decompiler(options.checkpoint)
    baseline = _flat_reader(options.baseline) if options.baseline is not None else None
    cases = _cases(options)
    report = measure(
        decompiler,
        cases,
        Plan(treatments, () if options.no_controls else CONTROLS, options.seed),
        baseline=baseline,
        library=library_cases() if options.library and not _is_only_library(options) else None,
    ).as_dict()
    files = write_report(folder, report)
    if options.json:
        print_json({"report": str(folder), "files": [file.name for file in files]})
    else:
        print(f"{cases.title}\n\n{accuracy_table(report)}\n\nreport: {folder / MARKDOWN_NAME}")
    return OK


def _is_only_library(options: Options) -> bool:
    return options.folder is None and options.programs is None


def _cases(options: Options) -> CaseSet:
    from untracr.evaluate.cases import folder_cases, library_cases, sampled_cases

    if options.folder is not None:
        return folder_cases(options.folder)
    if options.programs is not None:
        return sampled_cases(options.seed, options.programs, **_sampler(options))
    return library_cases()


def _flat_reader(checkpoint: Path) -> FlatReader:
    with training_extra():
        from untracr.evaluate.flat_reader import FlatReader
    return FlatReader(checkpoint)


COMMAND = Command(
    name="eval",
    summary="measure how often decompiling succeeds",
    example="untracr eval --programs 100 --seed 1",
    configure=configure,
    options=Options,
    run=run,
)
