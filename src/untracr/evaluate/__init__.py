"""How often models are decompiled rightly."""

from __future__ import annotations

from untracr.evaluate.evaluation import (
    TREATMENTS,
    Outcome,
    Report,
    Share,
    evaluate_folder,
    evaluate_samples,
)
from untracr.evaluate.reference import Reference, read_references

__all__ = [
    "TREATMENTS",
    "Outcome",
    "Reference",
    "Report",
    "Share",
    "evaluate_folder",
    "evaluate_samples",
    "read_references",
]
