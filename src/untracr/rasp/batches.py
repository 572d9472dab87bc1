"""The inputs of a domain in batches: all there are, or different ones of too many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from untracr.rasp.domain import Domain
from untracr.rasp.drawn_inputs import drawn_inputs
from untracr.rasp.equivalence import INPUTS_AT_ONCE
from untracr.rasp.interpreter import Batch

MAX_INPUTS = 200_000
"""Inputs of the largest domain that is run whole; of larger ones `SAMPLED` are tried."""

SAMPLED = 20_000
"""Different inputs tried of a domain that is too large; fewer where they are very long."""

MAX_DRAWN = 4_000_000
"""Tokens of all inputs that are drawn."""

SAMPLE_SEED = 0
"""From which they are drawn, so that a check can be repeated."""

FIRST_CHUNK = 256
"""Inputs run at first; most programs that differ do so there."""

PAIRS_AT_ONCE = 8_000_000
"""Pairs of positions held at a time to run a program."""


def batches(
    domain: Domain, largest: int, *, causal: bool, first: int = 0, most: int = MAX_INPUTS
) -> Iterator[Batch]:
    """All inputs of a domain, shorter ones first, or different ones of a larger one.

    Args:
        domain: the inputs.
        largest: inputs of a batch.
        causal: as the model.
        first: inputs of the first batch, if fewer.
        most: of a domain with more inputs, different ones are drawn, no more than these.
    """
    size = min(first, largest) or largest
    drawn = None if domain.size <= min(most, MAX_INPUTS) else _drawn(domain, most)
    start, stop = 0, domain.size if drawn is None else len(drawn)
    while start < stop:
        end = min(start + size, stop)
        if drawn is None:
            yield Batch.of_domain(domain, start, end, causal=causal)
        else:
            codes, lengths = drawn.tokens.codes[start:end], drawn.lengths[start:end]
            yield Batch.of_codes(domain, codes, lengths, causal=causal)
        start, size = end, largest


def _drawn(domain: Domain, most: int) -> Batch:
    """Different inputs of a domain that is too large, the same ones every time."""
    count = min(SAMPLED, most, max(FIRST_CHUNK, MAX_DRAWN // domain.max_seq_len))
    return drawn_inputs(domain, count, np.random.default_rng(SAMPLE_SEED))


def affordable_chunk(domain: Domain) -> int:
    """Inputs on which a program may be run at a time: selections take the square of a length."""
    return min(INPUTS_AT_ONCE, max(16, PAIRS_AT_ONCE // domain.max_seq_len**2))
