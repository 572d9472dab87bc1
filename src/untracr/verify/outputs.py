"""Comparing a model's outputs with a program's, on every input or on different ones of too many.

One rule for all: at each position the value of the largest column, which is what running the
model prints, must be the program's, or the number within a tolerance. A model that is read out
always gives something, so it never agrees where the program gives None (unless a column of its
read-out stands for None).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from untracr.arrays import Annotated, Reals
from untracr.errors import EvaluationError
from untracr.rasp.batches import FIRST_CHUNK, affordable_chunk, batches
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import EQUAL_WITHIN, INPUTS_AT_ONCE, numbers_agree, same_value
from untracr.rasp.functions import Value, number_or
from untracr.rasp.interpreter import Batch, Codes, Column, Mask
from untracr.rasp.program import Program
from untracr.transformer.transformer import Transformer
from untracr.verify.double_precision import held_read_out, in_double

MAX_WORK = 100_000_000_000
"""Products of two numbers that running a model on all inputs may take, some seconds; of the
inputs of a larger model some are drawn, as of a larger domain."""

MORE_COLUMNS = 1_000
"""Columns that a read-out may have beyond the model's dimensions; bounds memory."""

NUMBERS_AT_ONCE = 2_000_000
"""Numbers held at a time to run a model."""

MAX_DIFFERING = 64
"""Inputs kept on which outputs differ."""

HALF_READ_OUT = 0.5
"""A categorical read-out is 1 for the value and 0 for the others, or 0 for all of them."""

CLEAR_LEAD = 1e-3
"""A column that is above another one by less may be below it once numbers are rounded otherwise:
which of the two values is read out is not known."""

OUTPUT_TOLERANCE = 1e-3
"""Numbers that a model computes in single precision may be off by this, relative to 1."""

LOOSEST_TOLERANCE = 0.25
"""Numbers of changed weights may be off by this, relative to 1, however far apart the program's
outputs are."""


def tolerance_of_changed(program: Program, domain: Domain, *, causal: bool) -> float:
    """How far numbers may be off that weights put out which are a program's, but changed.

    Their numbers are off. Each is taken for the nearest that the program puts out
    on any input, so it may be off by less than half the distance of two such.

    Raises:
        EvaluationError: the program fails on some input.
    """
    return min(LOOSEST_TOLERANCE, _below_half_of_gaps(program, domain, causal=causal))


def tolerance_of_exact(program: Program, domain: Domain, *, causal: bool) -> float:
    """How far numbers may be off that other weights put out.

    By no more than single precision makes of them, and by less than half the distance of
    two numbers that the program puts out.

    Raises:
        EvaluationError: the program fails on some input.
    """
    return min(OUTPUT_TOLERANCE, _below_half_of_gaps(program, domain, causal=causal))


def _below_half_of_gaps(program: Program, domain: Domain, *, causal: bool) -> float:
    """Less than half the least distance of numbers that are put out, relative to the larger."""
    numbers: set[float] = set()
    for batch in batches(domain, affordable_chunk(domain), causal=causal):
        column = batch.evaluate(program)
        for code in np.unique(column.codes[batch.valid]).tolist():
            numbers.add(number_or(column.values[code], 0.0))
    ordered = np.array(sorted(number for number in numbers if math.isfinite(number)))
    gaps = np.diff(ordered) / np.maximum(1.0, np.maximum(np.abs(ordered[1:]), np.abs(ordered[:-1])))
    apart = gaps[gaps > EQUAL_WITHIN]
    return 0.999 * float(apart.min(initial=np.inf)) / 2


def has_no_values(model: Transformer) -> bool:
    """Whether nothing says what the columns of the read-out mean."""
    columns = model.W_U.shape[1] if model.W_U is not None else 0
    return columns == 0 or (model.output_values is None and columns > 1)


