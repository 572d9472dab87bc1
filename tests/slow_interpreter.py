"""RASP's semantics written down plainly, one input at a time, for tests to compare with."""

from __future__ import annotations

from collections.abc import Sequence

from untracr.rasp.functions import Comparison, Value
from untracr.rasp.nodes import (
    Aggregate,
    Indices,
    LinearSequenceMap,
    Map,
    Node,
    Ref,
    Select,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    SequenceMap,
    Tokens,
)
from untracr.rasp.program import Program

Row = list[Value]
Selected = list[list[bool]]
"""By query, then by key."""


class ComparesNone(Exception):
    """A comparison met None: an error in untracr, where Tracr goes on or fails."""


def evaluate(program: Program, tokens: Sequence[Value], *, causal: bool = False) -> Row:
    """Runs a program on one input; any exception means that it fails there.

    Every node that the output depends on is evaluated at every position.
    """
    done: dict[Ref, Row] = {}
    selected: dict[Ref, Selected] = {}
    for ref in sorted(program.reachable):
        node = program.nodes[ref]
        if isinstance(node, (Select, SelectorAnd, SelectorOr, SelectorNot)):
            found = _selector(node, done, selected, len(tokens))
            selected[ref] = [
                [cell and (k <= q or not causal) for k, cell in enumerate(row)]
                for q, row in enumerate(found)
            ]
        else:
            done[ref] = _sop(node, done, selected, tokens)
    return done[program.output]


def _selector(
    node: Select | SelectorAnd | SelectorOr | SelectorNot,
    done: dict[Ref, Row],
    selected: dict[Ref, Selected],
    n: int,
) -> Selected:
    places = range(n)
    match node:
        case Select(keys, queries, predicate):
            if isinstance(predicate, Comparison) and None in (*done[keys], *done[queries]):
                raise ComparesNone
            return [[bool(predicate(key, query)) for key in done[keys]] for query in done[queries]]
        case SelectorAnd(fst, snd):
            return [[selected[fst][q][k] and selected[snd][q][k] for k in places] for q in places]
        case SelectorOr(fst, snd):
            return [[selected[fst][q][k] or selected[snd][q][k] for k in places] for q in places]
        case SelectorNot(inner):
            return [[not selected[inner][q][k] for k in places] for q in places]


def _sop(
    node: Node, done: dict[Ref, Row], selected: dict[Ref, Selected], tokens: Sequence[Value]
) -> Row:
    match node:
        case Tokens():
            return list(tokens)
        case Indices():
            return list(range(len(tokens)))
        case Map(function, inner):
            return [None if x is None else function(x) for x in done[inner]]
        case SequenceMap(function, fst, snd):
            pairs = zip(done[fst], done[snd], strict=True)
            return [None if x is None or y is None else function(x, y) for x, y in pairs]
        case LinearSequenceMap(fst, snd, a, b):
            pairs = zip(done[fst], done[snd], strict=True)
            return [
                None if x is None or y is None else a * x + b * y  # type: ignore[operator]
                for x, y in pairs
            ]
        case SelectorWidth(selector):
            return [sum(row) for row in selected[selector]]
        case Aggregate(selector, sop, default):
            return [_mean(row, done[sop], default) for row in selected[selector]]
        case _:
            raise TypeError(node)


def _mean(row: list[bool], values: Row, default: Value) -> Value:
    found = [value for cell, value in zip(row, values, strict=True) if cell]
    if not found:
        return default
    if len(found) == 1:
        return found[0]
    if not all(isinstance(value, (bool, int, float)) for value in found):
        raise ValueError(found)
    return sum(found) / len(found)  # type: ignore[arg-type]
