"""``untracr decompile``: the program that a model's weights hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from untracr.cli.certificates import (
    CertificateOption,
    add_certificate_option,
    write_certificate_into,
)
from untracr.cli.command import FAILED, NO, OK, Command, Parser
from untracr.cli.output import JsonOption, add_json_option, complain, print_json, say, with_progress
from untracr.cli.programs import CausalOption, add_causal_option
from untracr.cli.reading_options import (
    CheckpointOption,
    RowValuesOptions,
    add_checkpoint_option,
    add_row_values_option,
    naming_of,
)
from untracr.cli.result_text import result_text
from untracr.cli.values import positive_number
from untracr.errors import UntracrError, UsageError

if TYPE_CHECKING:
    from untracr.decompile.decompiler import Decompiler
    from untracr.decompile.result import Result
    from untracr.verify.attribution import Attribution


@dataclass(frozen=True, kw_only=True)
class Options(CheckpointOption, RowValuesOptions, CausalOption, CertificateOption, JsonOption):
    """What the command is given; `configure` says what each means."""

    files: list[str]
    example: bool
    greedy: bool
    budget: float
    proposals: Literal["network", "uniform"]
    no_progress: bool


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument("files", metavar="FILE", nargs="*", help="weights: a file or a folder")
    parser.add_argument(
        "--example", action="store_true", help="read the model that comes with the package"
    )
    parser.add_argument(
        "--greedy",
        action="store_true",
        help="print the program as first written, without a search",
    )
    parser.add_argument(
        "--budget",
        type=positive_number,
        metavar="SECONDS",
        default=10.0,
        help="how long to search where the first program is not the model's (default: 10); what "
        "is being checked then, and the count of departures, is finished",
    )
    parser.add_argument(
        "--proposals",
        choices=("network", "uniform"),
        default="network",
        help="what the search tries first: what the meta-model proposes, or, without it, "
        "all operations in a fixed order (default: network)",
    )
    add_checkpoint_option(parser)
    add_row_values_option(parser)
    add_causal_option(parser)
    add_certificate_option(parser)
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    add_json_option(parser)


def run(options: Options) -> int:
    """Prints one result a file; a bad file is told and does not stop the others."""
    from untracr.decompile.bundled import example_file
    from untracr.decompile.decompiler import Decompiler

    files = [*([str(example_file())] if options.example else []), *options.files]
    if not files:
        raise UsageError("give at least one FILE, or --example")
    if options.greedy and options.proposals == "uniform":
        raise UsageError(
            "--greedy is what the meta-model writes: --proposals uniform leaves that out"
        )
    if options.certificate is not None and options.causal is not None:
        raise UsageError(
            "--certificate is about models as their files say they are, so --causal does not go "
            "with it; where a file does not say it, load it in Python by untracr.load(FILE, "
            "causal=True), save its transformer by untracr.save, and certify that"
        )
    decompiler = Decompiler(options.checkpoint)
    codes = {
        _read(decompiler, file, options)
        for file in with_progress(files, len(files), " models", show=not options.no_progress)
    }
    return next((code for code in (FAILED, NO) if code in codes), OK)


def _read(decompiler: Decompiler, file: str, options: Options) -> int:
    from untracr.loading.loading import load_model

    try:
        loaded = load_model(file, causal=options.causal)
        result = decompiler.decompile_loaded(
            loaded,
            name=file,
            naming=naming_of(options.vocab, options),
            greedy=options.greedy,
            budget=options.budget,
            proposals=options.proposals,
        )
    except UntracrError as error:
        _report_error(file, error, options)
        return FAILED
    lines = result.attributions
    if options.json:
        print_json({**result.as_dict(), "lines": [_line(line, result) for line in lines]})
    else:
        say(result_text(result, lines))
    if options.certificate is not None:
        try:
            write_certificate_into(options.certificate, loaded, result)
        except UntracrError as error:
            complain(error)
            return FAILED
    return OK if result.is_proved else NO


def _line(line: Attribution, result: Result) -> dict[str, object]:
    """One line of the program as plain JSON values, with what is open about its results."""
    from untracr.decompile.lines import plain_attribution

    label = line.text.partition(" = ")[0]
    return plain_attribution(line) | {
        "open": [r.what for r in result.open_results if r.label == label]
    }


def _report_error(file: str, error: UntracrError, options: Options) -> None:
    if options.json:
        print_json({"file": file, "error": str(error)})
        return
    shown = str(error) if file in str(error) else f"{file}: {error}"
    complain(shown)


COMMAND = Command(
    name="decompile",
    summary="read the programs off models' weights",
    example="untracr decompile model.safetensors --json",
    configure=configure,
    options=Options,
    run=run,
)
