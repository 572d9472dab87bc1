"""What the records of an audit come to, kind by kind."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from untracr.audit.kinds import KINDS
from untracr.audit.running import Record
from untracr.evaluate.markdown import NOT_MEASURED
from untracr.evaluate.share import Share
from untracr.markdown_table import markdown_table
from untracr.short_repr import short_repr

SUMMARY_COLUMNS = (
    "weights",
    "models",
    "still compute",
    "identical",
    "equivalent",
    "tested",
    "unverified",
    "proved at once",
    "proved by search",
    "proved of those that compute",
    "false",
    "other behaviour, listed",
    "other names, not listed",
    "other behaviour, not listed",
    "read-out says otherwise",
    "seconds, median and 95%",
    "searched",
    "candidates, operations",
)

EXPLAINED = """\
Proved: the verdict is identical or equivalent. At once: by the first answer, greedily written.
Still compute: the treated model's read-out is its program's output on every input; -: nothing
was done that changes it, or there is no program. False: claims refuted by other means.
Other behaviour: proved answers that behave unlike the program the model was compiled from;
listed: the answer names another program of the same weights that behaves like it; names: only
the values' names are others, which the weights of a table do not hold without a read-out;
not listed: nor does it say that on some inputs the weights do not do what it says.
Read-out says otherwise: identical, but the model's read-out gives another output somewhere.
Searched: models for which more was tried than the first answer; candidates and operations are
medians of those. In brackets: Wilson's 95% interval."""


@dataclass(frozen=True)
class Summary:
    """What was found on the models of one kind.

    Attributes:
        kind: its name.
        records: of its models, without their programs' text.
    """

    kind: str
    records: tuple[Record, ...]

    __repr__ = short_repr

    @property
    def false(self) -> list[Record]:
        """Claims that are not true, and models on which the decompiler failed."""
        return [record for record in self.records if record.false]

    @property
    def asked(self) -> bool:
        """Whether models were asked if they still compute their program."""
        return any(record.still_computes is not None for record in self.records)

    @property
    def has_programs(self) -> bool:
        """Whether the models were compiled from known programs."""
        return any(record.behaves is not None for record in self.records)

    @property
    def still(self) -> Share:
        """Models that compute their program on every input, of those that were asked."""
        asked = [r.still_computes for r in self.records if r.still_computes is not None]
        return Share.of(asked)

    @property
    def proved(self) -> Share:
        """Answers that are proved, of models that compute a program as far as is known."""
        return Share.of(r.is_proved for r in self.records if r.still_computes is not False)

    @property
    def seconds(self) -> tuple[float, float]:
        """Median and 95th percentile."""
        ordered = sorted(record.seconds for record in self.records)
        if not ordered:
            return 0.0, 0.0
        return statistics.median(ordered), ordered[min(len(ordered) - 1, 95 * len(ordered) // 100)]

    def as_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        verdicts = Counter(record.verdict for record in self.records)
        searched = [record for record in self.records if record.operations]
        median, late = self.seconds
        return {
            "kind": self.kind,
            "what": KINDS[self.kind].what,
            "models": len(self.records),
            "still_compute": self.still.as_dict() if self.asked else None,
            "verdicts": dict(verdicts),
            "proved_at_once": sum(record.is_proved_greedily for record in self.records),
            "proved_by_search": sum(
                record.is_proved and not record.is_proved_greedily for record in self.records
            ),
            "proved": self.proved.as_dict(),
            "false": [
                {"index": r.index, "name": r.name, "verdict": r.verdict, "why": r.false}
                for r in self.false
            ],
            "other_behaviour_listed": sum(r.is_proved and r.listed for r in self.records),
            "other_names_unlisted": sum(r.is_proved and r.renamed for r in self.records),
            "other_behaviour_unlisted": [r.name for r in self.records if r.is_unlisted],
            "read_out_says_otherwise": [
                {"index": r.index, "name": r.name, "why": r.contradicted}
                for r in self.records
                if r.contradicted
            ],
            "median_seconds": median,
            "late_seconds": late,
            "searched": len(searched),
            "median_candidates": _median([record.candidates for record in searched]),
            "median_operations": _median([record.operations for record in searched]),
        }

    def strict_line(self) -> str:
        """How many programs were accepted and refused; empty for models."""
        counts = Counter(record.verdict for record in self.records)
        if not counts["accepted"] + counts["refused"] + counts["refused, though right"]:
            return ""
        told = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        return f"`{self.kind}`: {told}; {len(self.false)} of {len(self.records)} wrongly."

    def row(self) -> list[object]:
        """A row of the table, below `SUMMARY_COLUMNS`."""
        found = Counter(record.verdict for record in self.records)
        at_once = sum(record.is_proved_greedily for record in self.records)
        searched = [record for record in self.records if record.operations]
        median, late = self.seconds
        cost = (
            f"{_median([r.candidates for r in searched]):g}, "
            f"{_median([r.operations for r in searched]):g}"
            if searched
            else NOT_MEASURED
        )
        return [
            f"`{self.kind}`",
            len(self.records),
            self.still.count if self.asked else NOT_MEASURED,
            *(found[verdict] for verdict in ("identical", "equivalent", "tested", "unverified")),
            at_once,
            sum(record.is_proved for record in self.records) - at_once,
            self.proved if self.has_programs else NOT_MEASURED,
            len(self.false),
            sum(record.is_proved and record.listed for record in self.records),
            sum(record.is_proved and record.renamed for record in self.records),
            sum(record.is_unlisted for record in self.records),
            sum(bool(record.contradicted) for record in self.records),
            f"{median:.3f}, {late:.3f}",
            len(searched),
            cost,
        ]


def _median(numbers: Sequence[float]) -> float:
    return statistics.median(numbers) if numbers else 0.0


def summaries(records: Iterable[Record]) -> list[Summary]:
    """The records kind by kind, in the order of `KINDS`."""
    by_kind: dict[str, list[Record]] = {}
    for record in records:
        by_kind.setdefault(record.kind, []).append(record)
    return [
        Summary(kind, tuple(sorted(by_kind[kind], key=lambda r: r.index)))
        for kind in KINDS
        if kind in by_kind
    ]


def summary_table(summaries: Sequence[Summary]) -> str:
    """The summaries as a table, the false claims one by one below it."""
    parts = [markdown_table(SUMMARY_COLUMNS, [summary.row() for summary in summaries]), EXPLAINED]
    parts += [line for summary in summaries if (line := summary.strict_line())]
    told = [
        ("False claims", [(r, r.false) for s in summaries for r in s.false]),
        (
            "Proved, other behaviour than the reference's, and not told",
            [(r, "nothing tells of it") for s in summaries for r in s.records if r.is_unlisted],
        ),
        (
            "Identical, and the read-out says otherwise",
            [(r, r.contradicted) for s in summaries for r in s.records if r.contradicted],
        ),
    ]
    for title, records in told:
        lines = [f"- {r.kind}/{r.index}, {r.verdict}: {r.name}: {why}" for r, why in records]
        if lines:
            parts.append(f"{title}:\n\n" + "\n".join(lines))
    if not any(records for _, records in told):
        parts.append("No claim was found to be false.")
    return "\n\n".join(parts)
