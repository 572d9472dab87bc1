"""The trusted part: whether weights are a program's, and whether outputs are.

Nothing here reads a program off weights or knows of a network: a program comes from
anywhere, and what is said of it is what was compared.
"""

from __future__ import annotations

from untracr.verify.attribution import Attribution, attributions
from untracr.verify.evidence import Evidence, Verdict
from untracr.verify.verdict import Finding, lay_beside
from untracr.verify.weight_equivalence import WeightEquivalence, same_weights

__all__ = [
    "Attribution",
    "Evidence",
    "Finding",
    "Verdict",
    "WeightEquivalence",
    "attributions",
    "lay_beside",
    "same_weights",
]
