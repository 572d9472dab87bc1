"""How far two arrays of activations are apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.floating[Any]]


def relative(found: Numbers, wanted: Numbers) -> float:
    """The largest difference by the largest number; infinite where shapes or infinities differ."""
    finite = np.isfinite(wanted)
    if found.shape != wanted.shape or not np.array_equal(found[~finite], wanted[~finite]):
        return float("inf")
    apart = np.abs(found[finite].astype(np.float64) - wanted[finite])
    largest = np.abs(wanted[finite]).max(initial=0.0)
    return float(apart.max(initial=0.0) / (largest or 1.0))
