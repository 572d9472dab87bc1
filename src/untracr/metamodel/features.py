"""Components as fixed-size numbers: what the network is given.

One row a component: integers that are embedded (form, variables read, factors,
orientation) and numbers that are projected (agreement with every known
function and predicate, what later parts say of each, sizes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.metamodel.vocabulary import N_SLOTS
from untracr.rasp.listed_functions import BINARY, PREDICATES, UNARY
from untracr.read.components import (
    Clean,
    Component,
    Linear,
    Lookup,
    Mean,
    Move,
    Pairs,
    StairToNumber,
    StairToValues,
    Sum,
    UnknownHead,
    UnknownNeurons,
    Width,
    WidthStair,
    number_of,
    selection_of,
    size_of,
    variables_of,
)
from untracr.read.frame import Variable
from untracr.read.lookahead import Outlook, outlooks
from untracr.read.matching import Matches, matches
from untracr.read.reader import Reader
from untracr.short_repr import short_repr

NO_SLOT = N_SLOTS
AUXILIARY_SLOT = N_SLOTS + 1
N_SLOT_CODES = N_SLOTS + 2

FACTOR_CODES = 9
"""-3 to 3, another number, none."""

FORMS: dict[type[Component], int] = {
    Lookup: 0,
    Sum: 1,
    Pairs: 2,
    StairToNumber: 3,
    StairToValues: 4,
    Linear: 5,
    WidthStair: 6,
    Clean: 7,
    Move: 8,
    Mean: 9,
    Width: 10,
    UnknownHead: 11,
    UnknownNeurons: 11,
}
"""A component's form as a number. A trained network knows it by that."""

INTEGER_SIZES: tuple[int, ...] = (
    1 + max(FORMS.values()),
    N_SLOT_CODES,
    N_SLOT_CODES,
    N_SLOT_CODES,
    FACTOR_CODES,
    FACTOR_CODES,
    3,
)
"""How many codes each integer feature has: form, three variables, two factors, orientation."""

_VALUE_NUMBERS = 4
N_NUMBERS = 3 * len(UNARY) + 3 * len(BINARY) + 2 * len(PREDICATES) + 3 * _VALUE_NUMBERS + 4


@dataclass(frozen=True)
class Features:
    """Components of one half-layer as arrays.

    Attributes:
        integers: [components, len(INTEGER_SIZES)].
        numbers: [components, N_NUMBERS], float32.
    """

    integers: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.float32]

    __repr__ = short_repr


def features(
    reader: Reader, components: Sequence[Component], variables: list[Variable]
) -> Features:
    """Describes the components of one half-layer.

    Args:
        reader: of the model they belong to.
        components: in order.
        variables: the variables known before this half-layer.
    """
    matched = [matches(component) for component in components]
    ahead = outlooks(reader, components, matched, variables)
    rows = [_row(*row) for row in zip(components, matched, ahead, strict=True)]
    return Features(
        np.array([integers for integers, _ in rows], dtype=np.int64).reshape(
            -1, len(INTEGER_SIZES)
        ),
        np.array([numbers for _, numbers in rows], dtype=np.float32).reshape(-1, N_NUMBERS),
    )


def _row(
    component: Component, matches: Matches, outlook: Outlook
) -> tuple[list[int], npt.NDArray[np.float64]]:
    unary, binary, predicate = matches.exact()
    reads = [*variables_of(component), None, None, None][:3]
    number, selection = number_of(component), selection_of(component)
    factors = component.number.sizes if isinstance(component, Linear) else ()
    codes = [_factor_code(f) for f in [*factors, *[None, None]][:2]]
    integers = [
        FORMS[type(component)],
        *(_slot_code(v) for v in reads),
        *codes,
        0 if number is None else number.orientation,
    ]
    sizes = [
        np.log1p(size_of(component)),
        np.log1p(_count_groups(component)),
        0.0 if selection is None else selection.bos_logit,
        0.0 if selection is None or selection.table is None else float(selection.table.mean()),
    ]
    numbers = np.concatenate(
        [
            unary,
            matches.unary,
            outlook.unary,
            binary,
            matches.binary,
            outlook.binary,
            predicate,
            matches.predicate,
            *(_value_numbers(v) for v in reads),
            sizes,
        ]
    )
    return integers, numbers


def _count_groups(component: Component) -> int:
    """How many categories a component writes, one more where it writes nothing."""
    match component:
        case Lookup(groups=groups) | StairToValues(groups=groups) | Pairs(groups=groups):
            return len(set(groups.tolist()))
        case _:
            return 0


def _slot_code(variable: Variable | None) -> int:
    if variable is None:
        return NO_SLOT
    return AUXILIARY_SLOT if variable.is_auxiliary else variable.slot


def _factor_code(factor: float | None) -> int:
    if factor is None:
        return FACTOR_CODES - 1
    if not abs(factor) <= 4:  # infinite or no number, too
        return FACTOR_CODES - 2
    near = round(factor)
    return near + 3 if abs(near) <= 3 and abs(factor - near) < 0.1 else FACTOR_CODES - 2


def _value_numbers(variable: Variable | None) -> list[float]:
    if variable is None:
        return [0.0] * _VALUE_NUMBERS
    numbers = [float(v) for v in variable.values if isinstance(v, (bool, int, float))]
    return [
        float(variable.is_categorical),
        float(set(numbers) <= {0.0, 1.0}),
        float(any(n % 1 for n in numbers)),
        float(np.log1p(len(variable.values))),
    ]
