"""The same program over other tokens: letters and words instead of 0, 1, 2, ..."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from untracr.compile.values import value_sets
from untracr.rasp.domain import Domain
from untracr.rasp.functions import Comparison, Function, Predicate, Table, Value
from untracr.rasp.nodes import CATEGORICAL, TOKENS, Aggregate, Map, Node, Ref, Select
from untracr.rasp.nodes import SequenceMap as SequenceMapNode
from untracr.rasp.program import Program

TOKEN_NAMES: tuple[str, ...] = (
    *"abcdefghijklmnopqrstuvwxyzABCDXYZ",
    *("the", "cat", "zebra", "compiler", "compiler_c", "compiler_z", "BOS", "<s>", "(", ")", "~"),
)
"""Of tokens, before and behind Tracr's ``compiler_bos`` and ``compiler_pad``."""


def with_drawn_names(program: Program, domain: Domain, rng: Random) -> tuple[Program, Domain]:
    """A program over tokens whose names are drawn from `TOKEN_NAMES`."""
    names = rng.sample(TOKEN_NAMES, len(domain.vocab))
    return with_token_names(program, domain, names), Domain(tuple(names), domain.max_seq_len)


def with_token_names(program: Program, domain: Domain, names: Sequence[Value]) -> Program:
    """A program over other tokens that does what a given one does.

    What computes with tokens becomes a table over their names; what compares tokens with
    tokens goes on doing so, by the order of their names. Inputs on which
    tokens that are numbers would be averaged have no output.

    Args:
        program: without composite selectors.
        domain: its inputs.
        names: of the tokens, in the order of the domain's vocabulary.
    """
    if tuple(names) == domain.vocab:
        return program
    sets = value_sets(program, domain.vocab, domain.max_seq_len)
    named = dict(zip(domain.vocab, names, strict=True))
    holds_tokens = _holding_tokens(program)

    def values(ref: Ref) -> list[tuple[Value, Value]]:
        """A variable's values, each with what it becomes."""
        own = sets[ref].ordered
        return [(value, named[value] if ref in holds_tokens else value) for value in own]

    nodes = [_renamed(node, holds_tokens, values) for node in program.nodes]
    return replace(program, nodes=tuple(nodes))


def _holding_tokens(program: Program) -> set[Ref]:
    """Variables whose values are tokens."""
    holding = {TOKENS}
    for ref, node in enumerate(program.nodes):
        if isinstance(node, Aggregate) and node.encoding is CATEGORICAL and node.sop in holding:
            holding.add(ref)
    return holding


_Values = Callable[[Ref], list[tuple[Value, Value]]]


def _renamed(node: Node, holds_tokens: set[Ref], values: _Values) -> Node:
    match node:
        case Map(function, inner) if inner in holds_tokens:
            return replace(node, function=_table(function, values(inner)))
        case SequenceMapNode(function, fst, snd) if {fst, snd} & holds_tokens:
            return replace(node, function=_table(function, values(fst), values(snd)))
        case Select(keys, queries, predicate) if {keys, queries} & holds_tokens:
            if isinstance(predicate, Comparison) and {keys, queries} <= holds_tokens:
                return node
            return replace(node, predicate=_table(predicate, values(keys), values(queries)))
        case _:
            return node


def _table(function: Function | Predicate, *arguments: list[tuple[Value, Value]]) -> Table:
    entries = (
        (tuple(new for _, new in pairs), function(*(old for old, _ in pairs)))
        for pairs in itertools.product(*arguments)
    )
    return Table(tuple(entries), len(arguments))
