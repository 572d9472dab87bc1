"""From decoded operations to known variables: how the frame grows.

`VariableMaker` gives each decoded operation's result its values (by RASP) and
its directions (from the component that computes it). In training the truth is
known and directions come from the compiler's own map; `true_variables` gives
the same variables from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from untracr.compile.compiler import Compiled, half_layer_order
from untracr.compile.values import ValueSet, tracr_sorted
from untracr.metamodel.components import Component
from untracr.metamodel.frame import INDICES_SLOT, TOKENS_SLOT, Base, Floats, Variable
from untracr.metamodel.vocabulary import BINARY, FACTORS, UNARY, Operation
from untracr.rasp.functions import Value
from untracr.rasp.program import (
    CATEGORICAL,
    INDICES,
    TOKENS,
    Program,
    Ref,
    SelectorWidth,
)


def true_variables(
    program: Program, compiled: Compiled, base: Base
) -> tuple[list[Variable], list[Ref]]:
    """Every variable of a compiled program with its directions.

    Returns:
        The variables, and the operations in decoding order (slot 2 + n).
    """
    order = list(half_layer_order(compiled))
    eye = np.eye(compiled.residual.width)
    variables = [base.tokens, base.indices]
    for number, ref in enumerate(order):
        part, node = compiled.node_map[ref], program.nodes[ref]
        assert part.half_layer is not None
        is_width = isinstance(node, SelectorWidth)
        if is_width:
            variables.append(auxiliary(2 + number, eye[list(part.auxiliary_dims)], part.half_layer, compiled.value_sets[ref].ordered))
        variables.append(
            Variable(
                2 + number,
                program.encoding(ref) is CATEGORICAL,
                compiled.value_sets[ref].ordered,
                eye[list(part.dims)],
                part.half_layer + (2 if is_width else 1),
            )
        )
    return variables, order


def auxiliary(
    slot: int, directions: Floats, half_layer: int, widths: Sequence[Value]
) -> Variable:
    """The direction between the two halves of a SelectorWidth: ``1 / (width + 1)``."""
    points = sorted(1 / (w + 1) for w in widths if isinstance(w, int))
    return Variable(slot, False, tuple(points), directions, half_layer + 1, is_auxiliary=True)
