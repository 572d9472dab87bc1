"""Which known functions explain what a component shows.

Its observed table is compared with the tables of all known functions. Several
may fit: ``x + 1`` and ``x - 1`` have the same weights, and only what later
parts do with the result tells them apart (`outlook`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from untracr.metamodel.components import Component
from untracr.metamodel.frame import Bools, Floats
from untracr.metamodel.tables import binary_tables, predicate_tables, unary_tables
from untracr.metamodel.vocabulary import BINARY, PREDICATES, UNARY
from untracr.rasp.functions import Value

CLOSE = 0.02
"""Numbers read off the weights agree when they differ by less than this."""

_ALL = 1 - 1e-9
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

    unary: Floats
    binary: Floats
    predicate: Floats

    def exact(self) -> tuple[Bools, Bools, Bools]:
        """Which functions agree entirely."""
        return self.unary > _ALL, self.binary > _ALL, self.predicate > _ALL


def matches(component: Component) -> Matches:
    """Compares a component with every known function."""
    unary, binary, predicate = _NO_UNARY, _NO_BINARY, _NO_PREDICATE
    match component.kind:
        case "lookup" | "sum" | "stair to number" | "stair to values":
            variable = component.reads[0]
            assert variable is not None
            unary = _unary(component, variable.values)
        case "pairs":
            fst, snd = component.reads
            assert fst is not None
            assert snd is not None
            tables = binary_tables(fst.values, snd.values)
            binary = _share(tables.groups == component.groups)
        case "move" | "mean" | "width":
            key, query = component.reads[:2]
            if key is not None and query is not None and component.table is not None:
                known = predicate_tables(key.values, query.values)
                predicate = _share((known == component.table).reshape(len(known), -1))
    return Matches(unary, binary, predicate)


def _unary(component: Component, values: tuple[Value, ...]) -> Floats:
    tables = unary_tables(values)
    if component.kind == "lookup":
        return _share(tables.ranks == component.groups)
    if component.kind == "stair to values":
        return _share(tables.groups == component.groups)
    near = np.abs(tables.numbers - component.numbers) < CLOSE
    if component.orientation == 0:
        flipped = np.abs(tables.numbers + component.numbers) < CLOSE
        return np.maximum(_share(near), _share(flipped))
    return _share(near)


def _share(agrees: Bools) -> Floats:
    """The share of each row that agrees; 0 of nothing."""
    return np.asarray(agrees.sum(axis=1) / max(1, agrees.shape[1]), dtype=np.float64)
