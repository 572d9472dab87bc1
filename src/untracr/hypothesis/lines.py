"""What each line of a program holds on inputs, and what the program gives if one line is exchanged.

A line is a SOp of the program. Exchanging it means that its value at some positions
of an input is replaced before any later line reads it, as an interchange
intervention does in a network (Geiger et al., 2021, section 2). Axes: N inputs of one
length, T positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.rasp.interpreter import Batch, Column
from untracr.rasp.nodes import CATEGORICAL, Aggregate, Ref
from untracr.rasp.program import Program

Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Lines:
    """The values of every line on inputs of one length.

    Attributes:
        program: the program.
        batch: the inputs, N of T tokens.
        columns: by line, codes [N, T] and the values they stand for.
    """

    program: Program
    batch: Batch
    columns: dict[Ref, Column]

    @property
    def output(self) -> Column:
        """The program's output."""
        return self.columns[self.program.output]


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """A program's output after an exchange.

    Attributes:
        output: codes [N, T] and values.
        meant: [N], whether RASP gives the exchanged program a meaning on the input: no step
            fails, and no mean is taken over different categories.
    """

    output: Column
    meant: Mask


def lines_of(program: Program, batch: Batch) -> Lines:
    """Runs a program and keeps every line.

    Raises:
        EvaluationError: a step fails on some input.
    """
    states: dict[Ref, Column | Mask] = {}
    for ref in sorted(program.reachable):
        states[ref] = batch.step(program.nodes[ref], states)
    columns = {ref: at for ref, at in states.items() if isinstance(at, Column)}
    return Lines(program, batch, columns)


def exchanged(program: Program, batch: Batch, values: Mapping[Ref, Column]) -> Counterfactual:
    """Runs a program with the values of some lines replaced.

    Args:
        program: the program.
        batch: the inputs; failing ones are left out of it.
        values: what lines hold instead, [N, T] each.
    """
    batch.leave_out_failures()
    meant = np.ones(len(batch), dtype=np.bool_)
    states: dict[Ref, Column | Mask] = {}
    for ref in sorted(program.reachable):
        node = program.nodes[ref]
        states[ref] = values[ref] if ref in values else batch.step(node, states)
        if isinstance(node, Aggregate) and node.encoding is CATEGORICAL and ref not in values:
            selected, sop = states[node.selector], states[node.sop]
            assert isinstance(selected, np.ndarray)
            assert isinstance(sop, Column)
            meant &= _selects_one_value(selected, sop)
    output = states[program.output]
    assert isinstance(output, Column)
    assert batch.failed is not None
    return Counterfactual(output, meant & ~batch.failed)


def _selects_one_value(selected: Mask, sop: Column) -> Mask:
    """[N], whether every query of an input selects keys of one value only."""
    codes = np.broadcast_to(sop.codes[:, None, :], selected.shape)
    largest = np.where(selected, codes, -1).max(axis=2)
    smallest = np.where(selected, codes, len(sop.values)).min(axis=2)
    several: Mask = (largest > smallest).any(axis=1)
    return ~several


def is_function_of(values: Codes, other: Codes) -> bool:
    """Whether a line's value is told by another's on the inputs at hand; flat arrays of codes."""
    pairs = np.unique(np.stack([other.ravel(), values.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == int(pairs.shape[1])
