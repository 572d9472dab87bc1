"""Inputs to look at where nobody gives any: drawn from a task's tokens and lengths."""

from __future__ import annotations

import numpy as np

from untracr.errors import InputError
from untracr.rasp.values import Value
from untracr.task.task import Task

LONGEST_DRAWN = 8
"""Tokens of an input that is drawn, where the task takes longer ones too."""


def sampled_inputs(task: Task, count: int, rng: np.random.Generator) -> list[tuple[Value, ...]]:
    """Inputs of the task's lengths, of tokens that are not special, each drawn on its own.

    Where the task's inputs have an answer none is drawn: what the model makes of the input
    alone is looked at.

    Raises:
        InputError: the task has no tokens but special ones.
    """
    special = task.specials.ids
    tokens = [name for token, name in enumerate(task.tokens) if token not in special]
    if not tokens:
        raise InputError("no inputs can be drawn: all of the task's tokens are special ones")
    fewest = max(1, task.lengths.fewest)
    most = max(fewest, min(task.lengths.most or LONGEST_DRAWN, LONGEST_DRAWN))
    drawn = []
    for _ in range(count):
        length = int(rng.integers(fewest, most, endpoint=True))
        drawn.append(tuple(tokens[i] for i in rng.integers(len(tokens), size=length).tolist()))
    return drawn
