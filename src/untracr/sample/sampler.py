"""Random programs of the paper's kind; item i is a pure function of (seed, i).

The rules are those of the reference sampler (`rasp_gen`, the code behind
"Towards Meta-Models for Automated Interpretability"): grow a scope of typed
SOps by randomly drawn operations until the newest SOp's program has the wanted
length, check it, start again on failure. Its defects are mended: the type and
identity checks here do fire.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from untracr.compile.canonical import canonicalise
from untracr.errors import UsageError
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.interpreter import Batch
from untracr.rasp.listed_functions import FACTORS, MAP_POOL, SEQUENCE_MAP_POOL, Type
from untracr.rasp.nodes import (
    CATEGORICAL,
    INDICES,
    NUMERICAL,
    TOKENS,
    Aggregate,
    LinearSequenceMap,
    Map,
    Node,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
)
from untracr.rasp.program import Builder, Program
from untracr.sample.acceptance import SAMPLING_INPUTS, acceptable, fixed_inputs
from untracr.sample.known import (
    Known,
    Selection,
    added,
    averaged,
    combined,
    known_input,
    mapped,
    moved,
    selected,
    width,
)
from untracr.sample.pools import KIND_SHARES, PREDICATES_DRAWN, Kind
from untracr.short_repr import short_repr

T = TypeVar("T")

MAX_SCOPE = 40
"""Operations drawn before a scope that never reaches the wanted length is given up."""

AGGREGATE_TRIES = 10


@dataclass(frozen=True)
class SamplerSettings:
    """What to sample.

    Attributes:
        domain: vocabulary and maximum length; the function pools suit small integers.
        min_length, max_length: SOps a program, inputs included when used.
        max_tokens, max_weights: larger programs are drawn again (the paper's limits).
    """

    domain: Domain = PAPER_DOMAIN
    min_length: int = 4
    max_length: int = 8
    max_tokens: int = 128
    max_weights: int = 65_536

    __repr__ = short_repr


PAPER = SamplerSettings()


MAX_ATTEMPTS = 2_000
"""Programs that are drawn for one that is within the settings; usual ones take one or two."""


def sample_program(seed: int, index: int, settings: SamplerSettings = PAPER) -> Program:
    """Draws program number ``index`` of the stream ``seed``, in canonical form.

    Raises:
        ValueError: seed or index is negative.
        UsageError: there seems to be no program within these settings.
    """
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must not be negative: {seed=}, {index=}")
    rng = Random(f"untracr/{seed}/{index}")
    length = settings.min_length + int(
        rng.random() * (settings.max_length - settings.min_length + 1)
    )
    for _ in range(MAX_ATTEMPTS):
        program = _attempt(rng, length, settings)
        if program is not None:
            return program
    raise UsageError(
        f"in {MAX_ATTEMPTS:,} attempts no program of length {length} was within max_tokens "
        f"{settings.max_tokens:,} and max_weights {settings.max_weights:,}; shorten the programs"
    )


def sample_programs(
    seed: int, start: int = 0, settings: SamplerSettings = PAPER
) -> Iterator[Program]:
    """Programs ``start``, ``start + 1``, ... of the stream ``seed``."""
    for index in itertools.count(start):
        yield sample_program(seed, index, settings)


class _Scope:
    """The SOps drawn so far, with what they hold on the test inputs, and by type."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.builder = Builder()
        self.known: dict[Ref, Known] = {}
        self.types: dict[Ref, Type] = {}
        self.reads: dict[Ref, frozenset[Ref]] = {}
        self.all: list[Ref] = []
        self.categorical: list[Ref] = []
        self.numbers: list[Ref] = []
        self.categorical_without_none: list[Ref] = []
        self.bools_without_none: list[Ref] = []
        for ref in (TOKENS, INDICES):
            self.put(ref, "categorical", known_input(batch, ref), frozenset([ref]))

    def put(self, ref: Ref, type_: Type, known: Known, reads: frozenset[Ref]) -> None:
        """Makes a SOp available to the operations that follow."""
        self.known[ref], self.types[ref], self.reads[ref] = known, type_, reads
        self.all.append(ref)
        if type_ == "categorical":
            self.categorical.append(ref)
            if not known.has_none:
                self.categorical_without_none.append(ref)
        elif type_ == "bool":
            if not known.has_none:
                self.bools_without_none.append(ref)
        else:
            self.numbers.append(ref)


def _choose(rng: Random, refs: list[Ref]) -> Ref:
    """One of the SOps, tokens (always the first, if there) three times as likely as another."""
    n = len(refs)
    place = int(rng.random() * (n + 2 if refs[0] == TOKENS else n))
    return TOKENS if place >= n else refs[place]


def _choose_two(rng: Random, refs: list[Ref]) -> tuple[Ref, Ref] | None:
    """Two different SOps."""
    if not refs:
        return None
    fst = _choose(rng, refs)
    if len(refs) < 2:
        return None
    while (snd := _choose(rng, refs)) == fst:
        pass
    return fst, snd


def _attempt(rng: Random, length: int, settings: SamplerSettings) -> Program | None:
    scope = _Scope(fixed_inputs(settings.domain, SAMPLING_INPUTS))
    set_aside: frozenset[Kind] = frozenset()
    for _ in range(MAX_SCOPE):
        kind = _draw_kind(rng, set_aside)
        if kind is None:
            return None
        ref = _grow(rng, kind, scope)
        if ref is None:
            set_aside |= {kind}
            continue
        set_aside = frozenset()
        if len(scope.reads[ref]) == length:
            program = scope.builder.build(ref)
            accepted = acceptable(
                program,
                settings.domain,
                max_tokens=settings.max_tokens,
                max_weights=settings.max_weights,
            )
            return canonicalise(program) if accepted else None
    return None


def _draw_kind(rng: Random, set_aside: frozenset[Kind]) -> Kind | None:
    open_kinds, total = _open_kinds(set_aside)
    if not open_kinds:
        return None
    point = rng.random() * total
    for kind, weight in open_kinds:
        point -= weight
        if point < 0:
            return kind
    return open_kinds[-1][0]


@functools.lru_cache(maxsize=256)
def _open_kinds(set_aside: frozenset[Kind]) -> tuple[tuple[tuple[Kind, float], ...], float]:
    """The operations not set aside, with their weights, and the sum of these."""
    found = tuple((kind, weight) for kind, weight in KIND_SHARES if kind not in set_aside)
    return found, sum(weight for _, weight in found)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """An operation that could be drawn.

    Attributes:
        nodes: the Select it brings along, if any, and itself.
        reads: the SOps it reads.
        known: what it holds on the test inputs.
    """

    nodes: tuple[Node, ...]
    reads: tuple[Ref, ...]
    type: Type
    known: Known


def _grow(rng: Random, kind: Kind, scope: _Scope) -> Ref | None:
    """Draws one operation and puts it into the scope; None if it could not be drawn."""
    drawn = _DRAW[kind](rng, scope)
    if drawn is None or drawn.known.mostly_none:
        return None
    ref = -1
    for node in drawn.nodes:
        ref = scope.builder.add(node)
    reads = frozenset([ref]).union(*(scope.reads[sop] for sop in drawn.reads))
    scope.put(ref, drawn.type, drawn.known, reads)
    return ref


def _draw_map(rng: Random, scope: _Scope) -> _Drawn | None:
    inner = _choose(rng, scope.all)
    type_: Type = _pick(rng, ("bool", "float", "categorical"))
    function = _pick(rng, MAP_POOL[scope.types[inner], type_])
    known = mapped(scope.batch, function, scope.known[inner])
    if known is None:
        return None
    encoding = CATEGORICAL if type_ == "categorical" else NUMERICAL
    return _Drawn((Map(function, inner, encoding),), (inner,), type_, known)


def _draw_sequence_map(rng: Random, scope: _Scope) -> _Drawn | None:
    pair = _choose_two(rng, scope.categorical)
    if pair is None:
        return None
    function = _pick(rng, SEQUENCE_MAP_POOL)
    known = combined(scope.batch, function, scope.known[pair[0]], scope.known[pair[1]])
    if known is None:
        return None
    return _Drawn((SequenceMap(function, *pair),), pair, "categorical", known)


def _draw_linear(rng: Random, scope: _Scope) -> _Drawn | None:
    pair = _choose_two(rng, scope.numbers)
    if pair is None:
        return None
    factors = _pick(rng, FACTORS), _pick(rng, FACTORS)
    known = added(scope.batch, *factors, scope.known[pair[0]], scope.known[pair[1]])
    if known is None:
        return None
    return _Drawn((LinearSequenceMap(*pair, *factors),), pair, "float", known)


def _draw_select(rng: Random, scope: _Scope) -> Select:
    keys = _choose(rng, scope.categorical_without_none)
    queries = _choose(rng, scope.categorical_without_none)
    return Select(keys, queries, _pick(rng, PREDICATES_DRAWN))


def _selection(scope: _Scope, select: Select) -> Selection | None:
    keys, queries = scope.known[select.keys], scope.known[select.queries]
    return selected(scope.batch, select.predicate, keys, queries)


def _draw_aggregate(rng: Random, scope: _Scope) -> _Drawn | None:
    select = _draw_select(rng, scope)
    if not scope.bools_without_none:
        return None
    sop = _choose(rng, scope.bools_without_none)
    selection = _selection(scope, select)
    known = None if selection is None else averaged(scope.batch, selection, scope.known[sop])
    if known is None:
        return None
    node = Aggregate(len(scope.builder.nodes), sop, 0, NUMERICAL)
    return _Drawn((select, node), (select.keys, select.queries, sop), "freq", known)


def _draw_moving_aggregate(rng: Random, scope: _Scope) -> _Drawn | None:
    """A categorical Aggregate that moves values and never averages different ones."""
    for _ in range(AGGREGATE_TRIES):
        select = _draw_select(rng, scope)
        sop = _choose(rng, scope.categorical_without_none)
        selection = _selection(scope, select)
        if selection is None:
            return None
        result = moved(scope.batch, selection, scope.known[sop])
        if result == "fails":
            return None
        if result != "averages":
            node = Aggregate(len(scope.builder.nodes), sop, None, CATEGORICAL)
            reads = (select.keys, select.queries, sop)
            return _Drawn((select, node), reads, "categorical", result)
    return None


def _draw_width(rng: Random, scope: _Scope) -> _Drawn | None:
    select = _draw_select(rng, scope)
    selection = _selection(scope, select)
    if selection is None:
        return None
    node = SelectorWidth(len(scope.builder.nodes))
    known = width(scope.batch, selection)
    return _Drawn((select, node), (select.keys, select.queries), "categorical", known)


_DRAW: dict[Kind, Callable[[Random, _Scope], _Drawn | None]] = {
    "map": _draw_map,
    "sequence_map": _draw_sequence_map,
    "linear_sequence_map": _draw_linear,
    "numerical_aggregate": _draw_aggregate,
    "categorical_aggregate": _draw_moving_aggregate,
    "selector_width": _draw_width,
}


def _pick(rng: Random, pool: tuple[T, ...]) -> T:
    return pool[int(rng.random() * len(pool))]
