"""Whether strict compiling accepts only programs whose weights do what they say.

Programs are sampled with 3 to 12 operations, for vocabularies and lengths of which all
inputs can be run, with any mlp_exactness. What is accepted is then run on every input by
`untracr.audit.plain_run`, which shares nothing with what accepts it: its own forward pass,
in double precision, read out as Tracr reads out (the largest column; no None).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random

from untracr.audit.claims import compiled_rows
from untracr.audit.plain_run import decoded_differs
from untracr.diagnose.checks import check
from untracr.diagnose.model import compile_rasp_to_model
from untracr.errors import CheckFailed
from untracr.rasp.domain import Domain
from untracr.rasp.program import Program
from untracr.sample.sampler import SamplerSettings, sample_program
from untracr.transformer.transformer import Transformer

DOMAINS = ((2, 12), (3, 8), (4, 6), (5, 5))
"""Sizes of vocabularies, and the longest inputs of which all can be run."""

LENGTHS = ((3, 5), (4, 8), (9, 12))
"""Operations of programs, fewest and most."""

STEEPEST_DRAWN = 300


@dataclass(frozen=True)
class StrictCase:
    """A program to be compiled strictly.

    Attributes:
        name: what it is, in a few words; unique within its kind.
        program: the program.
        domain: its inputs.
        exactness: of its weights.
    """

    name: str
    program: Program
    domain: Domain
    exactness: int

    @property
    def model(self) -> Transformer:
        """Its weights, rows of W_E in the domain's order, then BOS and PAD."""
        return compiled_rows(self.program, self.domain, causal=False, mlp_exactness=self.exactness)


@dataclass(frozen=True)
class StrictAnswer:
    """What strict compiling and ``check`` said, and what is so.

    Attributes:
        accepted: whether either of them accepts the program.
        wrong: an input on which its weights do not do what it says; empty if there is none.
        disagree: whether only one of them accepts it.
        seconds: both took.
    """

    accepted: bool
    wrong: str
    disagree: bool
    seconds: float

    @property
    def verdict(self) -> str:
        """In a word or a few."""
        if self.accepted:
            return "accepted"
        return "refused" if self.wrong else "refused, though right"

    @property
    def false(self) -> str:
        """What is false in the answer; empty if nothing is."""
        if self.disagree:
            return "strict compiling and check disagree"
        return self.wrong if self.accepted else ""


def strict_case(seed: int, index: int) -> StrictCase:
    """Item ``index`` of the stream ``seed``."""
    random = Random(f"strict/{seed}/{index}")
    tokens, longest = random.choice(DOMAINS)
    domain = Domain(tuple(range(tokens)), random.randint(max(2, longest - 4), longest))
    fewest, most = random.choice(LENGTHS)
    settings = SamplerSettings(domain, fewest, most, max_tokens=256, max_weights=1_000_000)
    program = sample_program(seed, index, settings)
    exactness = random.randint(1, STEEPEST_DRAWN)
    name = f"{seed}/{index} exactness {exactness}, {tokens} tokens, length {domain.max_seq_len}"
    return StrictCase(name, program, domain, exactness)


def strict_answer(case: StrictCase) -> StrictAnswer:
    """Compiles and checks a program, then runs its weights on every input."""
    vocab, length = case.domain.vocab, case.domain.max_seq_len
    begun = time.perf_counter()
    try:
        compile_rasp_to_model(case.program, vocab, length, mlp_exactness=case.exactness)
        compiles = True
    except CheckFailed:
        compiles = False
    problems = check(case.program, vocab, length, mlp_exactness=case.exactness)
    fine = not any(problem.severity == "error" for problem in problems)
    seconds = time.perf_counter() - begun
    wrong = decoded_differs(case.model, case.program, case.domain)
    return StrictAnswer(compiles or fine, wrong, compiles != fine, seconds)
