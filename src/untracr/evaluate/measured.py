"""What was measured of one treatment of the weights, and of single programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from untracr.evaluate.cases import CaseSet
from untracr.evaluate.ceiling import Ceiling
from untracr.evaluate.evaluation import Report, behaves, has_the_weights, is_exact
from untracr.evaluate.forcing import TopK
from untracr.evaluate.outcome import Outcome
from untracr.evaluate.share import Share
from untracr.evaluate.speed import Speed
from untracr.transformer.named_treatments import Treatment


@dataclass(frozen=True)
class Measured:
    """One treatment of the weights.

    Attributes:
        treatment: what was done.
        report: the answers, judged.
        top_k: with teacher forcing; None where examples of such weights cannot
            be made yet.
        ceiling: None where it is not defined.
    """

    treatment: Treatment
    report: Report
    top_k: TopK | None = None
    ceiling: Ceiling | None = None

    def as_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        speed = Speed.of(self.report.outcomes)
        checked = [o for o in self.report.outcomes if o.result.verdict != "unverified"]
        return {
            "treatment": self.treatment.label,
            "name": self.treatment.name,
            "size": self.treatment.size,
            "what": self.treatment.what,
            "models": len(self.report.outcomes),
            **_shares(self.report),
            "verdicts": dict(Counter(o.result.verdict for o in self.report.outcomes)),
            "checked_but_other_behaviour": [o.name for o in checked if not o.same_behaviour],
            "untold": [
                o.name for o in checked if not o.same_behaviour and not o.result.alternatives
            ],
            "by_length": {str(n): _shares(self.report, n) for n in self.report.lengths},
            "by_operation": _plain(self.report.operations()),
            "by_token_kind": _plain(self.report.token_kinds()),
            "top_k": self.top_k.as_dict() if self.top_k is not None else None,
            "ceiling": self.ceiling.as_dict() if self.ceiling is not None else None,
            "speed": speed.as_dict() if speed is not None else None,
        }


def _shares(report: Report, length: int | None = None) -> dict[str, object]:
    return {
        "exact": report.share(is_exact, length).as_dict(),
        "same_behaviour": report.share(behaves, length).as_dict(),
        "same_weights": report.share(has_the_weights, length).as_dict(),
    }


def _plain(shares: dict[str, Share]) -> dict[str, object]:
    return {kind: share.as_dict() for kind, share in shares.items()}


@dataclass(frozen=True)
class Listing:
    """Programs one by one.

    Attributes:
        cases: the set of models.
        measured: one a treatment.
    """

    cases: CaseSet
    measured: tuple[Measured, ...]

    def as_list(self) -> list[dict[str, object]]:
        """As plain JSON values."""
        return [
            {
                "name": case.name,
                "length": case.program.length,
                "in_language": case.in_language,
                "tokens": list(case.tokens),
                "outcomes": {
                    m.treatment.label: _outcome(m.report.outcomes[number]) for m in self.measured
                },
            }
            for number, case in enumerate(self.cases.cases)
        ]


def _outcome(outcome: Outcome) -> dict[str, object]:
    return {
        "exact": outcome.exact,
        "same_behaviour": outcome.same_behaviour,
        "same_weights": outcome.same_weights,
        "verdict": outcome.result.verdict,
        "alternatives": outcome.result.alternatives,
        "seconds": round(outcome.result.seconds, 6),
        "answer": outcome.result.source,
    }
