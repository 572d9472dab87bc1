"""Telling programs apart: as they are written, and by what they do.

Two keys, both digests of 16 bytes:

* `program_key`: the program up to names, order of statements and sharing of
  equal Selects, nothing else. ``x + y`` of swapped arguments is another program.
* `behaviour_key` (`untracr.rasp.equivalence`): the outputs on every input of a
  domain.

Programs of equal program keys have equal behaviour keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from untracr.compile.canonical import canonicalise, paper_tokens
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.equivalence import behaviour_key
from untracr.rasp.nodes import Aggregate
from untracr.rasp.program import Program
from untracr.short_repr import short_repr

__all__ = ["Overlap", "behaviour_key", "first_of_each", "overlap", "program_key"]


def program_key(program: Program) -> bytes:
    """A digest of a program's canonical form.

    Raises:
        ProgramError: the program uses a composite selector, which has no such form.
    """
    canonical = canonicalise(program)
    # The paper's form leaves out two things that its sampler never varies.
    defaults = [node.default for node in canonical.nodes if isinstance(node, Aggregate)]
    without_operations = canonical.output if len(canonical.nodes) == 2 else None
    written = repr((paper_tokens(canonical), defaults, without_operations))
    return hashlib.blake2b(written.encode(), digest_size=16).digest()


def first_of_each(
    programs: Iterable[Program], key: Callable[[Program], bytes] = program_key
) -> list[Program]:
    """The programs whose key no earlier one has, in their order."""
    found: dict[bytes, Program] = {}
    for program in programs:
        found.setdefault(key(program), program)
    return list(found.values())


@dataclass(frozen=True)
class Overlap:
    """Which test programs also occur among the training programs.

    Attributes:
        by_program: positions of test programs that are written the same, ascending.
        by_behaviour: positions of test programs that behave the same; these
            include the first.
    """

    by_program: tuple[int, ...]
    by_behaviour: tuple[int, ...]

    __repr__ = short_repr

    @property
    def disjoint(self) -> bool:
        """Whether no test program occurs among the training programs, written as it is."""
        return not self.by_program


def overlap(
    train: Iterable[Program], test: Iterable[Program], domain: Domain = PAPER_DOMAIN
) -> Overlap:
    """Which test programs also occur in ``train``, by program and by behaviour.

    Args:
        train, test: programs; ``train`` may be a long stream, of which only
            keys are kept.
        domain: the inputs on which behaviour is compared, all of them.

    Raises:
        ProgramError: a program uses a composite selector or fails on some input.
    """
    written: set[bytes] = set()
    behaving: set[bytes] = set()
    for program in train:
        written.add(program_key(program))
        behaving.add(behaviour_key(program, domain))
    by_program: list[int] = []
    by_behaviour: list[int] = []
    for position, program in enumerate(test):
        if program_key(program) in written:
            by_program.append(position)
        if behaviour_key(program, domain) in behaving:
            by_behaviour.append(position)
    return Overlap(tuple(by_program), tuple(by_behaviour))
