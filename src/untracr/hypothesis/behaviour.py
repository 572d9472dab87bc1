"""Does a program put out what a network puts out? Counted, beside what trivial predictors reach.

Axes: N inputs of T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from untracr.errors import UsageError
from untracr.evaluate.share import Share
from untracr.hypothesis.baselines import Baseline, baselines
from untracr.hypothesis.drawing import Drawn
from untracr.hypothesis.lines import Lines, lines_of
from untracr.hypothesis.subject import Codes, Mask, Outputs, Subject
from untracr.rasp.domain import Domain
from untracr.rasp.interpreter import Batch
from untracr.rasp.program import Program
from untracr.rasp.values import Value
from untracr.short_repr import short_repr
from untracr.task.task import Number

BATCH = 1_024
"""Inputs that run at once, at most."""

NUMBERS_AT_ONCE = 10_000_000
"""Logits of inputs that run at once, and pairs of their positions."""

MOST_FOR_BASELINES = 8_000
"""Inputs that predictors are fitted to and counted on."""

MOST_TOLD = 2**25
"""Tokens that these inputs may hold, each counted once for each position that is predicted."""

MOST_EXAMPLES = 5
"""Counter-examples that are kept of each kind of inputs."""


@dataclass(frozen=True)
class CounterExample:
    """An input on which a program and a network part.

    Attributes:
        tokens: the input.
        program, network: outputs, one a position; None where outputs do not count.
    """

    tokens: tuple[Value, ...]
    program: tuple[Value, ...]
    network: tuple[Value, ...]

    __repr__ = short_repr


@dataclass(frozen=True)
class Behaviour:
    """How far a program's outputs are a network's, on one kind of inputs.

    Attributes:
        kind: of inputs, in words.
        every: whether these are all inputs of the domain.
        share: inputs on which every output that counts is the same, of those with such outputs.
        baselines: what trivial predictors reach on the same inputs.
        counter_examples: where they part, shortest first.
        errors: of the inputs on which the network's outputs are not the truth's, those on which
            they are the program's; None where no truth is given.
    """

    kind: str
    every: bool
    share: Share
    baselines: tuple[Baseline, ...]
    counter_examples: tuple[CounterExample, ...]
    errors: Share | None = None

    __repr__ = short_repr

    @property
    def best_baseline(self) -> Baseline:
        """The trivial predictor that reaches most."""
        return max(self.baselines, key=lambda baseline: baseline.share.fraction)

    @property
    def skill(self) -> float:
        """(m - c) / (1 - c): m the program's share, c the best baseline's; 0 if c is 1 or none."""
        share = self.best_baseline.share
        best = share.fraction if share.total else 1.0
        return (self.share.fraction - best) / (1 - best) if best < 1 else 0.0


def behaviour(
    subject: Subject,
    program: Program,
    domain: Domain,
    drawn: Drawn,
    rng: np.random.Generator,
    truth: Program | None = None,
) -> Behaviour:
    """Compares a program's outputs with a network's.

    Args:
        subject: the network.
        program: the program.
        domain: of the program's tokens.
        drawn: the inputs.
        rng: draws the baselines' halves.
        truth: what the network was meant to do, if its errors are to be compared as well.

    Raises:
        EvaluationError: the program fails on an input.
        UsageError: no output counts on any of them.
    """
    right = total = wrong = followed = 0
    examples: list[CounterExample] = []
    seen: list[tuple[Codes, Outputs, Mask]] = []
    for tokens in _batches(subject, drawn.groups):
        lines = lines_on(subject, program, domain, tokens)
        ids = subject.ids(tokens)
        got, counted = subject.outputs(subject.logits(ids)), subject.counted(ids)
        same = (subject.same(got, subject.wanted(lines.output)) | ~counted).all(axis=1)
        compared = counted.any(axis=1)
        right, total = right + int((same & compared).sum()), total + int(compared.sum())
        if truth is not None:
            meant = subject.wanted(lines_on(subject, truth, domain, tokens).output)
            erring = ~(subject.same(got, meant) | ~counted).all(axis=1)
            wrong, followed = wrong + int(erring.sum()), followed + int((erring & same).sum())
        for row in np.flatnonzero(~same)[: MOST_EXAMPLES - len(examples)]:
            examples.append(_example(subject, lines, got, counted, int(row)))
        seen.append((tokens[compared], got[compared], counted[compared]))
    if not total:
        raise UsageError(f"no output counts on any of the inputs: {drawn.kind}")
    known = baselines(_as_codes(subject, _some(seen, rng)), program, rng)
    errors = None if truth is None else Share(followed, wrong)
    return Behaviour(drawn.kind, drawn.every, Share(right, total), known, tuple(examples), errors)


def lines_on(subject: Subject, program: Program, domain: Domain, tokens: Codes) -> Lines:
    """A program's lines on inputs of one length."""
    lengths = np.full(len(tokens), tokens.shape[1])
    causal = subject.network.architecture.causal
    return lines_of(program, Batch.of_codes(domain, tokens, lengths, causal=causal))


def _batches(subject: Subject, groups: Sequence[Codes]) -> Iterator[Codes]:
    for tokens in groups:
        length = tokens.shape[1] + len(subject.before) + len(subject.after)
        size = NUMBERS_AT_ONCE // (length * max(length, subject.columns))
        size = min(BATCH, max(1, size))
        for start in range(0, len(tokens), size):
            yield tokens[start : start + size]


def _some(
    seen: Sequence[tuple[Codes, Outputs, Mask]], rng: np.random.Generator
) -> Iterator[tuple[Codes, Outputs, Mask]]:
    """As many inputs as baselines take, of each length in proportion."""
    seen = [group for group in seen if len(group[0])]
    total = sum(len(tokens) for tokens, _, _ in seen)
    longest = max(tokens.shape[1] for tokens, _, _ in seen)
    most = max(2, min(MOST_FOR_BASELINES, total, MOST_TOLD // longest**2))
    for tokens, got, counted in seen:
        count = -(-len(tokens) * most // total)
        rows = rng.permutation(len(tokens))[:count]
        yield tokens[rows], got[rows], counted[rows]


def _as_codes(
    subject: Subject, seen: Iterator[tuple[Codes, Outputs, Mask]]
) -> list[tuple[Codes, Codes, Mask]]:
    """Outputs as codes from 0; numbers that are the same within the tolerance have one."""
    groups = list(seen)
    width = 2 * subject.within if isinstance(subject.task.meaning, Number) else 1
    rounded = [_rounded(got, width) if width != 1 else got for _, got, _ in groups]
    known = np.unique(np.concatenate([codes.ravel() for codes in rounded]))
    return [
        (tokens, np.searchsorted(known, codes), counted)
        for (tokens, _, counted), codes in zip(groups, rounded, strict=True)
    ]


def _rounded(numbers: Outputs, width: float) -> Codes:
    finite = np.nan_to_num(numbers / width, nan=0.0)
    return np.asarray(np.round(np.clip(finite, -1e15, 1e15)), dtype=np.int64)


def _example(
    subject: Subject, lines: Lines, got: Outputs, counted: Mask, row: int
) -> CounterExample:
    batch = lines.batch
    program = batch.row(lines.output, row)
    network = [subject.value_of(output) for output in got[row].tolist()]
    shown = counted[row].tolist()
    return CounterExample(
        tuple(batch.input(row)),
        tuple(value if at else None for value, at in zip(program, shown, strict=True)),
        tuple(value if at else None for value, at in zip(network, shown, strict=True)),
    )
