"""What a data set is made of; all but its exclusions is recorded in it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

from untracr.rasp.domain import Domain
from untracr.sample.domains import NO_OTHERS, OtherDomains
from untracr.sample.sampler import PAPER, SamplerSettings
from untracr.sample.treatment_shares import ALL_AS_COMPILED, TreatmentShares
from untracr.short_repr import short_repr

SPLITS = ("train", "validation", "test")

LARGEST_SEED = 2**63 - 1
"""The largest that its column holds."""


@dataclass(frozen=True)
class DatasetSettings:
    """A data set: the first distinct programs of a stream, compiled and treated.

    Attributes:
        programs: how many there are, all splits together.
        seed: of the stream.
        sampler: which programs are drawn, and for which domain.
        other_domains: how many are drawn for which other domains instead.
        treatments: how many weights are not as compiled.
        shares: of the behaviours that go to each of `SPLITS`.
        shard_size: programs a file; the last of a split has fewer.

    Raises:
        ValueError: a number makes no sense.
    """

    programs: int
    seed: int
    sampler: SamplerSettings = PAPER
    other_domains: OtherDomains = NO_OTHERS
    treatments: TreatmentShares = ALL_AS_COMPILED
    shares: tuple[float, float, float] = (0.9, 0.05, 0.05)
    shard_size: int = 1000

    __repr__ = short_repr

    def __post_init__(self) -> None:
        if self.programs < 1 or self.shard_size < 1:
            raise ValueError(
                "programs and shard_size must be at least 1, "
                f"not {self.programs} and {self.shard_size}"
            )
        if not 0 <= self.seed <= LARGEST_SEED:
            raise ValueError(f"a seed must be from 0 to {LARGEST_SEED}, not {self.seed}")
        fine = all(0 <= share <= 1 for share in self.shares)
        if not fine or not math.isclose(math.fsum(self.shares), 1.0, abs_tol=1e-9):
            raise ValueError(
                "shares of train, validation and test must be from 0 to 1 and add up to 1, "
                f"not {self.shares}"
            )

    @property
    def behaviour_domain(self) -> Domain:
        """The inputs on which behaviours are compared: those that all programs are for.

        Programs that behave the same wherever both are defined behave the same here.
        """
        usual = self.sampler.domain
        if not self.other_domains.share:
            return usual
        size = min(len(usual.vocab), self.other_domains.vocab_sizes[0])
        return Domain(
            usual.vocab[:size], min(usual.max_seq_len, self.other_domains.max_seq_lens[0])
        )

    def split_of(self, behaviour: bytes) -> str:
        """The split of all programs of one behaviour.

        Nothing but the behaviour decides: it is the same at any seed, in all data sets
        that have the same ``shares`` and compare behaviours on the same `behaviour_domain`.

        Args:
            behaviour: a fingerprint.
        """
        digest = hashlib.blake2b(b"untracr split" + behaviour, digest_size=8).digest()
        point = int.from_bytes(digest, "big") / 2**64
        for name, share in zip(SPLITS, self.shares, strict=True):
            point -= share
            if point < 0:
                return name
        return next(name for name, share in zip(SPLITS, self.shares, strict=True) if share)

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        sampler = self.sampler
        return {
            "programs": self.programs,
            "seed": self.seed,
            "vocab": list(sampler.domain.vocab),
            "max_seq_len": sampler.domain.max_seq_len,
            "min_length": sampler.min_length,
            "max_length": sampler.max_length,
            "max_tokens": sampler.max_tokens,
            "max_weights": sampler.max_weights,
            "other_domains": self.other_domains.as_dict(),
            "treatments": self.treatments.as_pairs(),
            "shares": list(self.shares),
            "shard_size": self.shard_size,
        }

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> DatasetSettings:
        """Reads back what `as_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        others = entries["other_domains"]
        names = ("min_length", "max_length", "max_tokens", "max_weights")
        return cls(
            programs=entries["programs"],
            seed=entries["seed"],
            sampler=SamplerSettings(
                domain=Domain(tuple(entries["vocab"]), entries["max_seq_len"]),
                **{name: entries[name] for name in names},
            ),
            other_domains=OtherDomains(
                others["share"], tuple(others["vocab_sizes"]), tuple(others["max_seq_lens"])
            ),
            treatments=TreatmentShares(tuple((name, s) for name, s in entries["treatments"])),
            shares=tuple(entries["shares"]),
            shard_size=entries["shard_size"],
        )
