"""``untracr explain``: a model and its program side by side on some inputs.

Where there is no program to show, what the model computes inside is shown
(`untracr.cli.explain_inside`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from untracr.cli.command import NO, OK, Command, Parser
from untracr.cli.explain_inside import DRAWN, InsideOptions, drawn_inputs, explain_inside
from untracr.cli.output import add_json_option, print_json, say
from untracr.cli.programs import PROGRAM_HELP, CausalOption, add_causal_option, read_program
from untracr.cli.reading_options import (
    CheckpointOption,
    add_checkpoint_option,
    add_row_values_option,
    naming_of,
)
from untracr.cli.task_models import add_task_options, is_compiled
from untracr.cli.values import Value, values_of_input
from untracr.errors import InputError, UsageError
from untracr.shown_text import printable, shown

if TYPE_CHECKING:
    from untracr.explain.explanation import Explanation
    from untracr.loading.model import LoadedModel
    from untracr.rasp.domain import Domain
    from untracr.rasp.program import Program
    from untracr.rasp.values import Value
    from untracr.transformer.token_rows import TokenRows
    from untracr.verify.verdict import Beside

PICTURE_ENDINGS = (".svg", ".html")


@dataclass(frozen=True, kw_only=True)
class Options(CheckpointOption, InsideOptions, CausalOption):
    """What the command is given; `configure` says what each means."""

    program: str | None
    inside: bool


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument("model", metavar="MODEL", help="a file of weights, or a folder")
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="*",
        help="tokens such as 3,1,4 or a,b, of some models also '(())' or 'a b'; put -- before "
        f"inputs that begin with a minus sign (default: {DRAWN} that are drawn)",
    )
    parser.add_argument(
        "--program",
        metavar="PROGRAM",
        help=f"explain by this program instead of the one that is read off: {PROGRAM_HELP}",
    )
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="also draw it; .svg or .html decides the format",
    )
    parser.add_argument(
        "--inside",
        action="store_true",
        help="no program: attention of every head, what each half-layer adds, and logits; so is "
        "every model shown of which no program is known",
    )
    add_checkpoint_option(parser)
    add_task_options(parser)
    add_row_values_option(parser)
    add_causal_option(parser)
    add_json_option(parser)


def run(options: Options) -> int:
    """Prints one explanation an input."""
    from untracr.loading.loading import load_model

    if options.picture is not None and options.picture.suffix.lower() not in PICTURE_ENDINGS:
        raise UsageError(f"--picture must end in .svg or .html, not {options.picture.name!r}")
    if options.inside and options.program is not None:
        raise UsageError("--inside shows a model without a program; --program gives one")
    loaded = load_model(options.model, causal=options.causal)
    beside = _beside(options, loaded)
    if isinstance(beside, str):
        return explain_inside(loaded, options, beside)
    return _explain(options, loaded, beside)


@dataclass(frozen=True)
class _Program:
    """A program to explain a model by.

    Attributes:
        domain: its inputs.
        rows: which rows of W_E are which.
        told: in words where it is from.
        beside: it beside the model, where it was laid there.
    """

    program: Program
    domain: Domain
    rows: TokenRows
    told: str
    beside: Beside | None = None


def _explain(options: Options, loaded: LoadedModel, by: _Program) -> int:
    from untracr.explain.side_by_side import explain
    from untracr.explain.text import explanation_text

    inputs = _inputs(options, by)
    explanations: list[Explanation] = []
    if not options.json:
        say(f"# {printable(options.model)}, {by.told}")
        say(f"# {printable(by.rows.assumed)}\n" if by.rows.assumed else "")
    model = by.rows.applied(loaded.transformer)
    for explained in explain(model, by.program, by.domain, inputs, earlier=by.beside):
        explanations.append(explained)
        if options.json:
            print_json({"file": options.model, "program": by.told, **explained.as_dict()})
        else:
            say(explanation_text(explained))
    if options.picture is not None:
        _draw(options.picture, explanations, f"{Path(options.model).name}, {by.told}")
        if not options.json:
            say(f"wrote {options.picture}")
    return OK if all(explained.agrees for explained in explanations) else NO


def _draw(path: Path, explanations: Sequence[Explanation], title: str) -> None:
    from untracr.atomic_write import write_atomically
    from untracr.explain.explanation_page import page
    from untracr.explain.explanation_picture import picture

    draw = picture if path.suffix.lower() == ".svg" else page
    write_atomically(path, draw(explanations, printable(title)).encode("utf-8"))


def _inputs(options: Options, by: _Program) -> Sequence[Sequence[Value]]:
    """The inputs that are given, or some that are drawn."""
    from untracr.task.task import Lengths, Task

    if options.inputs:
        inputs = [values_of_input(text, "explain") for text in options.inputs]
        _require_known_tokens(inputs, by.rows)
        return inputs
    return drawn_inputs(Task(by.domain.vocab, lengths=Lengths(1, by.domain.max_seq_len)))


def _require_known_tokens(inputs: Sequence[Sequence[Value]], rows: TokenRows) -> None:
    """Says how to name tokens where a file does not and an input has others than were made up."""
    unknown = [token for tokens in inputs for token in tokens if token not in rows.values]
    if unknown and rows.names_from == "assumed":
        raise InputError(
            f"the file does not name its tokens, which are called 0 to {len(rows.values) - 1}, "
            f"and {shown(unknown[0])} is none of these; name them by --vocab"
        )


def _beside(options: Options, loaded: LoadedModel) -> _Program | str:
    """The program to explain a model by, or in words why there is none."""
    from untracr.network.compiled_form import why_not_compiled

    if options.program is not None:
        return _given(options, options.program, loaded)
    if options.inside:
        return "what the model computes is asked for"
    if not is_compiled(loaded, options):
        why = why_not_compiled(loaded.network)
        return f"the weights are not compiled: {why}" if why else "another task is told of it"
    return _read_off(options, loaded)


def _read_off(options: Options, loaded: LoadedModel) -> _Program | str:
    """The program that is read off a model; why it is of no use where it is not the model's."""
    from untracr.decompile.decompiler import Decompiler
    from untracr.explain.fitted import fitted
    from untracr.rasp.domain import Domain

    naming = naming_of(options.vocab, options)
    result = Decompiler(options.checkpoint).decompile_loaded(loaded, naming=naming)
    if result.program is None or result.token_rows is None:
        return result.detail
    domain = Domain(result.vocab, result.max_seq_len)
    if result.verdict == "unverified":
        model = result.token_rows.applied(loaded.transformer)
        laid = fitted(model, result.program, domain, result.beside)
        if isinstance(laid, str):
            return f"the one that is read off is not verified, and {laid}"
    told = f"program read off: {result.headline}"
    return _Program(result.program, domain, result.token_rows, told, result.beside)


def _given(options: Options, name: str, loaded: LoadedModel) -> _Program:
    """The program that is given.

    Raises:
        UntracrError: it cannot be read, or the model is none that was compiled.
    """
    from untracr.compile.lowering import lower_selectors
    from untracr.loading.readable import require_readable
    from untracr.rasp.domain import Domain
    from untracr.transformer.token_rows import token_rows

    if options.checkpoint is not None:
        raise UsageError("--checkpoint reads a program off the model; --program gives one")
    require_readable(loaded.transformer)
    rows = token_rows(loaded, naming_of(options.vocab, options))
    domain = Domain(rows.values, len(loaded.transformer.W_pos) - 1)
    program = lower_selectors(read_program(name).program, rows.values, domain.max_seq_len)
    return _Program(program, domain, rows, f"program {name}")


COMMAND = Command(
    name="explain",
    summary="run a model and its program side by side, or show what any model computes",
    example="untracr explain model.safetensors 3,1,4 --picture model.svg",
    configure=configure,
    options=Options,
    run=run,
)
