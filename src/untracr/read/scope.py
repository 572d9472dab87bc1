"""From decoded operations to known variables: how the frame grows.

`result_variable` gives a decoded operation's result its values (by RASP) and
its directions (from the component that computes it). In training the truth is
known and directions come from the compiler's own map; `true_variables` gives
the same variables from there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from untracr.arrays import Annotated, Floats
from untracr.bounds import MAX_NUMBER
from untracr.compile.compiler import Compiled, half_layer_order
from untracr.compile.values import ValueSet
from untracr.errors import ProgramError
from untracr.rasp.functions import Value
from untracr.rasp.known_tables import call
from untracr.rasp.nodes import CATEGORICAL, NUMERICAL, Ref, SelectorWidth
from untracr.rasp.program import Program
from untracr.read.components import (
    Clean,
    Component,
    Pairs,
    UnknownNeurons,
    WidthStair,
    number_of,
    size_of,
)
from untracr.read.frame import Base, Variable
from untracr.read.operations import (
    AggregateOperation,
    LinearOperation,
    MapOperation,
    NeuronOperation,
    Operation,
    SequenceMapOperation,
    WidthOperation,
)
from untracr.transformer.half_layer import HalfLayer

MAX_VALUES_DECODED = 200_000
"""Values a decoded variable may take; beyond, reading stops with an error."""


def true_variables(
    program: Program, compiled: Compiled, base: Base, basis: Annotated[Floats, "D R"] | None = None
) -> tuple[list[Variable], list[Ref]]:
    """Every variable of a compiled program with its directions.

    Args:
        program: over the closed lists, without composite selectors.
        compiled: its weights.
        base: the embedding frame of the weights that are read.
        basis: [D, R], if the residual stream of these is ``x @ basis`` where
            that of the compiled ones, of width D, is x.

    Returns:
        The variables, their directions of the same width as the base's, and the operations in
        decoding order (slot 2 + n).
    """
    order = list(half_layer_order(compiled))
    rows: Annotated[Floats, "D R"] = np.eye(compiled.residual.width) if basis is None else basis
    variables = [base.tokens, base.indices]
    for number, ref in enumerate(order):
        part, node = compiled.node_map[ref], program.nodes[ref]
        assert part.half_layer is not None
        is_width = isinstance(node, SelectorWidth)
        if is_width:
            widths = compiled.value_sets[ref].ordered
            directions = rows[list(part.auxiliary_dims)]
            variables.append(auxiliary(2 + number, directions, part.half_layer, widths))
        variables.append(
            Variable(
                2 + number,
                program.encoding(ref) is CATEGORICAL,
                compiled.value_sets[ref].ordered,
                rows[list(part.dims)],
                part.half_layer.next.next if is_width else part.half_layer.next,
            )
        )
    return variables, order


def auxiliary(
    slot: int, directions: Annotated[Floats, "1 D"], half_layer: HalfLayer, widths: Sequence[Value]
) -> Variable:
    """The direction between the two halves of a SelectorWidth: ``1 / (width + 1)``."""
    points = sorted(1 / (w + 1) for w in widths if isinstance(w, int))
    return Variable(slot, False, tuple(points), directions, half_layer.next, is_auxiliary=True)


def result_variable(
    operation: Operation,
    half_layer: HalfLayer,
    component: Component | None,
    slot: int,
    by_slot: dict[int, Variable],
    max_seq_len: int,
) -> Variable:
    """The variable that a decoded operation computes.

    For a SelectorWidth this is the auxiliary direction; `width_variable` gives
    the variable itself once its second half is seen.

    Args:
        operation: as decoded.
        half_layer: that computes it.
        component: what computes it; None where none was observed, and the variable's
            directions are unknown.
        slot: its slot.
        by_slot: the variables it may read.
        max_seq_len: the model's longest input.

    Raises:
        ProgramError: it would take more than `MAX_VALUES_DECODED` values, or huge ones.
    """
    variable = _result_variable(operation, half_layer, component, slot, by_slot, max_seq_len)
    if len(variable.values) > MAX_VALUES_DECODED:
        raise ProgramError(_too_many(len(variable.values)))
    if any(abs(_number(v)) > MAX_NUMBER for v in variable.values):
        raise ProgramError(
            f"a decoded variable would take values beyond {MAX_NUMBER:.0e}, which are not followed"
        )
    return variable


def _too_many(count: int) -> str:
    return (
        f"a decoded variable would take up to {count:,} values, more than the "
        f"{MAX_VALUES_DECODED:,} that are followed"
    )


def _result_variable(
    operation: Operation,
    half_layer: HalfLayer,
    component: Component | None,
    slot: int,
    by_slot: dict[int, Variable],
    max_seq_len: int,
) -> Variable:
    behind = half_layer.next
    outputs = _outputs(component, next(iter(by_slot.values())).directions.shape[1])
    match operation:
        case WidthOperation():
            widths = tuple(range(max_seq_len + 1))
            return auxiliary(slot, _rows(outputs, 1), half_layer, widths)
        case AggregateOperation(values=moved, encoding=encoding) if encoding is CATEGORICAL:
            values = by_slot[moved].values
            return Variable(slot, True, values, _rows(outputs, len(values)), behind)
        case AggregateOperation(values=averaged):
            numbers = [_number(v) for v in by_slot[averaged].values]
            means = {n / length for n in numbers for length in range(1, max_seq_len + 1)}
            return Variable(slot, False, tuple(sorted(means)), _rows(outputs, 1), behind)
        case MapOperation() | SequenceMapOperation() | LinearOperation():
            results = _results(operation, by_slot)
            values = ValueSet.of({r for r in results if r is not None}).ordered
            sizes = _sizes(operation, results)
            if sizes is None:
                rows = _directions(results, values, component, outputs)
                return Variable(slot, True, values, rows, behind)
            row = _number_direction(sizes, component, outputs.shape[1])
            return Variable(slot, False, values, row[None], behind)


def _outputs(component: Component | None, d_model: int) -> Annotated[Floats, "assignments D"]:
    """What a component writes, [assignments, d_model]; nothing where nothing was observed."""
    match component:
        case None | Clean() | UnknownNeurons():
            return np.zeros((0, d_model))
        case _:
            return component.outputs if component.outputs.size else np.zeros((0, d_model))


def _sizes(operation: NeuronOperation, results: list[Value]) -> Annotated[Floats, "results"] | None:
    """How far along its direction a numerical result is written; None for a categorical one.

    A LinearSequenceMap is shown by its effect for each unit of its arguments.
    """
    match operation:
        case LinearOperation(factors=factors):
            return np.array([float(factor) for factor in factors])
        case MapOperation(encoding=encoding) if encoding is NUMERICAL:
            return np.array([_number(result) for result in results], dtype=np.float64)
        case MapOperation() | SequenceMapOperation():
            return None


def _results(operation: NeuronOperation, by_slot: dict[int, Variable]) -> list[Value]:
    """An operation's result for each assignment of its arguments, first one major."""
    arguments = [by_slot[slot].values for slot in operation.slots]
    count = math.prod(len(values) for values in arguments)
    if len(arguments) > 1 and count > MAX_VALUES_DECODED:
        raise ProgramError(_too_many(count))
    match operation:
        case MapOperation() | SequenceMapOperation():
            function = operation.function
            return [call(function, *assigned) for assigned in itertools.product(*arguments)]
        case LinearOperation(factors=(p, q)):
            fst, snd = arguments
            return [p * _number(x) + q * _number(y) for x in fst for y in snd]


