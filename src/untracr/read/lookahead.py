"""Looking ahead: what later parts say about the functions that fit a component.

Each fitting function would give the new variable other values. Under each
such hypothesis the later half-layers are read; the hypothesis fails where a
later component that rests on it fits no known function. Components of one
half-layer are tried together, since later ones may read several of them, and
where a later component is open itself the story parts, a few times at most.
Nothing is compiled, run or scored here: these are comparisons of tables read
off the weights, handed to the network as features.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from untracr.arrays import Annotated, Floats
from untracr.errors import ProgramError
from untracr.rasp.functions import Value
from untracr.rasp.known_tables import binary_tables, unary_tables
from untracr.rasp.listed_functions import BINARY, UNARY
from untracr.rasp.naming import MAX_NAMED
from untracr.rasp.nodes import CATEGORICAL, NUMERICAL
from untracr.read.components import (
    Component,
    Lookup,
    Mean,
    Move,
    Pairs,
    Selection,
    StairToNumber,
    StairToValues,
    Sum,
    Width,
    WidthStair,
    selection_of,
    variables_of,
)
from untracr.read.frame import Variable
from untracr.read.matching import FITTING, Matches, matches
from untracr.read.operations import (
    AggregateOperation,
    Choice,
    MapOperation,
    Operation,
    ReadOff,
    SequenceMapOperation,
    WidthOperation,
)
from untracr.read.reader import Reader
from untracr.read.scope import result_variable, width_variable
from untracr.read.unlisted_functions import read_function
from untracr.transformer.half_layer import HalfLayer

MAX_HYPOTHESES = 24
"""Joint hypotheses tried a half-layer (with more, components are tried one by one), and
branches that one of them may part into."""

MAX_LOOKS = 2_000
"""Later components that are looked at for one half-layer, under all hypotheses together; then
nothing more is known. Compiled models of the paper's size need a few dozen at most."""

LARGE_LAYER = 50_000
"""Reading this many weights of an MLP costs one look more; the paper's models have fewer."""

MAX_VALUES_FOLLOWED = 400
"""A component of one variable with more values than this is not followed."""


@dataclass(frozen=True)
class Outlook:
    """What later parts say of each function: 1 fits, -1 does not, 0 nothing known."""

    unary: Annotated[Floats, "unary"]
    binary: Annotated[Floats, "binary"]


_FunctionComponent = Lookup | Sum | StairToValues | StairToNumber | Pairs
"""What computes a Map or a SequenceMap."""


@dataclass(frozen=True)
class _Candidate:
    """A fitting function and the variable it would give."""

    function: int
    results: tuple[Value, ...]


def outlooks(
    reader: Reader,
    components: Sequence[Component],
    found: Sequence[Matches],
    variables: list[Variable],
) -> list[Outlook]:
    """Looks ahead from all components of one half-layer.

    Args:
        reader: of their model.
        components: with their ``found`` matches.
        variables: those known before.
    """
    options = [_candidates(c, m) for c, m in zip(components, found, strict=True)]
    distinct = [list(dict.fromkeys(o.results for o in option)) for option in options]
    open_ = [n for n, tables in enumerate(distinct) if len(tables) > 1]
    looks = [Outlook(np.zeros(len(UNARY)), np.zeros(len(BINARY))) for _ in components]
    if not open_:
        return looks
    settled = _settled(reader, components, options, open_, variables)
    verdicts: dict[tuple[int, tuple[Value, ...]], float] = {}
    looks_left = _Budget(MAX_LOOKS)
    for hypothesis in _hypotheses(distinct, open_):
        try:
            added = [
                _variable(reader, components[n], options[n], results, -1 - n)
                for n, results in hypothesis
            ]
        except ProgramError:  # too many values to be followed
            continue
        verdict = _verdict(reader, components[0].half_layer, [*settled, *added], looks_left)
        for key in hypothesis:
            verdicts[key] = max(verdict, verdicts.get(key, -1.0))
    for n in open_:
        scores = looks[n].binary if isinstance(components[n], Pairs) else looks[n].unary
        for option in options[n]:
            scores[option.function] = verdicts.get((n, option.results), 0.0)
    return looks


