"""Runs weights, and finds where their residual dimensions say something else than the program."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from untracr.compile.program_run import ProgramRun
from untracr.rasp.equivalence import numbers_agree, same_value
from untracr.rasp.functions import Value, number_or
from untracr.rasp.interpreter import Codes, Entry, Failure, Mask
from untracr.rasp.program import CATEGORICAL, INDICES, NUMERICAL, TOKENS, Program, Ref

NUMBER_TOLERANCE = 0.01
"""How far weights may be off a number, relative to its size where above one."""

WORK = 20_000_000
"""Numbers held at a time while a model runs: bounds memory."""


def differences(
    run: ProgramRun, rows: Codes
) -> tuple[dict[Ref, Mask], npt.NDArray[np.float64], Mask]:
    """Runs the weights.

    Returns:
        For each SOp where its dimensions do not hold its value, [row,
        position]; the model's outputs, numbers or indices of values; and
        where those are wrong.
    """
    program, model, valid = run.program, run.compiled.transformer, run.batch.valid[rows]
    shape = (len(rows), run.batch.valid.shape[1])
    sops = [ref for ref in program.sops if ref not in (TOKENS, INDICES)]
    held = {ref: np.zeros(shape) for ref in sops}
    answers = np.zeros(shape)
    assert model.W_U is not None
    for part, length, ids in _token_ids(run, rows):
        stream = model.forward(ids).output[:, 1:]
        for ref in sops:
            dims = list(run.compiled.node_map[ref].dims)
            held[ref][part, :length] = _decode(stream[:, :, dims], program, ref)
        out = stream @ model.W_U
        is_categorical = model.output_values is not None
        answers[part, :length] = out.argmax(axis=-1) if is_categorical else out[:, :, 0]
    differs = {ref: _differs(run, ref, rows, held[ref], False) & valid for ref in sops}
    return differs, answers, _differs(run, program.output, rows, answers, True) & valid


def _token_ids(run: ProgramRun, rows: Codes) -> Iterator[tuple[Codes, int, Codes]]:
    """Groups of rows of one length: positions in ``rows``, the length, ids with BOS."""
    values = run.compiled.token_values
    code_to_id = np.array([values.index(v) for v in run.batch.tokens.values])
    lengths = run.batch.lengths[rows]
    model = run.compiled.transformer
    bos = run.compiled.bos_id
    for length in np.unique(lengths).tolist():
        members = np.flatnonzero(lengths == length)
        step = max(1, WORK // model.numbers_of_a_run(length + 1))
        for start in range(0, len(members), step):
            part = members[start : start + step]
            ids = code_to_id[run.batch.tokens.codes[rows[part], :length]]
            yield part, length, np.insert(ids, 0, bos, axis=1)


def _differs(
    run: ProgramRun, ref: Ref, rows: Codes, held: npt.NDArray[np.float64], is_output: bool
) -> Mask:
    """Where what the weights hold is not the program's value.

    None is nothing in categorical dimensions and anything in numerical
    ones; as an output it is always wrong.
    """
    column = run.column(ref)
    codes = column.codes[rows]
    if run.program.encoding(ref) is CATEGORICAL:
        ordered = run.compiled.value_sets[ref].ordered
        wanted = np.array([_place(v, ordered, is_output) for v in column.values])
        found: Mask = held != wanted[codes]
        return found
    numbers = np.array([number_or(v, np.nan) for v in column.values])[codes]
    is_none = np.array([v is None for v in column.values])[codes]
    wrong: Mask = ~numbers_agree(held, numbers, NUMBER_TOLERANCE) & (is_output | ~is_none)
    return wrong


def _decode(
    held: npt.NDArray[np.float32], program: Program, ref: Ref
) -> npt.NDArray[np.float64] | npt.NDArray[np.int64]:
    """What a SOp's dimensions [B, T, dims] say: a number, or an index; -1 for nothing."""
    if program.encoding(ref) is NUMERICAL:
        return held[:, :, 0].astype(np.float64)
    best = held.argmax(axis=-1)
    return np.where(held.max(axis=-1) > 0.5, best, -1)


def _place(value: Entry, ordered: tuple[Value, ...], is_output: bool) -> int:
    """A value's index; -1 for None within, -2 where no index is right."""
    if value is None:
        return -2 if is_output else -1
    if isinstance(value, Failure):
        return -2
    for position, known in enumerate(ordered):
        if same_value(value, known):
            return position
    return -2


def is_close(a: Value, b: Value) -> bool:
    """Whether weights that say ``b`` may stand for ``a``."""
    if isinstance(a, (bool, int, float)) and isinstance(b, (bool, int, float)):
        held, wanted = (np.array(number_or(v, np.nan)) for v in (b, a))
        return bool(numbers_agree(held, wanted, NUMBER_TOLERANCE))
    return a == b
