"""The whole test of a hypothesis: behaviour, causes, controls, what is idle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from untracr.errors import UsageError
from untracr.hypothesis.behaviour import Behaviour, behaviour, lines_on
from untracr.hypothesis.causes import Effort, Support, supports_of
from untracr.hypothesis.controls import Control, control_networks, controls_of
from untracr.hypothesis.drawing import Drawn, domain_of, inputs_of
from untracr.hypothesis.idle import Broken, Idle, broken, idle
from untracr.hypothesis.interchange import Recorded, places_of, recorded
from untracr.hypothesis.lines import is_function_of
from untracr.hypothesis.subject import Codes, Subject
from untracr.network.forward import steps
from untracr.rasp.domain import Domain
from untracr.rasp.nodes import Ref
from untracr.rasp.program import Program
from untracr.short_repr import short_repr

SUPPORTED = 0.9
"""Interchange accuracy from which a line counts as one that the network runs."""

SURE = 0.7
"""What the lower bound of its interval must reach besides."""

LEAST_TOLD = 0.5
"""How far the place must tell the line's value, lest it hold only what becomes of it."""

ABOVE_CHANCE = 0.1
"""By how much a control may do better than chance."""

MOST_OF_NETWORKS = 0.5
"""Interchange accuracy that a network without the algorithm may reach."""

Watch = Callable[[Sequence[Support]], Iterable[Support]]

LEAST_INPUTS = 64
"""Of one length, on which causes are looked for."""

MOST_KEPT = 2 * 2**30
"""Bytes of what networks compute on these."""

NETWORKS = 3
"""Of which it is kept: the network and those that are controls."""


@dataclass(frozen=True)
class Amount:
    """How much is compared and searched.

    Attributes:
        inputs: of each kind, where they are drawn.
        traced: of one length, on which causes are looked for.
        effort: exchanges of each line.
    """

    inputs: int = 4_000
    traced: int = 1_200
    effort: Effort = field(default_factory=Effort)

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class LineReport:
    """What was shown of one line.

    Attributes:
        line: the line.
        support: of the line in the network.
        controls: what the same search reaches where there is nothing to find.
        broken: what taking the line's part from other inputs did; None where it was not found.
        told_by: other supported lines at its place of which its value is a function, so that
            exchanges do not show that it is computed besides.
    """

    line: Ref
    support: Support
    controls: tuple[Control, ...]
    broken: Broken | None
    told_by: tuple[Ref, ...] = ()

    __repr__ = short_repr

    @property
    def followed(self) -> bool:
        """Whether the network's output follows the line, sure enough."""
        share = self.support.share
        enough = share.fraction >= SUPPORTED and share.interval[0] >= SURE
        return self.support.informative and enough

    @property
    def supported(self) -> bool:
        """Whether the output follows the line, its place tells it, and no control comes near."""
        if not self.followed or self.support.told < LEAST_TOLD:
            return False
        return all(
            at.share.fraction <= max(min(at.chance + ABOVE_CHANCE, SURE), MOST_OF_NETWORKS)
            for at in self.controls
        )


@dataclass(frozen=True, eq=False)
class HypothesisReport:
    """Everything that a test showed.

    Attributes:
        program: the hypothesis.
        subject: the network.
        behaviours: by kind of input.
        lines: of the program, in order; empty where causes were not looked for.
        traced: how many different inputs of which length were used for causes.
        idle: what the network needs besides; None where no line was supported.
        seed: of everything that was drawn.
    """

    program: Program
    subject: Subject
    behaviours: tuple[Behaviour, ...]
    lines: tuple[LineReport, ...]
    traced: tuple[int, int]
    idle: Idle | None
    seed: int

    __repr__ = short_repr


def examine(
    subject: Subject,
    program: Program,
    *,
    longest: int | None = None,
    amount: Amount = Amount(),
    seed: int = 0,
    watch: Watch = list,
    truth: Program | None = None,
) -> HypothesisReport:
    """Does a network run a program?

    Args:
        subject: the network with its words.
        program: the hypothesis.
        longest: tokens of the longest input; the task's, at most `drawing.LONGEST`.
        amount: how much is compared and searched.
        seed: the same seed gives the same figures.
        watch: passes the lines on one by one as they are tested, so that progress can be shown.
        truth: what the network was meant to do; where it fails, does the program fail alike?

    Raises:
        UsageError: there is nothing to compare on.
        EvaluationError: the program fails on an input.
    """
    from threadpoolctl import threadpool_limits  # scikit-learn's; its products are small

    with threadpool_limits(1):
        return _examined(subject, program, longest, amount, seed, watch, truth)


