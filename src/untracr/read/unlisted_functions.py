"""Functions outside the closed lists: tables read off the weights, and names for them.

What a component writes for each value of what it reads is its function. A
number is what it is; categorical results are known up to their names only (a
partition of the arguments, and their order if it is a lookup or later parts
show it, see `order`). A function of the closed lists or another common one that
agrees gives the table its name and the results their values; else the results
are called 0, 1, 2, ...
"""

from __future__ import annotations

import functools
import itertools

import numpy as np

from untracr.arrays import Annotated, Bools, Floats, Ints
from untracr.measure.simplest import DENOMINATORS, simplest_number
from untracr.rasp.functions import Function, Predicate, Table, Value, types_of
from untracr.rasp.known_tables import Tables, call, tabulate
from untracr.rasp.listed_functions import BINARY, MORE_BINARY, MORE_UNARY, UNARY
from untracr.rasp.naming import MAX_NAMED, predicate_of_table, steps_or_table
from untracr.read.components import (
    Component,
    Linear,
    Lookup,
    Mean,
    Move,
    Number,
    Pairs,
    StairToNumber,
    StairToValues,
    Sum,
    Width,
    size_of,
    variables_of,
)
from untracr.read.matching import CLOSE_NUMBER, FITTING, WHOLE_SHARE, MapForm, same_groups
from untracr.read.operations import LinearOperation, Operation
from untracr.read.reader import Reader
from untracr.read.result_groups import groups_of_pairs
from untracr.read.tolerances import ZERO_LENGTH
from untracr.read.value_order import ranks_read

EXACT_NUMBER = 1e-3
"""Numbers read off exact weights are right within this."""

ROUNDED_SHARE_OF_NUMBER = 1e-6
"""Numbers read off exact weights that no compression changed are right within this, relative to
the larger of 1 and themselves."""

ROTATED_SHARE_OF_ALL_NUMBERS = 1.5e-7
"""In rotated weights they may be off besides by this share of the length of the vector of all of
them."""

UNLIKE = 4.0
"""A function is not the one that numbers show if it is off by this many times their distance
from whole numbers and halves."""

COARSEST = 0.25
"""However large the noise, a half is not rounded to a whole number."""

EXACT_FACTOR, ROUGH_FACTOR = 1e-6, 0.03
"""Factors of a LinearSequenceMap are right within this share of the larger one: in exact
weights, and in compressed or noisy ones."""

MAX_FACTOR = 1e9
"""Larger factors are not read."""


_UNARY_NAMES = {
    fitting: tuple(dict.fromkeys((*(UNARY[n] for n in fitting), *UNARY, *MORE_UNARY)))
    for fitting in FITTING.values()
}
"""The functions that may give a table its name, those first that fit the component's form."""

_BINARY_NAMES = (*BINARY, *MORE_BINARY)


def read_off(reader: Reader, component: Component) -> Predicate | None:
    """The function or predicate that a component shows over the variables of `readable_slots`."""
    if isinstance(component, Move | Mean | Width):
        return read_predicate(component)
    return read_function(reader, component)


def read_function(reader: Reader, component: Component) -> Function | None:
    """The function of a Map or a SequenceMap as its component shows it; None if it shows none.

    Args:
        reader: of the component's model; later parts may show the order of the results.
        component: of any kind.
    """
    match component:
        case (
            Sum(variable=variable, number=number) | StairToNumber(variable=variable, number=number)
        ):
            is_whole = component.is_whole
            turned = _turned(number) if is_whole else 0.0
            return unary_of_numbers(
                type(component),
                variable.values,
                number.sizes,
                3 * number.spread * (1 + np.abs(number.sizes)) + turned,
                factor_open=number.orientation == 0,
                is_exact=is_whole,
            )
        case Lookup(variable=variable, groups=groups, is_whole=is_whole):
            return unary_of_groups(
                Lookup, variable.values, groups, in_order=True, is_whole=is_whole
            )
        case StairToValues(variable=variable, is_whole=is_whole):
            groups, in_order = _in_order(reader, component)
            return unary_of_groups(
                StairToValues, variable.values, groups, in_order=in_order, is_whole=is_whole
            )
        case Pairs(fst=fst, snd=snd, is_whole=is_whole):
            if component.is_of_one:
                own = component.groups[:: len(fst.values) + 1]
                return diagonal_of_groups(fst.values, own, size_of(component))
            groups, in_order = _in_order(reader, component)
            return binary_of_groups(
                fst.values, snd.values, groups, in_order=in_order, is_whole=is_whole
            )
        case _:
            return None


def _in_order(
    reader: Reader, component: Pairs | StairToValues
) -> tuple[Annotated[Ints, "assignments"], bool]:
    """A component's groups, in the order of their values if later parts show it, and whether."""
    ranks = ranks_read(reader, component)
    return (component.groups, False) if ranks is None else (ranks, True)


