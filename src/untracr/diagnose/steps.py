"""How far a staircase of ReLU pairs may be off, value by value.

A step between neighbouring points rises over a stretch of ``1 / exactness`` that ends
half-way between them, so it is clear of the lower point only where they are at least
``2 / exactness`` apart. Weights and sums are in single precision, which blurs steps
whose slope or place is large.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from untracr.arrays import Floats
from untracr.diagnose.blur import AS_COMPILED, UNIT, Blur

SAME_PLACE = 1e-9
"""Points that are no farther apart, relative to 1, are one value (rounded differently)."""

LARGEST_BLUR_OF_STEP = 1e-2
"""A step that is off by this much may matter."""

MAX_CELLS = 4_000_000
"""Steps times points that are looked at."""

STEEPEST_SLOPE = 2**24
"""Slopes above this have no place in single precision."""


@dataclass(frozen=True, eq=False)
class Staircase:
    """A function of a number as weights compute it.

    Attributes:
        points: [n], the numbers that it is made for, ascending.
        results: [n], what it gives at each: a number, or the place of a value.
        is_categorical: whether these are places.
        exactness: the slope.
    """

    points: Floats
    results: Floats
    is_categorical: bool
    exactness: float

    def off(self, low: Floats, high: Floats, blur: Blur = AS_COMPILED) -> tuple[Floats, Floats]:
        """How far what is written may be off, at each point.

        Args:
            low, high: [n], between these is what is read instead of each point.
            blur: how far what neurons read and write may be off.

        Returns:
            [n], of one output at most; [n], of all outputs together. Infinite where there
            are too many points to tell.
        """
        steps = np.flatnonzero(self.results[1:] != self.results[:-1])
        if len(steps) * len(self.points) > MAX_CELLS:
            unknown = np.full(len(self.points), np.inf)
            return unknown, unknown
        middles = (self.points[1:] + self.points[:-1])[steps] / 2
        above = (np.arange(len(self.points))[:, None] > steps[None, :]) * 1.0
        ends = [np.clip(self.exactness * (x[:, None] - middles) + 1, 0, 1) for x in (low, high)]
        off_step = np.maximum(*(np.abs(end - above) for end in ends))
        off_step += self._rounding(high, middles, blur)
        if not self.is_categorical:
            off = off_step @ np.abs(np.diff(self.results)[steps])
            return off, off
        places, rank = np.unique(self.results, return_inverse=True)
        each = np.zeros((len(places), len(self.points)))
        for outputs in (rank[steps], rank[steps + 1]):  # a step moves from one to the other
            np.add.at(each, outputs, off_step.T)
        return each.max(axis=0), each.sum(axis=0)

    def _rounding(self, high: Floats, middles: Floats, blur: Blur) -> Floats:
        """How far rounding may be off, of each step at each point."""
        size = self.exactness * (np.abs(high)[:, None] + np.abs(middles)) + 1
        rounding = 4 * blur.unit * size
        rounding += 2 * blur.slip * (self.exactness * (1 + np.abs(middles)) + 1)
        neurons = self.exactness * (high[:, None] - middles) + 1 + rounding
        return np.asarray((rounding + 8 * blur.unit * neurons) * (neurons > 0))

    def sufficient(self) -> float:
        """The slope from which all steps are clear of all points; inf where none can be."""
        gaps = np.diff(self.points)
        size = np.maximum(1.0, np.abs(self.points[1:]))
        matters = (self.results[1:] != self.results[:-1]) & (gaps > SAME_PLACE * size)
        if not matters.any():
            return 0.0
        slope = 2.0 / float(gaps[matters].min())
        largest = float(np.abs(self.points).max())
        return slope if slope * max(1.0, largest) < STEEPEST_SLOPE else math.inf

    def steepest(self) -> float:
        """The slope up to which single precision blurs no step by more than
        `LARGEST_BLUR_OF_STEP`."""
        largest = max(1.0, float(np.abs(self.points).max()))
        return LARGEST_BLUR_OF_STEP / (8 * UNIT * largest)
