"""Whether a model gives the outputs of a program or another model, and an input where not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from untracr.decompile.outputs import (
    FIRST_CHUNK,
    NOTHING_READ,
    OUTPUT_TOLERANCE,
    ReadOuts,
    affordable_chunk,
    batches,
    largest_chunk,
    positions_that_agree,
    read_outs,
)
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import CounterExample
from untracr.rasp.functions import Value
from untracr.rasp.interpreter import Batch, Codes, Column, distinct_numbers
from untracr.rasp.program import Program
from untracr.transformer.transformer import Transformer


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

    All inputs are run, or different ones of a domain that is too large. Values must be the
    same, numbers within `OUTPUT_TOLERANCE`; where a model reads nothing out, it is None. A
    program is run with causal attention where the model has it.

    Args:
        model: with a read-out that has values; its rows of W_E are those of the domain's
            tokens, in order, then BOS and PAD.
        other: a program, or such a model.
        domain: the inputs.

    Raises:
        EvaluationError: the program fails on some input.
    """
    seen = 0
    largest = min(affordable_chunk(domain), largest_chunk(model, domain))
    if isinstance(other, Transformer):
        largest = min(largest, largest_chunk(other, domain))
    for batch in batches(domain, largest, causal=model.causal, first=FIRST_CHUNK):
        outs = read_outs(model, batch)
        column = batch.evaluate(other) if isinstance(other, Program) else outputs(other, batch)
        agrees = positions_that_agree(model, batch, column, OUTPUT_TOLERANCE, outs)
        differs = np.flatnonzero((~agrees & batch.valid).any(axis=1))
        seen += len(batch)
        if len(differs):
            row = int(differs[0])
            mine = _column(model, batch, outs)
            shown = (batch.input(row), batch.row(mine, row), batch.row(column, row))
            return Compared(seen, domain.size, CounterExample(*map(tuple, shown)))
    return Compared(seen, domain.size)


def outputs(model: Transformer, batch: Batch) -> Column:
    """A model's outputs on a batch; None where nothing is read out."""
    return _column(model, batch, read_outs(model, batch))


def _column(model: Transformer, batch: Batch, seen: Sequence[ReadOuts]) -> Column:
    if model.output_values is not None:
        named: tuple[Value, ...] = (*model.output_values, None)
        return Column(_places(batch, seen), named)
    numbers = np.zeros(batch.valid.shape, dtype=np.float64)
    for part in seen:
        numbers[part.rows, : part.out.shape[1]] = part.out[:, :, 0]
    values, codes = distinct_numbers(numbers.ravel())
    return Column(codes.reshape(numbers.shape), tuple(values.tolist()))


def _places(batch: Batch, seen: Sequence[ReadOuts]) -> Codes:
    """The column of the read-out at each position; one more where nothing is read out."""
    places = np.zeros(batch.valid.shape, dtype=np.int64)
    for part in seen:
        best, columns = part.out.argmax(axis=2), part.out.shape[2]
        nothing = part.out.max(axis=2) <= NOTHING_READ
        places[part.rows, : part.out.shape[1]] = np.where(nothing, columns, best)
    return places