def with_read_factors(operation: Operation, component: Component | None) -> Operation:
    """A LinearSequenceMap with the factors that its component shows, where these are not listed.

    Args:
        operation: any; others come back as they are.
        component: what computes it, if that is known.
    """
    if not isinstance(operation, LinearOperation):
        return operation
    if not isinstance(component, Linear):
        return operation
    factors = component.number.sizes
    largest = float(np.abs(factors).max(initial=0.0))
    if readable_slots(component) != operation.slots or not 0 < largest < MAX_FACTOR:
        return operation
    allowed = largest * (EXACT_FACTOR if component.is_whole else ROUGH_FACTOR)
    p, q = (simplest_number(number, allowed) for number in factors.tolist())
    read = LinearOperation.of(operation.fst, operation.snd, (p, q))
    return operation if read.is_listed else read


def _turned(number: Number) -> float:
    """How far numbers may be off for the rounding of a rotation: it spreads over all of them."""
    if _on_an_axis(number.direction):
        return 0.0
    return ROTATED_SHARE_OF_ALL_NUMBERS * float(np.sqrt(np.square(number.sizes).sum()))


def _on_an_axis(direction: Annotated[Floats, "D"]) -> bool:
    return int((np.abs(direction) > ZERO_LENGTH).sum()) <= 1


def read_predicate(component: Component) -> Predicate | None:
    """The predicate by which a head selects, as its component shows it; None if it shows none."""
    match component:
        case Move(selection=selection) | Mean(selection=selection) | Width(selection=selection):
            keys, queries, table = selection.keys, selection.queries, selection.table
            if keys is None or queries is None or table is None:
                return None
            return predicate_of_table(keys.values, queries.values, table)
        case _:
            return None


def readable_slots(component: Component) -> tuple[int, ...]:
    """The slots of the variables over which a component shows a function or predicate; or none."""
    reads = variables_of(component)
    if isinstance(component, Move | Mean | Width):
        reads = reads[:2] if component.selection.table is not None else ()
    return tuple(v.slot for v in reads if v is not None)


def unary_of_groups(
    form: MapForm,
    values: tuple[Value, ...],
    groups: Annotated[Ints, "values"],
    *,
    in_order: bool,
    is_whole: bool,
) -> Function:
    """A categorical function of one argument.

    Args:
        form: a lookup, or a staircase to values.
        values: its arguments.
        groups: per argument the number of its result; -1 where nothing is written.
        in_order: whether the numbers are the places of the results in their order.
        is_whole: whether nothing is written for None; else for what is not known.
    """
    if len(values) <= MAX_NAMED:
        names = _unary_names(FITTING[form], values, types_of(values))
        named = _first(names, _agree(names, groups, in_order, is_whole))
        if named is not None:
            return _UNARY_NAMES[FITTING[form]][named]
    return steps_or_table(values, _labels(groups, is_whole))


def unary_of_numbers(
    form: MapForm,
    values: tuple[Value, ...],
    numbers: Annotated[Floats, "values"],
    allowed: Annotated[Floats, "values"] | float = 0.0,
    *,
    factor_open: bool = False,
    is_exact: bool = False,
) -> Function:
    """A numerical function of one argument.

    Args:
        form: a sum, or a staircase to a number.
        values: its arguments.
        numbers: its results.
        allowed: how far each of them may be off.
        factor_open: whether they are known up to a factor only; exact ones up to their sign.
        is_exact: whether they are right but for rounding.
    """
    ways = _ways(numbers, is_exact) if factor_open else [numbers]
    close = ROUNDED_SHARE_OF_NUMBER * (1 + np.abs(numbers)) if is_exact else CLOSE_NUMBER
    if len(values) <= MAX_NAMED:
        names = _unary_names(FITTING[form], values, types_of(values))
        for way in ways:
            off = np.abs(names.numbers - way)
            fits = (off < close + allowed).all(axis=1)
            worst = np.where(fits, off.max(axis=1, initial=0.0), np.inf)
            # Noise lets others fit too, but not as well, nor as well as the nearest halves do.
            halves = float(np.abs(np.round(2 * way) / 2 - way).max(initial=0.0))
            fits &= worst <= min(float(worst.min()), UNLIKE * halves) + CLOSE_NUMBER
            named = _first(names, np.asarray(fits))
            if named is not None:
                return _UNARY_NAMES[FITTING[form]][named]
    nearest = close / 4 + allowed if is_exact else np.clip(allowed, EXACT_NUMBER, COARSEST)
    limits = np.broadcast_to(nearest, numbers.shape)
    results = [
        _simple(n, limit) for n, limit in zip(ways[0].tolist(), limits.tolist(), strict=True)
    ]
    return steps_or_table(values, results)


