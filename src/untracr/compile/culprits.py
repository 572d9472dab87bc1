"""Which expressions the weights get wrong, why, and what to do.

An input on which some value is wrong is blamed on the first expressions on the
way whose own inputs are right.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from untracr.compile.program_run import ProgramRun, shown
from untracr.compile.suspicion import clean_at_bos, is_clipped, sops_read
from untracr.compile.weights_run import differences, is_close
from untracr.errors import Problem, Severity
from untracr.rasp.functions import Value
from untracr.rasp.interpreter import Codes, Mask
from untracr.rasp.program import CATEGORICAL, NUMERICAL, Aggregate, Map, Ref, Select, SelectorWidth


def culprits(run: ProgramRun, rows: Codes) -> list[Problem]:
    """Runs the weights on some rows; each culprit is there once."""
    differs, answers, wrong = differences(run, rows)
    valid = run.batch.valid[rows]
    bad = (wrong & valid).any(axis=1)
    problems: list[Problem] = []
    reported: set[Ref] = set()
    explained = np.zeros(len(rows), dtype=np.bool_)
    none = {ref: run.is_none(ref)[rows] & valid for ref in differs}
    is_none = none[run.program.output].any(axis=1)
    for ref in differs:
        reads = sops_read(run.program, ref)
        here = differs[ref].any(axis=1) & ~_any(differs, reads, len(rows))
        marks: tuple[tuple[Severity, Mask], ...] = (
            ("error", here & bad),
            ("warning", here & ~bad),
        )
        for severity, at in marks:
            if at.any() and ref not in reported:
                reported.add(ref)
                where = differs[ref] & at[:, None]
                problems.append(_problem(run, ref, rows, where, answers, severity))
        explained |= here
        origin = bad & is_none & none[ref].any(axis=1) & ~_any(none, reads, len(rows))
        if origin.any() and ref not in reported:
            reported.add(ref)
            problems.append(_none_problem(run, ref, rows, none, origin, answers))
        explained |= origin
    if (bad & ~explained).any() and run.program.output not in reported:
        where = wrong & valid & (bad & ~explained)[:, None]
        problems.append(_problem(run, run.program.output, rows, where, answers, "error"))
    return problems


def _any(flags: dict[Ref, Mask], refs: list[Ref], count: int) -> Mask:
    found: Mask = np.zeros(count, dtype=np.bool_)
    for ref in refs:
        if ref in flags:
            found |= np.asarray(flags[ref].any(axis=1))
    return found


def _problem(
    run: ProgramRun,
    ref: Ref,
    rows: Codes,
    where: Mask,
    answers: npt.NDArray[np.float64],
    severity: Severity,
) -> Problem:
    """A value that the weights do not hold."""
    row, position = (int(i) for i in np.argwhere(where)[0])
    rule, fix = _cause(run, ref, int(rows[row]), position)
    if severity == "error":
        rule += _example(run, rows, row, answers)
    else:
        rule += f" (input {run.batch.input(int(rows[row]))}); no output shows it"
    return Problem(shown(run.program, ref), rule, fix, severity, ref)


def _none_problem(
    run: ProgramRun,
    ref: Ref,
    rows: Codes,
    none: dict[Ref, Mask],
    origin: Mask,
    answers: npt.NDArray[np.float64],
) -> Problem:
    """A None on its way to the output."""
    row = int(np.flatnonzero(origin)[0])
    position = int(np.flatnonzero(none[ref][row])[0])
    node = run.program.nodes[ref]
    if isinstance(node, Aggregate):
        rule = f"nothing is selected at position {position}, so RASP's value is None"
        fix = "make the selector select something at every position"
    else:
        rule = f"the function gives None at position {position}"
        fix = "give a value there"
    number = run.program.encoding(run.program.output) is NUMERICAL
    instead = "a number" if number else "some value or other (Tracr issue 25)"
    rule += f"; a model has no None and gives {instead}"
    rule += _example(run, rows, row, answers)
    return Problem(shown(run.program, ref), rule, fix, "error", ref)


def _example(run: ProgramRun, rows: Codes, row: int, answers: npt.NDArray[np.float64]) -> str:
    """An input with both outputs, at the first position where they differ."""
    batch, column = run.batch, run.column(run.program.output)
    wanted = batch.row(column, int(rows[row]))
    ordered = run.compiled.transformer.output_values
    given: list[Value] = [
        round(float(a), 4) if ordered is None else ordered[int(a)]
        for a in answers[row, : len(wanted)]
    ]
    position = next(
        (i for i, (a, b) in enumerate(zip(wanted, given, strict=True)) if not is_close(a, b)),
        0,
    )
    return (
        f". On input {batch.input(int(rows[row]))} the program gives {wanted}, the weights "
        f"{given}: {wanted[position]!r} and {given[position]!r} at position {position}"
        + (f" (a sample of {len(batch):,} inputs was checked)" if run.sampled else "")
    )


def _cause(run: ProgramRun, ref: Ref, row: int, position: int) -> tuple[str, str]:
    """Why a node's weights say something else, and what to do."""
    node, program = run.program.nodes[ref], run.program
    column = run.column(ref)
    value = column.values[int(column.codes[row, position])]
    match node:
        case Aggregate() if bool(run.selects_nothing(node)[row, position]):
            return (
                f"nothing is selected at position {position}, so the head reads BOS, where "
                f"{program.labels[node.sop]} is not empty; RASP's value is {value!r}",
                "make the selector select something at every position",
            )
        case Aggregate(encoding=encoding) if encoding is CATEGORICAL and bool(
            run.mixes(node)[row, position]
        ):
            return (
                "a categorical Aggregate can move one value, not average several; it selects "
                f"different ones at position {position}",
                "make the selector select one position (or equal values), or encode "
                "everything as numerical 0/1 and average that",
            )
        case Map(inner=inner) if program.encoding(inner) is NUMERICAL:
            of = run.column(inner)
            met = of.values[int(of.codes[row, position])]
            return (
                f"a function of a number is exact only on the values the compiler infers; it "
                f"meets {met!r}, and they are "
                f"{list(run.compiled.value_sets[inner].ordered)}",
                "avoid functions of means; compare SelectorWidths instead",
            )
        case Map() if is_clipped(program, ref, run.compiled.value_sets):
            return (
                f"a categorical to numerical Map cannot give a negative number, {value!r}: its "
                "ReLU clips it to 0",
                "give the absolute value and subtract it by a LinearSequenceMap",
            )
        case Aggregate(selector=selector) | SelectorWidth(selector=selector) if _selects_bos(
            run, selector
        ):
            return (
                "the keys of its Select hold a value at BOS too (as every function of a number "
                "does), so BOS is selected like a token",
                "compute the keys from tokens or indices by categorical Maps only",
            )
        case Aggregate() | SelectorWidth():
            return (
                "attention is not sharp enough: with "
                f"d_head={run.compiled.transformer.d_head} "
                "what is not selected weighs in, or the predicate gives numbers, not truths",
                "use predicates that give True or False, and fewer values",
            )
        case _:
            return (
                f"the weights do not hold the value {value!r}",
                "give the expressions it reads fewer or other values",
            )


def _selects_bos(run: ProgramRun, selector: Ref) -> bool:
    select = run.program.nodes[selector]
    assert isinstance(select, Select)
    return select.keys not in clean_at_bos(run.program)
