"""Outputs in a task's words, of logits."""

from __future__ import annotations

import numpy as np

from untracr.errors import ModelFileError
from untracr.network.network import Array
from untracr.rasp.values import Value
from untracr.task.task import Label, NextToken, NextTokens, Number, Task

Output = Value | tuple[Value, ...]
"""One output: a token, a label or a number; of next-token sets a tuple of tokens."""


def outputs_of(task: Task, logits: Array) -> list[Output]:
    """What logits mean.

    Args:
        task: it says what.
        logits: [N, O].

    Returns:
        An output for each of N positions.

    Raises:
        ModelFileError: a logit is no finite number, or the network has no read-out.
    """
    require_finite(logits)
    match task.meaning:
        case NextToken():
            return [task.tokens[column] for column in logits.argmax(axis=1).tolist()]
        case Label(names):
            return [names[column] for column in logits.argmax(axis=1).tolist()]
        case NextTokens(above):
            return [_names(task, row > above) for row in logits]
        case Number():
            return list(map(float, logits[:, 0].tolist()))
        case None:
            raise ModelFileError(
                "nothing says what the network's outputs mean: it has no read-out, or one whose "
                "columns have no values (output_values); a task file may say it"
            )


def require_finite(logits: Array) -> Array:
    """Logits themselves.

    Raises:
        ModelFileError: one is no finite number.
    """
    if not np.isfinite(logits).all():
        raise ModelFileError(
            "outputs must be finite numbers; the weights are so large that they overflow"
        )
    return logits


def _names(task: Task, allowed: np.ndarray) -> tuple[Value, ...]:
    return tuple(task.tokens[column] for column in np.flatnonzero(allowed).tolist())
