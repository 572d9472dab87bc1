"""Components: the parts of a half-layer, described in the frame of known variables.

An attention head is a component (`heads`); neurons are grouped into components
(`neurons`): the grid of a SequenceMap, the staircase of a function of a number,
the neurons of a lookup. Each is *observed*: which variables it reads, and the
table of what it writes for each of their values, up to the names of the results.
There is one immutable class for each form, and `Component` is their closed union.
"""

from __future__ import annotations

from dataclasses import dataclass

from untracr.arrays import Annotated, Bools, Floats, Ints
from untracr.read.frame import Variable
from untracr.transformer.half_layer import HalfLayer


@dataclass(frozen=True, eq=False)
class Selection:
    """What a head selects.

    Attributes:
        keys, queries: the variables that it reads; None where none was found.
        logits: what its columns of W_Q read of each query's value, [keys, queries]; None
            where keys or queries are unknown, or too many.
        table: its selections, likewise: which of them are large.
        bos_logit: the logit on BOS relative to the largest.
        is_disordered: it reads its keys' values, but not in their order: they are others.
    """

    keys: Variable | None
    queries: Variable | None
    logits: Annotated[Floats, "keys queries"] | None = None
    table: Annotated[Bools, "keys queries"] | None = None
    bos_logit: float = 0.0
    is_disordered: bool = False


@dataclass(frozen=True, eq=False)
class Move:
    """A head that moves the values of a category: a categorical Aggregate.

    Attributes:
        half_layer: where it is.
        head: its number.
        size: key columns.
        selection: what it selects.
        outputs: what it writes for each value, [values, d_model].
        values: the variable whose values it moves.
    """

    half_layer: HalfLayer
    head: int
    size: int
    selection: Selection
    outputs: Annotated[Floats, "values D"]
    values: Variable


@dataclass(frozen=True, eq=False)
class Mean:
    """A head that averages a number: a numerical Aggregate.

    Attributes:
        half_layer, head, size, selection: as of `Move`.
        outputs: what it writes for a unit of the number, [1, d_model].
        values: the number.
    """

    half_layer: HalfLayer
    head: int
    size: int
    selection: Selection
    outputs: Annotated[Floats, "values D"]
    values: Variable


@dataclass(frozen=True, eq=False)
class Width:
    """A head that moves BOS: the first half of a SelectorWidth.

    Attributes:
        half_layer, head, size, selection: as of `Move`.
        outputs: what it writes for BOS, [1, d_model].
    """

    half_layer: HalfLayer
    head: int
    size: int
    selection: Selection
    outputs: Annotated[Floats, "values D"]


@dataclass(frozen=True, eq=False)
class UnknownHead:
    """A head that moves nothing that is known; attributes as of `Width`."""

    half_layer: HalfLayer
    head: int
    size: int
    selection: Selection
    outputs: Annotated[Floats, "values D"]


@dataclass(frozen=True, eq=False)
class Lookup:
    """The neurons of a Map from a category to another.

    Attributes:
        half_layer: where they are.
        neurons: their numbers.
        variable: what they read.
        outputs: what they write for each value, [values, d_model].
        groups: [values], the place of each value's neuron, which is the rank of its result;
            -1 where none reads it.
        is_whole: no direction was lost by a compression: where nothing is written, the
            result is None.
    """

    half_layer: HalfLayer
    neurons: Annotated[Ints, "n"]
    variable: Variable
    outputs: Annotated[Floats, "values D"]
    groups: Annotated[Ints, "values"]
    is_whole: bool


@dataclass(frozen=True, eq=False)
class StairToValues:
    """The staircase of a Map from a number to a category.

    Attributes:
        half_layer, neurons, variable, outputs, is_whole: as of `Lookup`.
        groups: [values], outputs numbered by first appearance; -1 where nothing is written.
    """

    half_layer: HalfLayer
    neurons: Annotated[Ints, "n"]
    variable: Variable
    outputs: Annotated[Floats, "values D"]
    groups: Annotated[Ints, "values"]
    is_whole: bool


@dataclass(frozen=True, eq=False)
class Pairs:
    """The grid of a SequenceMap; or the lookup of one of a variable with itself.

    Attributes:
        half_layer, neurons, is_whole: as of `Lookup`.
        fst, snd: the variables that they read.
        outputs: for each assignment, the first variable major, [assignments, d_model].
        groups: [assignments], as of `StairToValues`.
    """

    half_layer: HalfLayer
    neurons: Annotated[Ints, "n"]
    fst: Variable
    snd: Variable
    outputs: Annotated[Floats, "values D"]
    groups: Annotated[Ints, "values"]
    is_whole: bool

    @property
    def is_of_one(self) -> bool:
        """Whether they combine a variable with itself."""
        return self.fst is self.snd