def _directions(
    results: list[Value],
    values: tuple[Value, ...],
    component: Component | None,
    outputs: Annotated[Floats, "assignments D"],
) -> Annotated[Floats, "values D"]:
    """For each value the mean of what is written where it results."""
    width = outputs.shape[1]
    if len(outputs) != len(results):
        return np.zeros((len(values), width))
    match component:  # one neuron a value, in order
        case Pairs(groups=groups) if component.is_of_one and len(values) == size_of(component):
            return outputs[[int(np.argmax(groups == n)) for n in range(len(values))]]
        case _:
            pass
    row_of = {value: n for n, value in enumerate(values)}
    rows, counts = np.zeros((len(values), width)), np.zeros(len(values))
    for result, output in zip(results, outputs, strict=True):
        if result is not None:
            rows[row_of[result]] += output
            counts[row_of[result]] += 1
    return rows / counts[:, None]


def _number_direction(
    wanted: Annotated[Floats, "sizes"], component: Component | None, d_model: int
) -> Annotated[Floats, "D"]:
    number = number_of(component)
    if number is None or len(number.sizes) != len(wanted):
        return np.zeros(d_model)
    is_negative = float(wanted @ number.sizes) < 0 and number.orientation == 0
    return -number.direction if is_negative else number.direction


def _rows(outputs: Annotated[Floats, "assignments D"], count: int) -> Annotated[Floats, "count D"]:
    return outputs if len(outputs) == count else np.zeros((count, outputs.shape[1]))


def width_variable(stair: WidthStair, max_seq_len: int) -> Variable:
    """A SelectorWidth's variable, from the staircase that is its second half."""
    auxiliary = stair.variable
    widths = [round(1 / _number(point) - 1) for point in auxiliary.values]
    rows = np.zeros((max_seq_len + 1, stair.outputs.shape[1]))
    rows[widths] = stair.outputs
    values = tuple(range(max_seq_len + 1))
    return Variable(auxiliary.slot, True, values, rows, stair.half_layer.next)


def _number(value: Value) -> float:
    return value if isinstance(value, (bool, int, float)) else 0.0
