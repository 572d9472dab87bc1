"""Which known functions explain what a component shows, and what their results would mean later.

`matches` compares a component's observed table with the tables of all known
functions. Several may fit: ``x + 1`` and ``x - 1`` have the same weights, and
only what later parts do with the result tells them apart. `look_ahead` tries
each fitting function, gives the new variable the values it would have, and
asks whether later components that read it become explicable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.metamodel.components import Component, Reader
from untracr.metamodel.frame import Floats, Variable
from untracr.metamodel.tables import Bools, binary_tables, predicate_tables, unary_tables
from untracr.metamodel.vocabulary import BINARY, PREDICATES, UNARY
from untracr.rasp.functions import Value

CLOSE = 0.02
"""Numbers read off the weights agree when they differ by less than this."""

HYPOTHETICAL_SLOT = -1


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

    def any_exact(self) -> bool:
        """Whether some function agrees entirely."""
        return any(bool(bits.any()) for bits in self.exact())


_ALL = 1 - 1e-9
_NO_UNARY = np.zeros(len(UNARY))
_NO_BINARY = np.zeros(len(BINARY))
_NO_PREDICATE = np.zeros(len(PREDICATES))


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
            binary = (tables.groups == component.groups).mean(axis=1)
        case "move" | "mean" | "width":
            key, query = component.reads[:2]
            if key is not None and query is not None and component.table is not None:
                known = predicate_tables(key.values, query.values)
                predicate = (known == component.table).mean(axis=(1, 2))
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


def _share(agrees: npt.NDArray[np.bool_]) -> Floats:
    return np.asarray(agrees.mean(axis=1), dtype=np.float64)


@dataclass(frozen=True)
class Outlook:
    """What later parts say of each function: 1 fits, -1 does not, 0 nothing known."""

    unary: Floats
    binary: Floats


def look_ahead(
    reader: Reader, component: Component, found: Matches, variables: list[Variable]
) -> Outlook:
    """Tries each function that fits a component on the later parts that read its result.

    Only results with several fitting functions are tried, and only later
    parts that read nothing else unknown are asked.
    """
    unary, binary = np.zeros(len(UNARY)), np.zeros(len(BINARY))
    candidates = _candidates(component, found)
    if len({values for _, _, values in candidates}) < 2:
        return Outlook(unary, binary)
    later = _later_readers(reader, component)
    if not later:
        return Outlook(unary, binary)
    known: dict[tuple[Value, ...], float] = {}
    for is_unary, number, results in candidates:
        if results not in known:
            hypothesis = _variable(component, results)
            known[results] = _explains(reader, later, [*variables, hypothesis])
        (unary if is_unary else binary)[number] = known[results]
    return Outlook(unary, binary)


def _candidates(
    component: Component, found: Matches
) -> list[tuple[bool, int, tuple[Value, ...]]]:
    """Functions that fit, with their results, where results are categorical."""
    if component.kind in ("lookup", "stair to values"):
        variable = component.reads[0]
        assert variable is not None
        results = unary_tables(variable.values).results
        fits = found.exact()[0]
        return [
            (True, int(n), results[n])
            for n in np.flatnonzero(fits)
            if None not in results[n]
        ]
    if component.kind == "pairs":
        fst, snd = component.reads
        assert fst is not None
        assert snd is not None
        results = binary_tables(fst.values, snd.values).results
        return [(False, int(n), results[n]) for n in np.flatnonzero(found.exact()[1])]
    return []


def _variable(component: Component, results: tuple[Value, ...]) -> Variable:
    """The variable a component would write if its results were these."""
    first: dict[Value, int] = {}
    for place, result in enumerate(results):
        first.setdefault(result, place)
    values = tuple(sorted(first))  # type: ignore[type-var]
    rows = component.outputs[[first[value] for value in values]]
    return Variable(
        HYPOTHETICAL_SLOT, True, values, rows, component.half_layer + 1
    )


@dataclass(frozen=True)
class _Later:
    """Parts of one later half-layer that read a new variable."""

    half_layer: int
    heads: tuple[int, ...]
    neurons: npt.NDArray[np.int64] | None


def _later_readers(reader: Reader, component: Component) -> list[_Later]:
    rows = component.outputs
    distinct = rows[np.unique(component.groups, return_index=True)[1]]
    found: list[_Later] = []
    for half_layer in range(component.half_layer + 1, reader.n_half_layers):
        layer = half_layer // 2
        if half_layer % 2:
            reads = np.abs(distinct @ reader.W_in[layer]).max(axis=0) > 0.05
            neurons = np.flatnonzero(reads & (reader.write_norm[layer] > 1e-3))
            if len(neurons):
                found.append(_Later(half_layer, (), neurons))
            continue
        heads = [
            int(h)
            for h in np.flatnonzero(reader.alive_heads[layer])
            if np.abs(distinct @ reader.W_K[layer, h]).max() > 0.05
            or np.abs(distinct @ reader.W_Q[layer, h]).max() > 0.05
        ]
        if heads:
            found.append(_Later(half_layer, tuple(heads), None))
    return found


def _explains(reader: Reader, later: list[_Later], variables: list[Variable]) -> float:
    """1 if every later part that can be read fits some function, -1 if one does not, else 0."""
    verdict = 0.0
    for part in later:
        for component in reader.readable(part.half_layer, variables, part.heads, part.neurons):
            if not any(
                v is not None and v.slot == HYPOTHETICAL_SLOT for v in component.reads
            ) or component.kind in ("unknown", "linear"):
                continue
            if not matches(component).any_exact():
                return -1.0
            verdict = 1.0
    return verdict
