"""Models of any architecture on the command line: run in the words of their task."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from untracr.cli.command import Parser
from untracr.cli.output import print_json, say
from untracr.cli.reading_options import RowsOptions
from untracr.cli.values import Value
from untracr.errors import UsageError
from untracr.shown_text import printable

if TYPE_CHECKING:
    from untracr.loading.model import LoadedModel
    from untracr.task.outputs import Output
    from untracr.task.running import Answer
    from untracr.task.told import Told


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """What `add_task_options` adds."""

    task: Path | None
    layout: str | None
    outputs: str | None


def add_task_options(parser: Parser) -> None:
    """Adds ``--task``, ``--layout`` and ``--outputs``, for `told_by_options`."""
    parser.add_argument(
        "--task",
        type=Path,
        metavar="FILE",
        help="what a model's tokens and outputs mean, .json or .toml (default: task.json or "
        "task.toml beside the weights)",
    )
    parser.add_argument(
        "--layout",
        metavar="WORDS",
        help="where special tokens stand in an input x and its answer y, as 'BOS x SEP y EOS'",
    )
    parser.add_argument(
        "--outputs",
        metavar="PHRASE",
        help="where outputs count and what they mean, as 'next token' or 'at END: 0 no, 1 yes'",
    )


def gives_task(options: TaskOptions) -> bool:
    """Whether any of the options is given."""
    return any(given is not None for given in (options.task, options.layout, options.outputs))


def refuse_task_options(options: TaskOptions) -> None:
    """Checks that none of the options is given.

    Raises:
        UsageError: one is.
    """
    for name in ("task", "layout", "outputs"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} is for models; a program says itself what it gives")


def told_by_options(options: TaskOptions, rows: RowsOptions) -> Told:
    """What options say of a model's task, ``--rows``, ``--bos`` and ``--pad`` among them.

    Raises:
        TaskError: the file is damaged, or an option says what no task has.
    """
    from untracr.task.documents import told_of
    from untracr.task.files import task_file

    specials = {"BOS": rows.bos, "PAD": rows.pad}
    document = {
        "tokens": rows.rows,
        "specials": {role: name for role, name in specials.items() if name is not None},
        "input": options.layout,
        "outputs": options.outputs,
    }
    told = told_of(document, "the options")
    return told if options.task is None else told.over(task_file(options.task))


def is_compiled(loaded: LoadedModel, options: TaskOptions) -> bool:
    """Whether a model has the form that a compiler writes, and no other task is told of it."""
    from untracr.loading.tasks import is_untold

    return not gives_task(options) and is_untold(loaded)


def refuse_vocab(vocab: tuple[Value, ...] | None) -> None:
    """Checks that ``--vocab`` is not given of a model that is not compiled.

    Raises:
        UsageError: it is.
    """
    if vocab is not None:
        raise UsageError(
            "--vocab names the tokens' rows of compiled weights, BOS's and PAD's left out; "
            "--rows names all tokens of a model"
        )


def run_in_words(loaded: LoadedModel, inputs: Sequence[str], *, json: bool) -> None:
    """Prints the outputs of each input, a line each, and what was assumed on standard error.

    Raises:
        InputError: one of them is no input of the model's task.
    """
    for given, answer in zip(inputs, loaded.answers(inputs), strict=True):
        if json:
            print_json({"input": given, "output": list(answer.outputs)} | _more(answer))
        else:
            say(" ".join(map(_shown, answer.outputs)))
        if answer.cut:
            _note(f"the answer to {given!r} is cut: no end token came (see answer_lengths)")
    for sentence in loaded.said:
        _note(sentence)


def _more(answer: Answer) -> dict[str, object]:
    """What JSON tells besides: where outputs count, and whether an answer was cut."""
    if answer.positions:
        return {"positions": list(answer.positions)}
    return {"cut": answer.cut}


def _note(sentence: str) -> None:
    print(f"untracr: {printable(sentence)}", file=sys.stderr)


def _shown(output: Output) -> str:
    """One output; of a set of tokens its names in braces."""
    if isinstance(output, tuple):
        return f"{{{','.join(map(_name, output))}}}"
    return _name(output)


def _name(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    plain = text and text.isprintable() and not set(text) & set(" ,'\"")
    return text if plain or not isinstance(value, str) else repr(value)