def _hypotheses(
    distinct: list[list[tuple[Value, ...]]], open_: list[int]
) -> Iterator[tuple[tuple[int, tuple[Value, ...]], ...]]:
    """Joint choices of results for all open components, or one by one if too many."""
    choices = [[(n, results) for results in distinct[n]] for n in open_]
    if math.prod(len(choice) for choice in choices) <= MAX_HYPOTHESES:
        yield from itertools.product(*choices)
    else:
        for choice in choices:
            yield from ((pick,) for pick in choice)


def _candidates(component: Component, found: Matches) -> list[_Candidate]:
    """The functions that fit, with their results on each assignment."""
    unary, binary, _ = found.exact()
    match component:
        case Lookup() | Sum() | StairToValues() | StairToNumber():
            if len(component.variable.values) > MAX_VALUES_FOLLOWED:
                return []
            results = unary_tables(component.variable.values).results
            fits = [n for n in FITTING[type(component)] if unary[n]]
        case Pairs(fst=fst, snd=snd):
            results = binary_tables(fst.values, snd.values).results
            fits = [int(n) for n in np.flatnonzero(binary)]
        case _:
            return []
    return [_Candidate(n, results[n]) for n in fits if None not in results[n]]


def _settled(
    reader: Reader,
    components: Sequence[Component],
    options: list[list[_Candidate]],
    open_: list[int],
    variables: list[Variable],
) -> list[Variable]:
    """The known variables and those of components that leave nothing open."""
    known = list(variables)
    for n, component in enumerate(components):
        if n not in open_:
            added = _try_follow(reader, component, options[n], -1 - n)
            known += [] if added is None else [added]
    return known


def _follow(
    reader: Reader, component: Component, option: list[_Candidate], slot: int
) -> Variable | None:
    """The variable of a component whose values are certain, else None."""
    match component:
        case Lookup() | Sum() | StairToValues() | StairToNumber() | Pairs():
            if not option:
                return _outside_variable(reader, component, slot)
            if len({o.results for o in option}) != 1:
                return None
            return _variable(reader, component, option, option[0].results, slot)
        case WidthStair():
            return replace(width_variable(component, len(reader.model.W_pos) - 1), slot=slot)
        case Move(selection=selection) | Mean(selection=selection) | Width(selection=selection):
            if selection.keys is None or selection.queries is None:
                return None
            return _variable(reader, component, [_Candidate(0, ())], (), slot)
        case _:
            return None


def _operation(component: Component, choice: Choice) -> Operation:
    """The operation that a component computes, its function or predicate chosen."""
    match component:
        case Lookup(variable=inner) | StairToValues(variable=inner):
            return MapOperation(inner.slot, choice, CATEGORICAL)
        case Sum(variable=inner) | StairToNumber(variable=inner):
            return MapOperation(inner.slot, choice, NUMERICAL)
        case Pairs(fst=fst, snd=snd):
            return SequenceMapOperation(fst.slot, snd.slot, choice)
        case Move(selection=Selection(Variable() as keys, Variable() as queries), values=values):
            slots = keys.slot, queries.slot
            return AggregateOperation(*slots, choice, values.slot, CATEGORICAL)
        case Mean(selection=Selection(Variable() as keys, Variable() as queries), values=values):
            slots = keys.slot, queries.slot
            return AggregateOperation(*slots, choice, values.slot, NUMERICAL)
        case Width(selection=Selection(Variable() as keys, Variable() as queries)):
            return WidthOperation(keys.slot, queries.slot, choice)
        case _:
            raise TypeError(f"not an operation of known variables: {component}")


def _variable(
    reader: Reader,
    component: Component,
    option: list[_Candidate],
    results: tuple[Value, ...],
    slot: int,
) -> Variable:
    """The variable that a component computes if its function gives ``results``.

    Raises:
        ProgramError: it would take more values than are followed.
    """
    function = next(o.function for o in option if o.results == results)
    return _result(reader, component, _operation(component, function), slot)


def _outside_variable(reader: Reader, component: _FunctionComponent, slot: int) -> Variable | None:
    """The variable of a component that no known function fits, by the table that it shows.

    Raises:
        ProgramError: it would take more values than are followed.
    """
    function = read_function(reader, component) if len(component.outputs) <= MAX_NAMED else None
    if function is None:
        return None
    return _result(reader, component, _operation(component, ReadOff(function)), slot)


