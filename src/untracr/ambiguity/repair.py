"""Repairing a program by the inputs on which its outputs are wrong.

Weights leave some functions open: what results are called where only the output
shows them, the sign of a number that nothing reads. Programs of the same weights
that differ in one function are tried on the same inputs, and from the best of
them again, until one gives all of the model's outputs.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass

from untracr.ambiguity.alternatives import alternatives
from untracr.errors import EvaluationError
from untracr.rasp.batches import FIRST_CHUNK, batches
from untracr.rasp.domain import Domain
from untracr.rasp.program import Program
from untracr.transformer.transformer import Transformer
from untracr.verify.outputs import (
    largest_chunk,
    positions_that_agree,
    read_outs,
    tolerance_of_changed,
)
from untracr.verify.recompiling import recompile
from untracr.verify.weight_equivalence import WeightEquivalence

MAX_PROGRAMS_EXPANDED = 12
"""Programs from which others are tried."""

UP_TO_ROTATION = WeightEquivalence(True)
"""How the weights of programs are alike that compressed or noisy weights cannot tell apart."""


@dataclass(frozen=True)
class Repaired:
    """The program that agrees best.

    Attributes:
        program: that program.
        tried: how many others were tried on the inputs.
    """

    program: Program
    tried: int


def repair(model: Transformer, program: Program, domain: Domain) -> Repaired:
    """Of the programs with the same weights the one with most of the model's outputs.

    Args:
        model: with a read-out that has values; its weights are the program's, but
            projected or noisy.
        program: a candidate.
        domain: the inputs; the first are tried.
    """
    largest = min(FIRST_CHUNK, largest_chunk(model, domain))
    batch = next(batches(domain, largest, causal=model.causal))
    seen = read_outs(model, batch)

    def share(candidate: Program) -> float:
        """The share of positions on which a program agrees."""
        try:
            tolerance = tolerance_of_changed(candidate, domain, causal=model.causal)
            column = batch.evaluate(candidate)
        except EvaluationError:
            return -1.0
        agrees = positions_that_agree(model, batch, column, tolerance, seen)
        return float(agrees[batch.valid].mean())

    numbers = itertools.count()
    best, best_share = program, share(program)
    queue = [(-best_share, next(numbers), program)]
    known = {program}
    for _ in range(MAX_PROGRAMS_EXPANDED):
        if best_share == 1.0 or not queue:
            break
        _, _, current = heapq.heappop(queue)
        compiled = recompile(current, domain, model)
        if compiled is None:
            continue
        for other in alternatives(current, compiled, domain, UP_TO_ROTATION):
            if other in known:
                continue
            known.add(other)
            its_share = share(other)
            heapq.heappush(queue, (-its_share, next(numbers), other))
            if its_share > best_share:
                best, best_share = other, its_share
    return Repaired(best, len(known) - 1)
