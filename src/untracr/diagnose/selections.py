"""What a selector can select on any input, told without running them all."""

from __future__ import annotations

import functools

import numpy as np

from untracr.compile.values import ValueSet
from untracr.rasp.functions import Comparison, Function, Predicate, Value
from untracr.rasp.interpreter import Batch, Column, Mask
from untracr.rasp.nodes import (
    CATEGORICAL,
    INDICES,
    SELECTOR_TYPES,
    TOKENS,
    Aggregate,
    Map,
    Ref,
    Select,
    children,
)
from untracr.rasp.program import Program
from untracr.rasp.spent import Spent, TooCostly
from untracr.rasp.tabulating import FAILURES, result_or_none

MAX_KEY_QUERY_PAIRS = 250_000
"""Pairs of a key and a query that are looked at; of more nothing is told."""

LONGEST_INPUT = 64
"""Inputs up to this length are tried, one of each, where tokens play no part."""

Selected = tuple[tuple[Value, ...], ...]
"""For each query value the key values that it selects."""


class Selections:
    """The selectors of one program.

    Args:
        program: the program; composite selectors lowered.
        sets: the values of its SOps.
        max_seq_len: the longest input.
        causal: whether positions see only themselves and earlier ones.
    """

    def __init__(
        self, program: Program, sets: dict[Ref, ValueSet], max_seq_len: int, *, causal: bool
    ) -> None:
        self.program, self.sets = program, sets
        self._length, self._causal = max_seq_len, causal

    def never_empty(self, selector: Ref) -> bool:
        """Whether every query selects some key on every input."""
        select = self.program.nodes[selector]
        if not isinstance(select, Select):
            return False
        if select.predicate is Comparison.TRUE:
            return True
        selected = _selected(select, self.sets)
        if selected is not None and select.keys == select.queries:
            queries = self.sets[select.queries].unordered
            if all(q in keys for q, keys in zip(queries, selected, strict=True)):
                return True  # at least its own position
        return selector in self._by_length and self._by_length[selector][0] >= 1

    def selects_one_position(self, selector: Ref) -> bool:
        """Whether no query ever selects two positions."""
        select = self.program.nodes[selector]
        if not isinstance(select, Select):
            return False
        if _differs_everywhere(self.program, select.keys, self.sets):
            selected = _selected(select, self.sets)
            if selected is not None and all(len(keys) <= 1 for keys in selected):
                return True
        return selector in self._by_length and self._by_length[selector][1] <= 1

    def selects_equal_values(self, selector: Ref, sop: Ref) -> bool:
        """Whether all keys that a query ever selects go with one number of a SOp."""
        select = self.program.nodes[selector]
        path = _path(self.program, sop, select.keys) if isinstance(select, Select) else None
        if not isinstance(select, Select) or path is None:
            return False
        values = {key: key for key in self.sets[select.keys].unordered}
        for function in reversed(path):
            values = {key: result_or_none(function, value) for key, value in values.items()}
        if not all(isinstance(value, (bool, int, float)) for value in values.values()):
            return False
        selected = _selected(select, self.sets)
        return selected is not None and all(
            len({values[k] for k in keys}) <= 1 for keys in selected
        )

    def may_mix(self, node: Aggregate) -> bool:
        """Whether an Aggregate may select different values at once."""
        return not (
            self.selects_one_position(node.selector)
            or self.selects_equal_values(node.selector, node.sop)
        )

    @functools.cached_property
    def _by_length(self) -> dict[Ref, tuple[int, int]]:
        """The fewest and the most keys that a query selects, of selectors that tokens do not
        touch: what they select on one input of each length they select on all."""
        free = free_of_tokens(self.program, self.sets)
        refs = [ref for ref in free if isinstance(self.program.nodes[ref], SELECTOR_TYPES)]
        if not refs or self._length > LONGEST_INPUT:
            return {}
        token: Value = self.sets[TOKENS].unordered[0] if TOKENS in self.sets else 0
        batch = Batch([[token] * n for n in range(1, self._length + 1)], causal=self._causal)
        batch.leave_out_failures()
        states: dict[Ref, Column | Mask] = {}
        spent = Spent()
        try:
            for ref in sorted(self.program.reachable):
                node = self.program.nodes[ref]
                batch.count(node, states, spent)
                states[ref] = batch.step(node, states)
        except TooCostly:
            return {}
        if batch.failed is None or batch.failed.any():
            return {}
        counts = {ref: np.count_nonzero(states[ref], axis=2)[batch.valid] for ref in refs}  # type: ignore[arg-type]
        return {ref: (int(count.min()), int(count.max())) for ref, count in counts.items()}


def free_of_tokens(program: Program, sets: dict[Ref, ValueSet]) -> set[Ref]:
    """Nodes that depend on an input's length alone, not on its tokens."""
    free: set[Ref] = set()
    for ref in sorted(program.reachable):
        node = program.nodes[ref]
        is_free = ref != TOKENS and all(child in free for child in children(node))
        if is_free or (isinstance(node, Select) and _is_constant(node, sets)):
            free.add(ref)
    return free


def _is_constant(select: Select, sets: dict[Ref, ValueSet]) -> bool:
    """Whether a selector selects all pairs, or none, whatever its keys and queries are."""
    if select.predicate in (Comparison.TRUE, Comparison.FALSE):
        return True
    selected = _selected(select, sets)
    count = len(sets[select.keys].unordered)
    return selected is not None and {len(keys) for keys in selected} in ({0}, {count})


def _path(program: Program, sop: Ref, start: Ref) -> tuple[Function, ...] | None:
    """The functions by which Maps make one SOp of another, the last one first."""
    functions: list[Function] = []
    while sop != start:
        node = program.nodes[sop]
        if not isinstance(node, Map) or program.encoding(node.inner) is not CATEGORICAL:
            return None
        functions.append(node.function)
        sop = node.inner
    return tuple(functions)


def _differs_everywhere(program: Program, ref: Ref, sets: dict[Ref, ValueSet]) -> bool:
    """Whether a SOp has another value at each position: indices, or one to one with them."""
    while ref != INDICES:
        node = program.nodes[ref]
        if not isinstance(node, Map) or program.encoding(ref) is not CATEGORICAL:
            return False
        if len(sets[ref].unordered) != len(sets[node.inner].unordered):
            return False
        ref = node.inner
    return True


def _selected(select: Select, sets: dict[Ref, ValueSet]) -> Selected | None:
    keys, queries = sets[select.keys], sets[select.queries]
    if len(keys.unordered) * len(queries.unordered) > MAX_KEY_QUERY_PAIRS:
        return None
    return _selected_keys(
        select.predicate, keys.unordered, queries.unordered, keys.types, queries.types
    )


@functools.lru_cache(maxsize=4096)
def _selected_keys(
    predicate: Predicate,
    keys: tuple[Value, ...],
    queries: tuple[Value, ...],
    key_types: tuple[type, ...],
    query_types: tuple[type, ...],
) -> Selected | None:
    try:
        return tuple(tuple(key for key in keys if predicate(key, query)) for query in queries)
    except FAILURES:
        return None
