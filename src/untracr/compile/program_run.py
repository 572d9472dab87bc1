"""What a program means on a batch of inputs: the side weights are compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from untracr.compile.compiler import Compiled
from untracr.errors import EvaluationError, Problem, ProgramError
from untracr.rasp.interpreter import Batch, Column, Entry, Mask
from untracr.rasp.printing import print_program
from untracr.rasp.program import Aggregate, Program, Ref
from untracr.rasp.spent import Spent


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
    """A program, its weights, and the program's values on a batch of inputs.

    Attributes:
        program: the program.
        compiled: its weights.
        batch: the inputs.
        sampled: whether the domain has more inputs.
        states: the values of each node, once evaluated.
    """

    program: Program
    compiled: Compiled
    batch: Batch
    sampled: bool
    states: dict[Ref, Column | Mask] = field(default_factory=dict)

    def evaluate(self) -> Problem | None:
        """Runs the program; the problem where it fails."""
        spent = Spent()
        for ref in sorted(self.program.reachable):
            node = self.program.nodes[ref]
            try:
                self.batch.count(node, self.states, spent, self.program.labels[ref])
                self.states[ref] = self.batch.step(node, self.states)
            except ProgramError as error:
                fix = "handle that value; where nothing is selected a value is None"
                if not isinstance(error, EvaluationError):
                    fix = "keep values within those that the compiler infers (no averages)"
                rule = f"the program itself fails on some input: {error}"
                return Problem(shown(self.program, ref), rule, fix, "error", ref)
        return None

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
