"""An explanation as a notebook shows it."""

from __future__ import annotations

from dataclasses import dataclass

from untracr.explain.explanation import Explanation
from untracr.explain.explanation_picture import picture
from untracr.explain.text import explanation_text, value_text
from untracr.shown_text import cut

MOST_CELLS = 20_000
"""Cells of matrices and values of a picture in a notebook."""


@dataclass(frozen=True, eq=False, repr=False)
class Explained(Explanation):
    """An `Explanation` that a notebook shows as a picture, and ``print`` as text."""

    def __str__(self) -> str:
        return explanation_text(self)

    def _repr_svg_(self) -> str | None:
        """The picture; None where it would be too large to be looked at."""
        if _cells(self) > MOST_CELLS:
            return None
        tokens = ", ".join(map(value_text, self.tokens))
        return picture([self], cut(f"model and program on {tokens}", 100))


def _cells(explanation: Explanation) -> int:
    """How many cells a picture has, at most."""
    length = len(explanation.tokens) + 1
    matrices = sum(1 + len(line.patterns) for line in explanation.lines if line.matrix is not None)
    return length * (length * matrices + 20 * len(explanation.lines))
