"""Inputs of several lengths as one array of token ids, for what is computed of all at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from untracr.errors import InputError
from untracr.network.forward import Ids
from untracr.network.network import Array, Network
from untracr.network.tracing import network_ids
from untracr.rasp.values import Value
from untracr.task.inputs import given_inputs
from untracr.task.outputs import Output, outputs_of
from untracr.task.positions import counted_positions
from untracr.task.running import filled_up
from untracr.task.task import Task

Inputs = Iterable[str | Sequence[Value]] | Any
"""Inputs in a task's words, or an array of token ids [B, T]."""


def ids_together(network: Network, task: Task, inputs: Inputs) -> Ids:
    """Inputs as token ids [B, T], special tokens put in as the task's layout says.

    Shorter inputs are filled up at the right with the task's padding, where that changes
    nothing of what comes before it: attention is causal, or never reaches the padding.

    Raises:
        InputError: one is none of the task's, or they differ in length and may not be filled up.
    """
    if hasattr(inputs, "__array__"):
        return network_ids(network, np.asarray(inputs))
    rows = [one.ids for one in given_inputs(task, inputs)]
    if not rows:
        raise InputError("there are no inputs")
    longest = max(map(len, rows))
    if any(len(row) < longest for row in rows):
        fill = _padding(network, task, rows)
        rows = [(*row, *[fill] * (longest - len(row))) for row in rows]
    return network_ids(network, filled_up(task, np.array(rows, dtype=np.int64)))


def _padding(network: Network, task: Task, rows: Sequence[tuple[int, ...]]) -> int:
    fill = task.layout.fill if task.layout.fill is not None else task.specials.pad
    lengths = sorted(set(map(len, rows)))
    differ = f"the inputs have {lengths[0]} to {lengths[-1]} tokens, special ones counted;"
    if fill is None:
        raise InputError(f"{differ} give inputs of one length, for the task has no padding")
    what = network.architecture
    if task.layout.fill is None and not what.causal and what.masked_token != fill:
        raise InputError(
            f"{differ} give inputs of one length, for attention is not causal and would reach "
            f"the padding {task.tokens[fill]!r}"
        )
    return fill


def outputs_together(task: Task, ids: Ids, logits: Array) -> list[list[Output]]:
    """What logits [B, T, O] mean at the positions of inputs [B, T] where outputs count.

    Raises:
        ModelFileError: a logit that counts is no finite number, or there is no read-out.
    """
    counted = counted_positions(task, ids)
    return [outputs_of(task, row[where]) for row, where in zip(logits, counted, strict=True)]
