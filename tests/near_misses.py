"""Pairs of programs with the same weights, and whether an answer on one covers the other.

A near miss of a program has other names of some results, or another sign, and what
reads them is written anew; as weights the two are the same. What is read off them
may be either, so the other one must be printed, listed, or among what the answer says
is open. `covers` decides that by evaluating both programs side by side, step by step.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from untracr.compile.values import ValueSet, value_sets
from untracr.decompile.result import Result
from untracr.rasp.domain import Domain
from untracr.rasp.functions import Function, Predicate, Table
from untracr.rasp.nodes import (
    CATEGORICAL,
    Aggregate,
    LinearSequenceMap,
    Map,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
)
from untracr.rasp.program import Program
from untracr.rasp.values import Value
from untracr.syntax.parsing import parse

Names = dict[Value, Value]


def renamed_at(program: Program, ref: Ref, domain: Domain, rng: np.random.Generator) -> Program:
    """The program with other names, in the same order, for the results of one operation."""
    sets = value_sets(program, domain.vocab, domain.max_seq_len)
    values = sets[ref].ordered
    names: dict[Ref, Names] = {ref: dict(zip(values, _rising(len(values), rng), strict=True))}
    nodes = list(program.nodes)
    for reader in sorted(program.reachable):
        match node := program.nodes[reader]:
            case Map(function=function, inner=inner) if reader == ref or inner in names:
                table = _function(function, (inner,), sets, names, names.get(reader, {}))
                nodes[reader] = replace(node, function=table)
            case SequenceMap(function=function, fst=fst, snd=snd) if (
                reader == ref or fst in names or snd in names
            ):
                table = _function(function, (fst, snd), sets, names, names.get(reader, {}))
                nodes[reader] = replace(node, function=table)
            case Aggregate(sop=sop) if sop in names:
                names[reader] = names[sop]
            case Select(keys=keys, queries=queries, predicate=predicate) if (
                keys in names or queries in names
            ):
                table = _function(predicate, (keys, queries), sets, names, {})
                nodes[reader] = replace(node, predicate=table)
    return replace(program, nodes=tuple(nodes))


def _rising(count: int, rng: np.random.Generator) -> list[int]:
    drawn: list[int] = rng.choice(np.arange(-9, 5 * count + 5), size=count, replace=False).tolist()
    return sorted(drawn)


def _function(
    function: Predicate,
    arguments: tuple[Ref, ...],
    sets: Mapping[Ref, ValueSet],
    names: Mapping[Ref, Names],
    own: Names,
) -> Table:
    entries = []
    for old in itertools.product(*(sets[ref].ordered for ref in arguments)):
        new = tuple(names.get(r, {}).get(v, v) for r, v in zip(arguments, old, strict=True))
        result = function(*old)
        entries.append((new, own.get(result, result)))
    return Table(tuple(entries), len(arguments))


def named_places(program: Program) -> list[Ref]:
    """The operations whose results may be called otherwise."""
    return [
        ref
        for ref in sorted(program.reachable)
        if isinstance(node := program.nodes[ref], SequenceMap)
        or (isinstance(node, Map) and node.encoding is CATEGORICAL)
    ]


def covers(result: Result, truth: Program, domain: Domain) -> bool:
    """Whether an answer prints or lists a program, or says that its differences are open."""
    if result.program is None or result.verdict != "identical":
        return False
    others = [parse(source) for source in result.other_programs]
    open_: set[tuple[str, str]] = {(r.label, r.what) for r in result.open_results}
    return any(_is_covered(p, truth, domain, open_) for p in (result.program, *others))


def _is_covered(
    program: Program, truth: Program, domain: Domain, open_: set[tuple[str, str]]
) -> bool:
    """Whether two programs are the same but for what is said to be open.

    The lines of one are laid on those of the other by what they read; then names must
    go over into each other one to one, and be the same where they are not open.
    """
    laid = _lay(program, program.output, truth, truth.output, {0: 0, 1: 1})
    return laid is not None and _same_but(program, truth, laid, domain, open_)


def _lay(
    mine: Program, ref: Ref, theirs: Program, other: Ref, laid: dict[Ref, Ref]
) -> dict[Ref, Ref] | None:
    """Maps the nodes of one program on those of another, from the output; a Select may be two."""
    a, b = mine.nodes[ref], theirs.nodes[other]
    if ref in laid or (other in laid.values() and not isinstance(b, Select)):
        return laid if laid.get(ref) == other else None
    if type(a) is not type(b) or getattr(a, "encoding", None) is not getattr(b, "encoding", None):
        return None
    for fst, snd in zip(_children(a), _children(b), strict=True):
        found = _lay(mine, fst, theirs, snd, laid)
        if found is None:
            return None
        laid = found
    return {**laid, ref: other}


def _children(node: object) -> tuple[Ref, ...]:
    match node:
        case Map(inner=inner):
            return (inner,)
        case SequenceMap(fst=fst, snd=snd) | LinearSequenceMap(fst=fst, snd=snd):
            return (fst, snd)
        case Select(keys=keys, queries=queries):
            return (keys, queries)
        case SelectorWidth(selector=selector):
            return (selector,)
        case Aggregate(selector=selector, sop=sop):
            return (selector, sop)
        case _:
            return ()


def _same_but(
    mine: Program,
    theirs: Program,
    laid: dict[Ref, Ref],
    domain: Domain,
    open_: set[tuple[str, str]],
) -> bool:
    sets = value_sets(mine, domain.vocab, domain.max_seq_len)
    names: dict[Ref, Names] = {}
    for ref in sorted(mine.reachable):
        node, other = mine.nodes[ref], theirs.nodes[laid[ref]]
        match node, other:
            case Map(function=f), Map(function=g):
                found = _called(f, g, _pairs((node.inner,), sets, names))
            case SequenceMap(function=f, fst=a, snd=b), SequenceMap(function=g):
                found = _called(f, g, _pairs((a, b), sets, names))
            case Select(predicate=f, keys=a, queries=b), Select(predicate=g):
                pairs = _pairs((a, b), sets, names)
                if any(bool(f(*x)) != bool(g(*y)) for x, y in pairs):
                    return False
                continue
            case Aggregate(sop=a), Aggregate():
                names[ref] = names.get(a, {})
                continue
            case LinearSequenceMap(), LinearSequenceMap():
                if replace(node, fst=0, snd=0) != replace(other, fst=0, snd=0):
                    return False
                continue
            case _:
                continue
        if found is None:
            return False
        is_open = (mine.labels[ref], "names") in open_
        if not is_open and any(a != b for a, b in found.items()):
            return False
        names[ref] = found
    return True


def _pairs(
    refs: tuple[Ref, ...], sets: Mapping[Ref, ValueSet], names: Mapping[Ref, Names]
) -> list[tuple[tuple[Value, ...], tuple[Value, ...]]]:
    old = itertools.product(*(sets[ref].ordered for ref in refs))
    return [
        (each, tuple(names.get(r, {}).get(v, v) for r, v in zip(refs, each, strict=True)))
        for each in old
    ]


def _called(
    mine: Function, theirs: Function, pairs: list[tuple[tuple[Value, ...], tuple[Value, ...]]]
) -> Names | None:
    """What one function's results are called by another; None if not one to one."""
    names: Names = {}
    for old, new in pairs:
        was, now = mine(*old), theirs(*new)
        if names.setdefault(was, now) != now:
            return None
    return names if len(set(names.values())) == len(names) else None
