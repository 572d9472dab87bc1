"""What can go wrong in weights, told from the program and its value sets alone.

Weights hold fewer things than RASP means: no None, no value outside a value
set, nothing below zero after a ReLU, no several values at once; and they hold
something at BOS, which RASP does not have. A program in which none of this can
happen needs no run.
"""

from __future__ import annotations

import functools

from untracr.compile.compiler import Compiled
from untracr.compile.layers import half_layers
from untracr.compile.values import ValueSet
from untracr.errors import ProgramError
from untracr.rasp.functions import Comparison, Function, Predicate, Value
from untracr.rasp.program import (
    CATEGORICAL,
    NUMERICAL,
    SOP_TYPES,
    Aggregate,
    Indices,
    LinearSequenceMap,
    Map,
    Program,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
    Tokens,
    children,
)

BLURRED_HEAD = 48
"""From this d_head on, attention to what is not selected is no longer negligible."""


def is_suspicious(program: Program, compiled: Compiled) -> bool:
    """Whether weights might miss the program's meaning on some input.

    No run is needed for a program that is not suspicious: its weights are
    right on all inputs. The inputs that make the others suspicious are found by
    `untracr.compile.suspicious_inputs.suspicious_rows`.
    """
    if compiled.transformer.d_head >= BLURRED_HEAD:
        return True
    sets = compiled.value_sets
    clean = clean_at_bos(program)
    exact = exact_values(program)
    for ref in program.reachable:
        node = program.nodes[ref]
        match node:
            case Aggregate(sop=sop, encoding=encoding):
                if encoding is CATEGORICAL or sop not in clean:
                    return True
            case Map(function, inner):
                values = sets[inner]
                if program.encoding(inner) is NUMERICAL and inner not in exact:
                    return True
                if _has_gap(function, values.unordered, values.types):
                    return True
                if is_clipped(program, ref, sets):
                    return True
            case SequenceMap(function, fst, snd):
                a, b = sets[fst], sets[snd]
                if _has_pair_gap(function, a.unordered, b.unordered, a.types, b.types):
                    return True
            case Select(keys) if keys not in clean:
                return True
            case Select(keys, queries, predicate) if not isinstance(predicate, Comparison):
                a, b = sets[keys], sets[queries]
                if _is_graded(predicate, a.unordered, b.unordered, a.types, b.types):
                    return True
            case _:
                pass
    return False


@functools.lru_cache(maxsize=16384)
def _is_graded(
    predicate: Predicate,
    keys: tuple[Value, ...],
    queries: tuple[Value, ...],
    key_types: tuple[type, ...],
    query_types: tuple[type, ...],
) -> bool:
    """Whether a predicate gives something else than a truth value: weights take it as a number."""
    return any(predicate(key, query) not in (0, 1) for key in keys for query in queries)


@functools.lru_cache(maxsize=16384)
def _has_gap(function: Function, values: tuple[Value, ...], types: tuple[type, ...]) -> bool:
    """Whether a function gives None, or fails, on some value."""
    try:
        return any(function(value) is None for value in values)
    except (ArithmeticError, TypeError, ValueError, ProgramError):
        return True


@functools.lru_cache(maxsize=16384)
def _has_pair_gap(
    function: Function,
    fst: tuple[Value, ...],
    snd: tuple[Value, ...],
    fst_types: tuple[type, ...],
    snd_types: tuple[type, ...],
) -> bool:
    try:
        return any(function(x, y) is None for x in fst for y in snd)
    except (ArithmeticError, TypeError, ValueError, ProgramError):
        return True


def is_clipped(program: Program, ref: Ref, sets: dict[Ref, ValueSet]) -> bool:
    """Whether a categorical to numerical Map has negative values: its ReLU clips them to 0."""
    node = program.nodes[ref]
    return (
        isinstance(node, Map)
        and node.encoding is NUMERICAL
        and program.encoding(node.inner) is CATEGORICAL
        and any(isinstance(v, (int, float)) and v < 0 for v in sets[ref].unordered)
    )


def clean_at_bos(program: Program) -> set[Ref]:
    """SOps whose dimensions surely hold zeros at BOS, to which empty selections attend."""
    layers = half_layers(program)
    widths = [layers[ref] for ref in layers if isinstance(program.nodes[ref], SelectorWidth)]
    clean: set[Ref] = set()
    for ref in program.sops:
        match program.nodes[ref]:
            case Tokens() | Indices():
                is_clean = True
            case Map(inner=inner):
                is_clean = inner in clean and program.encoding(inner) is CATEGORICAL
            case SequenceMap(fst=fst, snd=snd):
                is_clean = fst in clean or snd in clean
            case LinearSequenceMap(fst=fst, snd=snd):
                is_clean = fst in clean and snd in clean
            case SelectorWidth(selector=selector):
                is_clean = widths.count(layers[ref]) == 1 and _queries(program, selector) in clean
            case Aggregate(selector=selector, sop=sop):
                is_clean = sop in clean and _queries(program, selector) in clean
            case _:
                is_clean = False
        if is_clean:
            clean.add(ref)
    return clean


def _queries(program: Program, selector: Ref) -> Ref:
    select = program.nodes[selector]
    assert isinstance(select, Select)
    return select.queries


def exact_values(program: Program) -> set[Ref]:
    """SOps that take no value outside their value set: means are not all in theirs."""
    exact: set[Ref] = set()
    for ref in program.sops:
        node = program.nodes[ref]
        if not isinstance(node, Aggregate) and all(sop in exact for sop in sops_read(program, ref)):
            exact.add(ref)
    return exact


def sops_read(program: Program, ref: Ref) -> list[Ref]:
    """The SOps a node reads, through its selector."""
    found: list[Ref] = []
    for child in children(program.nodes[ref]):
        if isinstance(program.nodes[child], SOP_TYPES):
            found.append(child)
        else:
            found += sops_read(program, child)
    return found
