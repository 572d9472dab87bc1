"""Hypotheses about networks: does this network run this program?"""

from __future__ import annotations

from untracr.hypothesis.behaviour import Behaviour, CounterExample
from untracr.hypothesis.causes import Effort, Support
from untracr.hypothesis.examining import Amount, HypothesisReport, LineReport, examine
from untracr.hypothesis.report_text import report_json, report_text
from untracr.hypothesis.subject import Subject, View, usual_view
from untracr.hypothesis.subspaces import Subspace, subspace_of

__all__ = [
    "Amount",
    "Behaviour",
    "CounterExample",
    "Effort",
    "HypothesisReport",
    "LineReport",
    "Subject",
    "Subspace",
    "Support",
    "View",
    "examine",
    "report_json",
    "report_text",
    "subspace_of",
    "usual_view",
]
