"""What mlp_exactness mends: the smallest slope that makes wrong outputs right."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from untracr.compile.compiler import Compiled, compile_program
from untracr.compile.judge.bounds import steepest_exactness, sufficient_exactness
from untracr.compile.judge.program_run import ProgramRun
from untracr.compile.judge.weights_run import differences
from untracr.errors import ProgramError
from untracr.rasp.domain import Domain
from untracr.rasp.interpreter import Codes, Mask
from untracr.rasp.program import Program

MOST = 64
"""Inputs on which slopes are tried."""

SPARE = 1.02
"""A slope that much above what steps need leaves room for attention that is not quite sharp."""


@dataclass(frozen=True, eq=False)
class Remedy:
    """What another mlp_exactness does for some rows of a run.

    Attributes:
        mends: [rows], which of them are wrong and get right.
        exactness: the smallest whole number that mends them; None where none does.
        is_single_precision: whether no slope is right, since numbers are too large and too
            near to each other for single precision.
    """

    mends: Mask
    exactness: int | None = None
    is_single_precision: bool = False


def recompiled(program: Program, like: Compiled, domain: Domain, exactness: float) -> Compiled:
    """The program compiled as before, but for its mlp_exactness."""
    bos = like.token_values[like.bos_id]
    others = [v for v in like.token_values if v != bos and v not in domain.vocab]
    return compile_program(
        program,
        domain.vocab,
        domain.max_seq_len,
        causal=like.transformer.causal,
        bos=bos,  # type: ignore[arg-type]
        pad=others[0],  # type: ignore[arg-type]
        mlp_exactness=exactness,
    )


def remedy_for(
    run: ProgramRun, compiled: Compiled, domain: Domain, rows: Codes, bad: Mask
) -> Remedy:
    """Tries slopes on the bad ones of some rows.

    Args:
        run: the program's side.
        compiled: its weights.
        domain: the inputs.
        rows: of the run.
        bad: [rows], those on which an output is wrong.
    """
    enough = sufficient_exactness(run.program, compiled)
    nothing = np.zeros(len(rows), dtype=np.bool_)
    if not 0 < enough < math.inf or not bad.any():
        return Remedy(nothing, is_single_precision=math.isinf(enough))
    high = math.ceil(SPARE * enough)
    if high <= compiled.mlp_exactness <= steepest_exactness(run.program, compiled):
        return Remedy(nothing)
    places = np.flatnonzero(bad)
    places = places[np.linspace(0, len(places) - 1, min(MOST, len(places))).astype(np.int64)]
    slopes = _Slopes(run, compiled, domain, rows[places])
    right = slopes.right(high)
    mends = nothing.copy()
    mends[places[right]] = True
    if not right.any():
        return Remedy(nothing)
    if high <= compiled.mlp_exactness:
        return Remedy(mends, high)
    return Remedy(mends, slopes.smallest(math.floor(compiled.mlp_exactness), high, right))


class _Slopes:
    """A program's weights of any slope, on some rows."""

    def __init__(self, run: ProgramRun, like: Compiled, domain: Domain, rows: Codes) -> None:
        self.run, self.like, self.domain, self.rows = run, like, domain, rows

    def right(self, exactness: float) -> Mask:
        """On which rows all outputs are right."""
        try:
            compiled = recompiled(self.run.program, self.like, self.domain, exactness)
        except ProgramError:
            return np.zeros(len(self.rows), dtype=np.bool_)
        return np.asarray(~differences(self.run, compiled, self.rows).wrong.any(axis=1))

    def smallest(self, low: int, high: int, wanted: Mask) -> int:
        """The smallest slope above ``low`` that is right on some rows, as ``high`` is."""
        while high - low > 1:
            middle = (low + high) // 2
            if bool((self.right(middle) | ~wanted).all()):
                high = middle
            else:
                low = middle
        return high