@dataclass(frozen=True, eq=False)
class Number:
    """A number that is written along one direction.

    Attributes:
        sizes: of what is written, along the direction: for each value that is read, or, of
            a linear map, for a unit of each argument.
        direction: [d_model], oriented if it could be.
        orientation: how its sign was found: 0 not at all, 1 by later readers, 2 by the axes
            of an unrotated model.
        spread: standard deviation of the noise in the sizes.
    """

    sizes: Annotated[Floats, "values"]
    direction: Annotated[Floats, "D"]
    orientation: int
    spread: float = 0.0


@dataclass(frozen=True, eq=False)
class Sum:
    """The neuron of a Map from a category to a number.

    Attributes:
        half_layer, neurons, variable, outputs, is_whole: as of `Lookup`.
        number: what it writes.
    """

    half_layer: HalfLayer
    neurons: Annotated[Ints, "n"]
    variable: Variable
    outputs: Annotated[Floats, "values D"]
    number: Number
    is_whole: bool


@dataclass(frozen=True, eq=False)
class StairToNumber:
    """The staircase of a Map from a number to another; attributes as of `Sum`."""

    half_layer: HalfLayer
    neurons: Annotated[Ints, "n"]
    variable: Variable
    outputs: Annotated[Floats, "values D"]
    number: Number
    is_whole: bool


@dataclass(frozen=True, eq=False)
class Linear:
    """The neurons of a LinearSequenceMap.

    Attributes:
        half_layer, neurons, is_whole: as of `Lookup`.
        fst, snd: the numbers that they read.
        outputs: what they write for a unit of each, [2, d_model].
        number: what they write; its sizes are the factors.
    """

    half_layer: HalfLayer
    neurons: Annotated[Ints, "n"]
    fst: Variable
    snd: Variable
    outputs: Annotated[Floats, "values D"]
    number: Number
    is_whole: bool


@dataclass(frozen=True, eq=False)
class WidthStair:
    """The staircase that is the second half of a SelectorWidth.

    Attributes:
        half_layer, neurons, outputs: as of `Lookup`.
        variable: the direction between the two halves.
    """

    half_layer: HalfLayer
    neurons: Annotated[Ints, "n"]
    variable: Variable
    outputs: Annotated[Floats, "values D"]


@dataclass(frozen=True, eq=False)
class Clean:
    """The neuron that takes back what a SelectorWidth wrote at BOS."""

    half_layer: HalfLayer
    neurons: Annotated[Ints, "n"]


@dataclass(frozen=True, eq=False)
class UnknownNeurons:
    """Neurons that nothing explains."""

    half_layer: HalfLayer
    neurons: Annotated[Ints, "n"]


Head = Move | Mean | Width | UnknownHead
Neurons = (
    Lookup
    | StairToValues
    | Pairs
    | Sum
    | StairToNumber
    | Linear
    | WidthStair
    | Clean
    | UnknownNeurons
)
Component = Head | Neurons
"""The closed union of all parts of a half-layer."""


def variables_of(component: Component) -> tuple[Variable | None, ...]:
    """What a component reads, in the order of its operation's arguments; None where unknown."""
    match component:
        case Move(selection=selection, values=values) | Mean(selection=selection, values=values):
            return selection.keys, selection.queries, values
        case Width(selection=selection) | UnknownHead(selection=selection):
            return selection.keys, selection.queries, None
        case Pairs(fst=fst, snd=snd) | Linear(fst=fst, snd=snd):
            return fst, snd
        case Clean() | UnknownNeurons():
            return ()
        case _:
            return (component.variable,)


def size_of(component: Component) -> int:
    """How many neurons a component has, or key columns."""
    match component:
        case Move(size=size) | Mean(size=size) | Width(size=size) | UnknownHead(size=size):
            return size
        case _:
            return len(component.neurons)


def first_of(component: Component) -> int:
    """The number of a component's head, or of its first neuron."""
    match component:
        case Move(head=head) | Mean(head=head) | Width(head=head) | UnknownHead(head=head):
            return head
        case _:
            return int(component.neurons[0])


def selection_of(component: Component) -> Selection | None:
    """What a head selects; None of neurons."""
    match component:
        case Move(selection=s) | Mean(selection=s) | Width(selection=s) | UnknownHead(selection=s):
            return s
        case _:
            return None


def number_of(component: Component | None) -> Number | None:
    """The number that a component writes, if it writes one."""
    match component:
        case Sum(number=number) | StairToNumber(number=number) | Linear(number=number):
            return number
        case _:
            return None


def is_operation(component: Component) -> bool:
    """Whether a component stands for an operation of its own."""
    return not isinstance(component, Clean | WidthStair)
