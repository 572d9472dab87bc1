"""A model and a program side by side: what each line is worth, and what the weights do for it."""

from __future__ import annotations

from untracr.explain.explanation import Explanation, Held, Line, Output, Pattern
from untracr.explain.side_by_side import explain

__all__ = [
    "Explanation",
    "Held",
    "Line",
    "Output",
    "Pattern",
    "explain",
]
