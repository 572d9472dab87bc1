"""Programs with functions outside the closed lists, made of sampled ones.

Some functions and predicates of a sampled program are replaced by random
tables or by formulas that its pools do not hold. What comes out passes the same
final checks as a sampled program.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from untracr.compile.values import ValueSet, node_values
from untracr.errors import ProgramError
from untracr.rasp.functions import (
    Formula,
    Function,
    Predicate,
    Table,
    Value,
    formula,
    formulas,
    number_or,
)
from untracr.rasp.listed_functions import MAP_POOL
from untracr.rasp.nodes import CATEGORICAL, Map, Node, Ref, Select, SequenceMap
from untracr.rasp.program import Program
from untracr.rasp.tabulating import result_or_none
from untracr.sample.acceptance import acceptable
from untracr.sample.sampler import PAPER, SamplerSettings

REPLACEMENTS_DRAWN = 30
"""Replacements drawn for one program before it is given up."""

REPLACED = 0.5
"""Share of the functions that are replaced, one at least."""

TABLES = 0.5
"""Share of replacements that are random tables; the others are formulas."""


UNLISTED_UNARY: tuple[Formula, ...] = formulas(
    *(f"x % {k}" for k in (2, 3)),
    *(f"x // {k}" for k in (2, 3)),
    *(f"x {sign} {k}" for sign in ("==", "!=", ">", "<", ">=", "<=") for k in range(5)),
    *(f"x > {k / 4}" for k in (1, 3)),
    *("-x", "x * x", "x * 3", "x + 2", "x - 2", "x / 2", "x / 3", "3 - x", "4 - x"),
    *("abs(x - 1)", "abs(x - 2)", "max(x, 2)", "min(x, 2)", "x % 2 == 0", "(x + 1) % 3"),
)
"""Formulas for a Map that its pools do not hold."""

UNLISTED_BINARY: tuple[Formula, ...] = formulas(
    *("x + y", "y - x", "max(x, y)", "min(x, y)", "abs(x - y)"),
    *(f"x {sign} y" for sign in ("==", "!=", "<", "<=", ">", ">=")),
    *("(x + y) % 2", "(x + y) % 3", "(x - y) % 3", "x * y % 3", "x + 2 * y", "x == y + 1"),
    *("x * x + y", "x if y > 1 else y", "x if y == 2 else 0", "2 * x - y"),
    arity=2,
)
"""Formulas for a SequenceMap."""

UNLISTED_PREDICATES: tuple[Formula, ...] = formulas(
    *("x == y + 1", "x == y - 1", "x + 1 < y", "x > y + 1", "x + y == 4", "x + y > 3"),
    *("x == 0", "x == 1", "x == 2", "y > 1", "x > 2", "y == 2", "x != 1"),
    *("x % 2 == y % 2", "x == 2 * y", "abs(x - y) == 1", "abs(x - y) < 2"),
    arity=2,
)
"""Formulas for a Select."""


def with_outside_functions(
    program: Program, rng: Random, settings: SamplerSettings = PAPER
) -> Program | None:
    """Replaces some functions of a sampled program by others outside the closed lists.

    Args:
        program: as sampled.
        rng: decides which, and by what.
        settings: as the program was sampled with.

    Returns:
        None if no replacement that was tried gives an acceptable program.
    """
    places = [ref for ref in program.reachable if _is_replaceable(program.nodes[ref])]
    if not places:
        return None
    for _ in range(REPLACEMENTS_DRAWN):
        chosen = {ref for ref in places if rng.random() < REPLACED} or {rng.choice(places)}
        changed = _replaced(program, chosen, rng, settings)
        if changed is not None and acceptable(
            changed,
            settings.domain,
            max_tokens=settings.max_tokens,
            max_weights=settings.max_weights,
        ):
            return changed
    return None


def _is_replaceable(node: Node) -> bool:
    return isinstance(node, (Map, Select)) or (
        isinstance(node, SequenceMap) and node.fst != node.snd
    )


def _replaced(
    program: Program, chosen: set[Ref], rng: Random, settings: SamplerSettings
) -> Program | None:
    """The program with other functions; None if it then makes no sense."""
    nodes = list(program.nodes)
    changed = program
    sets: dict[Ref, ValueSet] = {}
    for ref in sorted(program.reachable):
        node = nodes[ref]
        if ref in chosen:
            nodes[ref] = _with_other_function(changed, ref, sets, rng)
            changed = replace(program, nodes=tuple(nodes))
        if isinstance(node, Select):
            continue
        try:
            sets[ref] = node_values(
                changed, ref, sets, set(settings.domain.vocab), settings.domain.max_seq_len
            )
        except ProgramError:
            return None
        if not _is_well_formed(changed, ref, sets):
            return None
    return changed


def _is_well_formed(program: Program, ref: Ref, sets: dict[Ref, ValueSet]) -> bool:
    """Whether a Map or a SequenceMap gives a value, not always the same one, and can be told."""
    node = program.nodes[ref]
    if not isinstance(node, (Map, SequenceMap)):
        return True
    inner = (node.inner,) if isinstance(node, Map) else (node.fst, node.snd)
    arguments = itertools.product(*(sets[i].ordered for i in inner))
    results = [result_or_none(node.function, *a) for a in arguments]
    if None in results or len(set(results)) < 2:
        return False
    is_lookup = (
        isinstance(node, Map)
        and node.encoding is CATEGORICAL
        and program.encoding(node.inner) is CATEGORICAL
    )
    return not (is_lookup and _looks_like_two(sets[inner[0]].ordered, results))


def _looks_like_two(values: tuple[Value, ...], results: Sequence[Value]) -> bool:
    """Whether a Map has the weights of two Maps to truth values, one for each of two results."""
    kinds = dict.fromkeys(results)
    if len(kinds) != 2 or len(values) == 2:
        return False
    truths = {tuple(result_or_none(f, v) for v in values) for f in MAP_POOL["categorical", "bool"]}
    return all(tuple(result == kind for result in results) in truths for kind in kinds)


def _with_other_function(
    program: Program, ref: Ref, sets: dict[Ref, ValueSet], rng: Random
) -> Node:
    node = program.nodes[ref]
    match node:
        case Select(keys, queries):
            predicate = _predicate(sets[keys].ordered, sets[queries].ordered, rng)
            return replace(node, predicate=predicate)
        case SequenceMap(_, fst, snd):
            pairs = list(itertools.product(sets[fst].ordered, sets[snd].ordered))
            if rng.random() < TABLES:
                return replace(node, function=_table(pairs, _values(rng, len(pairs)), rng))
            return replace(node, function=rng.choice(UNLISTED_BINARY))
        case Map(function, inner):
            values = sets[inner].ordered
            old = [result_or_none(function, v) for v in values]
            keeps_truths = {r for r in old if r is not None} <= {0, 1}
            return replace(node, function=_unary(program, ref, values, keeps_truths, rng))
        case _:
            raise TypeError(f"nothing to replace: {node}")


def _unary(
    program: Program, ref: Ref, values: tuple[Value, ...], keeps_truths: bool, rng: Random
) -> Function:
    """A function for a Map; of truth values where its result was one, since it may be averaged."""
    if rng.random() >= TABLES:
        pool = [f for f in UNLISTED_UNARY if keeps_truths == _gives_truths(f)]
        return rng.choice(pool)
    if program.encoding(ref) is CATEGORICAL:
        results = _values(rng, len(values))
    elif keeps_truths:
        results = (False, True)
    else:
        results = tuple(rng.choice((-2, -1, 0, 1, 2, 3, 4, 0.5, 1.5)) for _ in values)
    if any(number_or(v, 0.0) % 1 for v in values):
        return _steps(values, results, rng)
    return _table([(v,) for v in values], results, rng)


@functools.cache
def _gives_truths(function: Formula) -> bool:
    return all(isinstance(result_or_none(function, x), bool) for x in range(5))


def _values(rng: Random, count: int) -> tuple[Value, ...]:
    """The results that a table may have."""
    most = min(count, 6)
    return tuple(rng.sample(range(8), 2 + int(rng.random() * (most - 1))))


def _table(arguments: Sequence[tuple[Value, ...]], results: Sequence[Value], rng: Random) -> Table:
    """A random table; each result occurs if there is room."""
    drawn = [rng.choice(results) for _ in arguments]
    places = rng.sample(range(len(drawn)), min(len(results), len(drawn)))
    for place, result in zip(places, results, strict=False):
        drawn[place] = result
    return Table(tuple(zip(arguments, drawn, strict=True)), len(arguments[0]))


def _steps(values: tuple[Value, ...], results: Sequence[Value], rng: Random) -> Formula:
    """A random function of a number by steps: averages take values that no table lists."""
    numbers = sorted(number_or(v, 0.0) for v in values)
    count = 1 + int(rng.random() * min(3, len(numbers) - 1))
    gaps = sorted(rng.sample(range(1, len(numbers)), count))
    text = repr(rng.choice(results))
    for gap in reversed(gaps):
        threshold = (numbers[gap - 1] + numbers[gap]) / 2
        text = f"{rng.choice(results)!r} if x < {threshold!r} else {text}"
    return formula(text)


def _predicate(keys: tuple[Value, ...], queries: tuple[Value, ...], rng: Random) -> Predicate:
    """A formula, a random table, or a table that selects one key for each query."""
    if rng.random() >= TABLES:
        return rng.choice(UNLISTED_PREDICATES)
    pairs = list(itertools.product(keys, queries))
    if rng.random() < 0.5:
        density = 0.2 + 0.6 * rng.random()
        truths = [rng.random() < density for _ in pairs]
    else:
        key_of = {query: rng.choice(keys) for query in queries}
        truths = [key_of[query] == key for key, query in pairs]
    return Table(tuple(zip(pairs, truths, strict=True)), 2)
