"""Sampling around test sets: programs that neither are nor behave like any of theirs.

A program is left out when its fingerprint on a test set's own domain is that of
one of the set's programs (`untracr.sample.fingerprint`). Equal behaviour on all
inputs of the domain gives equal fingerprints, and so does the same program, so
that what is drawn differs from every test program in both. A draw from another
domain is judged by what it does on the test set's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from untracr.rasp.domain import Domain
from untracr.rasp.program import Program
from untracr.sample.deduplication import program_key
from untracr.sample.fingerprint import fingerprint
from untracr.sample.sampler import PAPER, SamplerSettings, sample_program

REDRAW = 2**48
"""How far along its stream an excluded program's substitute lies: where no index goes."""


@dataclass(frozen=True)
class Exclusion:
    """Test sets whose programs and behaviours must not be drawn; empty by default.

    Attributes:
        sets: the names of the test sets, for the record.
        behaviours: fingerprints of their programs, by the domain they are for.
        failing: `program_key` of each program that fails on its own domain and
            so has no fingerprint.
    """

    sets: tuple[str, ...] = ()
    behaviours: tuple[tuple[Domain, frozenset[bytes]], ...] = ()
    failing: frozenset[bytes] = frozenset()

    @classmethod
    def of(cls, name: str, programs: Iterable[tuple[Program, Domain]]) -> Exclusion:
        """Excludes one test set.

        Args:
            name: of the set.
            programs: each with the domain on which it is tested.

        Raises:
            ProgramError: a program that fails uses a composite selector.
        """
        behaviours: dict[Domain, set[bytes]] = {}
        failing = set()
        for program, domain in programs:
            behaviour = fingerprint(program, domain)
            if behaviour is None:
                failing.add(program_key(program))
            else:
                behaviours.setdefault(domain, set()).add(behaviour)
        return cls((name,), _frozen(behaviours), frozenset(failing))

    @classmethod
    def of_sampled(cls, seed: int, count: int, settings: SamplerSettings = PAPER) -> Exclusion:
        """Excludes the first programs of a stream of our own sampler.

        Raises:
            ValueError: the seed is negative.
        """
        drawn = ((sample_program(seed, index, settings), settings.domain) for index in range(count))
        return cls.of(f"sampled {seed}:{count}", drawn)

    def __or__(self, other: Exclusion) -> Exclusion:
        behaviours: dict[Domain, set[bytes]] = {}
        for domain, prints in (*self.behaviours, *other.behaviours):
            behaviours.setdefault(domain, set()).update(prints)
        return Exclusion(self.sets + other.sets, _frozen(behaviours), self.failing | other.failing)

    def holds(self, program: Program) -> bool:
        """Whether a program must not be drawn."""
        if any(fingerprint(program, domain) in prints for domain, prints in self.behaviours):
            return True
        return bool(self.failing) and program_key(program) in self.failing

    @property
    def digest(self) -> str:
        """Names what is excluded, so that a run is resumed with the same; sets' names aside."""
        behaviours = {domain.written: sorted(prints) for domain, prints in self.behaviours}
        written = repr((sorted(behaviours.items()), sorted(self.failing)))
        return hashlib.blake2b(written.encode(), digest_size=8).hexdigest()


NO_EXCLUSION = Exclusion()


def _frozen(behaviours: dict[Domain, set[bytes]]) -> tuple[tuple[Domain, frozenset[bytes]], ...]:
    return tuple((domain, frozenset(prints)) for domain, prints in behaviours.items())


def sample_outside(
    seed: int, index: int, excluded: Exclusion = NO_EXCLUSION, settings: SamplerSettings = PAPER
) -> Program:
    """Program ``index`` of a stream, or a substitute if it is excluded.

    A pure function of its arguments.

    Args:
        seed, index, settings: as for `sample_program`.
        excluded: what must not be drawn.

    Raises:
        ValueError: seed or index is negative.
    """
    program = sample_program(seed, index, settings)
    while excluded.holds(program):
        index += REDRAW
        program = sample_program(seed, index, settings)
    return program
