"""When a number that weights hold stands for a program's: one rule for all that compare them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from untracr.rasp.functions import number_or

OFF_SHARE_OF_NUMBER = 1e-3
"""How far weights may be off a number, relative to its size where above one."""

SAME_SHARE_OF_NUMBER = 1e-9
"""Numbers this close, relative to their size where above one, are one number."""

FINEST = 1e-5
"""Numbers nearer than this to each other need not be told apart."""


def tolerances(values: Sequence[object]) -> npt.NDArray[np.float64]:
    """How far weights may be off each value, [values]; NaN for what is no number.

    A thousandth of it, and less than half as far as the nearest other one of the values
    is: a number that is taken for another one is wrong however near that is.
    """
    found = _tolerances(tuple(number_or(value, np.nan) for value in values))
    return np.array(found)


@functools.lru_cache(maxsize=4096)
def _tolerances(values: tuple[float, ...]) -> tuple[float, ...]:
    numbers = np.array(values)
    size = np.maximum(1.0, np.abs(numbers))
    allowed = OFF_SHARE_OF_NUMBER * size
    known = np.unique(numbers[np.isfinite(numbers)])
    above = np.append(known, np.inf)[
        np.searchsorted(known, numbers + SAME_SHARE_OF_NUMBER * size, "right")
    ]
    below = np.append(-np.inf, known)[
        np.searchsorted(known, numbers - SAME_SHARE_OF_NUMBER * size, "left")
    ]
    gap = np.minimum(above - numbers, numbers - below)
    return tuple(np.minimum(allowed, np.maximum(0.49 * gap, FINEST)).tolist())
