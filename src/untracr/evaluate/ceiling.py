"""The ceiling that identifiability sets, and how the answers stand to it.

Of a model whose weights n programs have (see `same_weight_programs`), a reader
who knows them, and guesses uniformly among them, writes the right one with
probability 1 / n. One who also knew how often each is drawn could do better.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from untracr.evaluate.share import Share


@dataclass(frozen=True)
class Ceiling:
    """What the weights alone leave open, and how the answers stand to it.

    Attributes:
        programs: per model, how many programs have its very weights, itself
            included (see `same_weight_programs`); None where not counted.
        exact: per model, whether the answer was token-exact.
    """

    programs: tuple[int | None, ...]
    exact: tuple[bool, ...]

    @property
    def expected(self) -> float | None:
        """The expected share of exact answers of a reader who guesses uniformly among them."""
        counts = [n for n in self.programs if n is not None]
        return sum(1 / n for n in counts) / len(counts) if counts else None

    @property
    def unique(self) -> Share:
        """How many programs are determined by their weights."""
        return Share.of(n == 1 for n in self.programs if n is not None)

    def found(self, *, unique: bool) -> Share:
        """Token-exact answers to models that determine their program, or that do not."""
        pairs = zip(self.programs, self.exact, strict=True)
        return Share.of(hit for n, hit in pairs if n is not None and (n == 1) == unique)

    def as_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        counts = Counter(n for n in self.programs if n is not None)
        return {
            "expected_exact": self.expected,
            "unique": self.unique.as_dict(),
            "models_by_programs": {str(n): counts[n] for n in sorted(counts)},
            "not_counted": sum(n is None for n in self.programs),
            "exact_where_unique": self.found(unique=True).as_dict(),
            "exact_where_open": self.found(unique=False).as_dict(),
        }
