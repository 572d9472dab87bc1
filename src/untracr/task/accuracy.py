"""On how many inputs a network is right as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from untracr.errors import InputError
from untracr.network.forward import checked_ids, forward
from untracr.network.network import Array, Network
from untracr.short_repr import short_repr
from untracr.task.batches import batches
from untracr.task.outputs import require_finite
from untracr.task.positions import Mask
from untracr.task.task import NextTokens, Task

CLOSE = 0.001
"""How far off a number may be, relative to the larger of 1 and itself."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """Inputs as token ids, and what is wanted of a network on them.

    Attributes:
        ids: [B, T], whole inputs, filled up at the right.
        compare: [B, T], where outputs count.
        truth: what is wanted there: [B, T] whole numbers, the column of the largest logit;
            [B, T, O] truth values, whether each logit is above the task's threshold; or
            [B, T] floating-point numbers, a number itself.
    """

    ids: npt.NDArray[np.integer[Any]]
    compare: Mask
    truth: npt.NDArray[Any]

    __repr__ = short_repr


def right(network: Network, task: Task, wanted: Wanted) -> Mask:
    """Which inputs a network is right on, at every position that counts.

    Args:
        network: the weights.
        task: it says above what a logit allows a token; 0 where it has no next-token sets.
        wanted: the inputs.

    Returns:
        [B]

    Raises:
        InputError: shapes do not fit each other or the network, or types are others.
        ModelFileError: outputs are no finite numbers.
    """
    try:
        ids = checked_ids(network, wanted.ids)
    except ValueError as error:
        raise InputError(str(error)) from None
    _require_shapes(network, wanted)
    above = task.meaning.above if isinstance(task.meaning, NextTokens) else 0.0
    whole = np.zeros(len(ids), dtype=bool)
    for part in batches(network, *ids.shape):
        logits = require_finite(forward(network, ids[part]))
        agreed = _agreed(logits, wanted.truth[part], above)
        whole[part] = (agreed | ~wanted.compare[part]).all(axis=1)
    return whole


def accuracy(network: Network, task: Task, wanted: Wanted) -> float:
    """The share of inputs that a network is right on as a whole; see `right`.

    Raises:
        InputError: as of `right`; or there are no inputs.
    """
    if not isinstance(wanted, Wanted):
        raise InputError(f"what is wanted must be a Wanted, not {type(wanted).__name__}")
    if not len(wanted.ids):
        raise InputError("an accuracy is a share of inputs; there are none")
    return float(right(network, task, wanted).mean())


def _agreed(logits: Array, truth: npt.NDArray[Any], above: float) -> Mask:
    """[B, T], where logits give what is wanted."""
    agreed: Mask
    if truth.ndim == 3:
        agreed = ((logits > above) == truth).all(axis=-1)
    elif np.issubdtype(truth.dtype, np.integer):
        agreed = logits.argmax(axis=-1) == truth
    else:
        agreed = np.abs(logits[..., 0] - truth) <= CLOSE * np.maximum(1, np.abs(truth))
    return agreed


def _require_shapes(network: Network, wanted: Wanted) -> None:
    shape, truth = wanted.ids.shape, wanted.truth
    columns = network.d_model if network.W_U is None else network.W_U.shape[1]
    kinds = {2: (np.integer, np.floating), 3: (np.bool_,)}.get(truth.ndim, ())
    if wanted.compare.shape != shape or wanted.compare.dtype != np.bool_:
        raise InputError(
            f"compare must be truth values of the ids' shape {list(shape)}, not "
            f"{wanted.compare.dtype} of {list(wanted.compare.shape)}"
        )
    fits = truth.shape in (shape, (*shape, columns))
    if not fits or not any(np.issubdtype(truth.dtype, kind) for kind in kinds):
        raise InputError(
            f"truth must be numbers of the ids' shape {list(shape)}, or truth values with the "
            f"{columns} columns behind it, not {truth.dtype} of {list(truth.shape)}"
        )
