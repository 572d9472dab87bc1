"""Runs weights, and finds where their residual dimensions say something else than the program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.arrays import Floats
from untracr.compile.compiler import Compiled
from untracr.diagnose.precision import tolerances
from untracr.diagnose.program_run import ProgramRun
from untracr.diagnose.rounded import Rounded
from untracr.rasp.equivalence import same_value
from untracr.rasp.functions import Value, number_or
from untracr.rasp.interpreter import Codes, Entry, Failure, Mask
from untracr.rasp.nodes import CATEGORICAL, INDICES, TOKENS, Ref
from untracr.rasp.program import Program
from untracr.transformer.transformer import Transformer

NUMBERS_AT_ONCE = 20_000_000
"""Numbers held at a time while a model runs: bounds memory."""

TIE = 1e-4
"""Values that are read out as strongly as that tie: rounding decides, elsewhere otherwise."""

CLEAR_WITHIN = 0.05
"""A value is held clearly where no dimension is off by more."""

PLACE_OF_NONE, PLACE_OF_UNKNOWN = -1, -2
"""Places of None, and of a value that no dimension stands for."""


@dataclass(frozen=True, eq=False)
class Differences:
    """Where weights do not hold a program's values, on some rows of a batch.

    Attributes:
        differs: for each SOp where its dimensions hold another value, [row, position].
        blurred: for each SOp where they hold it unclearly, or another one, [row, position].
        answers: the model's outputs, numbers or indices of values, [row, position].
        wrong: where those are not the program's, [row, position].
    """

    differs: dict[Ref, Mask]
    blurred: dict[Ref, Mask]
    answers: Floats
    wrong: Mask


def differences(
    run: ProgramRun, compiled: Compiled, rows: Codes, rounded: Rounded | None = None
) -> Differences:
    """Runs the weights, or a model that has them but for small differences, on some rows."""
    program, model, valid = run.program, compiled.transformer, run.batch.valid[rows]
    given = model if rounded is None else rounded.transformer
    sops = [ref for ref in program.sops if ref not in (TOKENS, INDICES)]
    differs = {ref: np.zeros(valid.shape, dtype=np.bool_) for ref in sops}
    blurred = {ref: np.zeros(valid.shape, dtype=np.bool_) for ref in sops}
    answers, wrong = np.zeros(valid.shape), np.zeros(valid.shape, dtype=np.bool_)
    assert model.W_U is not None
    if not len(rows):
        return Differences(differs, blurred, answers, wrong)
    held = {ref: _Held(run, compiled, ref) for ref in sops}
    output = held.get(program.output) or _Held(run, compiled, program.output)
    with np.errstate(all="ignore"):  # what is not finite is wrong
        for part, length, ids in _token_ids(run, compiled, given, rows):
            stream = model.forward(ids).output[:, 1:] if rounded is None else rounded.stream(ids)
            for ref in sops:
                dims = stream[:, :, list(compiled.node_map[ref].dims)]
                differs[ref][part, :length] = held[ref].differs(dims, rows[part])
                blurred[ref][part, :length] = held[ref].blurred(dims, rows[part])
            out = stream @ model.W_U
            is_categorical = model.output_values is not None
            answers[part, :length] = out.argmax(axis=-1) if is_categorical else out[:, :, 0]
            wrong[part, :length] = output.wrong(out, rows[part])
    for flags in (*differs.values(), *blurred.values(), wrong):
        flags &= valid
    return Differences(differs, blurred, answers, wrong)


def _token_ids(
    run: ProgramRun, compiled: Compiled, model: Transformer, rows: Codes
) -> Iterator[tuple[Codes, int, Codes]]:
    """Groups of rows of one length: positions in ``rows``, the length, ids with BOS."""
    values = compiled.token_values
    code_to_id = np.array([values.index(v) for v in run.batch.tokens.values])
    lengths = run.batch.lengths[rows]
    for length in np.unique(lengths).tolist():
        members = np.flatnonzero(lengths == length)
        step = max(1, NUMBERS_AT_ONCE // model.numbers_of_a_run(length + 1))
        for start in range(0, len(members), step):
            part = members[start : start + step]
            ids = code_to_id[run.batch.tokens.codes[rows[part], :length]]
            yield part, length, np.insert(ids, 0, compiled.bos_id, axis=1)


class _Held:
    """One SOp's values on a run beside what weights hold for it.

    None is nothing in categorical dimensions and anything in numerical ones; as an
    output it is always wrong: a model that is read out always gives something.
    """

    def __init__(self, run: ProgramRun, compiled: Compiled, ref: Ref) -> None:
        column, ordered = run.column(ref), compiled.value_sets[ref].ordered
        self.codes = column.codes
        self.is_categorical = run.program.encoding(ref) is CATEGORICAL
        self.alike = _alike(ordered)
        self.none = np.array([v is None for v in column.values])
        if self.is_categorical:
            self.places = np.array([_place(v, ordered, self.alike) for v in column.values])
        else:
            self.numbers = np.array([number_or(v, np.nan) for v in column.values])
            self.allowed = tolerances((*column.values, *ordered))[: len(column.values)]

    def wrong(self, out: npt.NDArray[np.float32], rows: Codes) -> Mask:
        """Where a read-out [rows, positions, columns] is not the value, None included."""
        codes = self.codes[rows, : out.shape[1]]
        if self.is_categorical:
            best = self.alike[out.argmax(axis=-1)]
            return np.asarray((best != self.places[codes]) | self._is_tie(out, best))
        return np.asarray(self._off(out, codes) | np.isnan(self.numbers)[codes])

    def _is_tie(self, out: npt.NDArray[np.float32], best: Codes) -> Mask:
        """Where another value than the best is read out as strongly, but for rounding."""
        others = np.where(self.alike == best[:, :, None], -np.inf, out)
        return np.asarray(~(out.max(axis=-1) - others.max(axis=-1) > TIE))

    def differs(self, held: npt.NDArray[np.float32], rows: Codes) -> Mask:
        """Where dimensions [rows, positions, values] hold another value."""
        codes = self.codes[rows, : held.shape[1]]
        if not self.is_categorical:
            return np.asarray(self._off(held, codes) & ~self.none[codes])
        best = np.where(held.max(axis=-1) > 0.5, self.alike[held.argmax(axis=-1)], PLACE_OF_NONE)
        return np.asarray(best != self.places[codes])

    def blurred(self, held: npt.NDArray[np.float32], rows: Codes) -> Mask:
        """Where they do not hold the value clearly."""
        codes = self.codes[rows, : held.shape[1]]
        if not self.is_categorical:
            return np.asarray(self._off(held, codes) & ~self.none[codes])
        wanted = self.places[codes][:, :, None] == np.arange(held.shape[-1])
        return np.asarray(~(np.abs(held - wanted).max(axis=-1) <= CLEAR_WITHIN))

    def _off(self, held: npt.NDArray[np.float32], codes: Codes) -> Mask:
        return np.asarray(~(np.abs(held[:, :, 0] - self.numbers[codes]) <= self.allowed[codes]))


def _place(value: Entry, ordered: tuple[Value, ...], alike: Codes) -> int:
    """A value's dimension among those of its variable."""
    if value is None:
        return PLACE_OF_NONE
    if isinstance(value, Failure):
        return PLACE_OF_UNKNOWN
    for position, known in enumerate(ordered):
        if same_value(value, known):
            return int(alike[position])
    return PLACE_OF_UNKNOWN


def _alike(ordered: tuple[Value, ...]) -> Codes:
    """For each value of a variable the first one that it equals but for rounding."""
    codes = np.arange(len(ordered))
    for code in range(1, len(ordered)):
        if same_value(ordered[code], ordered[code - 1]):
            codes[code] = codes[code - 1]
    return codes


def answers_differ(program: Program, wanted: Value, given: Value) -> bool:
    """Whether an answer of weights is not a program's value, by the rule of outputs."""
    if program.encoding(program.output) is CATEGORICAL:
        return wanted is None or not same_value(wanted, given)
    number = number_or(given, np.nan)
    return not abs(number - number_or(wanted, np.nan)) <= float(tolerances((wanted,))[0])
