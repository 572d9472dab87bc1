"""The verdict on a decoded program: identical, equivalent or unverified.

Only what was compared counts; the meta-model's confidence never does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from untracr.compile.compiler import compile_program
from untracr.decompile.result import Verdict
from untracr.decompile.sameness import same_weights
from untracr.errors import EvaluationError, ProgramError
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import CHUNK, same_value
from untracr.rasp.functions import Value
from untracr.rasp.interpreter import Batch, Column
from untracr.rasp.program import CATEGORICAL, LinearSequenceMap, Map, Program
from untracr.transformer.transformer import Transformer

MAX_INPUTS = 50_000
"""Inputs that are run one by one; larger domains are not compared."""

OUTPUT_TOLERANCE = 1e-3
"""Numbers that a model computes in single precision may be off by this, relative to 1."""


@dataclass(frozen=True)
class Check:
    """A verdict with the number of inputs compared and one sentence of detail."""

    verdict: Verdict
    inputs_checked: int
    detail: str


def check(model: Transformer, program: Program, domain: Domain) -> Check:
    """Compares a model with a program: first the weights, then the outputs.

    Args:
        model: the weights; a read-out (W_U) allows outputs to be compared.
        program: the candidate.
        domain: values of the token rows, and the longest input.
    """
    try:
        compiled = compile_program(
            program, domain.vocab, domain.max_seq_len, causal=model.causal
        ).transformer
    except ProgramError as error:
        return Check("unverified", 0, f"the program does not compile: {error}")
    found = same_weights(model, compiled)
    if found.same and (found.axes_permuted or not sign_is_open(program)):
        how = "axes reordered at most" if found.axes_permuted else "up to a rotation"
        return Check("identical", 0, f"the program recompiles to these weights, {how}")
    if found.same:
        reason = (
            "the program recompiles to these weights up to a rotation, but they leave open the "
            "sign of its numerical output"
        )
    else:
        reason = f"recompiled weights differ: {found.reason}"
    if model.W_U is None:
        return Check("unverified", 0, f"{reason}; the model has no read-out to compare outputs")
    return _compare_outputs(model, program, domain, reason)


def sign_is_open(program: Program) -> bool:
    """Whether rotated weights cannot tell the sign of the program's output.

    A numerical output that no later part reads, written in both directions,
    may as well be its negative: the rotation that flips its axis maps one
    model to the other.
    """
    node = program.nodes[program.output]
    if isinstance(node, LinearSequenceMap):
        return True
    return (
        isinstance(node, Map)
        and node.encoding is not CATEGORICAL
        and program.encoding(node.inner) is not CATEGORICAL
    )


def _compare_outputs(
    model: Transformer, program: Program, domain: Domain, reason: str
) -> Check:
    if domain.size > MAX_INPUTS:
        return Check(
            "unverified",
            0,
            f"{reason}; the domain's {domain.size:,} inputs are more than the {MAX_INPUTS:,} "
            "that are run",
        )
    agree = 0
    for start in range(0, domain.size, CHUNK):
        batch = Batch.of_domain(domain, start, start + CHUNK, causal=model.causal)
        try:
            column = batch.evaluate(program)
        except EvaluationError as error:
            return Check("unverified", 0, f"{reason}; the program fails on some input: {error}")
        agree += int(rows_that_agree(model, batch, column).sum())
    if agree == domain.size:
        return Check(
            "equivalent", domain.size, f"the same output on all {domain.size:,} inputs"
        )
    return Check(
        "unverified",
        domain.size,
        f"{reason}; outputs agree on {agree:,} of {domain.size:,} inputs",
    )


def rows_that_agree(
    model: Transformer, batch: Batch, column: Column
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """On which inputs a model's outputs equal a column's at every position, [batch]."""
    assert model.W_U is not None
    agrees = np.zeros(len(batch), dtype=np.bool_)
    bos = len(model.W_E) - 2
    for length in np.unique(batch.lengths).tolist():
        rows = np.flatnonzero(batch.lengths == length)
        ids = np.full((len(rows), length + 1), bos, dtype=np.int64)
        ids[:, 1:] = batch.tokens.codes[rows, :length]
        out = model.forward(ids).output[:, 1:] @ model.W_U
        codes = column.codes[rows, :length]
        if model.output_values is None:
            wanted = np.array([_number(v) for v in column.values])[codes]
            close = OUTPUT_TOLERANCE * np.maximum(1.0, np.abs(wanted))
            agrees[rows] = (np.abs(out[:, :, 0] - wanted) <= close).all(axis=1)
        else:
            same = np.array(
                [[same_value(v, o) for o in model.output_values] for v in column.values]
            )
            agrees[rows] = same[codes, out.argmax(axis=2)].all(axis=1)
    return agrees


def _number(value: object) -> float:
    return float(value) if isinstance(value, (bool, int, float)) else float("nan")


def vocabulary(model: Transformer) -> tuple[Value, ...]:
    """The tokens' values when nothing is said of them: 0, 1, 2, ..."""
    return tuple(range(len(model.W_E) - 2))
