"""What may be shown of a model and a program, and what was compared for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["identical", "equivalent", "tested", "unverified"]

PROVED: tuple[Verdict, ...] = ("identical", "equivalent")
"""Verdicts that hold on every input of the domain."""


def headline(verdict: Verdict, departures: int) -> str:
    """A verdict in a few words, with what takes from it."""
    if not departures:
        return verdict
    inputs = f"{departures:,} input{'s'[: departures != 1]}"
    return f"{verdict} weights, but not what the program says on {inputs}"


ReadOutRelation = Literal["not compared", "same", "different"]

WeightRelation = Literal["not compared", "reordered", "rotated", "projected", "noisy", "different"]


@dataclass(frozen=True)
class Evidence:
    """What was compared, and how closely.

    Attributes:
        weights: how the model's weights are to those that the program compiles to: the same
            with axes, heads and neurons ``reordered`` at most; the same but for a change of
            basis (``rotated``); all of them projected on fewer dimensions (``projected``);
            the same but for noise of one size everywhere (``noisy``).
        weights_off: the largest difference of a weight, relative to the larger of 1 and
            itself (of a vector and its length, where a basis was changed); the root mean
            square of the noise for ``noisy``.
        inputs_checked: different inputs on which outputs were compared.
        inputs_agree: on how many of them they agree.
        output_tolerance: how far a numerical output may be off, relative to the larger
            of 1 and itself; 0 where outputs are values, or were not compared. Where the
            weights are the program's but projected or noisy, less than half the distance
            between any two numbers that it puts out.
        read_out: whether the model's read-out is the ``same`` as that of the program's own
            weights, column by column: then what it gives follows from the weights, on
            every input, and no input is run.
    """

    weights: WeightRelation = "not compared"
    weights_off: float = 0.0
    inputs_checked: int = 0
    inputs_agree: int = 0
    output_tolerance: float = 0.0
    read_out: ReadOutRelation = "not compared"


NOTHING_COMPARED = Evidence()
