"""Domains drawn at random, so that what is trained on them knows more than the paper's."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from random import Random

from untracr.rasp.domain import Domain


@dataclass(frozen=True)
class OtherDomains:
    """Which items of a stream are for another domain than its usual one.

    Vocabularies are 0, 1, 2, ...; sizes and lengths are drawn uniformly.

    Attributes:
        share: of the items, from 0 to 1.
        vocab_sizes: the smallest and the largest vocabulary.
        max_seq_lens: the smallest and the largest ``max_seq_len``.

    Raises:
        ValueError: the share, or an interval, makes no sense.
    """

    share: float = 0.0
    vocab_sizes: tuple[int, int] = (3, 10)
    max_seq_lens: tuple[int, int] = (3, 8)

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"a share must be from 0 to 1, not {self.share}")
        for name in ("vocab_sizes", "max_seq_lens"):
            smallest, largest = getattr(self, name)
            if not 1 <= smallest <= largest:
                raise ValueError(f"{name} must be 1 <= smallest <= largest: {smallest}, {largest}")

    def draw(self, seed: int, index: int) -> Domain | None:
        """The domain of item ``index`` of the stream ``seed``; None for its usual one.

        A pure function of the settings, seed and index.
        """
        if not self.share:
            return None
        rng = Random(f"domain/{seed}/{index}")
        if rng.random() >= self.share:
            return None
        return _domain(_between(rng, *self.vocab_sizes), _between(rng, *self.max_seq_lens))

    def as_dict(self) -> dict[str, object]:
        """The settings as plain JSON values."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}


NO_OTHERS = OtherDomains()


def _between(rng: Random, smallest: int, largest: int) -> int:
    return smallest + int(rng.random() * (largest - smallest + 1))


@functools.lru_cache(maxsize=1024)
def _domain(n_vocab: int, max_seq_len: int) -> Domain:
    return Domain(tuple(range(n_vocab)), max_seq_len)
