"""Random programs of the paper's kind; item i is a pure function of (seed, i).

The rules are those of the reference sampler (`rasp_gen`, the code behind
"Towards Meta-Models for Automated Interpretability"): grow a scope of typed
SOps by randomly drawn operations until the newest SOp's program has the wanted
length, check it, start again on failure. Its defects are mended: the type and
identity checks here do fire.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import TypeVar

import numpy as np

from untracr.compile.canonical import canonicalise
from untracr.errors import EvaluationError
from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.interpreter import Batch, Column, Mask
from untracr.rasp.program import (
    CATEGORICAL,
    INDICES,
    NUMERICAL,
    TOKENS,
    Aggregate,
    Builder,
    LinearSequenceMap,
    Map,
    Node,
    Ref,
    Program,
    Select,
    SelectorWidth,
    SequenceMap,
    children,
)
from untracr.sample.acceptance import (
    SAMPLING_INPUTS,
    acceptable,
    moves_values,
    none_mask,
    test_inputs,
    would_move,
)
from untracr.sample.pools import (
    FACTORS,
    KINDS,
    MAP_POOL,
    PREDICATES,
    SEQUENCE_MAP_POOL,
    TYPES,
    Kind,
    Type,
)

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


PAPER = SamplerSettings()


def sample_program(seed: int, index: int, settings: SamplerSettings = PAPER) -> Program:
    """Draws program number ``index`` of the stream ``seed``, in canonical form.

    Raises:
        ValueError: seed or index is negative.
    """
    if seed < 0 or index < 0:
        raise ValueError(f"seed and index must not be negative: {seed=}, {index=}")
    rng = Random(f"untracr/{seed}/{index}")
    length = settings.min_length + int(
        rng.random() * (settings.max_length - settings.min_length + 1)
    )
    while True:
        program = _attempt(rng, length, settings)
        if program is not None:
            return program


def sample_programs(
    seed: int, start: int = 0, settings: SamplerSettings = PAPER
) -> Iterator[Program]:
    """Programs ``start``, ``start + 1``, ... of the stream ``seed``."""
    for index in itertools.count(start):
        yield sample_program(seed, index, settings)


@dataclass
class _Scope:
    """The SOps drawn so far, with their types and what they hold on the test inputs."""

    builder: Builder
    states: dict[Ref, Column | Mask]
    types: dict[Ref, Type]
    has_none: dict[Ref, bool]
    reads: dict[Ref, frozenset[Ref]]

    def choose(self, rng: Random, *wanted: Type, without_none: bool = False) -> Ref | None:
        """A SOp of one of the wanted types, tokens three times as likely as another."""
        refs = [
            ref
            for ref, kind in self.types.items()
            if kind in wanted and not (without_none and self.has_none[ref])
        ]
        if not refs:
            return None
        weights = len(refs) + (2 if TOKENS in refs else 0)
        place = int(rng.random() * weights)
        return TOKENS if place >= len(refs) else refs[place]

    def choose_two(self, rng: Random, *wanted: Type) -> tuple[Ref, Ref] | None:
        """Two different SOps."""
        fst = self.choose(rng, *wanted)
        if fst is None or sum(kind in wanted for kind in self.types.values()) < 2:
            return None
        while (snd := self.choose(rng, *wanted)) == fst:
            pass
        assert snd is not None
        return fst, snd


def _attempt(rng: Random, length: int, settings: SamplerSettings) -> Program | None:
    batch = test_inputs(settings.domain, SAMPLING_INPUTS)
    scope = _Scope(
        Builder(),
        {TOKENS: batch.tokens, INDICES: batch.indices},
        {TOKENS: "categorical", INDICES: "categorical"},
        {TOKENS: False, INDICES: False},
        {TOKENS: frozenset([TOKENS]), INDICES: frozenset([INDICES])},
    )
    set_aside: set[Kind] = set()
    for _ in range(MAX_SCOPE):
        kind = _draw_kind(rng, set_aside)
        if kind is None:
            return None
        ref = _grow(rng, kind, scope, batch)
        if ref is None:
            set_aside.add(kind)
            continue
        set_aside.clear()
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


def _draw_kind(rng: Random, set_aside: set[Kind]) -> Kind | None:
    open_kinds = [(kind, weight) for kind, weight in KINDS if kind not in set_aside]
    if not open_kinds:
        return None
    point = rng.random() * sum(weight for _, weight in open_kinds)
    for kind, weight in open_kinds:
        point -= weight
        if point < 0:
            return kind
    return open_kinds[-1][0]


def _grow(rng: Random, kind: Kind, scope: _Scope, batch: Batch) -> Ref | None:
    """Draws one operation and puts it into the scope; None if it could not be drawn."""
    drawn = _draw(rng, kind, scope, batch)
    if drawn is None:
        return None
    nodes, type_, states = drawn
    last = states[-1]
    assert isinstance(last, Column)
    none = none_mask(last)
    missing = none[last.codes] & batch.valid
    if bool((2 * np.count_nonzero(missing, axis=1) > batch.lengths).any()):
        return None
    ref = -1
    for node, state in zip(nodes, states, strict=True):
        ref = scope.builder.add(node)
        scope.states[ref] = state
    scope.types[ref] = type_
    scope.has_none[ref] = bool(missing.any())
    scope.reads[ref] = frozenset([ref]).union(
        *(
            scope.reads[sop]
            for node in nodes
            for sop in children(node)
            if sop in scope.reads
        )
    )
    return ref


Drawn = tuple[list[Node], Type, list[Column | Mask]]


def _draw(rng: Random, kind: Kind, scope: _Scope, batch: Batch) -> Drawn | None:
    try:
        match kind:
            case "map":
                return _draw_map(rng, scope, batch)
            case "sequence_map":
                return _draw_sequence_map(rng, scope, batch)
            case "linear_sequence_map":
                return _draw_linear(rng, scope, batch)
            case "numerical_aggregate":
                return _draw_aggregate(rng, scope, batch)
            case "categorical_aggregate":
                return _draw_moving_aggregate(rng, scope, batch)
            case "selector_width":
                return _draw_width(rng, scope, batch)
    except EvaluationError:
        return None


def _draw_map(rng: Random, scope: _Scope, batch: Batch) -> Drawn | None:
    inner = scope.choose(rng, *TYPES)
    assert inner is not None
    type_: Type = _pick(rng, ("bool", "float", "categorical"))
    function = _pick(rng, MAP_POOL[scope.types[inner], type_])
    encoding = CATEGORICAL if type_ == "categorical" else NUMERICAL
    node = Map(function, inner, encoding)
    return [node], type_, [batch.step(node, scope.states)]


def _draw_sequence_map(rng: Random, scope: _Scope, batch: Batch) -> Drawn | None:
    pair = scope.choose_two(rng, "categorical")
    if pair is None:
        return None
    node = SequenceMap(_pick(rng, SEQUENCE_MAP_POOL), *pair)
    return [node], "categorical", [batch.step(node, scope.states)]


def _draw_linear(rng: Random, scope: _Scope, batch: Batch) -> Drawn | None:
    pair = scope.choose_two(rng, "float", "freq")
    if pair is None:
        return None
    node = LinearSequenceMap(*pair, _pick(rng, FACTORS), _pick(rng, FACTORS))
    return [node], "float", [batch.step(node, scope.states)]


def _draw_select(rng: Random, scope: _Scope) -> Select | None:
    keys = scope.choose(rng, "categorical", without_none=True)
    queries = scope.choose(rng, "categorical", without_none=True)
    if keys is None or queries is None:
        return None
    return Select(keys, queries, _pick(rng, PREDICATES))


def _draw_aggregate(rng: Random, scope: _Scope, batch: Batch) -> Drawn | None:
    select = _draw_select(rng, scope)
    sop = scope.choose(rng, "bool", without_none=True)
    if select is None or sop is None:
        return None
    selected = batch.step(select, scope.states)
    ref = len(scope.builder.nodes)
    node = Aggregate(ref, sop, 0, NUMERICAL)
    state = batch.step(node, {sop: scope.states[sop], ref: selected})
    return [select, node], "freq", [selected, state]


def _draw_moving_aggregate(rng: Random, scope: _Scope, batch: Batch) -> Drawn | None:
    """A categorical Aggregate that moves values and never averages different ones."""
    for _ in range(AGGREGATE_TRIES):
        select = _draw_select(rng, scope)
        sop = scope.choose(rng, "categorical", without_none=True)
        if select is None or sop is None:
            return None
        selected, values = batch.step(select, scope.states), scope.states[sop]
        assert isinstance(values, Column)
        assert not isinstance(selected, Column)
        if not would_move(selected, values, batch):
            continue
        ref = len(scope.builder.nodes)
        node = Aggregate(ref, sop, None, CATEGORICAL)
        state = batch.step(node, {sop: values, ref: selected})
        assert isinstance(state, Column)
        if moves_values(state, values, batch):
            return [select, node], "categorical", [selected, state]
    return None


def _draw_width(rng: Random, scope: _Scope, batch: Batch) -> Drawn | None:
    select = _draw_select(rng, scope)
    if select is None:
        return None
    selected = batch.step(select, scope.states)
    ref = len(scope.builder.nodes)
    node = SelectorWidth(ref)
    return [select, node], "categorical", [selected, batch.step(node, {ref: selected})]


def _pick(rng: Random, pool: tuple[T, ...]) -> T:
    return pool[int(rng.random() * len(pool))]
