"""Looking into any model in a notebook: what it computes, as text and as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from untracr.decompile.result import Result
from untracr.errors import UsageError
from untracr.explain.explained import Explained
from untracr.explain.inside import Seen, seen_inside
from untracr.explain.inside_picture import inside_picture
from untracr.explain.inside_text import seen_text
from untracr.explain.sampled_inputs import sampled_inputs
from untracr.explain.side_by_side import explain
from untracr.loading.loading import load_model
from untracr.rasp.domain import Domain
from untracr.rasp.values import Value
from untracr.shown_text import cut, printable

DRAWN = 3
"""Inputs that are drawn where none are given."""


@dataclass(frozen=True, eq=False, repr=False)
class Inside:
    """What a model computes on some inputs; a notebook shows it as a picture, ``print`` as text.

    Attributes:
        title: what the model is.
        seen: of each input.
    """

    title: str
    seen: tuple[Seen, ...]

    def __repr__(self) -> str:
        heads = sum(map(len, self.seen[0].patterns)) if self.seen else 0
        return f"<Inside of {cut(self.title, 120)}: {len(self.seen)} inputs, {heads} heads>"

    def __str__(self) -> str:
        return "\n".join(map(seen_text, self.seen))

    def _repr_svg_(self) -> str:
        return inside_picture(self.seen, self.title)


def look_inside(
    model: object, inputs: Iterable[str | Sequence[Value]] | None = None, *, seed: int = 0
) -> Inside:
    """Attention of every head, the residual stream and the outputs of any model.

    Args:
        model: anything that `untracr.load` takes.
        inputs: in the words of the model's task; some are drawn if not given.
        seed: of the generator that draws them.

    Raises:
        ModelFileError: it is no model, or something it computes is no finite number.
        InputError: an input is none of the task's, or too much would be shown.
    """
    loaded = load_model(model)
    if inputs is None:
        inputs = sampled_inputs(loaded.task, DRAWN, np.random.default_rng(seed))
    return Inside(printable(loaded.path.name), seen_inside(loaded.network, loaded.task, inputs))


def explain_result(
    model: object, result: Result, inputs: Sequence[Sequence[Value]]
) -> tuple[Explained, ...]:
    """A model beside the program that was read off it, line by line, on some inputs.

    Args:
        model: what was decompiled.
        result: what came of it.
        inputs: tokens of each, without special ones.

    Raises:
        UsageError: nothing was read off the model.
        InputError: an input is not in the program's domain.
    """
    if result.program is None or result.token_rows is None:
        raise UsageError(f"no program was read off the model: {result.detail}")
    weights = result.token_rows.applied(load_model(model).transformer)
    domain = Domain(result.vocab, result.max_seq_len)
    return tuple(explain(weights, result.program, domain, inputs))