def _examined(
    subject: Subject,
    program: Program,
    longest: int | None,
    amount: Amount,
    seed: int,
    watch: Watch,
    truth: Program | None,
) -> HypothesisReport:
    domain = domain_of(subject, longest)
    rng = np.random.default_rng([seed, 0])
    traced = min(amount.traced, most_traced(subject, domain.max_seq_len))
    drawn = inputs_of(subject, domain.max_seq_len, amount.inputs, rng)
    kinds = tuple(kind for kind in drawn if sum(map(len, kind.groups)))
    if not kinds:
        raise UsageError("no input of the network fits the task")
    behaviours = tuple(
        behaviour(subject, program, domain, kind, np.random.default_rng([seed, 1, number]), truth)
        for number, kind in enumerate(kinds)
    )
    tokens = traced_inputs(kinds[0], traced, np.random.default_rng([seed, 2]))
    data = recorded_for(subject, program, domain, tokens)
    lines = tuple(_lines(subject, data, amount.effort, seed, watch))
    good = [report.support for report in lines if report.supported]
    different = len(np.unique(tokens, axis=0))
    left = idle(subject, data, good, np.random.default_rng([seed, 3])) if good else None
    return HypothesisReport(
        program, subject, behaviours, lines, (different, tokens.shape[1]), left, seed
    )


def most_traced(subject: Subject, length: int) -> int:
    """On how many inputs of a length everything can be kept (`MOST_KEPT`).

    Raises:
        UsageError: on fewer than `LEAST_INPUTS`.
    """
    network = subject.network
    each = (length + len(subject.before) + len(subject.after)) * network.d_model
    streams = len(places_of(network)) + len(steps(network))
    most = MOST_KEPT // (NETWORKS * streams * each * network.W_E.itemsize)
    if most < LEAST_INPUTS:
        raise UsageError(
            f"{LEAST_INPUTS} inputs of {length} tokens at {streams} places of width "
            f"{network.d_model} take more than {MOST_KEPT // 2**30} GB; choose shorter ones"
        )
    return most


def traced_inputs(drawn: Drawn, count: int, rng: np.random.Generator) -> Codes:
    """Inputs of one length [N, T]: the longest of which there are enough, else the most.

    Where there are fewer than `LEAST_INPUTS` they are repeated: values can still be
    exchanged between their positions.
    """
    enough = [group for group in drawn.groups if len(group) >= min(count, 8 * LEAST_INPUTS)]
    enough = enough or [group for group in drawn.groups if len(group) >= LEAST_INPUTS]
    if enough:
        group = max(enough, key=lambda tokens: tokens.shape[1])
        return group[rng.permutation(len(group))[:count]]
    group = max(drawn.groups, key=lambda tokens: (len(tokens), tokens.shape[1]))
    return np.tile(group, (-(-LEAST_INPUTS // len(group)), 1))


def recorded_for(subject: Subject, program: Program, domain: Domain, tokens: Codes) -> Recorded:
    """A network run on inputs, with the program's lines beside it."""
    lines = lines_on(subject, program, domain, tokens)
    return recorded(subject, domain, tokens, lines, places_of(subject.network))


def _lines(
    subject: Subject,
    data: Recorded,
    effort: Effort,
    seed: int,
    watch: Watch,
) -> list[LineReport]:
    supports = supports_of(subject, data, (seed, 4), effort)
    networks = control_networks(subject, data, np.random.default_rng([seed, 5]))
    reports = []
    for support in watch(supports):
        controls: tuple[Control, ...] = ()
        cost = None
        if support.informative:
            drawn = (seed, 4, support.line)
            controls = tuple(controls_of(subject, data, support.line, networks, drawn, effort))
        if support.best is not None:
            cost = broken(subject, data, support, np.random.default_rng([seed, 6, support.line]))
        reports.append(LineReport(support.line, support, controls, cost))
    return [replace(report, told_by=tuple(_told_by(data, report, reports))) for report in reports]


def _told_by(data: Recorded, line: LineReport, lines: Sequence[LineReport]) -> Iterator[Ref]:
    best = line.support.best
    if best is None or not line.supported or line.line in (0, 1):  # which nothing computes
        return
    codes = np.ascontiguousarray(data.lines.columns[line.line].codes)
    for other in lines:
        there = any(found.place == best.place for found in other.support.places)
        if other is line or not other.supported or not there:
            continue
        values = np.ascontiguousarray(data.lines.columns[other.line].codes)
        if is_function_of(codes, values):
            yield other.line
