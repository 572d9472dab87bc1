"""``untracr explain`` of a model that no program is laid beside: what it computes inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from untracr.cli.command import OK
from untracr.cli.output import JsonOption, print_json, say
from untracr.cli.reading_options import RowValuesOptions, naming_of
from untracr.cli.task_models import TaskOptions, is_compiled, refuse_vocab, told_by_options
from untracr.cli.values import Value
from untracr.shown_text import printable

if TYPE_CHECKING:
    from untracr.explain.inside import Seen
    from untracr.loading.model import LoadedModel
    from untracr.network.network import Network
    from untracr.task.task import Task

DRAWN, SEED = 3, 0
"""Inputs that are drawn where none is given, and the seed of the generator that draws them."""


@dataclass(frozen=True, kw_only=True)
class InsideOptions(RowValuesOptions, TaskOptions, JsonOption):
    """What decides how a model's inside is shown."""

    model: str
    inputs: list[str]
    picture: Path | None


def explain_inside(loaded: LoadedModel, options: InsideOptions, reason: str) -> int:
    """Prints attention, stream and logits of each input.

    Args:
        loaded: any model.
        options: its inputs, in the words of its task; some are drawn if there are none.
        reason: why no program is shown beside it.
    """
    from untracr.explain.inside import seen_inside
    from untracr.explain.inside_text import seen_text

    network, task, said = _in_words(loaded, options)
    drawn = "" if options.inputs else f"{DRAWN} inputs are drawn, for none is given"
    seen = seen_inside(network, task, options.inputs or drawn_inputs(task))
    if options.json:
        for one in seen:
            print_json({"file": options.model, "reason": reason, **one.as_dict()})
    else:
        told = (options.model, repr(network), f"no program is shown: {reason}", drawn, *said)
        say("\n".join(f"# {printable(line)}" for line in told if line))
        for one in seen:
            say("\n" + seen_text(one))
    if options.picture is not None:
        _draw(options.picture, seen, Path(options.model).name)
        if not options.json:
            say(f"wrote {options.picture}")
    return OK


def drawn_inputs(task: Task) -> list[tuple[Value, ...]]:
    """Some inputs of a task, the same ones each time."""
    import numpy as np

    from untracr.explain.sampled_inputs import sampled_inputs

    return list(sampled_inputs(task, DRAWN, np.random.default_rng(SEED)))


def _in_words(loaded: LoadedModel, options: InsideOptions) -> tuple[Network, Task, Sequence[str]]:
    """The network, its task, and what was assumed of it."""
    if is_compiled(loaded, options):
        from untracr.task.compiled import compiled_task

        task, said = compiled_task(loaded, naming_of(options.vocab, options))
        return loaded.network, task, (*loaded.said, *said)
    from untracr.loading.loading import load_model

    refuse_vocab(options.vocab)
    told = load_model(loaded, task=told_by_options(options, options))
    return told.network, told.task, told.said


def _draw(path: Path, seen: Sequence[Seen], name: str) -> None:
    from untracr.atomic_write import write_atomically
    from untracr.explain.inside_page import inside_page
    from untracr.explain.inside_picture import inside_picture

    draw = inside_picture if path.suffix.lower() == ".svg" else inside_page
    write_atomically(path, draw(seen, printable(name)).encode("utf-8"))
