"""The neurons that an operation compiles to, as combinations of a frame's rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from untracr.arrays import Floats, Ints
from untracr.compile import blocks
from untracr.compile.compiler import MLP_EXACTNESS
from untracr.compile.values import ValueSet
from untracr.decompile.layer_frame import ONE_ROW, Frame
from untracr.errors import ProgramError
from untracr.rasp.functions import Function, Value, types_of
from untracr.read.frame import Variable
from untracr.read.operations import (
    LinearOperation,
    MapOperation,
    NeuronOperation,
    SequenceMapOperation,
)


@dataclass(frozen=True)
class Entries:
    """Vectors as combinations of rows.

    Attributes:
        rows, columns, values: row r has the coefficient v in vector c.
        count: how many vectors.
    """

    rows: Ints
    columns: Ints
    values: Floats
    count: int


def neurons_of(frame: Frame, operation: NeuronOperation, result: Variable) -> list[blocks.Neurons]:
    """The neurons of an operation; it writes to dimensions 0, 1, ..."""
    match operation:
        case LinearOperation(fst, snd, (p, q)):
            fst_dims, snd_dims = (frame.dims(frame.by_slot[slot]) for slot in (fst, snd))
            return blocks.linear("", int(fst_dims[0]), int(snd_dims[0]), p, q, 0)
        case SequenceMapOperation(fst, snd) if fst != snd:
            fst_variable, snd_variable = frame.by_slot[fst], frame.by_slot[snd]
            return [
                blocks.pairwise_and(
                    operation.function,
                    "",
                    _values(fst_variable),
                    frame.dims(fst_variable),
                    _values(snd_variable),
                    frame.dims(snd_variable),
                    ONE_ROW,
                    _dims_by_value(result),
                )
            ]
        case SequenceMapOperation(inner) | MapOperation(inner):
            return _of_one_variable(frame, operation.function, frame.by_slot[inner], result)


def _of_one_variable(
    frame: Frame, function: Function, inner: Variable, result: Variable
) -> list[blocks.Neurons]:
    """Of a function of one variable."""
    values, dims = _values(inner), frame.dims(inner)
    if not inner.is_categorical:
        target: blocks.StaircaseTarget = {"exactness": MLP_EXACTNESS, "out_dim": 0}
        if result.is_categorical:
            target = {"exactness": MLP_EXACTNESS, "out_dims": _dims_by_value(result)}
        return blocks.staircase(function, "", values, int(dims[0]), ONE_ROW, **target)
    if result.is_categorical:
        out = np.arange(len(result.values))
        return [blocks.lookup(function, "", values, dims, _values(result), out)]
    return [blocks.weighted_sum(function, "", values, dims, 0)]


def _dims_by_value(result: Variable) -> dict[Value, int]:
    return {value: n for n, value in enumerate(result.values)}


def _values(variable: Variable) -> ValueSet:
    return ValueSet(variable.values, variable.values, types_of(variable.values))


def joined(runs: list[blocks.Neurons], width: int) -> tuple[Entries, Floats, int]:
    """Runs of neurons in the order of their names, as one."""
    rows, columns, values, start = [], [], [], 0
    size = sum(run.count for run in runs)
    write = np.zeros((size, width))
    for run in sorted(runs, key=lambda run: run.name):
        rows.append(run.read[0])
        columns.append(run.read[1] + start)
        values.append(run.read[2])
        np.add.at(write, (run.write[0] + start, run.write[1]), run.write[2])
        start += run.count
    if not runs:
        raise ProgramError("an operation without neurons")
    read = Entries(np.concatenate(rows), np.concatenate(columns), np.concatenate(values), size)
    return read, write, size
