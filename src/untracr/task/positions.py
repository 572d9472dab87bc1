"""At which positions of an input outputs count."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from untracr.task.task import (
    AfterToken,
    AtToken,
    EveryPosition,
    FromToken,
    LastPosition,
    NextToken,
    NextTokens,
    Task,
)

Mask = npt.NDArray[np.bool_]


def counted_positions(task: Task, ids: npt.NDArray[np.integer]) -> Mask:
    """Where outputs count.

    Args:
        task: it says where.
        ids: [B, T] token ids, filled up at the right.

    Returns:
        [B, T]; never where a token fills up, and where outputs are next tokens not at the
        end token nor behind it.
    """
    inside = _inside(task, ids)
    match task.counted:
        case EveryPosition():
            return inside
        case AtToken(token):
            there: Mask = inside & (ids == token)
            return there
        case FromToken(token):
            return inside & _seen(ids, token)
        case AfterToken(token):
            seen = _seen(ids, token)
            before = np.zeros_like(seen)
            before[:, 1:] = seen[:, :-1]
            return inside & before
        case LastPosition():
            behind: Mask = np.flip(np.cumsum(np.flip(inside, 1), axis=1), 1) == 1
            return inside & behind


def _inside(task: Task, ids: npt.NDArray[np.integer]) -> Mask:
    """[B, T], which positions are those of an input and have an output that may count."""
    inside = ~_filled(task, ids)
    eos = task.specials.eos
    if eos is None or not isinstance(task.meaning, (NextToken, NextTokens)):
        return inside
    ended = _seen(ids, eos)
    if eos == task.specials.bos:  # one token begins and ends: the first does not end
        ended[:, 1:] = _seen(ids[:, 1:], eos)
        ended[:, 0] = False
    before_the_end: Mask = inside & ~ended
    return before_the_end


def _filled(task: Task, ids: npt.NDArray[np.integer]) -> Mask:
    """[B, T], where a token fills up.

    Of one that also begins or ends inputs, as in many configurations, these are the places
    at the end of an input, all but the first.
    """
    fill = task.layout.fill if task.layout.fill is not None else task.specials.pad
    if fill is None:
        return np.zeros(ids.shape, dtype=bool)
    filled: Mask = ids == fill
    if fill in (task.specials.bos, task.specials.eos):
        trailing = np.flip(np.logical_and.accumulate(np.flip(filled, 1), axis=1), 1)
        filled = np.zeros_like(filled)
        filled[:, 1:] = trailing[:, 1:] & trailing[:, :-1]
    return filled


def _seen(ids: npt.NDArray[np.integer], token: int) -> Mask:
    """[B, T], from the first place on where a token stands."""
    seen: Mask = np.cumsum(ids == token, axis=1) > 0
    return seen
