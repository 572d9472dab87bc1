"""Whether answers that are shown as checked are true, judged by other means than they were made."""

from __future__ import annotations

from untracr.audit.claims import Claim, judge_claim
from untracr.audit.kinds import KINDS, Kind, parse_kinds
from untracr.audit.running import Audit, Record, run_audit
from untracr.audit.subject import Subject
from untracr.audit.summary import Summary, summaries, summary_table

__all__ = [
    "KINDS",
    "Audit",
    "Claim",
    "Kind",
    "Record",
    "Subject",
    "Summary",
    "judge_claim",
    "parse_kinds",
    "run_audit",
    "summaries",
    "summary_table",
]
