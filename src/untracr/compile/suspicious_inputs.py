"""The inputs on which weights might miss a program's meaning, by what the program computes."""

from __future__ import annotations

import functools

import numpy as np

from untracr.compile.program_run import ProgramRun
from untracr.compile.suspicion import BLURRED_HEAD, clean_at_bos, exact_values, is_clipped
from untracr.rasp.equivalence import same_value
from untracr.rasp.functions import Comparison, Value
from untracr.rasp.interpreter import Codes, Entry, Mask
from untracr.rasp.program import CATEGORICAL, NUMERICAL, Aggregate, Map, Select

MAX_SUSPECTS = 256
"""Inputs on which weights are run when only suspicious inputs are checked."""


def suspicious_rows(run: ProgramRun) -> Codes:
    """At most `MAX_SUSPECTS` rows on which weights might say something else.

    Where any row might, because attention itself is in doubt, rows that
    are suspicious for another reason as well come first.
    """
    bad = np.flatnonzero((_may_be_wrong(run) & run.batch.valid).any(axis=1))
    if not _doubts_attention(run):
        return _thinned(bad, MAX_SUSPECTS)
    others = np.setdiff1d(np.arange(len(run.batch)), bad)
    few = _thinned(bad, MAX_SUSPECTS // 2)
    return np.concatenate([few, _thinned(others, MAX_SUSPECTS - len(few))])


def _doubts_attention(run: ProgramRun) -> bool:
    clean = clean_at_bos(run.program)
    return run.compiled.transformer.d_head >= BLURRED_HEAD or any(
        isinstance(node, Select)
        and (node.keys not in clean or not isinstance(node.predicate, Comparison))
        for node in (run.program.nodes[ref] for ref in run.program.reachable)
    )


def _may_be_wrong(run: ProgramRun) -> Mask:
    """Where a value may be one that weights cannot hold, [batch, position]."""
    program, sets = run.program, run.compiled.value_sets
    clean, exact = clean_at_bos(program), exact_values(program)
    bad = run.is_none(program.output)
    for ref in program.sops:
        node = program.nodes[ref]
        match node:
            case Aggregate(sop=sop, encoding=encoding):
                if sop not in clean:
                    bad = bad | run.selects_nothing(node)
                if encoding is CATEGORICAL:
                    bad = bad | run.mixes(node)
            case Map(inner=inner) if program.encoding(inner) is NUMERICAL:
                if inner not in exact:
                    known = sets[inner].unordered
                    bad = bad | run.where(inner, functools.partial(_is_unknown, known))
            case _:
                pass
        if is_clipped(program, ref, sets):
            bad = bad | run.where(ref, _is_negative)
    return bad


def _thinned(rows: Codes, count: int) -> Codes:
    """At most ``count`` of the rows: the first quarter of that many, then evenly many."""
    if len(rows) <= count:
        return rows
    first = count // 4
    rest = np.linspace(first, len(rows) - 1, count - first).astype(np.int64)
    return np.concatenate([rows[:first], rows[rest]])


def _is_unknown(known: tuple[Value, ...], value: Entry) -> bool:
    return value is not None and not any(same_value(value, number) for number in known)


def _is_negative(value: Entry) -> bool:
    return isinstance(value, (bool, int, float)) and value < 0
