"""Whether weights do what a program says: the one judge that all who ask go to.

Where `untracr.diagnose.bounds` and `untracr.diagnose.doubts` show that nothing
can go wrong, no input is run. Else the program is run on every input of the domain (or on
many different ones of a larger domain), and the weights on those inputs on which something
comes up that may go wrong. What goes wrong is told with its cause
(`untracr.diagnose.causes`), and with the mlp_exactness that mends it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from untracr.compile.compiler import Compiled
from untracr.diagnose.blur import AS_COMPILED
from untracr.diagnose.bounds import bounds
from untracr.diagnose.causes import Seen, problems_seen
from untracr.diagnose.doubts import Doubts
from untracr.diagnose.inputs import ALL_TRIED_UP_TO, batches
from untracr.diagnose.program_run import ProgramRun
from untracr.diagnose.remedy import Remedy, recompiled, remedy_for
from untracr.diagnose.rounded import Rounded
from untracr.diagnose.weights_run import differences
from untracr.errors import Problem
from untracr.rasp.domain import Domain
from untracr.rasp.functions import Value
from untracr.rasp.interpreter import Batch, Codes, Mask
from untracr.rasp.program import Program
from untracr.short_repr import short_repr
from untracr.shown_text import count
from untracr.transformer.transformer import Transformer

RUN = 5_000
"""Inputs on which weights are run that may not be those that the compiler makes."""

OPERATIONS = 1e11
"""Multiplications that running weights may take; inputs beyond that are not tried."""

RETRY = 0.5
"""Share of that work for weights of another slope."""

FIRST_LOOK = 0.1
"""Share of that work after which a batch is looked at for faults before the rest is run."""

FEWEST_INPUTS = 8
"""Inputs of a batch that are run nevertheless."""

SLOPES_TRIED = 8
"""Slopes that are tried until one is right."""

How = Literal["analysis", "run"]


@dataclass(frozen=True)
class Verification:
    """Whether weights do what a program says.

    Attributes:
        problems: errors where an output differs, warnings where only a value on the way
            does.
        inputs_checked: of how many different inputs it is known whether they go wrong.
        domain_size: how many there are.
        how: whether that was told by analysis alone, or by running inputs.
        exactness: the smallest mlp_exactness that mends all that goes wrong; None where
            none does, or nothing is wrong.
        mended: what is shown of the weights of that slope.
    """

    problems: tuple[Problem, ...]
    inputs_checked: int
    domain_size: int
    how: How = "run"
    exactness: int | None = None
    mended: Verification | None = None

    __repr__ = short_repr

    @property
    def exhaustive(self) -> bool:
        """Whether this holds for every input of the domain."""
        return self.inputs_checked == self.domain_size

    @property
    def ok(self) -> bool:
        """Whether every output was right."""
        return not any(problem.severity == "error" for problem in self.problems)

    @property
    def where(self) -> str:
        """Of which inputs this is known, in words."""
        if self.how == "analysis":
            return f"on all {count(self.domain_size)} inputs, as an analysis shows"
        if self.exhaustive:
            return f"on all {count(self.domain_size)} inputs"
        return (
            f"on the {self.inputs_checked:,} different inputs that were tried, of "
            f"{count(self.domain_size)}"
        )

    def __str__(self) -> str:
        if not self.ok:
            return "the weights do not do what the program says"
        if self.exhaustive:
            return f"the weights do what the program says {self.where}"
        return f"no fault found {self.where}; of the others nothing is known"


def verify(
    program: Program,
    compiled: Compiled,
    domain: Domain,
    *,
    max_inputs: int = ALL_TRIED_UP_TO,
    as_compiled: bool = False,
) -> Verification:
    """Judges weights.

    Args:
        program: the program that was compiled, composite selectors lowered.
        compiled: its weights.
        domain: the inputs.
        max_inputs: of a domain with no more inputs all are looked at; of a larger one
            some of all shapes (fewer where inputs are very long).
        as_compiled: whether the weights are known to be those that the compiler made. Then
            an analysis tells on which inputs they need not be run; others are run
            on at most `RUN` inputs.
    """
    look = _Look(program, compiled, domain, max_inputs, as_compiled)
    bad = look.until_wrong()
    if bad is None:
        return look.outcome()
    remedy, mended = look.remedy(bad)
    problems = (*bad.run.failures, *problems_seen(replace(bad, remedy=remedy)), *look.warnings)
    needed = None if mended is None else remedy.exactness
    return Verification(_each_once(problems), look.tried, domain.size, "run", needed, mended)


def _each_once(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """The first problem of each expression."""
    first = {problem.ref: problem for problem in reversed(problems)}
    return tuple(problem for problem in problems if first[problem.ref] is problem)


@dataclass(frozen=True)
class Departures:
    """On how many inputs weights do not do what a program says.

    Attributes:
        count: inputs on which an output differs, or the program fails.
        failing: inputs on which it fails.
        inputs_checked, domain_size: see `Verification`.
        failure: how it fails; empty where it does not.
    """

    count: int
    failing: int
    inputs_checked: int
    domain_size: int
    failure: str = ""

    __repr__ = short_repr

    @property
    def exhaustive(self) -> bool:
        """Whether every input of the domain is counted."""
        return self.inputs_checked == self.domain_size


def departures(
    program: Program, compiled: Compiled, domain: Domain, rounded: Rounded | None = None
) -> Departures:
    """Counts the inputs on which weights do not do what a program says.

    Args:
        program: the program that was compiled, composite selectors lowered.
        compiled: its weights, as compiled.
        domain: the inputs.
        rounded: a model that has these weights but for small differences, which is judged
            then; the compiled weights if not given.
    """
    look = _Look(program, compiled, domain, ALL_TRIED_UP_TO, True, rounded)
    count = failing = 0
    failure = ""
    for seen in look.all():
        failed = int(seen.run.failed.sum())
        failing, count = failing + failed, count + failed + int(_wrong(seen).sum())
        if seen.run.failures and not failure:
            failure = seen.run.failures[0].rule
    return Departures(count, failing, look.tried, domain.size, failure)


def faults(
    program: Program, compiled: Compiled, domain: Domain, inputs: Sequence[Sequence[Value]]
) -> tuple[Problem, ...]:
    """What goes wrong on some inputs alone, warnings included."""
    look = _Look(program, compiled, domain, RUN, False)
    seen = look.at(Batch(inputs, causal=compiled.transformer.causal))
    remedy = remedy_for(seen.run, compiled, domain, seen.rows, _wrong(seen))
    return _each_once((*seen.run.failures, *problems_seen(replace(seen, remedy=remedy))))


class _Look:
    """Looks at a program and its weights, batch by batch.

    Attributes:
        is_clear: whether nothing can go wrong, so that nothing need be run.
        left: multiplications that running weights may still take.
        tried: of how many different inputs it is known by now whether they go wrong.
        warnings: values that are wrong on the way, as far as seen.
    """

    def __init__(
        self,
        program: Program,
        compiled: Compiled,
        domain: Domain,
        most: int,
        as_compiled: bool,
        rounded: Rounded | None = None,
        left: float | None = None,
    ) -> None:
        self.program, self.compiled, self.domain = program, compiled, domain
        self.rounded = rounded
        self.most = most if as_compiled else min(most, RUN)
        self.doubts: Doubts | None = None
        if as_compiled:
            blur = AS_COMPILED if rounded is None else rounded.blur
            found = bounds(program, compiled, domain.max_seq_len, blur)
            self.doubts = Doubts(program, compiled, found, domain.max_seq_len)
        self.is_clear = self.doubts is not None and self.doubts.none
        self.tried = domain.size if self.is_clear else 0
        self.warnings: list[Problem] = []
        self.left = OPERATIONS if left is None else left

    def until_wrong(self) -> Seen | None:
        """The first batch on which an output is wrong or the program fails.

        Of a domain that is run as a whole some inputs of many shapes come first.
        """
        for some in (True, False):
            for seen in self.all(some=some, share=FIRST_LOOK):
                if seen.found.wrong.any() or seen.run.failures:
                    return seen
                if not self.warnings and any(f.any() for f in seen.found.differs.values()):
                    self.warnings = problems_seen(seen)
        return None

    def all(self, *, some: bool = False, share: float = 1) -> Iterator[Seen]:
        """All batches, with those rows that are in doubt; none if nothing can go wrong.

        Args:
            some: only the first inputs of a domain that is run as a whole, if it is large.
            share: of the work, that a part of a batch may take; then the rest comes as another.
        """
        if self.is_clear:
            return
        self.tried = 0
        causal = self.compiled.transformer.causal
        for batch in batches(self.domain, self.most, causal=causal, some=some):
            run = ProgramRun(self.program, batch)
            rows = self._rows(run)
            self.tried += len(batch) - len(rows)
            first = self._affordable(rows, share)
            yield self._beside(run, first)
            if len(first) < len(rows) and share < 1:
                rest = np.setdiff1d(rows, first, assume_unique=True)
                yield self._beside(run, self._affordable(rest))

    def at(self, batch: Batch) -> Seen:
        """One batch, with those rows that are in doubt."""
        run = ProgramRun(self.program, batch)
        return self._beside(run, self._affordable(self._rows(run)))

    def _beside(self, run: ProgramRun, rows: Codes) -> Seen:
        """Some rows of a run, and the weights on them."""
        self.tried += len(rows)
        found = differences(run, self.compiled, rows, self.rounded)
        nothing = Remedy(np.zeros(len(rows), dtype=np.bool_))
        return Seen(run, self.compiled, self.domain, rows, found, nothing)

    def _rows(self, run: ProgramRun) -> Codes:
        """Rows on which weights must be run."""
        runs = ~run.failed
        if not run.is_whole:
            return np.flatnonzero(runs)
        if self.doubts is not None:
            runs &= self.doubts.rows(run)
        return np.flatnonzero(runs)

    def _affordable(self, rows: Codes, share: float = 1) -> Codes:
        """As many of the rows as there is work left for, spread evenly."""
        model = self.compiled.transformer if self.rounded is None else self.rounded.transformer
        each = _operations(model, self.domain.max_seq_len)
        most = int(min(self.left, share * OPERATIONS) / each)
        count = min(len(rows), max(FEWEST_INPUTS, most))
        self.left -= count * each
        if count == len(rows):
            return rows
        return rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]

    def outcome(self) -> Verification:
        """What is shown where nothing was wrong."""
        how: How = "analysis" if self.is_clear else "run"
        return Verification(tuple(self.warnings), self.tried, self.domain.size, how)

    def remedy(self, bad: Seen) -> tuple[Remedy, Verification | None]:
        """The smallest slope that mends what is wrong on a batch, and on all others."""
        remedy = remedy_for(bad.run, self.compiled, self.domain, bad.rows, _wrong(bad))
        for _ in range(SLOPES_TRIED):
            if remedy.exactness is None:
                return remedy, None
            steeper = recompiled(self.program, self.compiled, self.domain, remedy.exactness)
            left = RETRY * OPERATIONS
            look = _Look(self.program, steeper, self.domain, self.most, True, left=left)
            again = look.until_wrong()
            if again is None:
                return replace(remedy, is_shown=True), look.outcome()
            more = remedy_for(again.run, steeper, self.domain, again.rows, _wrong(again))
            if more.exactness is None or more.exactness <= remedy.exactness:
                break
            remedy = replace(remedy, exactness=more.exactness)
        return replace(remedy, is_shown=False), None


def _wrong(seen: Seen) -> Mask:
    return np.asarray(seen.found.wrong.any(axis=1))


def _operations(model: Transformer, length: int) -> float:
    """Multiplications that one input takes."""
    n = length + 1
    heads = model.n_heads * model.d_head
    each = 4 * model.d_model * heads + 2 * model.d_model * model.d_mlp + 2 * n * heads
    return float(n * each * model.n_layers)
