"""The kinds of models that answers are judged on.

Item ``index`` of a kind is a pure function of (seed, index). Sampled programs
and their treatments are those of ``untracr eval`` with the same seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random

import numpy as np

from untracr.audit.claims import compiled_rows
from untracr.audit.foreign import (
    changed,
    changed_rotated,
    random_weights,
    spliced,
    without_read_out,
)
from untracr.audit.forms import half_a_basis, inner_basis, renamed_variables
from untracr.audit.read_outs import changed_read_out, rare_outputs
from untracr.audit.strict import StrictCase, strict_case
from untracr.audit.subject import Subject
from untracr.audit.untold import exactness, letters
from untracr.compile.canonical import canonicalise
from untracr.compile.lowering import lower_selectors
from untracr.errors import UsageError, did_you_mean
from untracr.rasp.domain import Domain
from untracr.rasp.program import Program
from untracr.sample.domains import OtherDomains
from untracr.sample.outside import with_outside_functions
from untracr.sample.sampler import PAPER, SamplerSettings, sample_program
from untracr.short_repr import short_repr
from untracr.syntax.hand_written import HAND_WRITTEN
from untracr.syntax.library import LIBRARY, NamedProgram
from untracr.transformer.named_treatments import Treatment, parse_treatments

Draw = Callable[[int, int], tuple[Program, Domain, bool]]
"""From (seed, index) a program, its domain, and whether attention is causal."""

KEEPS_WEIGHTS = ("compiled", "rotated")
"""Treatments that leave weights that a program compiles to, up to a rotation."""

LONG = SamplerSettings(min_length=9, max_length=12)
ALL_OTHER_DOMAINS = OtherDomains(share=1.0, vocab_sizes=(3, 8), max_seq_lens=(3, 7))
NAMED = (*LIBRARY, *HAND_WRITTEN)


@dataclass(frozen=True)
class Kind:
    """A kind of models.

    Attributes:
        what: it is, in a few words.
        make: item ``index`` from (seed, index).
        largest: how many different items there are, None if there is no end.
        needs_torch: whether its items can be made only where PyTorch is installed.
        strict: the program of item ``index``, if it is to be compiled strictly instead of
            decompiled.
    """

    what: str
    make: Callable[[int, int], Subject]
    largest: int | None = None
    needs_torch: bool = False
    strict: Callable[[int, int], StrictCase] | None = None

    __repr__ = short_repr


def treated_subject(
    draw: Draw, treatment: Treatment, seed: int, index: int, *, read_out: bool
) -> Subject:
    """A program compiled, treated, and given with or without its read-out."""
    program, domain, causal = draw(seed, index)
    compiled = compiled_rows(program, domain, causal=causal)
    model = treatment.apply(compiled, np.random.default_rng([seed, index])).model
    return Subject(
        name=f"{seed}/{index} {treatment.label}{', read-out' if read_out else ''}",
        model=model if read_out else without_read_out(model),
        domain=domain,
        reference=program,
        before=without_read_out(compiled) if treatment.name in KEEPS_WEIGHTS else None,
        read_out=model,
    )


def sampled(settings: SamplerSettings, seed: int, index: int) -> tuple[Program, Domain, bool]:
    """A program of our sampler."""
    return sample_program(seed, index, settings), settings.domain, False


def of_other_domain(seed: int, index: int) -> tuple[Program, Domain, bool]:
    """A program of our sampler, for other tokens and lengths."""
    domain = ALL_OTHER_DOMAINS.draw(seed, index) or PAPER.domain
    return sample_program(seed, index, replace(PAPER, domain=domain)), domain, False


def with_other_functions(seed: int, index: int) -> tuple[Program, Domain, bool]:
    """A program of our sampler with functions that the sampler never draws."""
    program = sample_program(seed, index)
    other = with_outside_functions(program, Random(f"audit/{seed}/{index}"))
    return canonicalise(other) if other is not None else program, PAPER.domain, False


def of_names(
    named: tuple[NamedProgram, ...], seed: int, index: int
) -> tuple[Program, Domain, bool]:
    """One of several named programs, again and again."""
    program_named = named[index % len(named)]
    domain = program_named.domain
    program = canonicalise(lower_selectors(program_named.program, domain.vocab, domain.max_seq_len))
    return program, domain, program_named.causal


def treated_kind(
    what: str, draw: Draw, treatment: str, *, read_out: bool, largest: int | None = None
) -> Kind:
    """A kind of treated models of known programs."""
    (found,) = parse_treatments(treatment)
    make = partial(treated_subject, draw, found, read_out=read_out)
    return Kind(what, make, largest)


def _of_any_exactness(seed: int, index: int) -> Subject:
    case = strict_case(seed, index)
    return Subject(case.name, case.model, case.domain, case.program, read_out=case.model)


def _trained(seed: int, index: int) -> Subject:
    from untracr.audit.trained import trained

    return trained(seed, index)


_PAPER = partial(sampled, PAPER)
_LONG = partial(sampled, LONG)
_NAMED = partial(of_names, NAMED)
_COMPRESSED = "rotated-compressed-bos"

KINDS: dict[str, Kind] = {
    "compiled": treated_kind("as compiled", _PAPER, "compiled", read_out=False),
    "compiled-read-out": treated_kind(
        "as compiled, with read-out", _PAPER, "compiled", read_out=True
    ),
    "rotated": treated_kind("rotated", _PAPER, "rotated", read_out=False),
    "rotated-read-out": treated_kind("rotated, with read-out", _PAPER, "rotated", read_out=True),
    "compressed": treated_kind(
        "rotated and compressed, with read-out", _PAPER, _COMPRESSED, read_out=True
    ),
    "compressed-bare": treated_kind(
        "rotated and compressed, no read-out", _PAPER, _COMPRESSED, read_out=False
    ),
    "noisy": treated_kind("noise of 1%, with read-out", _PAPER, "noisy:0.01", read_out=True),
    "noisy-bare": treated_kind("noise of 1%, no read-out", _PAPER, "noisy:0.01", read_out=False),
    "long": treated_kind("lengths 9 to 12, as compiled", _LONG, "compiled", read_out=False),
    "long-rotated": treated_kind("lengths 9 to 12, rotated", _LONG, "rotated", read_out=False),
    "domains": treated_kind(
        "other tokens and lengths, as compiled", of_other_domain, "compiled", read_out=False
    ),
    "domains-rotated": treated_kind(
        "other tokens and lengths, rotated, with read-out",
        of_other_domain,
        "rotated",
        read_out=True,
    ),
    "outside": treated_kind(
        "functions never sampled, as compiled", with_other_functions, "compiled", read_out=False
    ),
    "outside-rotated": treated_kind(
        "functions never sampled, rotated, with read-out",
        with_other_functions,
        "rotated",
        read_out=True,
    ),
    "named": treated_kind(
        "library and hand-written", _NAMED, "compiled", read_out=True, largest=len(NAMED)
    ),
    "named-rotated": treated_kind(
        "library and hand-written, rotated", _NAMED, "rotated", read_out=True
    ),
    "renamed": Kind("variables of random names, every second rotated", renamed_variables),
    "inner-basis": Kind("heads in any inner basis, all parts and axes in any order", inner_basis),
    "half-a-basis": Kind("one factor of a head, or one entry of a product, changed", half_a_basis),
    "letters": Kind("drawn names, rows in Tracr's order, nothing told", letters),
    "exactness": Kind("drawn factors and mlp_exactness, nothing told", exactness),
    "random": Kind("random weights", random_weights),
    "trained": Kind("trained weights", _trained, needs_torch=True),
    "spliced": Kind("parts of two models", spliced),
    "changed": Kind("one weight changed", changed),
    "read-out-changed": Kind("read-out changed, half rotated", changed_read_out),
    "rare-outputs": Kind("other outputs on rare inputs, with read-out", rare_outputs),
    "changed-rotated": Kind("one weight changed, then rotated", changed_rotated),
    "strict": Kind(
        "programs of any exactness, compiled strictly", _of_any_exactness, strict=strict_case
    ),
}


def parse_kinds(text: str) -> tuple[str, ...]:
    """Reads a list of kinds, or ``all`` of them.

    Raises:
        UsageError: there is none of that name, or one comes twice.
    """
    if text == "all":
        return tuple(KINDS)
    names = tuple(name.strip() for name in text.split(","))
    for number, name in enumerate(names):
        if name not in KINDS:
            raise UsageError(
                f"a kind is one of {', '.join(KINDS)}, or all, not {name!r}"
                f"{did_you_mean(name, KINDS)}"
            )
        if name in names[:number]:
            raise UsageError(f"a kind may be asked for once, {name} comes twice")
    return names
