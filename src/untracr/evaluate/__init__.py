"""How often models are decompiled rightly."""

from __future__ import annotations

from untracr.evaluate.cases import Case, CaseSet, folder_cases, library_cases, sampled_cases
from untracr.evaluate.evaluation import (
    Report,
    evaluate,
    evaluate_folder,
    evaluate_library,
    evaluate_samples,
)
from untracr.evaluate.full_report import FullReport, Plan, measure
from untracr.evaluate.outcome import Outcome
from untracr.evaluate.reference import Reference, read_references
from untracr.evaluate.report_folder import write_report
from untracr.evaluate.share import Share
from untracr.transformer.named_treatments import TREATMENTS, Treatment, parse_treatments

__all__ = [
    "TREATMENTS",
    "Case",
    "CaseSet",
    "FullReport",
    "Outcome",
    "Plan",
    "Reference",
    "Report",
    "Share",
    "Treatment",
    "evaluate",
    "evaluate_folder",
    "evaluate_library",
    "evaluate_samples",
    "folder_cases",
    "library_cases",
    "measure",
    "parse_treatments",
    "read_references",
    "sampled_cases",
    "write_report",
]
