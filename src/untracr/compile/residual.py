"""The residual stream's basis: one dimension a value of every variable.

Tracr names each dimension ``label`` (numerical, auxiliary) or ``label:value``
(categorical) and sorts them by label, then by value. Source: Tracr,
`craft/bases.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.rasp.functions import Value
from untracr.short_repr import short_repr

Dims = npt.NDArray[np.int64]

ONE = "one"
"""The direction that holds 1 at every position."""


@dataclass(frozen=True)
class Residual:
    """Where each named direction lies.

    Attributes:
        starts: first dimension of each label.
        values: the values of each label in order; (None,) for one plain direction.
        width: d_model.
    """

    starts: dict[str, int]
    values: dict[str, tuple[Value, ...]]
    width: int

    __repr__ = short_repr

    @classmethod
    def build(cls, spaces: dict[str, tuple[Value, ...]]) -> Residual:
        """Lays out labels in Tracr's order."""
        starts, width = {}, 0
        for label in sorted(spaces):
            starts[label] = width
            width += len(spaces[label])
        return cls(starts, spaces, width)

    def dim(self, label: str) -> int:
        """The dimension of a plain direction."""
        return self.starts[label]

    def dims(self, label: str) -> Dims:
        """All dimensions of a label, in the order of its values."""
        start = self.starts[label]
        return np.arange(start, start + len(self.values[label]))

    def labels(self) -> list[str]:
        """Tracr's ``residual_labels``."""
        return [
            label if value is None else f"{label}:{value}"
            for label in self.starts
            for value in self.values[label]
        ]
