"""Which known functions explain what a component shows.

Its observed table is compared with the tables of all known functions. Several
may fit: ``x + 1`` and ``x - 1`` have the same weights, and only what later
parts do with the result tells them apart (`outlook`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from untracr.arrays import Annotated, Bools, Floats, Ints
from untracr.rasp.known_tables import (
    Tables,
    binary_tables,
    first_places,
    predicate_tables,
    unary_tables,
)
from untracr.rasp.listed_functions import BINARY, MAP_POOL, PREDICATES, UNARY, Type
from untracr.read.components import (
    Component,
    Lookup,
    Mean,
    Move,
    Number,
    Pairs,
    Selection,
    StairToNumber,
    StairToValues,
    Sum,
    Width,
)
from untracr.read.frame import Variable

CLOSE_NUMBER = 0.02
"""Numbers read off the weights agree when they differ by less than this."""


def _pool(inputs: tuple[Type, ...], outputs: tuple[Type, ...]) -> tuple[int, ...]:
    known = {f for i in inputs for o in outputs for f in MAP_POOL.get((i, o), ())}
    return tuple(n for n, f in enumerate(UNARY) if f in known)


MapForm = type[Lookup] | type[Sum] | type[StairToValues] | type[StairToNumber]
"""The form of a component that computes a Map."""

FITTING: dict[MapForm, tuple[int, ...]] = {
    Lookup: _pool(("categorical",), ("categorical",)),
    Sum: _pool(("categorical",), ("bool", "float")),
    StairToValues: _pool(("float", "bool", "freq"), ("categorical",)),
    StairToNumber: _pool(("float", "bool", "freq"), ("bool", "float")),
}
"""Functions a Map may have, by the form of its component."""

WHOLE_SHARE = 1 - 1e-9
"""A table agrees entirely if the share that agrees is larger."""

_NO_UNARY = np.zeros(len(UNARY))
_NO_BINARY = np.zeros(len(BINARY))
_NO_PREDICATE = np.zeros(len(PREDICATES))


@dataclass(frozen=True)
class Matches:
    """How well each known function fits a component.

    Attributes:
        unary, binary, predicate: share of the table that agrees, 0 to 1, per
            function; all 0 where the kind does not apply.
    """

    unary: Annotated[Floats, "unary"]
    binary: Annotated[Floats, "binary"]
    predicate: Annotated[Floats, "predicates"]

    def exact(
        self,
    ) -> tuple[
        Annotated[Bools, "unary"], Annotated[Bools, "binary"], Annotated[Bools, "predicates"]
    ]:
        """Which functions agree entirely."""
        return self.unary > WHOLE_SHARE, self.binary > WHOLE_SHARE, self.predicate > WHOLE_SHARE


def matches(component: Component) -> Matches:
    """Compares a component with every known function."""
    unary, binary, predicate = _NO_UNARY, _NO_BINARY, _NO_PREDICATE
    match component:
        case Lookup(variable=variable, groups=groups):
            unary = _share(unary_tables(variable.values).ranks == groups)
        case StairToValues(variable=variable, groups=groups, is_whole=is_whole):
            unary = same_groups(unary_tables(variable.values), groups, is_whole)
        case StairToNumber(variable=variable, number=number):
            unary = _of_number(unary_tables(variable.values), number)
        case Sum(variable=variable, number=number):
            tables = unary_tables(variable.values)
            unary = _of_number(tables, number)
            unary[_unseen(tables.numbers - number.sizes, variable)] = 1.0
        case Pairs(fst=fst, snd=snd, groups=groups, is_whole=is_whole):
            binary = same_groups(binary_tables(fst.values, snd.values), groups, is_whole)
        case Move(selection=selection) | Mean(selection=selection) | Width(selection=selection):
            predicate = _predicate(selection)
        case _:
            pass
    return Matches(unary, binary, predicate)


def _of_number(tables: Tables, number: Number) -> Annotated[Floats, "functions"]:
    """Agreement of tables with a number that is written."""
    sizes = number.sizes
    close = CLOSE_NUMBER + 3 * number.spread * (1 + np.abs(sizes))
    share = _share(np.abs(tables.numbers - sizes) < close)
    if number.orientation == 0:
        flipped = _share(np.abs(tables.numbers + sizes) < close)
        share = np.maximum(share, flipped)
        if not (share > WHOLE_SHARE).any():  # the length may be open as well
            share = np.maximum(share, _up_to_a_factor(tables.numbers, sizes))
    return share


def _up_to_a_factor(
    tables: Annotated[Floats, "functions n"], numbers: Annotated[Floats, "n"]
) -> Annotated[Floats, "functions"]:
    """Agreement with tables times a factor of at most one, as compression shortens directions."""
    squares = np.nansum(np.square(tables), axis=1)
    factor = np.nansum(tables * numbers, axis=1) / np.where(squares > 0, squares, 1.0)
    factor[np.abs(factor) > 1] = 0.0
    return _share(
        np.abs(factor[:, None] * tables - numbers) < CLOSE_NUMBER * np.abs(factor)[:, None]
    )


def _predicate(selection: Selection) -> Annotated[Floats, "predicates"]:
    """Agreement of the listed predicates with what a head selects."""
    keys, query, table, logits = (
        selection.keys,
        selection.queries,
        selection.table,
        selection.logits,
    )
    if keys is None or query is None or table is None:
        return _NO_PREDICATE
    known = predicate_tables(keys.values, query.values)
    share = _share((known == table).reshape(len(known), -1))
    if not query.is_independent and logits is not None:
        for n, wanted in enumerate(known.astype(np.float64)):
            # Logits are multiples of the predicate, up to what the queries' directions hide.
            shown = np.einsum("kq,kq->", wanted @ query.products, wanted)
            along = np.einsum("kq,kq->", logits @ query.products, wanted)
            if shown <= 0 or along <= 0:
                continue
            if _unseen(logits * (shown / along) - wanted, query).all():
                share[n] = 1.0
    return share


def _unseen(
    difference: Annotated[Floats, "*tables values"], variable: Variable
) -> Annotated[Bools, "*tables"]:
    """Where tables over a variable [..., values] differ by what the weights cannot show."""
    if variable.is_independent:
        return np.zeros(difference.shape[:-1], dtype=np.bool_)
    shown = np.einsum("...v,vw->...w", difference, variable.products) * difference
    return np.asarray(shown.sum(axis=-1) < CLOSE_NUMBER**2, dtype=np.bool_)


def same_groups(
    tables: Tables, groups: Annotated[Ints, "n"], is_whole: bool
) -> Annotated[Floats, "functions"]:
    """Agreement of tables with observed groups [n].

    Equal results must be observed as equal, different ones as different, except
    where nothing was observed (-1): compression drops values that never occur.

    Args:
        tables: of the functions.
        groups: as observed.
        is_whole: nothing was dropped; a function that always has a result does not agree
            where nothing was observed.
    """
    alike = groups == groups[tables.first]
    observed = first_places(groups)
    alone = (tables.groups == tables.groups[:, observed]) | (groups < 0)
    return _share(alike & alone & ((groups >= 0) | (not is_whole)))


def _share(agrees: Annotated[Bools, "functions n"]) -> Annotated[Floats, "functions"]:
    """The share of each row that agrees; 0 of nothing."""
    return np.asarray(agrees.sum(axis=1) / max(1, agrees.shape[1]), dtype=np.float64)