def binary_of_groups(
    fst: tuple[Value, ...],
    snd: tuple[Value, ...],
    groups: Annotated[Ints, "pairs"],
    *,
    in_order: bool,
    is_whole: bool,
) -> Function:
    """A categorical function of two arguments, the first one major; see `unary_of_groups`."""
    pairs = list(itertools.product(fst, snd))
    if len(pairs) <= MAX_NAMED:
        names = _binary_names(fst, snd, types_of(fst), types_of(snd))
        named = _first(names, _agree(names, groups, in_order, is_whole))
        if named is not None:
            return _BINARY_NAMES[named]
    labels = [None if group < 0 else group for group in groups.tolist()]
    return Table(tuple(zip(pairs, labels, strict=True)), 2)


def diagonal_of_groups(
    values: tuple[Value, ...], groups: Annotated[Ints, "values"], count: int
) -> Function | None:
    """A categorical function of two arguments, always the same ones.

    Args:
        values: of both arguments.
        groups: per value the place of its result among all results; -1 for None.
        count: how many results two values, alike or not, may give.

    Returns:
        None where pairs of different values are too few for the other results.
    """
    pairs = list(itertools.product(values, values))
    alike = np.arange(len(values)) * (len(values) + 1)
    if len(pairs) <= MAX_NAMED:
        names = _binary_names(values, values, types_of(values), types_of(values))
        sizes = (np.diff(np.sort(names.ranks, axis=1), axis=1) > 0).sum(axis=1) + 1
        fits = (names.ranks[:, alike] == groups).all(axis=1) & (sizes == count)
        named = _first(names, np.asarray(fits))
        if named is not None:
            return _BINARY_NAMES[named]
    every = groups_of_pairs(groups, count)
    if every is None:
        return None
    labels = [None if group < 0 else group for group in every.tolist()]
    return Table(tuple(zip(pairs, labels, strict=True)), 2)


def _labels(groups: Annotated[Ints, "values"], is_whole: bool) -> list[Value]:
    """Groups as values; where nothing is written, None or, if not known, one more."""
    unknown = None if is_whole else int(groups.max(initial=-1)) + 1
    return [unknown if group < 0 else group for group in groups.tolist()]


def _ways(
    numbers: Annotated[Floats, "values"], is_exact: bool
) -> list[Annotated[Floats, "values"]]:
    """Numbers known up to a factor, in units that make them simple, with either sign."""
    largest = float(np.abs(numbers).max(initial=0.0))
    chosen = numbers
    if largest > EXACT_NUMBER and not _whole(2 * numbers) and not is_exact:
        for size in range(1, 10):
            scaled = numbers * (size / largest)
            if _whole(scaled):
                chosen = scaled
                break
    sign = -1.0 if chosen.sum() < 0 else 1.0
    return [sign * chosen, -sign * chosen]


def _whole(numbers: Annotated[Floats, "values"]) -> bool:
    return bool((np.abs(numbers - np.round(numbers)) < CLOSE_NUMBER).all())


def _simple(number: float, allowed: float) -> Value:
    """The simplest number close enough: a whole one, a fraction, or itself."""
    if not np.isfinite(number):
        return 0
    for denominator in range(1, DENOMINATORS + 1):
        numerator = round(number * denominator)
        if abs(numerator / denominator - number) <= allowed:
            return numerator if denominator == 1 else numerator / denominator
    if allowed < EXACT_NUMBER:
        return float(str(np.float32(number)))
    return round(number, 6)


def _agree(
    names: Tables, groups: Annotated[Ints, "n"], in_order: bool, is_whole: bool
) -> Annotated[Bools, "functions"]:
    """Which functions give these groups."""
    fits = np.asarray(same_groups(names, groups, is_whole) > WHOLE_SHARE, dtype=np.bool_)
    if not in_order:
        return fits
    known = np.flatnonzero(groups >= 0)
    order = known[np.argsort(groups[known], kind="stable")]
    rising = (np.diff(names.ranks[:, order], axis=1) >= 0).all(axis=1)
    return fits & rising & (names.ranks >= 0).all(axis=1)


def _first(names: Tables, fits: Annotated[Bools, "functions"]) -> int | None:
    """The first function that fits and never fails."""
    for n in np.flatnonzero(fits).tolist():
        if None not in names.results[n]:
            return int(n)
    return None


@functools.lru_cache(maxsize=4096)
def _unary_names(
    fitting: tuple[int, ...], values: tuple[Value, ...], types: tuple[type, ...]
) -> Tables:
    return tabulate([[call(f, v) for v in values] for f in _UNARY_NAMES[fitting]])


@functools.lru_cache(maxsize=1024)
def _binary_names(
    fst: tuple[Value, ...],
    snd: tuple[Value, ...],
    fst_types: tuple[type, ...],
    snd_types: tuple[type, ...],
) -> Tables:
    pairs = list(itertools.product(fst, snd))
    return tabulate([[call(f, x, y) for x, y in pairs] for f in _BINARY_NAMES])
