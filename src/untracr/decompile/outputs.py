"""Comparing outputs: a model against a program, or against another model's read-out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from untracr.errors import EvaluationError
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import CHUNK, same_value
from untracr.rasp.functions import number_or
from untracr.rasp.interpreter import Batch, Codes, Column, Mask
from untracr.rasp.program import Program
from untracr.transformer.transformer import Transformer

MAX_INPUTS = 50_000
"""Inputs that are run one by one; larger domains are not compared."""

FIRST_CHUNK = 256
"""Inputs run at first; most programs that differ do so there."""

MAX_HELD = 2_000_000
"""Numbers held at a time to run a model."""

CLEAR = 0.5
"""A categorical read-out is 1 for the value and 0 for the others, or 0 for all of them."""

NOTHING_READ = 0.05
"""Up to this a read-out is 0 for all values. Compression and noise leave some values that are
read out as weakly as 0.1: a program must give these, and None only where there is nothing."""

OUTPUT_TOLERANCE = 1e-3
"""Numbers that a model computes in single precision may be off by this, relative to 1."""


def has_no_values(model: Transformer) -> bool:
    """Whether nothing says what the columns of the read-out mean."""
    columns = model.W_U.shape[1] if model.W_U is not None else 0
    return columns == 0 or (model.output_values is None and columns > 1)


def cannot_compare(model: Transformer, domain: Domain) -> str:
    """Why outputs cannot be compared; empty if they can."""
    if model.W_U is None:
        return "the model has no read-out to compare outputs"
    if has_no_values(model):
        return f"the read-out's {model.W_U.shape[1]} columns have no values to compare outputs"
    if domain.size > MAX_INPUTS:
        size = f"{domain.size:,}" if domain.size < 10**12 else "more than 10**12"
        return f"the domain's {size} inputs are more than the {MAX_INPUTS:,} that are run"
    return ""


@dataclass(frozen=True)
class Agreement:
    """On how many of the inputs seen the outputs agree.

    Attributes:
        agree, seen: how many agree, of how many that were run.
        everywhere: whether the whole domain was run and agrees.
        failure: how the program fails on some input, else an empty string.
    """

    agree: int
    seen: int
    everywhere: bool = False
    failure: str = ""

    def __str__(self) -> str:
        if self.failure:
            return f"the program fails on some input: {self.failure}"
        return f"outputs agree on {self.agree:,} of the first {self.seen:,} inputs"


def outputs_agree(model: Transformer, program: Program, domain: Domain) -> Agreement:
    """Compares outputs on all inputs, shorter ones first, until some differ."""
    largest = largest_chunk(model, domain)
    agree, start, size = 0, 0, min(FIRST_CHUNK, largest)
    while start < domain.size:
        batch = Batch.of_domain(domain, start, start + size, causal=model.causal)
        try:
            column = batch.evaluate(program)
        except EvaluationError as error:
            return Agreement(agree, start, failure=str(error))
        agree += int(rows_that_agree(model, batch, column).sum())
        start += len(batch)
        if agree < start:
            return Agreement(agree, start)
        size = largest
    return Agreement(agree, start, everywhere=True)


def largest_chunk(model: Transformer, domain: Domain) -> int:
    """Inputs that a model may run at a time."""
    held = (domain.max_seq_len + 1) * max(
        model.d_mlp, model.d_model, model.n_heads * (domain.max_seq_len + 1 + model.d_head)
    )
    return min(CHUNK, max(16, MAX_HELD // held))


def by_length(model: Transformer, batch: Batch) -> Iterator[tuple[Codes, Codes]]:
    """For each length the rows of a batch, and their token ids behind BOS."""
    for length in np.unique(batch.lengths).tolist():
        rows = np.flatnonzero(batch.lengths == length)
        ids = np.full((len(rows), length + 1), len(model.W_E) - 2, dtype=np.int64)
        ids[:, 1:] = batch.tokens.codes[rows, :length]
        yield rows, ids


def rows_that_agree(model: Transformer, batch: Batch, column: Column) -> Mask:
    """On which inputs a model's outputs equal a column's at every position, [batch].

    A categorical value must be what is read out most; where nothing is read out, it is None.
    """
    assert model.W_U is not None
    agrees = np.zeros(len(batch), dtype=np.bool_)
    for rows, ids in by_length(model, batch):
        length = ids.shape[1] - 1
        out = model.forward(ids).output[:, 1:] @ model.W_U
        codes = column.codes[rows, :length]
        if model.output_values is None:
            wanted = np.array([number_or(v, np.nan) for v in column.values])[codes]
            close = OUTPUT_TOLERANCE * np.maximum(1.0, np.abs(wanted))
            agrees[rows] = (np.abs(out[:, :, 0] - wanted) <= close).all(axis=1)
        else:
            same = np.array(
                [[same_value(v, o) for o in model.output_values] for v in column.values]
            )
            none = np.array([v is None for v in column.values])
            finite, some = np.isfinite(out).all(axis=2), out.max(axis=2) > NOTHING_READ
            equal = np.where(some, same[codes, out.argmax(axis=2)], none[codes])
            agrees[rows] = (equal & finite).all(axis=1)
    return agrees


def inputs_read_out_alike(model: Transformer, other: Transformer, domain: Domain) -> int:
    """How many inputs were tried if two models' read-outs agree on all of them, else 0.

    The models have the same weights, so what is left open (a sign, the names of
    values) shows on nearly every input. Numbers that are all 0 show no sign.
    """
    if model.W_U is None or other.W_U is None or has_no_values(model):
        return 0
    batch = Batch.of_domain(domain, 0, min(domain.size, FIRST_CHUNK), causal=model.causal)
    some = False
    for _, ids in by_length(model, batch):
        mine = model.forward(ids).output[:, 1:] @ model.W_U
        theirs = other.forward(ids).output[:, 1:] @ other.W_U
        if not (np.isfinite(mine).all() and np.isfinite(theirs).all()):
            return 0
        if model.output_values is None or other.output_values is None:
            if model.output_values != other.output_values:
                return 0
            close = OUTPUT_TOLERANCE * np.maximum(1.0, np.abs(theirs))
            agree = bool((np.abs(mine - theirs) <= close).all())
            some = some or bool((np.abs(theirs) > 2 * close).any())
        else:
            same = np.array(
                [[same_value(a, b) for b in other.output_values] for a in model.output_values]
            )
            clear = theirs.max(axis=2) > CLEAR  # not so where nothing is attended to
            agree = bool((same[mine.argmax(axis=2), theirs.argmax(axis=2)] | ~clear).all())
            some = some or bool(clear.any())
        if not agree:
            return 0
    return len(batch) if some else 0
