"""Running a network on inputs in its task's words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.errors import InputError
from untracr.network.forward import checked_ids, forward
from untracr.network.network import Network
from untracr.rasp.values import Value
from untracr.short_repr import short_repr
from untracr.task.batches import batches, same_lengths
from untracr.task.completing import completions
from untracr.task.inputs import Given, given_inputs
from untracr.task.outputs import Output, outputs_of
from untracr.task.positions import Mask, counted_positions
from untracr.task.task import Task, counted_text


@dataclass(frozen=True)
class Answer:
    """What a network gives for one input.

    Attributes:
        tokens: the whole input, special tokens included.
        positions: those at which outputs count; none where an answer was written.
        outputs: one for each of them; or the tokens of the answer.
        cut: whether an answer that was written would have gone on: its end token did not come.
    """

    tokens: tuple[Value, ...]
    positions: tuple[int, ...]
    outputs: tuple[Output, ...]
    cut: bool = False

    __repr__ = short_repr


def run(
    network: Network, task: Task, inputs: Iterable[str | Sequence[Value]]
) -> list[list[Output]]:
    """Runs a network on inputs in its task's words.

    Args:
        network: the weights.
        task: the words.
        inputs: each a list of token names, or one text such as ``a b`` or ``(())``. Special
            tokens are put in as the task's layout says, and may be given.

    Returns:
        The outputs of each input at the positions that count. Where the layout has an answer
        y and an input has none, it is the answer, written token by token.

    Raises:
        InputError: an input is no such list, holds an unknown token, is too short or too long,
            or has no position at which outputs count.
        ModelFileError: outputs are no finite numbers, or there is no read-out.
    """
    return [list(answer.outputs) for answer in answers(network, task, inputs)]


def answers(network: Network, task: Task, inputs: Iterable[str | Sequence[Value]]) -> list[Answer]:
    """Like `run`, with the whole inputs and the positions at which outputs count."""
    given = given_inputs(task, inputs)
    whole = [number for number, one in enumerate(given) if one.answered]
    begun = [number for number, one in enumerate(given) if not one.answered]
    read = _answers(network, task, [given[number] for number in whole])
    written = completions(network, task, [given[number].ids for number in begun])
    by_number = dict(zip(whole, read, strict=True))
    for number, one in zip(begun, written, strict=True):
        by_number[number] = Answer(_names(task, given[number].ids), (), one.tokens, one.cut)
    return [by_number[number] for number in range(len(given))]


def _names(task: Task, ids: Iterable[int]) -> tuple[Value, ...]:
    return tuple(task.tokens[token] for token in ids)


def run_ids(
    network: Network, task: Task, token_ids: npt.ArrayLike, counted: Mask | None = None
) -> list[list[Output]]:
    """Runs a network on token ids.

    Args:
        network: the weights.
        task: the words of the outputs.
        token_ids: [B, T], whole inputs, filled up at the right where they differ in length.
        counted: [B, T], where outputs count; as the task says if not given.

    Returns:
        The outputs of each input at the positions that count, perhaps none.

    Raises:
        InputError: they are no such array.
        ModelFileError: outputs are no finite numbers, or there is no read-out.
    """
    ids = _ids(network, token_ids)
    mask = counted_positions(task, ids) if counted is None else counted
    if mask.shape != ids.shape:
        raise InputError(
            f"counted positions must have the shape of the ids, {list(ids.shape)}, "
            f"not {list(mask.shape)}"
        )
    outputs: list[list[Output]] = []
    for part in batches(network, *ids.shape):
        logits = forward(network, ids[part])
        counting = zip(logits, mask[part], strict=True)
        outputs += (outputs_of(task, values[where]) for values, where in counting)
    return outputs


def _ids(network: Network, token_ids: npt.ArrayLike) -> npt.NDArray[np.int64]:
    try:
        return checked_ids(network, token_ids)
    except ValueError as error:
        raise InputError(str(error)) from None


def _answers(network: Network, task: Task, given: Sequence[Given]) -> list[Answer]:
    by_number: dict[int, Answer] = {}
    for numbers in same_lengths([one.ids for one in given]):
        ids = filled_up(task, np.array([given[i].ids for i in numbers], dtype=np.int64))
        counted = counted_positions(task, ids)
        _require_counted(task, counted, numbers)
        outputs = run_ids(network, task, ids, counted)
        for number, row, mask, values in zip(numbers, ids, counted, outputs, strict=True):
            places = tuple(np.flatnonzero(mask).tolist())
            by_number[number] = Answer(_names(task, row.tolist()), places, tuple(values))
    return [by_number[number] for number in range(len(given))]


def filled_up(task: Task, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Inputs filled up to the longest length, where the layout has them so."""
    layout, most = task.layout, task.lengths.most
    if layout.fill is None or most is None:
        return rows
    longest = len(layout.before) + most + len(layout.between or ()) + len(layout.after)
    more = max(0, longest - rows.shape[1])
    return np.pad(rows, ((0, 0), (0, more)), constant_values=layout.fill)


def _require_counted(task: Task, counted: Mask, numbers: Sequence[int]) -> None:
    without = np.flatnonzero(~counted.any(axis=1))
    if without.size:
        raise InputError(
            f"input {numbers[int(without[0])]}: no output counts; they count {counted_text(task)}"
        )
