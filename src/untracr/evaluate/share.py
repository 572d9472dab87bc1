"""A share with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """A count of a total, with its 95% interval (Wilson 1927)."""

    count: int
    total: int

    @classmethod
    def of(cls, hits: Iterable[bool]) -> Share:
        """How many of several things hold."""
        held = list(hits)
        return cls(sum(held), len(held))

    @property
    def fraction(self) -> float:
        """The count over the total; 0 of nothing."""
        return self.count / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound of the share."""
        if self.total == 0:
            return 0.0, 1.0
        z, n, p = 1.96, self.total, self.count / self.total
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def as_dict(self) -> dict[str, object]:
        """As plain JSON values; ``share`` is None of nothing."""
        low, high = self.interval
        share = self.count / self.total if self.total else None
        return {"count": self.count, "total": self.total, "share": share, "low": low, "high": high}

    def __str__(self) -> str:
        if not self.total:
            return "none"
        low, high = self.interval
        return f"{100 * self.count / self.total:.1f}% ({100 * low:.1f} to {100 * high:.1f})"
