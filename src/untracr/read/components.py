"""Components: the parts of a half-layer, described in the frame of known variables.

An attention head is a component (`heads`); neurons are grouped into components
(`neurons`): the grid of a SequenceMap, the staircase of a function of a number,
the neurons of a lookup. Each is *observed*: which variables it reads, and the
table of what it writes for each of their values, up to the names of the results.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from untracr.arrays import Bools, Floats, Ints
from untracr.read.frame import Variable
from untracr.transformer.half_layer import HalfLayer

READS = 0.05
"""A product this large, against units of one, means that a variable is read."""

STEEP = 3.0
"""What reads a number with a larger factor is a step of a staircase."""

NOTHING = 1e-3
"""Weights and lengths up to this are rounding errors around zero."""

EXACT = 0.01
"""A vector is recognised within this share of its length."""

NOISE_LIMIT = 2.0
"""Noise may be this many times longer than is expected of it."""

FIRST_ORDER = 12.0
"""Noise in what is known shifts squared distances by up to this many times itself."""

SMALLEST = 0.1
"""... or of this squared length, for vectors that are shorter."""

SAME = 0.1
"""Squared distance up to which two written vectors are the same, in units of the longest."""

# Limits for models that nobody compiled, far above what a compiled model of the
# size that can be read reaches: time and memory stay bounded.

MAX_COMPONENTS = 64
"""Components of one half-layer that are looked at."""

MAX_TABLE = 50_000
"""Entries of a table over two variables; a part with a larger one is not observed."""

MAX_OBSERVED = 4_000_000
"""Numbers held to observe one group of neurons."""

MAX_GROUPS = 1_000
"""Directions that are told apart."""

MAX_BOS_LOGIT = 8.0
"""BOS's logit relative to the largest is cut off here; compiled models have 1/2 or 1."""

KINDS: tuple[str, ...] = (
    "lookup",  # categorical to categorical Map
    "sum",  # categorical to numerical Map: a single neuron
    "pairs",  # SequenceMap
    "stair to number",
    "stair to values",
    "linear",
    "width stair",  # second half of a SelectorWidth
    "clean",  # takes back what a SelectorWidth wrote at BOS
    "move",  # Aggregate, categorical
    "mean",  # Aggregate, numerical
    "width",  # first half of a SelectorWidth
    "unknown",
)


@dataclass(frozen=True)
class Component:
    """One part of a half-layer.

    Attributes:
        half_layer: where it is.
        kind: one of `KINDS`, judged from its form.
        reads: the variables it reads, in order of argument (a head: key, query,
            value); None where none was found.
        size: neurons, or key columns of a head.
        head: the head's number, -1 for neurons.
        neurons: the neurons' numbers.
        outputs: what it writes for each assignment of the variables read,
            [assignments, d_model]; a pair's first argument is major. For
            ``linear`` the two rows are its effect per unit of each input.
        groups: outputs numbered by first appearance; for ``lookup`` the
            position of the neuron instead, which is the output's rank.
        numbers: for numerical output, its size along ``direction``.
        spread: standard deviation of the noise in ``numbers``.
        direction: of a numerical output, oriented if it could be.
        orientation: how the sign of ``direction`` was found: 0 not at all, 1 by
            later readers, 2 by the axes of an unrotated model.
        logits: what a head's columns of W_Q read of each query's value, [keys, queries].
        table: its selections, likewise: which of them are large.
        bos_logit: a head's logit on BOS relative to its largest.
        is_disordered: a head reads its keys' values, but not in their order: they are others.
        is_whole: no direction was lost by a compression: where nothing is written, the
            result is None.
    """

    half_layer: HalfLayer
    kind: str
    reads: tuple[Variable | None, ...]
    size: int
    head: int = -1
    neurons: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    outputs: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    groups: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    numbers: Floats = field(default_factory=lambda: np.zeros(0))
    spread: float = 0.0
    direction: Floats | None = None
    orientation: int = 0
    logits: Floats | None = None
    table: Bools | None = None
    bos_logit: float = 0.0
    is_disordered: bool = False
    is_whole: bool = False

    @property
    def is_of_one(self) -> bool:
        """Whether it combines a variable with itself."""
        return self.kind == "pairs" and self.reads[0] is self.reads[1]

    @property
    def is_operation(self) -> bool:
        """Whether it stands for an operation of its own."""
        return self.kind not in ("clean", "width stair")


@dataclass(frozen=True)
class Tolerance:
    """How far a vector may be from what explains it.

    Attributes:
        noise: standard deviation of the noise in every entry; 0 for exact weights.
        known: likewise in the directions that explain it.
    """

    noise: float = 0.0
    known: float = 0.0

    def squared(self, vectors: Floats) -> Floats:
        """The largest squared distance for each column of [d_model, vectors]."""
        squares = np.square(vectors).sum(axis=0)
        # What is known only roughly enters products once, and so do squared distances.
        exact = (EXACT**2 + FIRST_ORDER * self.known) * np.maximum(squares, SMALLEST)
        noisy = NOISE_LIMIT**2 * self.noise**2 * len(vectors)
        return np.asarray(exact + noisy, dtype=np.float64)


def groups_of_pairs(groups: Ints, count: int) -> Ints | None:
    """Groups of all pairs of values, from those of values with themselves.

    Weights hold only ``f(x, x)``, and how many results there are. Pairs of different
    values give the results that are left, then those of the first value.

    Args:
        groups: [n], per value; -1 for None.
        count: of all results.

    Returns:
        [n * n], first value major; None where there are too few pairs for all results.
    """
    n = len(groups)
    others = np.setdiff1d(np.arange(count), groups)
    if len(others) > n * (n - 1):
        return None
    found = np.repeat(groups, n)
    places = np.setdiff1d(np.arange(n * n), np.arange(n) * (n + 1))
    found[places[: len(others)]] = others
    return found


def direction_groups(vectors: Floats, noise: float = 0.0) -> Ints:
    """Numbers vectors, the same ones alike, in order of first appearance; -1 where nothing is.

    Args:
        vectors: [n, d_model].
        noise: standard deviation of their entries.
    """
    squares = np.einsum("nd,nd->n", vectors, vectors)
    squares = np.where(np.isfinite(squares), squares, 0.0)
    noisy = NOISE_LIMIT**2 * noise**2 * vectors.shape[1]
    largest = max(float(squares.max(initial=0.0)), NOTHING)
    groups = np.full(len(vectors), -1, dtype=np.int64)
    number = 0
    while (open_ := np.flatnonzero((groups < 0) & (squares > NOTHING * largest + noisy))).size:
        if number == MAX_GROUPS:
            groups[open_] = number
            break
        difference = vectors[open_] - vectors[open_[0]]
        distance = np.einsum("nd,nd->n", difference, difference)
        same = distance < SAME**2 * largest + 2 * noisy
        same[0] = True  # also where numbers are not finite
        groups[open_[same]] = number
        number += 1
    return groups
