"""``untracr explain``: a model and its program side by side on some inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from untracr.cli.command import NO, OK, Command, Parser
from untracr.cli.output import JsonOption, add_json_option, print_json, say
from untracr.cli.programs import PROGRAM_HELP, CausalOption, add_causal_option, read_program
from untracr.cli.reading_options import (
    CheckpointOption,
    RowValuesOptions,
    add_checkpoint_option,
    add_row_values_option,
    naming_of,
)
from untracr.cli.values import Value, parse_values
from untracr.errors import InputError, UntracrError, UsageError
from untracr.shown_text import printable, shown

if TYPE_CHECKING:
    from untracr.explain.explanation import Explanation
    from untracr.loading.model import LoadedModel
    from untracr.rasp.domain import Domain
    from untracr.rasp.program import Program
    from untracr.rasp.values import Value
    from untracr.transformer.token_rows import TokenRows

PICTURE_ENDINGS = (".svg", ".html")


@dataclass(frozen=True, kw_only=True)
class Options(CheckpointOption, RowValuesOptions, CausalOption, JsonOption):
    """What the command is given; `configure` says what each means."""

    model: str
    inputs: list[tuple[Value, ...]]
    program: str | None
    picture: Path | None


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument("model", metavar="MODEL", help="weights, .safetensors or .npz")
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        type=parse_values,
        help="tokens such as 3,1,4 or a,b; put -- before inputs that begin with a minus sign",
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
    add_checkpoint_option(parser)
    add_row_values_option(parser)
    add_causal_option(parser)
    add_json_option(parser)


def run(options: Options) -> int:
    """Prints one explanation an input."""
    from untracr.atomic_write import write_atomically
    from untracr.explain.explanation_page import page
    from untracr.explain.explanation_picture import picture
    from untracr.explain.side_by_side import explain
    from untracr.explain.text import explanation_text
    from untracr.loading.loading import load_model

    if options.picture is not None and options.picture.suffix.lower() not in PICTURE_ENDINGS:
        raise UsageError(f"--picture must end in .svg or .html, not {options.picture.name!r}")
    loaded = load_model(options.model, causal=options.causal)
    program, domain, rows, told = _program(options, loaded)
    _require_known_tokens(options.inputs, rows)
    model = rows.applied(loaded.transformer)
    explanations: list[Explanation] = []
    if not options.json:
        say(f"# {printable(options.model)}, {told}")
        say(f"# {printable(rows.assumed)}\n" if rows.assumed else "")
    for explained in explain(model, program, domain, options.inputs):
        explanations.append(explained)
        if options.json:
            print_json({"file": options.model, "program": told, **explained.as_dict()})
        else:
            say(explanation_text(explained))
    if options.picture is not None:
        draw = picture if options.picture.suffix.lower() == ".svg" else page
        title = printable(f"{Path(options.model).name}, {told}")
        write_atomically(options.picture, draw(explanations, title).encode("utf-8"))
        if not options.json:
            say(f"wrote {options.picture}")
    return OK if all(explained.agrees for explained in explanations) else NO


def _require_known_tokens(inputs: Sequence[Sequence[Value]], rows: TokenRows) -> None:
    """Says how to name tokens where a file does not and an input has others than were made up."""
    unknown = [token for tokens in inputs for token in tokens if token not in rows.values]
    if unknown and rows.names_from == "assumed":
        raise InputError(
            f"the file does not name its tokens, which are called 0 to {len(rows.values) - 1}, "
            f"and {shown(unknown[0])} is none of these; name them by --vocab"
        )


def _program(options: Options, loaded: LoadedModel) -> tuple[Program, Domain, TokenRows, str]:
    """The program, its inputs, the model's rows, and in words where it is from.

    Raises:
        UntracrError: none can be read off the model, or the one given cannot be used.
    """
    from untracr.compile.lowering import lower_selectors
    from untracr.decompile.decompiler import Decompiler
    from untracr.loading.readable import require_readable
    from untracr.rasp.domain import Domain
    from untracr.transformer.token_rows import token_rows

    naming = naming_of(options.vocab, options)
    if options.program is None:
        result = Decompiler(options.checkpoint).decompile_loaded(loaded, naming=naming)
        if result.program is None or result.token_rows is None:
            raise UntracrError(f"{options.model}: {result.detail}; give one with --program")
        domain = Domain(result.vocab, result.max_seq_len)
        return result.program, domain, result.token_rows, f"program read off: {result.headline}"
    if options.checkpoint is not None:
        raise UsageError("--checkpoint reads a program off the model; --program gives one")
    require_readable(loaded.transformer)
    rows = token_rows(loaded, naming)
    domain = Domain(rows.values, len(loaded.transformer.W_pos) - 1)
    program = lower_selectors(
        read_program(options.program).program, rows.values, domain.max_seq_len
    )
    return program, domain, rows, f"program {options.program}"


COMMAND = Command(
    name="explain",
    summary="run a model and its program side by side, line by line",
    example="untracr explain model.safetensors 3,1,4 --picture model.svg",
    configure=configure,
    options=Options,
    run=run,
)
