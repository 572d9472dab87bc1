"""What a next-token network writes behind an input, one token after another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.errors import InputError
from untracr.network.forward import checked_ids, forward
from untracr.network.network import Network
from untracr.rasp.values import Value
from untracr.task.batches import batches, same_lengths
from untracr.task.inputs import Ids, given_inputs
from untracr.task.outputs import require_finite
from untracr.task.task import NextToken, Task

MOST_ANSWER = 1_000
"""Tokens of an answer, where positions and lengths set no bound."""


def complete(
    network: Network,
    task: Task,
    inputs: Iterable[str | Sequence[Value]],
    most: int | None = None,
) -> list[tuple[Value, ...]]:
    """What a next-token network writes behind inputs, the token of the largest logit each time.

    Args:
        network: the weights.
        task: the words.
        inputs: as of `untracr.task.running.run`; an answer that one has is gone on with.
        most: tokens to write at most. It ends before at the end token, with the longest
            answer of the task, or where the network's positions are full.

    Returns:
        The tokens written for each input, without the end token.

    Raises:
        InputError: as of `run`; outputs are not next tokens; or ``most`` is below 0.
        ModelFileError: outputs are no finite numbers.
    """
    if most is not None and most < 0:
        raise InputError(f"most is how many tokens are written at most, from 0, not {most}")
    after = len(task.layout.after)
    given = given_inputs(task, inputs)
    begun = [one.ids[: len(one.ids) - after] if one.answered else one.ids for one in given]
    return [written.tokens for written in completions(network, task, begun, most)]


@dataclass(frozen=True)
class Written:
    """What a network wrote behind an input.

    Attributes:
        tokens: their names, without the end token.
        cut: whether it would have gone on: there is an end token, which did not come.
    """

    tokens: tuple[Value, ...]
    cut: bool


def completions(
    network: Network, task: Task, begun: Sequence[Ids], most: int | None = None
) -> list[Written]:
    """What is written behind inputs that are token ids; see `complete`."""
    if begun and not isinstance(task.meaning, NextToken):
        raise InputError("only a network whose outputs are next tokens completes an input")
    written: dict[int, Written] = {}
    for numbers in same_lengths(begun):
        rows = np.array([begun[i] for i in numbers], dtype=np.int64)
        if not rows.shape[1]:
            raise InputError(f"input {numbers[0]}: there is no token to go on from")
        room = _room(network, task, rows.shape[1], most)
        for part in batches(network, len(rows), rows.shape[1] + room):
            answers = _written(network, task, rows[part], room)
            written |= zip(numbers[part], answers, strict=True)
    return [written[number] for number in range(len(begun))]


def _written(network: Network, task: Task, ids: npt.NDArray[np.int64], room: int) -> list[Written]:
    length, eos = ids.shape[1], task.specials.eos
    ended = np.zeros(len(ids), dtype=bool)
    for _ in range(room):
        logits = require_finite(forward(network, checked_ids(network, ids))[:, -1])
        token = logits.argmax(axis=1).astype(np.int64)
        ids = np.concatenate([ids, token[:, None]], axis=1)
        if eos is not None:
            ended |= token == eos
        if ended.all():
            break
    return [_before(task, row, eos) for row in ids[:, length:].tolist()]


def _room(network: Network, task: Task, length: int, most: int | None) -> int:
    """How many tokens may be written behind a number of tokens."""
    bounds = [MOST_ANSWER, most, task.answer_lengths.most]
    if network.n_positions is not None:
        bounds.append(network.n_positions - length)
    return max(0, min(bound for bound in bounds if bound is not None))


def _before(task: Task, row: list[int], eos: int | None) -> Written:
    """The names of tokens up to the end token."""
    ended = eos in row
    end = row.index(eos) if ended and eos is not None else len(row)
    whole = eos is None or ended or len(row) == task.answer_lengths.most
    return Written(tuple(task.tokens[token] for token in row[:end]), not whole)
