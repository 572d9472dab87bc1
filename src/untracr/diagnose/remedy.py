"""What mlp_exactness mends: the smallest slope that makes wrong outputs right."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from untracr.compile.compiler import Compiled, compile_program
from untracr.diagnose.bounds import steepest_exactness, sufficient_exactness
from untracr.diagnose.program_run import ProgramRun
from untracr.diagnose.weights_run import Differences, differences
from untracr.rasp.domain import Domain
from untracr.rasp.interpreter import Codes, Mask
from untracr.rasp.nodes import Ref
from untracr.rasp.program import Program

INPUTS_FOR_SLOPES = 64
"""Inputs on which slopes are tried."""

SPARE = 1.02
"""A slope that much above what steps need leaves room for attention that is not quite sharp."""


@dataclass(frozen=True, eq=False)
class Remedy:
    """What another mlp_exactness does for some rows of a run.

    Attributes:
        mends: [rows], which of them are wrong and get right.
        exactness: the smallest whole number that mends them; None where none does.
        is_shown: whether that was found to mend all other inputs too; None where these were
            not looked at.
        left: of rows that get right, where expressions are unclear nevertheless, [rows,
            position]: no output shows it.
        is_single_precision: whether no slope is right, since numbers are too large and too
            near to each other for single precision.
    """

    mends: Mask
    exactness: int | None = None
    is_shown: bool | None = None
    left: dict[Ref, Mask] = field(default_factory=dict)
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


def clear_exactness(program: Program, compiled: Compiled) -> int | None:
    """A slope with which all steps are clear; None without steps, or where there is none."""
    enough = sufficient_exactness(program, compiled)
    return math.ceil(SPARE * enough) if 0 < enough < math.inf else None


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
    high = clear_exactness(run.program, compiled)
    nothing = np.zeros(len(rows), dtype=np.bool_)
    if high is None or not bad.any():
        enough = sufficient_exactness(run.program, compiled)
        return Remedy(nothing, is_single_precision=math.isinf(enough))
    if high <= compiled.mlp_exactness <= steepest_exactness(run.program, compiled):
        return Remedy(nothing)
    places = np.flatnonzero(bad)
    places = places[
        np.linspace(0, len(places) - 1, min(INPUTS_FOR_SLOPES, len(places))).astype(np.int64)
    ]
    slopes = _Slopes(run, compiled, domain, rows[places])
    steep = slopes.differences(high)
    right = np.asarray(~steep.wrong.any(axis=1))
    if not right.any():
        return Remedy(nothing)
    mends, left = nothing.copy(), dict[Ref, Mask]()
    mends[places[right]] = True
    for ref, blurred in steep.blurred.items():
        left[ref] = np.zeros((len(rows), blurred.shape[1]), dtype=np.bool_)
        left[ref][places[right]] = blurred[right]
    if high <= compiled.mlp_exactness:
        return Remedy(mends, high, left=left)
    low = math.floor(compiled.mlp_exactness)
    return Remedy(mends, slopes.smallest(low, high, right), left=left)


class _Slopes:
    """A program's weights of any slope, on some rows."""

    def __init__(self, run: ProgramRun, like: Compiled, domain: Domain, rows: Codes) -> None:
        self.run, self.like, self.domain, self.rows = run, like, domain, rows

    def differences(self, exactness: float) -> Differences:
        """Where weights of another slope differ from the program."""
        compiled = recompiled(self.run.program, self.like, self.domain, exactness)
        return differences(self.run, compiled, self.rows)

    def smallest(self, low: int, high: int, wanted: Mask) -> int:
        """The smallest slope above ``low`` that is right on some rows, as ``high`` is."""
        while high - low > 1:
            middle = (low + high) // 2
            wrong = self.differences(middle).wrong.any(axis=1)
            if not bool((wrong & wanted).any()):
                high = middle
            else:
                low = middle
        return high
