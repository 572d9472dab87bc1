"""What weights leave open: other programs with the same weights, and which of them is meant."""

from __future__ import annotations

from untracr.ambiguity.alternatives import all_alternatives
from untracr.ambiguity.checking import Check, check
from untracr.ambiguity.description_length import description_length
from untracr.ambiguity.open_results import OpenResult, open_results
from untracr.ambiguity.shortest import shortest

__all__ = [
    "Check",
    "OpenResult",
    "all_alternatives",
    "check",
    "description_length",
    "open_results",
    "shortest",
]
