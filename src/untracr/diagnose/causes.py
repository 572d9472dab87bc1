"""Which expressions the weights get wrong, why, and what to do.

An input on which some output is wrong is blamed on the first expressions on the way whose
values are not held clearly, though those of all that they read are.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from untracr.compile.compiler import Compiled
from untracr.diagnose.blur import UNIT
from untracr.diagnose.bounds import clean_at_bos, staircase_of
from untracr.diagnose.doubts import is_clipped, sops_read
from untracr.diagnose.precision import tolerances
from untracr.diagnose.program_run import ProgramRun, shown
from untracr.diagnose.remedy import Remedy, clear_exactness, recompiled
from untracr.diagnose.weights_run import Differences, differences
from untracr.errors import Problem, Severity
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import same_value
from untracr.rasp.functions import Value, number_or
from untracr.rasp.interpreter import Codes, Entry, Mask
from untracr.rasp.nodes import (
    CATEGORICAL,
    NUMERICAL,
    Aggregate,
    Map,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
)


@dataclass(frozen=True, eq=False)
class Seen:
    """Weights beside a program on some rows of a run.

    Attributes:
        run: the program's side.
        compiled: the weights.
        domain: the inputs.
        rows: of the run's batch.
        found: where they differ.
        remedy: what mlp_exactness would mend on these rows.
    """

    run: ProgramRun
    compiled: Compiled
    domain: Domain
    rows: Codes
    found: Differences
    remedy: Remedy

    @functools.cached_property
    def clear(self) -> Compiled | None:
        """The weights with a slope with which all steps are clear; None where none is."""
        slope = clear_exactness(self.run.program, self.compiled)
        if slope is None:
            return None
        return recompiled(self.run.program, self.compiled, self.domain, slope)

    def unclear_at_any_slope(self, ref: Ref, row: int) -> Mask:
        """Where an expression is not held clearly though all steps are clear, [position]."""
        if self.clear is None:
            return np.asarray(self.found.blurred[ref][row])
        if row not in self._clear_rows:
            found = differences(self.run, self.clear, self.rows[row : row + 1])
            self._clear_rows[row] = {sop: flags[0] for sop, flags in found.blurred.items()}
        return self._clear_rows[row][ref]

    @functools.cached_property
    def _clear_rows(self) -> dict[int, dict[Ref, Mask]]:
        return {}


def problems_seen(seen: Seen) -> list[Problem]:
    """What is wrong, errors first; each expression is there once.

    Every row with a wrong output has an error: that of an expression on the way, or of
    the output itself.
    """
    errors = _errors(seen)
    reported = {problem.ref for problem in errors}
    return [*errors, *(warning for warning in _warnings(seen) if warning.ref not in reported)]


def _errors(seen: Seen) -> list[Problem]:
    """The first expressions on the way to wrong outputs that are not held clearly."""
    run, disagreement, rows = seen.run, seen.found, seen.rows
    valid, bad = run.batch.valid[rows], disagreement.wrong.any(axis=1)
    left = seen.remedy.left
    problems: dict[Ref, Problem] = {}
    explained = np.zeros(len(rows), dtype=np.bool_)
    none = {ref: run.is_none(ref)[rows] & valid for ref in disagreement.differs}
    is_none = none[run.program.output].any(axis=1)
    for ref in disagreement.differs:
        reads = sops_read(run.program, ref)
        unclear = (
            disagreement.blurred[ref]
            & (bad & ~_any(disagreement.blurred, reads, len(rows)))[:, None]
        )
        if ref in left:
            unclear &= ~left[ref]
        if unclear.any():
            problems[ref] = _problem(seen, ref, unclear, "error")
        origin = bad & is_none & none[ref].any(axis=1) & ~_any(none, reads, len(rows))
        if origin.any() and ref not in problems:
            problems[ref] = _none_problem(seen, ref, none[ref] & origin[:, None])
        explained |= unclear.any(axis=1) | origin
    rest = disagreement.wrong & (bad & ~explained)[:, None]
    if rest.any() and run.program.output not in problems:
        problems[run.program.output] = _problem(seen, run.program.output, rest, "error")
    return list(problems.values())


def _warnings(seen: Seen) -> list[Problem]:
    """Why expressions hold another value where all outputs are right."""
    disagreement, count = seen.found, len(seen.rows)
    right = ~disagreement.wrong.any(axis=1)
    pending = {ref: disagreement.differs[ref].any(axis=1) & right for ref in disagreement.differs}
    origins: dict[Ref, Mask] = {}
    for ref in reversed(disagreement.differs):
        reads = [sop for sop in sops_read(seen.run.program, ref) if sop in pending]
        for sop in reads:
            pending[sop] |= pending[ref] & disagreement.blurred[sop].any(axis=1)
        unclear = disagreement.blurred[ref] | disagreement.differs[ref]
        origins[ref] = unclear & (pending[ref] & ~_any(disagreement.blurred, reads, count))[:, None]
    return [
        _problem(seen, ref, origins[ref], "warning")
        for ref in disagreement.differs
        if origins[ref].any()
    ]


def _any(flags: dict[Ref, Mask], refs: list[Ref], count: int) -> Mask:
    found: Mask = np.zeros(count, dtype=np.bool_)
    for ref in refs:
        if ref in flags:
            found |= np.asarray(flags[ref].any(axis=1))
    return found


def _problem(seen: Seen, ref: Ref, where: Mask, severity: Severity) -> Problem:
    """A value that the weights do not hold."""
    row, position = (int(i) for i in np.argwhere(where)[0])
    left = where[row]
    if ref in seen.found.blurred:  # what no slope mends comes first
        left = left & seen.unclear_at_any_slope(ref, row)
    if left.any():
        position = int(left.argmax())
    rule, fix = next(_causes(seen, ref, row, position))
    if severity == "error":
        rule += _example(seen, row)
    else:
        rule += f" (input {seen.run.batch.input(int(seen.rows[row]))}); no output shows it"
        fix = f"nothing; or: {fix}"
    return Problem(shown(seen.run.program, ref), rule, fix, severity, ref)


def _none_problem(seen: Seen, ref: Ref, where: Mask) -> Problem:
    """A None on its way to the output."""
    row, position = (int(i) for i in np.argwhere(where)[0])
    program = seen.run.program
    if isinstance(program.nodes[ref], Aggregate):
        rule = f"nothing is selected at position {position}, so RASP's value is None"
        fix = "make the selector select something at every position"
    else:
        rule = f"the function gives None at position {position}"
        fix = "give a value there"
    number = program.encoding(program.output) is NUMERICAL
    instead = "a number" if number else "some value or other (Tracr issue 25)"
    rule += f"; a model has no None and gives {instead}"
    return Problem(shown(program, ref), rule + _example(seen, row), fix, "error", ref)


def _example(seen: Seen, row: int) -> str:
    """An input with both outputs, at the first position where they differ."""
    run, at = seen.run, int(seen.rows[row])
    wanted = run.batch.row(run.column(run.program.output), at)
    ordered = seen.compiled.transformer.output_values
    given: list[Value] = [
        round(float(a), 4) if ordered is None else ordered[int(a)]
        for a in seen.found.answers[row, : len(wanted)]
    ]
    wrong = np.flatnonzero(seen.found.wrong[row, : len(wanted)])
    position = int(wrong[0]) if len(wrong) else 0
    return (
        f". On input {run.batch.input(at)} the program gives {wanted}, the weights "
        f"{given}: {wanted[position]!r} and {given[position]!r} at position {position}"
    )


Cause = tuple[str, str]
"""Why weights say something else, and what to do."""


def _causes(seen: Seen, ref: Ref, row: int, position: int) -> Iterator[Cause]:
    """What is wrong at one expression on one row, the likeliest first."""
    run, program, at = seen.run, seen.run.program, int(seen.rows[row])
    node = program.nodes[ref]
    is_staircase = staircase_of(program, seen.compiled, ref) is not None
    if seen.remedy.mends[row] and seen.remedy.exactness is not None:
        needed = seen.remedy.exactness
        yield _slope(seen, ref, at, position, needed), _needs(seen, ref, needed)
    if isinstance(node, Aggregate):
        yield from _aggregate_causes(seen, ref, node, at, position)
    if is_staircase:
        yield from _staircase_causes(seen, ref, row, position)
    if isinstance(node, (Map, SequenceMap)) and is_clipped(program, ref, seen.compiled.value_sets):
        yield (
            f"a categorical to numerical Map cannot give a negative number, "
            f"{_value(run, ref, at, position)!r}: its ReLU clips it to 0",
            "give the absolute value and subtract it by a LinearSequenceMap",
        )
    if isinstance(node, (Aggregate, SelectorWidth)):
        yield from _attention_causes(seen, node.selector)
    if _is_too_large(seen, ref) or (is_staircase and seen.remedy.is_single_precision):
        yield _single_precision(seen, ref)
    yield (
        f"the weights do not hold the value {_value(run, ref, at, position)!r}",
        "give the expressions it reads fewer or other values",
    )


def _value(run: ProgramRun, ref: Ref, row: int, position: int) -> Entry:
    column = run.column(ref)
    return column.values[int(column.codes[row, position])]


def _aggregate_causes(
    seen: Seen, ref: Ref, node: Aggregate, row: int, position: int
) -> Iterator[Cause]:
    run, program = seen.run, seen.run.program
    if bool(run.selects_nothing(node)[row, position]):
        value = _value(run, ref, row, position)
        yield (
            f"nothing is selected at position {position}, so the head reads BOS, where "
            f"{program.labels[node.sop]} is not empty; RASP's value is {value!r}",
            "make the selector select something at every position",
        )
    if program.encoding(ref) is CATEGORICAL and bool(run.mixes(node)[row, position]):
        yield (
            "a categorical Aggregate can move one value, not average several; it selects "
            f"different ones at position {position}",
            "make the selector select one position (or equal values), or encode "
            "everything as numerical 0/1 and average that",
        )


def _staircase_causes(seen: Seen, ref: Ref, row: int, position: int) -> Iterator[Cause]:
    at = int(seen.rows[row])
    run, program, sets = seen.run, seen.run.program, seen.compiled.value_sets
    node = program.nodes[ref]
    inner = ref if isinstance(node, SelectorWidth) else sops_read(program, ref)[0]
    met, known = _value(run, inner, at, position), sets[inner].ordered
    if met is None:
        yield (
            f"a function of a number gives None where its number is None, as at position "
            f"{position}; a model has no None and takes the function of some number",
            "give a value there",
        )
    if isinstance(met, (bool, int, float)) and not any(same_value(v, met) for v in known):
        yield (
            f"a function of a number is exact only on the values the compiler infers; it "
            f"meets {met!r}, and they are {_some(known)}",
            "avoid functions of means; compare SelectorWidths instead",
        )
    if _value(run, ref, at, position) is None:
        yield (
            f"the function gives None on {met!r}; a model has no None and gives the value of a "
            "neighbouring number",
            "give a value there",
        )
    if seen.clear is not None and not seen.unclear_at_any_slope(ref, row)[position]:
        needed = int(seen.clear.mlp_exactness)
        fix = f"take mlp_exactness {needed}, with which it is held clearly"
        yield _slope(seen, ref, at, position, needed), fix


def _needs(seen: Seen, ref: Ref, needed: int) -> str:
    """Which slope mends outputs, and of which inputs that is known."""
    is_width = isinstance(seen.run.program.nodes[ref], SelectorWidth)
    at = f" at length {_length(seen)}" if is_width else ""
    match seen.remedy.is_shown:
        case True:
            auto = "--mlp-exactness auto (in Python mlp_exactness='auto') finds one"
            return f"needs mlp_exactness {needed}{at}; {auto}"
        case False:
            return f"needs at least mlp_exactness {needed}{at}, which does not mend all inputs"
        case None:
            return f"needs at least mlp_exactness {needed}{at}"


def _slope(seen: Seen, ref: Ref, row: int, position: int, needed: int) -> str:
    """That steps are of the wrong slope: of an expression, or of one that it reads."""
    slope = seen.compiled.mlp_exactness
    how = "too flat" if needed > slope else "too steep for single precision"
    what = "the steps of its MLP"
    if staircase_of(seen.run.program, seen.compiled, ref) is None:
        what = "the steps of an MLP that it rests on"
    near = _near(seen, ref, row, position, needed)
    return f"{what} are {how}, with mlp_exactness {slope:g}{near}"


def _near(seen: Seen, ref: Ref, row: int, position: int, needed: int) -> str:
    """Which value it is that cannot be told from its neighbours."""
    program = seen.run.program
    stairs = staircase_of(program, seen.compiled, ref)
    if stairs is None or len(stairs[1]) < 2:
        return ""
    if isinstance(program.nodes[ref], SelectorWidth):
        met = _value(seen.run, ref, row, position)
        return f"; it selects {met!r} positions{_widths(_length(seen), needed)}"
    inner = sops_read(program, ref)[0]
    number = number_or(_value(seen.run, inner, row, position), np.nan)
    near = int(np.abs(stairs[0].points - number).argmin())
    gap = float(np.diff(stairs[0].points)[max(0, near - 1) : near + 1].min())
    return f"; it must tell {number:.9g} from a value that is {gap:.3g} away"


def _widths(longest: int, needed: int) -> str:
    """What a slope has to do with widths, where that is why it is needed."""
    bound = longest * (longest + 1)
    rule = f", and widths up to {longest} take more than {longest} * {longest + 1} = {bound}"
    if needed <= bound:
        return ""
    if needed == bound + 1:
        return rule
    return f"{rule}, up to twice that where what reads them needs them clearly"


def _length(seen: Seen) -> int:
    return len(seen.compiled.transformer.W_pos) - 1


def _largest(seen: Seen, ref: Ref) -> float:
    """The largest number that an expression holds or reads."""
    sops = (ref, *sops_read(seen.run.program, ref))
    values = [v for sop in sops for v in seen.compiled.value_sets[sop].unordered]
    return max(abs(number_or(v, 0.0)) for v in values)


def _is_too_large(seen: Seen, ref: Ref) -> bool:
    """Whether an expression's numbers are told apart by less than single precision holds."""
    if seen.run.program.encoding(ref) is CATEGORICAL:
        return False
    finest = float(tolerances(seen.compiled.value_sets[ref].unordered).min())
    return finest < 8 * UNIT * _largest(seen, ref)


def _single_precision(seen: Seen, ref: Ref) -> Cause:
    largest = _largest(seen, ref)
    return (
        f"its numbers, up to {largest:.9g}, are too large to be told apart in single precision, "
        "whatever the mlp_exactness",
        "use smaller numbers: count from 0, or subtract what they have in common",
    )


def _attention_causes(seen: Seen, selector: Ref) -> Iterator[Cause]:
    program = seen.run.program
    select = program.nodes[selector]
    assert isinstance(select, Select)
    if select.keys not in clean_at_bos(program):
        yield (
            "the keys of its Select hold a value at BOS too (as every function of a number "
            "does), so BOS is selected like a token",
            "compute the keys from tokens or indices by categorical Maps only",
        )
    yield (
        "attention is not sharp enough: with "
        f"d_head={seen.compiled.transformer.d_head} "
        "what is not selected weighs in, or the predicate gives numbers, not truths",
        "use predicates that give True or False, and fewer values",
    )


def _some(values: tuple[Value, ...]) -> str:
    """Values, not too many of them."""
    if len(values) <= 12:
        return str(list(values))
    return f"{len(values)} numbers from {values[0]!r} to {values[-1]!r}"
