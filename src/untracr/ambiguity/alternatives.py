"""Other programs with the same weights: what the weights leave open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from untracr.compile.values import ValueSet, value_sets
from untracr.errors import ProgramError
from untracr.rasp.batches import SAMPLE_SEED, affordable_chunk
from untracr.rasp.domain import Domain
from untracr.rasp.drawn_inputs import drawn_inputs
from untracr.rasp.equivalence import columns_differ
from untracr.rasp.functions import Formula, Function, formula, number_or
from untracr.rasp.interpreter import Column
from untracr.rasp.known_tables import Tables, binary_tables, call, unary_tables
from untracr.rasp.listed_functions import BINARY, UNARY
from untracr.rasp.naming import function_of_results
from untracr.rasp.nodes import CATEGORICAL, LinearSequenceMap, Map, Node, Ref, SequenceMap
from untracr.rasp.program import Program
from untracr.transformer.transformer import Transformer
from untracr.verify.recompiling import recompile
from untracr.verify.verdict import sign_is_open
from untracr.verify.weight_equivalence import WeightEquivalence, same_weights

MAX_VALUE_PAIRS = 50_000
"""Pairs of values on which functions of two arguments are compared."""

MAX_LISTED = 24
"""Programs of the same weights that are looked for."""


def all_alternatives(
    program: Program, compiled: Transformer, domain: Domain, equivalence: WeightEquivalence
) -> list[Program]:
    """Programs with the same weights and other outputs, whose functions differ in any places.

    Found step by step, one place at a time; at most `MAX_LISTED`.

    Args:
        program, compiled, domain, equivalence: as for `alternatives`.
    """
    listed = alternatives(program, compiled, domain, equivalence)
    known = {program, *listed}
    for other in listed:  # which grows
        weights = recompile(other, domain, compiled) if len(listed) < MAX_LISTED else None
        if weights is None:
            continue
        for another in alternatives(other, weights, domain, equivalence):
            if another not in known and len(listed) < MAX_LISTED:
                known.add(another)
                listed.append(another)
    return listed


def alternatives(
    program: Program, compiled: Transformer, domain: Domain, equivalence: WeightEquivalence
) -> list[Program]:
    """Programs with another function in one place, the same weights and other outputs.

    Weights hold no names of values: where nothing reads a result but the
    output, or only its order matters, several functions of the closed list may
    have the same weights.

    Args:
        program: the candidate.
        compiled: its weights.
        domain: the inputs.
        equivalence: how the model's weights compare with them; others must compare as well.
    """
    rng = np.random.default_rng(SAMPLE_SEED)
    batch = drawn_inputs(domain, affordable_chunk(domain), rng, causal=compiled.causal)
    sets = value_sets(program, domain.vocab, domain.max_seq_len)
    mine: Column | None = None
    kept = []
    for other in _replaced(program, sets, equivalence):
        try:
            weights = recompile(other, domain, compiled)
            if weights is None or not _as_same(compiled, weights, equivalence):
                continue
            mine = mine or batch.evaluate(program)
            theirs = batch.evaluate(other)
        except ProgramError:  # it cannot be compiled, or fails on some input
            continue
        if bool((columns_differ(mine, theirs) & batch.valid).any()):
            kept.append(other)
    return kept


def _replaced(
    program: Program, sets: dict[Ref, ValueSet], equivalence: WeightEquivalence
) -> Iterator[Program]:
    """The program with one function replaced by another that groups its arguments alike."""
    for ref in sets:
        node = program.nodes[ref]
        if program.encoding(ref) is CATEGORICAL and isinstance(node, Map):
            table = unary_tables(sets[node.inner].ordered)
            for function in _alike(table, UNARY, node.function):
                yield _with(program, ref, replace(node, function=function))
        if isinstance(node, SequenceMap):
            fst, snd = sets[node.fst].ordered, sets[node.snd].ordered
            if len(fst) * len(snd) <= MAX_VALUE_PAIRS:
                for function in _alike(binary_tables(fst, snd), BINARY, node.function):
                    yield _with(program, ref, replace(node, function=function))
    if not equivalence.axes_permuted and sign_is_open(program):
        yield negated(program, sets)


def negated(program: Program, sets: dict[Ref, ValueSet]) -> Program:
    """The program that puts out the negative of its number.

    Args:
        program: one whose `sign_is_open`.
        sets: the values of its SOps.
    """
    last = program.nodes[program.output]
    assert isinstance(last, (LinearSequenceMap, Map))
    return _with(program, program.output, _negated(last, sets))


def _negated(node: LinearSequenceMap | Map, sets: dict[Ref, ValueSet]) -> Node:
    if isinstance(node, LinearSequenceMap):
        return replace(node, fst_factor=-node.fst_factor, snd_factor=-node.snd_factor)
    if isinstance(node.function, Formula):
        return replace(node, function=formula(f"-({node.function.source})", arity=1))
    values = sets[node.inner].ordered
    results = [-number_or(call(node.function, value), 0.0) for value in values]
    return replace(node, function=function_of_results([values], results))


def _alike(tables: Tables, pool: tuple[Formula, ...], function: Function) -> list[Formula]:
    if not isinstance(function, Formula) or function not in pool:
        return []
    own = pool.index(function)
    same_groups = (tables.groups == tables.groups[own]).all(axis=1)
    return [
        pool[n]
        for n in np.flatnonzero(same_groups).tolist()
        if tables.results[n] != tables.results[own] and None not in tables.results[n]
    ]


def _with(program: Program, ref: Ref, node: Node) -> Program:
    nodes = [*program.nodes]
    nodes[ref] = node
    return replace(program, nodes=tuple(nodes))


def _as_same(mine: Transformer, other: Transformer, equivalence: WeightEquivalence) -> bool:
    """Whether another program's weights could as well be the model's that ``mine`` are."""
    weights = other.arrays()
    if all(np.array_equal(array, weights[name]) for name, array in mine.arrays().items()):
        return True
    there = same_weights(mine, other)
    return (
        there.same
        and (there.in_order or not equivalence.in_order)
        and (there.axes_permuted or not equivalence.axes_permuted)
    )