def cannot_compare(model: Transformer) -> str:
    """Why outputs cannot be compared; empty if they can."""
    if model.W_U is None:
        return "the model has no read-out to compare outputs"
    columns, most = model.W_U.shape[1], model.d_model + MORE_COLUMNS
    if columns > most:
        return f"the read-out's {columns:,} columns are more than the {most:,} that are compared"
    if has_no_values(model):
        return f"the read-out's {model.W_U.shape[1]} columns have no values to compare outputs"
    return ""


@dataclass(frozen=True)
class Agreement:
    """On how many of the inputs seen the outputs agree.

    Attributes:
        agree, seen: how many agree, of how many different ones that were run.
        everywhere: whether the whole domain was run and agrees, or all that were
            drawn from a larger one.
        failure: how the program fails on some input, else an empty string.
        tolerance: see `Evidence.output_tolerance`.
        differing: some inputs on which they do not agree.
        rounded: on how many inputs they agree in single precision only, so that rounding
            decides; these are not among those that agree.
    """

    agree: int
    seen: int
    everywhere: bool = False
    failure: str = ""
    tolerance: float = 0.0
    differing: tuple[tuple[Value, ...], ...] = ()
    rounded: int = 0

    def __str__(self) -> str:
        if self.failure:
            return f"the program fails on some input: {self.failure}"
        share = f"{100 * self.agree / max(1, self.seen):.1f}%"
        told = f"outputs agree on {self.agree:,} of {self.seen:,} inputs ({share})"
        if not self.rounded:
            return told
        return f"{told}; on {self.rounded:,} more rounding in single precision decides"


def outputs_agree(
    model: Transformer,
    program: Program,
    domain: Domain,
    tolerance: float | None = None,
    *,
    to_the_end: bool = True,
) -> Agreement:
    """Compares outputs on all inputs, shorter ones first (see `batches`).

    They agree where they do in single and in double precision. The latter is looked at as
    long as all agree in the former.

    Args:
        model: with a read-out that has values.
        program: a candidate.
        domain: the inputs.
        tolerance: see `Evidence.output_tolerance`; `tolerance_of_exact` if not given.
        to_the_end: also where some differ; else no further than the batch that shows it.
    """
    agree = seen = rounded = 0
    double: Transformer | None = None
    differing: list[tuple[Value, ...]] = []
    used = 0.0
    if model.output_values is None:
        try:
            used = tolerance or tolerance_of_exact(program, domain, causal=model.causal)
        except EvaluationError as error:
            return Agreement(0, 0, failure=str(error))
    largest = largest_chunk(model, domain)
    most = affordable_inputs(model, domain)
    for batch in batches(domain, largest, causal=model.causal, first=FIRST_CHUNK, most=most):
        try:
            column = batch.evaluate(program)
        except EvaluationError as error:
            return Agreement(agree, seen, failure=str(error), tolerance=used)
        same = rows_that_agree(model, batch, column, used)
        if agree + rounded == seen and same.all():
            double = double or in_double(model)
            same = rows_that_agree(double, batch, column, used)
            rounded += len(batch) - int(same.sum())
        agree, seen = agree + int(same.sum()), seen + len(batch)
        for row in np.flatnonzero(~same)[: MAX_DIFFERING - len(differing)].tolist():
            differing.append(tuple(batch.input(row)))
        if agree < seen and not to_the_end:
            break
    return Agreement(agree, seen, agree == seen, "", used, tuple(differing), rounded)


