"""Rewrites composite selectors into plain Selects, which have a construction.

Tracr has weights for Select only. ``SelectorAnd``, ``SelectorOr`` and
``SelectorNot`` of Selects become one Select each: with the combined predicate
where both sides read the same keys and queries, and else over products, SOps
that hold the pair of both sides' keys (or queries) as one number.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable

from untracr.compile.values import value_sets
from untracr.errors import ProgramError
from untracr.rasp.functions import Comparison, Predicate, Table, Value, combine, negate
from untracr.rasp.nodes import (
    Node,
    Ref,
    Select,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SequenceMap,
    renumber,
)
from untracr.rasp.program import Builder, Program
from untracr.rasp.tabulating import PYTHON_FAILURES

Composite = SelectorAnd | SelectorOr | SelectorNot


def lower_selectors(program: Program, vocab: Iterable[Value], max_seq_len: int) -> Program:
    """Replaces every composite selector by a Select.

    Args:
        program: the program.
        vocab: the tokens; products are tables over the values that follow from it.
        max_seq_len: the longest input.

    Returns:
        A program of the same behaviour; the same object when it holds no
        composite. A replaced selector keeps its label.

    Raises:
        ProgramError: the values of some SOp cannot be told, or a predicate fails.
    """
    if not any(isinstance(program.nodes[ref], Composite) for ref in program.reachable):
        return program
    return _Lowering(program, vocab, max_seq_len).run()


class _Lowering:
    def __init__(self, program: Program, vocab: Iterable[Value], max_seq_len: int) -> None:
        self.program = program
        self.builder = Builder()
        self.labels = set(program.labels)
        self.products: dict[tuple[Ref, Ref], Ref] = {}
        sets = value_sets(program, vocab, max_seq_len)
        self.old_values = {ref: values.ordered for ref, values in sets.items()}
        self.values: dict[Ref, tuple[Value, ...]] = {}

    def run(self) -> Program:
        """Copies the nodes in order, each composite as a Select."""
        new: dict[Ref, Ref] = {}
        for ref in sorted({0, 1, *self.program.reachable}):
            node, label = self.program.nodes[ref], self.program.labels[ref]
            if ref < 2:
                self.builder.nodes[ref] = node
                new[ref] = ref
            else:
                new[ref] = self.builder.add(self._lowered(node, new, label), label)
            if ref in self.old_values:
                self.values[new[ref]] = self.old_values[ref]
        return self.builder.build(new[self.program.output])

    def _lowered(self, node: Node, new: dict[Ref, Ref], label: str) -> Node:
        match node:
            case SelectorNot(inner):
                select = self._select(new[inner])
                return dataclasses.replace(select, predicate=self._negated(select))
            case SelectorAnd(fst, snd):
                return self._joined(self._select(new[fst]), self._select(new[snd]), "and", label)
            case SelectorOr(fst, snd):
                return self._joined(self._select(new[fst]), self._select(new[snd]), "or", label)
            case _:
                return renumber(node, new)

    def _select(self, ref: Ref) -> Select:
        node = self.builder.nodes[ref]
        assert isinstance(node, Select)
        return node

    def _negated(self, select: Select) -> Predicate:
        if isinstance(select.predicate, Comparison):
            return negate(select.predicate)
        return self._table(select.keys, select.queries, lambda k, q: not select.predicate(k, q))

    def _joined(self, fst: Select, snd: Select, word: str, label: str) -> Select:
        keys = self._product(fst.keys, snd.keys, f"{label}_keys")
        queries = self._product(fst.queries, snd.queries, f"{label}_queries")
        p, q = fst.predicate, snd.predicate
        if (keys, queries) == (fst.keys, fst.queries) and {type(p), type(q)} == {Comparison}:
            return Select(keys, queries, combine(p, q, word))
        fst_key, snd_key = self._parts(keys, fst.keys, snd.keys)
        fst_query, snd_query = self._parts(queries, fst.queries, snd.queries)

        def holds(key: Value, query: Value) -> bool:
            if bool(p(fst_key[key], fst_query[query])) is (word == "or"):
                return word == "or"
            return bool(q(snd_key[key], snd_query[query]))

        return Select(keys, queries, self._table(keys, queries, holds))

    def _product(self, fst: Ref, snd: Ref, label: str) -> Ref:
        """The SOp that holds both values; ``fst`` itself where both are one SOp."""
        if fst == snd:
            return fst
        if (fst, snd) not in self.products:
            pairs = list(itertools.product(self.values[fst], self.values[snd]))
            table = Table(tuple((pair, code) for code, pair in enumerate(pairs)), 2)
            ref = self.builder.add(SequenceMap(table, fst, snd), self._free(label))
            self.values[ref] = tuple(range(len(pairs)))
            self.products[fst, snd] = ref
        return self.products[fst, snd]

    def _parts(
        self, product: Ref, fst: Ref, snd: Ref
    ) -> tuple[dict[Value, Value], dict[Value, Value]]:
        """From a product's value to each side's."""
        if fst == snd:
            same = {value: value for value in self.values[fst]}
            return same, same
        pairs = list(itertools.product(self.values[fst], self.values[snd]))
        codes = self.values[product]
        return (
            {code: pair[0] for code, pair in zip(codes, pairs, strict=True)},
            {code: pair[1] for code, pair in zip(codes, pairs, strict=True)},
        )

    def _table(self, keys: Ref, queries: Ref, holds: Callable[[Value, Value], bool]) -> Table:
        entries: list[tuple[tuple[Value, ...], Value]] = []
        for key, query in itertools.product(self.values[keys], self.values[queries]):
            try:
                entries.append(((key, query), holds(key, query)))
            except PYTHON_FAILURES as error:
                raise ProgramError(
                    f"a selector's predicate fails on a key and query it may meet: {error}"
                ) from None
        return Table(tuple(entries), 2)

    def _free(self, label: str) -> str:
        free = label
        for number in itertools.count(2):
            if free not in self.labels:
                break
            free = f"{label}_{number}"
        self.labels.add(free)
        return free
