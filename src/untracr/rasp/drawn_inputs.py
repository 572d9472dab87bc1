"""Different inputs drawn from a domain too large to be run whole.

Uniform draws of a large domain never repeat a token five times. Every other input has
few tokens: one alone, a rhythm of some, or a block of each.
"""

from __future__ import annotations

import numpy as np

from untracr.rasp.domain import Domain
from untracr.rasp.interpreter import Batch, Codes

MOST_KINDS = 3
"""Different tokens of an input that repeats itself."""

REDRAWS = 8
"""Times that inputs are drawn again in the place of those that came twice."""

PATTERNS = 4
"""Ways in which an input's few tokens follow each other."""


def drawn_inputs(
    domain: Domain, count: int, rng: np.random.Generator, *, causal: bool = False
) -> Batch:
    """At most ``count`` inputs of a domain, no two of them the same, in random order.

    The inputs of one token repeated, of any length, come with them as far as a quarter
    of the count allows.

    Args:
        domain: the inputs.
        count: how many; the whole domain if that is no larger.
        rng: draws them.
        causal: see `Batch`.
    """
    if domain.size <= count:
        return Batch.of_domain(domain, causal=causal)
    rows = _different(_constant(domain, count // 4, rng))
    for _ in range(REDRAWS):
        if len(rows) >= count:
            break
        rows = _different(np.concatenate([rows, _drawn(domain, count - len(rows), rng)]))
    codes = rows[rng.permutation(len(rows))]
    lengths = (codes >= 0).sum(axis=1)
    return Batch.of_codes(domain, np.maximum(codes, 0), lengths, causal=causal)


def _different(rows: Codes) -> Codes:
    return np.asarray(np.unique(rows, axis=0))


def _constant(domain: Domain, most: int, rng: np.random.Generator) -> Codes:
    """Inputs of one token repeated, [n, positions], -1 behind the end."""
    tokens, longest = len(domain.vocab), domain.max_seq_len
    each = np.arange(tokens * longest)
    if len(each) > most:
        each = rng.choice(each, most, replace=False)
    rows = np.broadcast_to(each[:, None] % tokens, (len(each), longest))
    return _cut(rows, each // tokens + 1)


def _drawn(domain: Domain, count: int, rng: np.random.Generator) -> Codes:
    """Random inputs: half of any tokens, half of few; every other of full length."""
    longest = domain.max_seq_len
    lengths = rng.integers(1, longest + 1, size=count)
    lengths[::2] = longest
    rows = rng.integers(len(domain.vocab), size=(count, longest))
    few = np.flatnonzero(rng.random(count) < 0.5)
    kinds = rng.integers(len(domain.vocab), size=(len(few), MOST_KINDS))
    rows[few] = np.take_along_axis(kinds, _patterns(len(few), longest, rng), axis=1)
    return _cut(rows, lengths)


def _patterns(count: int, longest: int, rng: np.random.Generator) -> Codes:
    """Which of its few tokens an input has at each position, [count, positions].

    In any order, in turn, in one block each, or all the same but for one.
    """
    places = np.broadcast_to(np.arange(longest), (count, longest))
    kinds = rng.integers(1, MOST_KINDS + 1, size=(count, 1))
    blocks = np.sort(rng.integers(kinds, size=(count, longest)), axis=1)
    odd = places == rng.integers(longest, size=(count, 1))
    ways = np.stack([rng.integers(kinds, size=(count, longest)), places % kinds, blocks, odd])
    return np.asarray(ways[rng.integers(PATTERNS, size=count), np.arange(count)], dtype=np.int64)


def _cut(rows: Codes, lengths: Codes) -> Codes:
    """-1 behind the end of each row."""
    return np.where(np.arange(rows.shape[1]) < lengths[:, None], rows, -1)
