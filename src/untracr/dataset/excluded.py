"""What a data set must not hold: programs of test sets and of other data sets.

As in `untracr.sample.exclusion` a program is left out when it behaves as one of
theirs on that set's inputs, whatever inputs it is drawn for. Of each behaviour
eight bytes are kept, in sorted arrays: a million takes 8 MB, and leaves out one
of 10^13 draws for nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.rasp.domain import Domain
from untracr.rasp.program import Program
from untracr.sample.deduplication import program_key
from untracr.sample.exclusion import Exclusion
from untracr.sample.fingerprint import fingerprint
from untracr.short_repr import short_repr

Prefixes = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Excluded:
    """Sets whose programs and behaviours are left out; empty by default.

    Attributes:
        sets: their names, for the record.
        behaviours: first bytes of their fingerprints, ascending, by the domain
            that these are for.
        failing: `program_key` of each program that has no fingerprint.
    """

    sets: tuple[str, ...] = ()
    behaviours: tuple[tuple[Domain, Prefixes], ...] = ()
    failing: frozenset[bytes] = frozenset()

    __repr__ = short_repr

    @classmethod
    def of(cls, exclusion: Exclusion) -> Excluded:
        """Leaves out what training leaves out."""
        behaviours = tuple((d, prefixes(prints)) for d, prints in exclusion.behaviours)
        return cls(exclusion.sets, behaviours, exclusion.failing)

    def __or__(self, other: Excluded) -> Excluded:
        merged: dict[Domain, Prefixes] = {}
        for domain, found in (*self.behaviours, *other.behaviours):
            merged[domain] = np.union1d(merged[domain], found) if domain in merged else found
        return Excluded(self.sets + other.sets, tuple(merged.items()), self.failing | other.failing)

    def holds(self, program: Program) -> bool:
        """Whether a program is left out."""
        for domain, found in self.behaviours:
            here = fingerprint(program, domain)
            if here is not None and _is_among(found, prefixes([here])[0]):
                return True
        return bool(self.failing) and program_key(program) in self.failing

    def as_dict(self) -> dict[str, object]:
        """What is recorded: the names, and a digest of all that is left out."""
        digest = hashlib.blake2b(digest_size=8)
        for domain, found in sorted(self.behaviours, key=lambda pair: pair[0].written):
            digest.update(domain.written.encode() + found.astype("<u8").tobytes())
        digest.update(repr(sorted(self.failing)).encode())
        return {"sets": list(self.sets), "digest": digest.hexdigest()}


NOTHING_EXCLUDED = Excluded()


def prefixes(fingerprints: Iterable[bytes]) -> Prefixes:
    """The first eight bytes of each fingerprint as a number, ascending, each once."""
    return np.unique(
        np.array([int.from_bytes(found[:8], "big") for found in fingerprints], dtype=np.uint64)
    )


def _is_among(found: Prefixes, wanted: np.uint64) -> bool:
    place = int(np.searchsorted(found, wanted))
    return place < len(found) and found[place] == wanted
