"""Whether a model gives the outputs of a program or another model, and an input where not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import CounterExample, columns_differ, numbers_agree
from untracr.rasp.functions import Value, number_or
from untracr.rasp.interpreter import Batch, Codes, Column, Mask, distinct_numbers
from untracr.rasp.program import Program
from untracr.transformer.transformer import Transformer
from untracr.verify.outputs import (
    FIRST_CHUNK,
    OUTPUT_TOLERANCE,
    ReadOuts,
    affordable_chunk,
    affordable_inputs,
    batches,
    largest_chunk,
    read_outs,
    tolerance_of_exact,
)


@dataclass(frozen=True)
class Compared:
    """The outcome of comparing outputs.

    Attributes:
        inputs_checked: how many different inputs were compared.
        domain_size: how many there are.
        counterexample: the first input that differs, the model's output first; else None.
    """

    inputs_checked: int
    domain_size: int
    counterexample: CounterExample | None = None

    @property
    def equal(self) -> bool:
        """Whether no input that was compared differs."""
        return self.counterexample is None

    @property
    def is_shown(self) -> bool:
        """Whether outputs are equal on every input there is."""
        return self.equal and self.inputs_checked == self.domain_size


def compare_outputs(model: Transformer, other: Program | Transformer, domain: Domain) -> Compared:
    """Compares a model's outputs with those of a program or another model.

    A model's outputs are what it is read out as: the value of the largest column, or the
    number. It never gives None, so it differs from a program wherever that does. All inputs
    are run, or different ones where domain or models are too large. Numbers may be off by
    `tolerance_of_exact`, those of two models by `OUTPUT_TOLERANCE`. A program is run with
    causal attention where the model has it.

    Args:
        model: with a read-out that has values; its rows of W_E are those of the domain's
            tokens, in order, then BOS and PAD.
        other: a program, or such a model.
        domain: the inputs.

    Raises:
        EvaluationError: the program fails on some input.
    """
    seen, tolerance = 0, OUTPUT_TOLERANCE
    if isinstance(other, Program) and model.output_values is None:
        tolerance = tolerance_of_exact(other, domain, causal=model.causal)
    models = [model, other] if isinstance(other, Transformer) else [model]
    exact = all(run.output_values is not None for run in models)
    largest = min(affordable_chunk(domain), *(largest_chunk(run, domain) for run in models))
    most = min(affordable_inputs(run, domain) for run in models)
    for batch in batches(domain, largest, causal=model.causal, first=FIRST_CHUNK, most=most):
        mine = outputs(model, batch)
        theirs = batch.evaluate(other) if isinstance(other, Program) else outputs(other, batch)
        differs = np.flatnonzero(
            (_differ(mine, theirs, exact, tolerance) & batch.valid).any(axis=1)
        )
        seen += len(batch)
        if len(differs):
            row = int(differs[0])
            shown = (batch.input(row), batch.row(mine, row), batch.row(theirs, row))
            return Compared(seen, domain.size, CounterExample(*map(tuple, shown)))
    return Compared(seen, domain.size)


def outputs(model: Transformer, batch: Batch) -> Column:
    """A model's outputs on a batch; "not a number" where they are not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        seen = read_outs(model, batch)
    if model.output_values is not None:
        named: tuple[Value, ...] = (*model.output_values, math.nan)
        return Column(_places(batch, seen), named)
    numbers = np.zeros(batch.valid.shape, dtype=np.float64)
    for part in seen:
        numbers[part.rows, : part.out.shape[1]] = part.out[:, :, 0]
    values, codes = distinct_numbers(np.where(np.isfinite(numbers), numbers, np.nan).ravel())
    return Column(codes.reshape(numbers.shape), tuple(values.tolist()))


def _places(batch: Batch, seen: Sequence[ReadOuts]) -> Codes:
    """The largest column of the read-out at each position; one more where it is not finite."""
    places = np.zeros(batch.valid.shape, dtype=np.int64)
    for part in seen:
        best, columns = part.out.argmax(axis=2), part.out.shape[2]
        finite = np.isfinite(part.out).all(axis=2)
        places[part.rows, : part.out.shape[1]] = np.where(finite, best, columns)
    return places


def _differ(mine: Column, theirs: Column, exact: bool, tolerance: float) -> Mask:
    """Where outputs differ, [batch, position]: as values, or else as numbers that weights gave."""
    if exact:
        return columns_differ(mine, theirs)
    fst = np.array([number_or(value, math.nan) for value in mine.values])[mine.codes]
    snd = np.array([number_or(value, math.nan) for value in theirs.values])[theirs.codes]
    return np.asarray(~numbers_agree(fst, snd, tolerance))
