"""Programs with factors of a LinearSequenceMap that the sampler never draws."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from untracr.rasp.nodes import LinearSequenceMap
from untracr.rasp.program import Program

WHOLE: tuple[int, ...] = (-12, -7, -5, -4, 4, 5, 6, 8, 10, 16, 100)
FRACTIONS: tuple[float, ...] = (-2.5, -0.5, 0.1, 0.25, 1 / 3, 0.37, 0.5, 1.5, 2.75)
ZERO = 0.05
"""Share of factors that are 0."""


def with_drawn_factors(program: Program, rng: Random) -> Program:
    """A program whose LinearSequenceMaps have other factors, drawn; the same if it has none."""
    nodes = [
        replace(node, fst_factor=_drawn(rng), snd_factor=_drawn(rng, zero=0.0))
        if isinstance(node, LinearSequenceMap)
        else node
        for node in program.nodes
    ]
    return replace(program, nodes=tuple(nodes))


def _drawn(rng: Random, zero: float = ZERO) -> float:
    if rng.random() < zero:
        return 0
    return rng.choice(WHOLE if rng.random() < 0.5 else FRACTIONS)
