"""What a program means on a batch of inputs: the side weights are compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from untracr.errors import EvaluationError, Problem, ProgramError
from untracr.rasp.functions import Value
from untracr.rasp.interpreter import Batch, Column, Entry, Mask
from untracr.rasp.nodes import Aggregate, Ref
from untracr.rasp.program import Program, print_program
from untracr.rasp.spent import Spent, TooCostly


def shown(program: Program, ref: Ref) -> str:
    """One node's printed line, or its label where the program cannot be printed."""
    if ref < 2:
        return program.labels[ref]
    try:
        return print_program(program).splitlines()[ref - 2]
    except ProgramError:
        return program.labels[ref]


@dataclass
class ProgramRun:
    """A program's values on a batch of inputs.

    Inputs on which it fails are left out of the batch (`Batch.failed`).

    Attributes:
        program: the program.
        batch: the inputs.
        states: the values of each node, once evaluated.
        failures: where it fails, once evaluated; one for each expression.
    """

    program: Program
    batch: Batch
    states: dict[Ref, Column | Mask] = field(default_factory=dict)
    failures: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.batch.leave_out_failures()
        spent = Spent()
        for ref in sorted(self.program.reachable):
            before, node = self.failed, self.program.nodes[ref]
            try:
                self.batch.count(node, self.states, spent, self.program.labels[ref])
                self.states[ref] = self.batch.step(node, self.states)
            except TooCostly as error:
                self._give_up(ref, str(error))
                return
            rows = np.flatnonzero(self.failed & ~before)
            if len(rows):
                self.failures.append(self._failure(ref, self.batch.input(int(rows[0]))))

    @property
    def failed(self) -> Mask:
        """On which inputs it fails, [batch]."""
        assert self.batch.failed is not None
        return self.batch.failed.copy()

    @property
    def is_whole(self) -> bool:
        """Whether it was run to the end, and not too costly."""
        return self.program.output in self.states

    def _give_up(self, ref: Ref, reason: str) -> None:
        """Leaves out all inputs: running the program costs too much."""
        assert self.batch.failed is not None
        self.batch.failed[:] = True
        rule = f"the program cannot be run: {reason}"
        fix = "shorten max_seq_len or the vocabulary"
        self.failures.append(Problem(shown(self.program, ref), rule, fix, "error", ref))

    def _failure(self, ref: Ref, tokens: list[Value]) -> Problem:
        """How the program fails at an expression; on one input alone the reason is its own."""
        reason = "it fails"
        try:
            Batch([tokens], causal=self.batch.causal).evaluate(self.program)
        except EvaluationError as error:
            reason = str(error)
        return Problem(
            shown(self.program, ref),
            f"the program itself fails on some input: {reason}. So on {tokens}",
            "handle that value; where nothing is selected a value is None",
            "error",
            ref,
        )

    def column(self, ref: Ref) -> Column:
        """A SOp's values."""
        state = self.states[ref]
        assert isinstance(state, Column)
        return state

    def selected(self, aggregate: Aggregate) -> Mask:
        """An Aggregate's selector, [batch, query, key]."""
        state = self.states[aggregate.selector]
        assert not isinstance(state, Column)
        return state

    def where(self, ref: Ref, test: Callable[[Entry], bool]) -> Mask:
        """Where a SOp's value passes a test, [batch, position]."""
        column = self.column(ref)
        flags = np.array([test(value) for value in column.values], dtype=np.bool_)
        found: Mask = flags[column.codes]
        return found

    def is_none(self, ref: Ref) -> Mask:
        """Where a SOp has no value, [batch, position]."""
        return self.where(ref, lambda value: value is None)

    def selects_nothing(self, node: Aggregate) -> Mask:
        """Where an Aggregate selects nothing, [batch, query]."""
        return np.asarray(~self.selected(node).any(axis=2))

    def mixes(self, node: Aggregate) -> Mask:
        """Where an Aggregate selects different values, [batch, query]."""
        selected, codes = self.selected(node), self.column(node.sop).codes[:, None, :]
        high = np.where(selected, codes, -1).max(axis=2)
        low = np.where(selected, codes, np.iinfo(np.int64).max).min(axis=2)
        return np.asarray(high > low)
