"""Sampling around a test set: programs that are not among given ones."""

from __future__ import annotations

import hashlib
from collections.abc import Set

from untracr.rasp.program import Program
from untracr.sample.deduplication import program_key
from untracr.sample.sampler import PAPER, SamplerSettings, sample_program

REDRAW = 2**48
"""How far along its stream an excluded program's substitute lies: where no index goes."""


def sample_outside(
    seed: int, index: int, excluded: Set[bytes], settings: SamplerSettings = PAPER
) -> Program:
    """Program ``index`` of a stream, or a substitute if it is excluded.

    A pure function of its arguments.

    Args:
        seed, index, settings: as for `sample_program`.
        excluded: `program_key` of each program that must not be drawn.
    """
    program = sample_program(seed, index, settings)
    while excluded and program_key(program) in excluded:
        index += REDRAW
        program = sample_program(seed, index, settings)
    return program


def exclusion_digest(excluded: Set[bytes]) -> str:
    """Names a set of excluded programs, so that a run is resumed with the same one."""
    return hashlib.blake2b(b"".join(sorted(excluded)), digest_size=8).hexdigest()