def _result(reader: Reader, component: Component, operation: Operation, slot: int) -> Variable:
    by_slot = {v.slot: v for v in variables_of(component) if v is not None}
    return result_variable(
        operation, component.half_layer, component, slot, by_slot, len(reader.model.W_pos) - 1
    )


@dataclass
class _Budget:
    """How many components may still be looked at."""

    left: int


def _verdict(
    reader: Reader, half_layer: HalfLayer, variables: list[Variable], looks_left: _Budget
) -> float:
    """1 if later parts that read a hypothesis all fit, -1 if one does not, else 0."""
    tainted = frozenset(v.slot for v in variables if v.slot < 0)
    story = _Story(half_layer.next, tuple(variables), tainted, 0.0, MAX_HYPOTHESES)
    try:
        return _continue(reader, story, looks_left)
    except ProgramError:  # too many values to be followed
        return 0.0


@dataclass(frozen=True)
class _Story:
    """A hypothesis followed up to some half-layer.

    Attributes:
        half_layer: the next to be read.
        known: variables known or supposed so far.
        tainted: slots of those that rest on the hypothesis.
        verdict: so far.
        branches: how many ways the story may still part into.
    """

    half_layer: HalfLayer
    known: tuple[Variable, ...]
    tainted: frozenset[int]
    verdict: float
    branches: int


def _continue(reader: Reader, story: _Story, looks_left: _Budget) -> float:
    """Follows a story to the last half-layer, parting where a later component is open."""
    known, tainted, verdict = list(story.known), set(story.tainted), story.verdict
    for later in story.half_layer.until(reader.model.n_layers):
        open_: list[tuple[Component, list[_Candidate], int]] = []
        looks_left.left -= reader.model.W_in[0].size // LARGE_LAYER
        for component in reader.readable(later, known):
            looks_left.left -= 1
            if looks_left.left < 0:
                return 0.0
            matched = matches(component)
            options = _candidates(component, matched)
            reads = variables_of(component)
            on_hypothesis = any(v is not None and v.slot in tainted for v in reads)
            selection = selection_of(component)
            if selection is not None and selection.is_disordered:
                if on_hypothesis:
                    return -1.0
                continue
            if on_hypothesis and _is_telling(component):
                if not matched.exact()[2].any() and not options:
                    return -1.0
                verdict = 1.0
            slot = -1000 - 100 * later.number - len(known) - len(open_)
            if on_hypothesis and len({o.results for o in options}) > 1:
                open_.append((component, options, slot))
                continue
            added = _try_follow(reader, component, options, slot)
            if added is not None:
                known.append(added)
                if on_hypothesis:
                    tainted.add(slot)
        ways = [list(dict.fromkeys(o.results for o in options)) for _, options, _ in open_]
        count = math.prod(len(way) for way in ways)
        if 1 < count <= story.branches:
            left = story.branches // count
            slots = frozenset(tainted) | {slot for _, _, slot in open_}
            return max(
                _continue(
                    reader,
                    _Story(
                        later.next,
                        (*known, *_supposed(reader, open_, choice)),
                        slots,
                        verdict,
                        left,
                    ),
                    looks_left,
                )
                for choice in itertools.product(*ways)
            )
    return verdict


def _supposed(
    reader: Reader,
    open_: list[tuple[Component, list[_Candidate], int]],
    choice: tuple[tuple[Value, ...], ...],
) -> list[Variable]:
    """The variables of open components if they have the chosen results."""
    try:
        return [
            _variable(reader, component, options, results, slot)
            for (component, options, slot), results in zip(open_, choice, strict=True)
        ]
    except ProgramError:  # too many values to be followed
        return []


def _try_follow(
    reader: Reader, component: Component, options: list[_Candidate], slot: int
) -> Variable | None:
    """`_follow`, and None where the variable would take more values than are followed."""
    try:
        return _follow(reader, component, options, slot)
    except ProgramError:
        return None


def _is_telling(component: Component) -> bool:
    """Whether a component has a table that a known function or predicate must explain."""
    selection = selection_of(component)
    if selection is not None:
        return selection.table is not None
    return isinstance(component, _FunctionComponent)
