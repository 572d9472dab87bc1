"""When a vector counts as another, and how much of a half-layer is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from untracr.arrays import Annotated, Floats

READS = 0.05
"""A product this large, against units of one, means that a variable is read."""

STEEP = 3.0
"""What reads a number with a larger factor is a step of a staircase."""

ZERO_LENGTH = 1e-3
"""Lengths and entries up to this are rounding errors, against embeddings of length 1."""

ZERO_SQUARE = 1e-3
"""Squared lengths up to this are those of no vector, against embeddings of length 1."""

ZERO_SHARE = 1e-3
"""Squares, singular values and eigenvalues below this share of the largest are zero."""

EXACT_SHARE_OF_LENGTH = 0.01
"""A vector is recognised within this share of its length."""

NOISE_LIMIT = 2.0
"""Noise may be this many times longer than is expected of it."""

FIRST_ORDER = 12.0
"""Noise in what is known shifts squared distances by up to this many times itself."""

SMALLEST_SQUARE = 0.1
"""... or of this squared length, for vectors that are shorter."""

# Limits for models that nobody compiled, far above what a compiled model of the
# size that can be read reaches: time and memory stay bounded.

MAX_COMPONENTS = 64
"""Components of one half-layer that are looked at."""

MAX_TABLE = 50_000
"""Entries of a table over two variables; a part with a larger one is not observed."""

MAX_OBSERVED = 4_000_000
"""Numbers held to observe one group of neurons."""

MAX_BOS_LOGIT = 8.0
"""BOS's logit relative to the largest is cut off here; compiled models have 1/2 or 1."""


@dataclass(frozen=True)
class Tolerance:
    """How far a vector may be from what explains it.

    Attributes:
        noise: standard deviation of the noise in every entry; 0 for exact weights.
        known: likewise in the directions that explain it.
    """

    noise: float = 0.0
    known: float = 0.0

    def squared(self, vectors: Annotated[Floats, "D vectors"]) -> Annotated[Floats, "vectors"]:
        """The largest squared distance for each column of [d_model, vectors]."""
        squares = np.square(vectors).sum(axis=0)
        # What is known only roughly enters products once, and so do squared distances.
        exact = (EXACT_SHARE_OF_LENGTH**2 + FIRST_ORDER * self.known) * np.maximum(
            squares, SMALLEST_SQUARE
        )
        noisy = NOISE_LIMIT**2 * self.noise**2 * len(vectors)
        return np.asarray(exact + noisy, dtype=np.float64)
