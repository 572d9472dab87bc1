"""Lookups that the next neurons show by themselves, whatever the reader took them for.

Neurons that read values of one variable, none of them twice, may be the lookup of
a function, however many of them there are: what none reads gives None. Neurons
between them that read nothing belong to a SequenceMap of a variable with itself,
``f(x, x)``: they are for results that two different values would give.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from untracr.arrays import Bools
from untracr.decompile.fitting import Fitter
from untracr.decompile.layer_frame import Frame
from untracr.rasp.nodes import CATEGORICAL
from untracr.read.components import Lookup
from untracr.read.frame import Variable
from untracr.read.operations import MapOperation, Operation, ReadOff, SequenceMapOperation
from untracr.read.unlisted_functions import diagonal_of_groups, unary_of_groups

MAX_RUN = 400
"""Neurons of one lookup that are looked at."""


def shown_lookups(fitter: Fitter, frame: Frame, start: int) -> Iterator[Operation]:
    """The lookups that may begin at a neuron, those that read all values first.

    Args:
        fitter: of the model.
        frame: of a half-layer of neurons.
        start: the first of them.
    """
    runs = [(v, _run(fitter, frame, start, v)) for v in frame.by_slot.values() if v.is_categorical]
    for is_whole, (variable, run) in itertools.product((True, False), runs):
        for count in range(len(run), 0, -1):
            read = np.logical_or.reduce(run[:count])
            if bool(read.all()) is is_whole and read.any():
                yield from _lookup(variable, run[:count])


def _run(fitter: Fitter, frame: Frame, start: int, variable: Variable) -> list[Bools]:
    """Per neuron which values it reads, as long as none reads what another does."""
    found: list[Bools] = []
    seen = np.zeros(len(variable.values), dtype=np.bool_)
    most = min(MAX_RUN, len(seen) ** 2)
    for place in range(start, start + most):
        reads = fitter.values_read(frame, place, variable)
        if reads is None or (reads & seen).any():
            break
        seen |= reads
        found.append(reads)
    return found


def _lookup(variable: Variable, run: list[Bools]) -> Iterator[Operation]:
    """A Map if each neuron reads something, else a SequenceMap."""
    groups = np.where(np.any(run, axis=0), np.argmax(run, axis=0), -1)
    if all(reads.any() for reads in run):
        function = unary_of_groups(Lookup, variable.values, groups, in_order=True, is_whole=True)
        yield MapOperation(variable.slot, ReadOff(function), CATEGORICAL)
        return
    twice = diagonal_of_groups(variable.values, groups, len(run))
    if twice is not None:
        yield SequenceMapOperation(variable.slot, variable.slot, ReadOff(twice))
