"""A model that has a program's weights but for small differences, such as rounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.arrays import Floats
from untracr.diagnose.blur import Blur
from untracr.transformer.transformer import Array, Transformer


@dataclass(frozen=True, eq=False)
class Rounded:
    """A model that has a program's weights but for small differences.

    Attributes:
        transformer: the model; its rows of W_E in the order of the program's.
        basis: [D, D], orthogonal, from the program's residual basis to the model's.
        blur: what the differences may do.
    """

    transformer: Transformer
    basis: Floats
    blur: Blur

    def stream(self, ids: npt.NDArray[np.int64]) -> Array:
        """The final stream behind BOS on token ids, in the program's basis."""
        output = self.transformer.forward(ids).output[:, 1:]
        return np.asarray(output @ self.basis.T, dtype=np.float32)
