"""Whether a model gives the outputs of a program or another model, and an input where not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from untracr.diagnose.inputs import ALL_TRIED_UP_TO
from untracr.diagnose.inputs import batches as shaped_batches
from untracr.rasp.batches import FIRST_CHUNK, affordable_chunk, batches
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import (
    DEFAULT_LIMIT,
    CounterExample,
    columns_differ,
    decide_equivalence,
    numbers_agree,
)
from untracr.rasp.functions import Value, number_or
from untracr.rasp.interpreter import Batch, Column, Mask, distinct_numbers
from untracr.rasp.program import Program
from untracr.transformer.transformer import Transformer
from untracr.verify.double_precision import in_double
from untracr.verify.outputs import (
    OUTPUT_TOLERANCE,
    ReadOuts,
    affordable_inputs,
    clearly_reads,
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
        unclear: an input on which rounding decides: a model reads out two values as strongly,
            to `CLEAR_LEAD`, or something else in double precision; None where there is none.
    """

    inputs_checked: int
    domain_size: int
    counterexample: CounterExample | None = None
    unclear: tuple[Value, ...] | None = None

    @property
    def equal(self) -> bool:
        """Whether no input that was compared differs."""
        return self.counterexample is None

    @property
    def is_shown(self) -> bool:
        """Whether outputs are equal on every input there is."""
        return self.equal and self.unclear is None and self.inputs_checked == self.domain_size


def compare_programs(fst: Program, snd: Program, domain: Domain, *, causal: bool) -> Compared:
    """Compares two programs on every input, or on different ones of many shapes.

    Args:
        fst, snd: the programs.
        domain: the inputs; of more than `DEFAULT_LIMIT` some are drawn.
        causal: whether a selector only selects keys up to the query's position.

    Raises:
        EvaluationError: one of the programs fails on some input.
    """
    if domain.size <= DEFAULT_LIMIT:
        decided = decide_equivalence(fst, snd, domain, causal=causal)
        return Compared(decided.inputs_checked, domain.size, decided.counterexample)
    seen = 0
    for batch in shaped_batches(domain, ALL_TRIED_UP_TO, causal=causal):
        left, right = batch.evaluate(fst), batch.evaluate(snd)
        differs = np.flatnonzero((columns_differ(left, right) & batch.valid).any(axis=1))
        seen += len(batch)
        if len(differs):
            row = int(differs[0])
            shown = (batch.input(row), batch.row(left, row), batch.row(right, row))
            return Compared(seen, domain.size, CounterExample(*map(tuple, shown)))
    return Compared(seen, domain.size)


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
    unclear: tuple[Value, ...] | None = None
    doubles = _in_double(model), _in_double(other)
    for batch in batches(domain, largest, causal=model.causal, first=FIRST_CHUNK, most=most):
        mine, theirs = _outputs(model, batch), _outputs(other, batch)
        differs = _differ(mine.column, theirs.column, exact, tolerance) & batch.valid
        wrong = np.flatnonzero(differs.any(axis=1))
        seen += len(batch)
        if len(wrong):
            row = int(wrong[0])
            rows = batch.row(mine.column, row), batch.row(theirs.column, row)
            shown = CounterExample(*map(tuple, (batch.input(row), *rows)))
            return Compared(seen, domain.size, shown, unclear)
        if unclear is None:
            rounded = mine.unclear | theirs.unclear
            again = [_outputs(double, batch).column for double in doubles]
            rounded |= (_differ(again[0], again[1], exact, tolerance) & batch.valid).any(axis=1)
            unclear = tuple(batch.input(int(rounded.argmax()))) if rounded.any() else None
    return Compared(seen, domain.size, None, unclear)


def _in_double(source: Program | Transformer) -> Program | Transformer:
    return source if isinstance(source, Program) else in_double(source)


@dataclass(frozen=True, eq=False)
class _Outputs:
    """What is put out on a batch.

    Attributes:
        column: the values; "not a number" where a model's are not finite.
        unclear: [batch], where rounding decides on some of them.
    """

    column: Column
    unclear: Mask


def _outputs(source: Program | Transformer, batch: Batch) -> _Outputs:
    clear = np.zeros(len(batch), dtype=np.bool_)
    if isinstance(source, Program):
        return _Outputs(batch.evaluate(source), clear)
    with np.errstate(over="ignore", invalid="ignore"):
        seen = read_outs(source, batch)
    if source.output_values is not None:
        return _values_read(source.output_values, batch, seen)
    numbers = np.zeros(batch.valid.shape, dtype=np.float64)
    for part in seen:
        numbers[part.rows, : part.out.shape[1]] = part.out[:, :, 0]
    values, codes = distinct_numbers(np.where(np.isfinite(numbers), numbers, np.nan).ravel())
    return _Outputs(Column(codes.reshape(numbers.shape), tuple(values.tolist())), clear)


def _values_read(named: tuple[Value, ...], batch: Batch, seen: Sequence[ReadOuts]) -> _Outputs:
    """The value of the largest column of the read-out at each position."""
    places = np.zeros(batch.valid.shape, dtype=np.int64)
    unclear = np.zeros(len(batch), dtype=np.bool_)
    first: dict[Value, int] = {}
    alike = np.array([first.setdefault(value, place) for place, value in enumerate(named)])
    for part in seen:
        best, finite = part.out.argmax(axis=2), np.isfinite(part.out).all(axis=2)
        places[part.rows, : part.out.shape[1]] = np.where(finite, best, len(named))
        clear = clearly_reads(part.out, alike[best][:, :, None] == alike)
        unclear[part.rows] = (finite & ~clear).any(axis=1)
    return _Outputs(Column(places, (*named, math.nan)), unclear)


def _differ(mine: Column, theirs: Column, exact: bool, tolerance: float) -> Mask:
    """Where outputs differ, [batch, position]: as values, or else as numbers that weights gave."""
    if exact:
        return columns_differ(mine, theirs)
    fst = np.array([number_or(value, math.nan) for value in mine.values])[mine.codes]
    snd = np.array([number_or(value, math.nan) for value in theirs.values])[theirs.codes]
    return np.asarray(~numbers_agree(fst, snd, tolerance))
