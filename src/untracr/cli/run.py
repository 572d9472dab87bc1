"""``untracr run``: a program in the interpreter, or a saved model by its weights."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from untracr.bounds import MAX_ENCLOSED_SOURCE
from untracr.cli.command import OK, Command, Parser
from untracr.cli.output import JsonOption, add_json_option, print_json, say
from untracr.cli.programs import PROGRAM_HELP, add_causal_option, add_domain_options, read_program
from untracr.cli.reading_options import add_rows_options, refuse_rows_options
from untracr.cli.saved_models import (
    SavedModel,
    SavedModelOptions,
    is_model,
    read_saved,
    tell_assumed,
)
from untracr.cli.values import Value, parse_values, show_values
from untracr.errors import UntracrError, UsageError
from untracr.shown_text import printable

Runner = Callable[[Sequence[Value]], list[Value]]


@dataclass(frozen=True, kw_only=True)
class Options(SavedModelOptions, JsonOption):
    """What the command is given; `configure` says what each means."""

    program: str
    inputs: list[tuple[Value, ...]]


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "program",
        metavar="PROGRAM|MODEL",
        help=f"{PROGRAM_HELP}; or a model saved as .safetensors or .npz",
    )
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        type=parse_values,
        help="tokens such as 3,1,4 or a,b; put -- before inputs that begin with a minus sign",
    )
    add_domain_options(parser)
    add_causal_option(parser)
    add_rows_options(parser)
    add_json_option(parser)


def run(options: Options) -> int:
    """Prints one output a line."""
    model = _model(options) if is_model(options.program) else None
    runner = _program_runner(options) if model is None else model.run
    departs = _departs(model) if model is not None and not options.vocab else None
    for tokens in options.inputs:
        output = runner(tokens)
        if options.json:
            print_json({"input": list(tokens), "output": output})
        else:
            say(show_values(output))
        note = departs(tokens, output) if departs is not None else ""
        if note:
            print(printable(note), file=sys.stderr)
    if model is not None:
        tell_assumed(model)
    return OK


def _departs(model: SavedModel) -> Callable[[Sequence[Value], list[Value]], str] | None:
    """What is to be said where a model does not do what the program in its file says."""
    from untracr.diagnose.weights_run import answers_differ
    from untracr.rasp.interpreter import run as interpret
    from untracr.syntax.parsing import parse

    if not 0 < len(model.source) <= MAX_ENCLOSED_SOURCE:
        return None
    try:
        program = parse(model.source)
    except UntracrError:
        return None

    def note(tokens: Sequence[Value], output: list[Value]) -> str:
        try:
            wanted = interpret(program, [tokens], causal=model.model.causal)[0]
        except UntracrError as error:
            return f"note: the program in the file fails on this input: {error}"
        pairs = zip(wanted, output, strict=True)
        if not any(answers_differ(program, a, b) for a, b in pairs):
            return ""
        return (
            "note: the program in the file gives something else on this input, "
            f"{show_values(wanted)}; untracr explain tells why"
        )

    return note


def _model(options: Options) -> SavedModel:
    if options.max_seq_len:
        raise UsageError("--max-seq-len is for programs; a model's weights fix its own")
    return read_saved(options.program, options)


def _program_runner(options: Options) -> Runner:
    from untracr.rasp.interpreter import run as interpret

    refuse_rows_options(options, "models; a program has no rows of weights")
    given = read_program(options.program)
    domain = given.domain(options) if given.has_domain(options) else None

    def runner(tokens: Sequence[Value]) -> list[Value]:
        if domain is not None:
            domain.require(tokens)
        return interpret(given.program, [tokens], causal=given.causal(options))[0]

    return runner


COMMAND = Command(
    name="run",
    summary="run a program or a saved model on inputs",
    example="untracr run sort 3,1,4",
    configure=configure,
    options=Options,
    run=run,
)
