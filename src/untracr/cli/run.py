"""``untracr run``: a program in the interpreter, or a saved model by its weights."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from untracr.bounds import MAX_ENCLOSED_SOURCE
from untracr.cli.command import OK, Command, Parser
from untracr.cli.output import JsonOption, add_json_option, print_json, say
from untracr.cli.programs import PROGRAM_HELP, add_causal_option, add_domain_options, read_program
from untracr.cli.reading_options import add_rows_options, naming_of, refuse_rows_options
from untracr.cli.saved_models import SavedModel, SavedModelOptions, is_model_or_folder, tell_assumed
from untracr.cli.task_models import (
    TaskOptions,
    add_task_options,
    is_compiled,
    refuse_task_options,
    refuse_vocab,
    run_in_words,
    told_by_options,
)
from untracr.cli.values import Value, show_values, values_of_input
from untracr.errors import UntracrError, UsageError
from untracr.shown_text import printable

if TYPE_CHECKING:
    from untracr.loading.model import LoadedModel

Runner = Callable[[Sequence[Value]], list[Value]]


@dataclass(frozen=True, kw_only=True)
class Options(SavedModelOptions, TaskOptions, JsonOption):
    """What the command is given; `configure` says what each means."""

    program: str
    inputs: list[str]


def configure(parser: Parser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "program",
        metavar="PROGRAM|MODEL",
        help=f"{PROGRAM_HELP}; or a model: a file of weights, or a folder",
    )
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="tokens such as 3,1,4 or a,b, of some models also '(())' or 'a b'; put -- before "
        "inputs that begin with a minus sign",
    )
    add_domain_options(parser)
    add_causal_option(parser)
    add_rows_options(parser)
    add_task_options(parser)
    add_json_option(parser)


def run(options: Options) -> int:
    """Prints one output a line."""
    loaded = _loaded(options) if is_model_or_folder(options.program) else None
    if loaded is not None and not is_compiled(loaded, options):
        refuse_vocab(options.vocab)
        run_in_words(loaded, options.inputs, json=options.json)
        return OK
    inputs = [values_of_input(text, "run") for text in options.inputs]
    model = None if loaded is None else SavedModel(loaded, naming_of(options.vocab, options))
    runner = _program_runner(options) if model is None else model.run
    departs = _departs(model) if model is not None and not options.vocab else None
    for tokens in inputs:
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


def _loaded(options: Options) -> LoadedModel:
    from untracr.loading.loading import load_model

    if options.max_seq_len:
        raise UsageError("--max-seq-len is for programs; a model's weights fix its own")
    loaded = load_model(options.program, causal=options.causal)
    if is_compiled(loaded, options):
        return loaded
    return load_model(loaded, task=told_by_options(options, options))


def _program_runner(options: Options) -> Runner:
    from untracr.rasp.interpreter import run as interpret

    refuse_rows_options(options, "models; a program has no rows of weights")
    refuse_task_options(options)
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