def affordable_inputs(model: Transformer, domain: Domain) -> int:
    """Inputs on which a model may be run, one after the other."""
    places = domain.max_seq_len + 1
    scores = model.n_layers * model.n_heads * places * model.d_head  # and as many for the values
    return max(FIRST_CHUNK, MAX_WORK // (places * (model.n_parameters + 2 * scores)))


def largest_chunk(model: Transformer, domain: Domain) -> int:
    """Inputs that a model may run at a time."""
    columns = model.W_U.shape[1] if model.W_U is not None else 0
    held = (domain.max_seq_len + 1) * max(
        model.d_mlp, model.d_model, columns, model.n_heads * (domain.max_seq_len + 1 + model.d_head)
    )
    return min(INPUTS_AT_ONCE, max(16, NUMBERS_AT_ONCE // held))


def by_length(model: Transformer, batch: Batch) -> Iterator[tuple[Codes, Annotated[Codes, "B T"]]]:
    """For each length the rows of a batch, and their token ids behind BOS."""
    for length in np.unique(batch.lengths).tolist():
        rows = np.flatnonzero(batch.lengths == length)
        ids = np.full((len(rows), length + 1), len(model.W_E) - 2, dtype=np.int64)
        ids[:, 1:] = batch.tokens.codes[rows, :length]
        yield rows, ids


@dataclass(frozen=True)
class ReadOuts:
    """A model's read-outs on the inputs of one length.

    Attributes:
        rows: these inputs' rows in their batch.
        out: at each position behind BOS.
    """

    rows: Annotated[Codes, "B"]
    out: Annotated[Reals, "B T outputs"]


def read_outs(model: Transformer, batch: Batch) -> tuple[ReadOuts, ...]:
    """A model's read-outs on a batch, length by length; see `held_read_out` of one in double
    precision."""
    return tuple(ReadOuts(rows, _read_out(model, ids)) for rows, ids in by_length(model, batch))


def _read_out(model: Transformer, ids: Annotated[Codes, "B T"]) -> Annotated[Reals, "B T-1 O"]:
    assert model.W_U is not None
    if model.W_U.dtype == np.float64:
        return held_read_out(model, ids)
    return np.asarray(model.forward(ids).output[:, 1:] @ model.W_U)


def rows_that_agree(
    model: Transformer, batch: Batch, column: Column, tolerance: float = OUTPUT_TOLERANCE
) -> Annotated[Mask, "batch"]:
    """On which inputs a model's outputs equal a column's at every position."""
    agrees = positions_that_agree(model, batch, column, tolerance, read_outs(model, batch))
    return np.asarray((agrees | ~batch.valid).all(axis=1))


def positions_that_agree(
    model: Transformer, batch: Batch, column: Column, tolerance: float, seen: Sequence[ReadOuts]
) -> Annotated[Mask, "batch position"]:
    """At which positions a model's outputs equal a column's.

    A categorical value must be what is read out most, by more than rounding.

    Args:
        model: with a read-out that has values.
        batch: the inputs.
        column: the values on them.
        tolerance: how far a number may be off, relative to the larger of 1 and itself.
        seen: the model's `read_outs` on the batch.
    """
    agrees = np.zeros(batch.valid.shape, dtype=np.bool_)
    numbers = np.array([number_or(v, np.nan) for v in column.values])
    named = model.output_values or ()
    same = np.array([[same_value(v, o) for o in named] for v in column.values], dtype=np.bool_)
    for part in seen:
        rows, out, length = part.rows, part.out, part.out.shape[1]
        codes = column.codes[rows, :length]
        if model.output_values is None:
            wanted = numbers[codes]
            equal = numbers_agree(out[:, :, 0], wanted, tolerance)
        else:
            equal = clearly_reads(out, same[codes]) & np.isfinite(out).all(axis=2)
        agrees[rows, :length] = equal
    return agrees


def clearly_reads(
    out: Annotated[Reals, "B T outputs"], columns: Annotated[Mask, "B T outputs"]
) -> Annotated[Mask, "B T"]:
    """Where one of some columns is above all others.

    Args:
        out: a read-out.
        columns: the columns of the wanted value.
    """
    right = np.where(columns, out, -np.inf).max(axis=2)
    wrong = np.where(columns, -np.inf, out).max(axis=2)
    with np.errstate(invalid="ignore"):  # neither is finite: no column is the right one
        return np.asarray(right - wrong > CLEAR_LEAD)
