"""Models of which nothing is told but the weights.

Their token rows stand in Tracr's order, BOS and PAD among them, and their staircases
have any slope.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np

from untracr.audit.foreign import without_read_out
from untracr.audit.subject import Subject
from untracr.compile.compiler import MLP_EXACTNESS, compile_program
from untracr.rasp.domain import Domain
from untracr.rasp.program import Program
from untracr.sample.domains import OtherDomains
from untracr.sample.factors import with_drawn_factors
from untracr.sample.sampler import PAPER, sample_program
from untracr.sample.token_names import with_drawn_names
from untracr.transformer import treatments

HALF_OTHER_DOMAINS = OtherDomains(share=0.5, vocab_sizes=(3, 8), max_seq_lens=(3, 7))

SLOPES_UNTOLD = (1, 3, 10, 33.3, 50, 99, 150, 1000, 10_000)


def letters(seed: int, index: int) -> Subject:
    """A sampled program over drawn names, rows in Tracr's order; every other one is rotated."""
    rng = Random(f"audit letters/{seed}/{index}")
    domain = HALF_OTHER_DOMAINS.draw(seed, index) or PAPER.domain
    program = sample_program(seed, index, replace(PAPER, domain=domain))
    return _subject(*with_drawn_names(program, domain, rng), seed, index)


def exactness(seed: int, index: int) -> Subject:
    """A sampled program with drawn factors and slope; every other one is rotated."""
    rng = Random(f"audit exactness/{seed}/{index}")
    program = with_drawn_factors(sample_program(seed, index), rng)
    return _subject(program, PAPER.domain, seed, index, rng.choice(SLOPES_UNTOLD))


def _subject(
    program: Program, domain: Domain, seed: int, index: int, slope: float = MLP_EXACTNESS
) -> Subject:
    compiled = compile_program(program, domain.vocab, domain.max_seq_len, mlp_exactness=slope)
    before = without_read_out(compiled.transformer)
    rng = np.random.default_rng([seed, index])
    return Subject(
        name=f"{seed}/{index}{' rotated' if index % 2 else ''}",
        model=treatments.rotate(before, rng) if index % 2 else before,
        domain=domain,
        reference=program,
        before=before,
        row_names=compiled.token_values,
        mlp_exactness=slope,
    )
