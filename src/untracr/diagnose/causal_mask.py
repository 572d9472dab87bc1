"""What causal attention does to a program.

With it a selector selects no key after its query: `Select(keys, queries, predicate)`
means the predicate *and* that the key's position is at most the query's. Weights that
are compiled with causal attention compute the program so read. It may be another
function: under the mask nothing reverses its input.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from untracr.errors import EvaluationError, Problem
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import columns_differ
from untracr.rasp.interpreter import Batch
from untracr.rasp.program import Program

SHORTEST_INPUTS = 2_000
"""Inputs compared with and without the mask, the shortest ones; as many again are drawn."""

MAX_POSITION_PAIRS = 20_000_000
"""Pairs of positions in all of them."""


def mask_problem(program: Program, domain: Domain, expression: str) -> Problem | None:
    """A warning where the mask changes what a program gives; None where no input shows it.

    Args:
        program: the program.
        domain: the inputs; some of them are tried.
        expression: the output as printed.
    """
    both = _batches(domain, causal=False), _batches(domain, causal=True)
    for batch, masked in zip(*both, strict=True):
        try:
            without, within = batch.evaluate(program), masked.evaluate(program)
        except EvaluationError:  # which running the program says better
            return None
        differs = np.flatnonzero((columns_differ(without, within) & batch.valid).any(axis=1))
        if len(differs):
            row = int(differs[0])
            rule = (
                "causal attention changes what this program gives: a selector selects no key "
                f"after its query. On input {batch.input(row)} it gives "
                f"{masked.row(within, row)} with causal attention, {batch.row(without, row)} "
                "without"
            )
            fix = "nothing if that is what it is to compute; else compile it without causal"
            return Problem(expression, rule, fix, "warning", program.output)
    return None


def _batches(domain: Domain, *, causal: bool) -> Iterator[Batch]:
    few = max(1, min(SHORTEST_INPUTS, MAX_POSITION_PAIRS // domain.max_seq_len**2))
    yield Batch.of_domain(domain, 0, min(few, domain.size), causal=causal)
    if domain.size > few:
        yield Batch.sampled(domain, few, np.random.default_rng(0), causal=causal)
