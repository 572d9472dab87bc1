"""Nodes built one after another, as Tracr's constructors and operators build them.

A Map of a Map merges, selectors on the same keys and queries join into one
Select, a negated Select is a Select, and a copy of a node may have another name
or encoding.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from dataclasses import dataclass

from untracr.bounds import MAX_DEPTH, MAX_FORMULA_LENGTH, MAX_MERGED
from untracr.errors import ProgramError
from untracr.rasp.functions import (
    Formula,
    Function,
    Predicate,
    Table,
    Value,
    combine,
    compose,
    length_of,
    negate,
)
from untracr.rasp.nodes import (
    INDICES,
    NUMERICAL,
    SELECTOR_TYPES,
    SOP_TYPES,
    TOKENS,
    Aggregate,
    Encoding,
    Indices,
    Map,
    Node,
    Ref,
    Select,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    Tokens,
)
from untracr.rasp.program import Program, pruned, tracr_labels
from untracr.rasp.tabulating import FAILURES
from untracr.syntax.source_places import Places, first_deeper_than

_NOT = Formula("not x", 1)


@dataclass(frozen=True, slots=True)
class Expression:
    """A SOp or selector; ``fresh`` when no variable holds it yet."""

    ref: Ref
    fresh: bool


class NodeBuilder:
    """The nodes read so far.

    Attributes:
        nodes: in order; tokens and indices are always there.
        names: what ``.named`` called each, None for the others.
        default_given: Aggregates whose ``default`` was written out.
    """

    def __init__(self, place: Places) -> None:
        self._place = place
        self._variable_of: dict[Ref, str] = {}
        self._merged = 0
        self.nodes: list[Node] = [Tokens(), Indices()]
        self.names: list[str | None] = [None, None]
        self.default_given: set[Ref] = set()

    def is_sop(self, ref: Ref) -> bool:
        """Whether a node is a SOp, not a selector."""
        return isinstance(self.nodes[ref], SOP_TYPES)

    def assign(self, ref: Ref, variable: str) -> None:
        """Labels a node by the first variable that holds it."""
        if ref not in (TOKENS, INDICES):
            self._variable_of.setdefault(ref, variable)

    def add(self, node: Node) -> Expression:
        """Adds a node."""
        self.nodes.append(node)
        self.names.append(None)
        return Expression(len(self.nodes) - 1, True)

    def map(
        self, at: ast.expr, function: Function, inner: Ref, simplify: bool = True
    ) -> Expression:
        """A Map, merged with the Map it reads if ``simplify``."""
        node = self.nodes[inner]
        if simplify and isinstance(node, Map):
            return self.add(Map(self._merge(at, function, node.function), node.inner))
        return self.add(Map(function, inner))

    def sop_not(self, at: ast.expr, inner: Ref) -> Expression:
        """The logical opposite of a SOp."""
        return self.map(at, _NOT, inner)

    def _spend(self, at: ast.expr, *functions: Predicate) -> None:
        """Adds up what is written anew where functions are merged: all of them, each time."""
        self._merged += sum(map(_length, functions))
        if self._merged > MAX_MERGED:
            raise self._place.error(
                at,
                f"functions that are merged may have at most {MAX_MERGED:,} characters or "
                "entries together, each counted as often as it is merged; keep them apart with "
                "simplify=False",
            )

    def _merge(self, at: ast.expr, outer: Function, inner: Function) -> Function:
        self._spend(at, outer, inner)
        if isinstance(inner, Table):
            return _table_after(outer, inner)
        if isinstance(outer, Table):
            raise self._place.error(
                at,
                "this Map of a Map would merge a lookup table with a formula; write one lookup "
                "table, or keep them apart with Map(..., simplify=False)",
            )
        uses = 1 + len(re.findall(r"\bx\b", outer.source))
        if len(outer.source) + uses * len(inner.source) <= MAX_FORMULA_LENGTH:
            merged = compose(outer, inner)
            deep = len(merged.source) > MAX_DEPTH and first_deeper_than(
                ast.parse(merged.source), MAX_DEPTH - 10
            )
            if not deep:
                return merged
        raise self._place.error(
            at,
            "merging this Map with the Map it reads makes too long a function; keep them apart "
            "with Map(..., simplify=False)",
        )

    def join_selectors(
        self, at: ast.expr, word: str, fst: Ref, snd: Ref, simplify: bool = True
    ) -> Expression:
        """Both or either of two selectors, by ``word``, in one Select if it can be."""
        a, b = self.nodes[fst], self.nodes[snd]
        if (
            simplify
            and isinstance(a, Select)
            and isinstance(b, Select)
            and (a.keys, a.queries) == (b.keys, b.queries)
        ):
            self._spend(at, a.predicate, b.predicate)
            try:
                predicate = combine(a.predicate, b.predicate, word)
            except ProgramError as error:
                raise self._place.error(at, str(error)) from None
            if isinstance(predicate, Formula) and len(predicate.source) > MAX_FORMULA_LENGTH:
                raise self._place.error(
                    at,
                    "joining these selectors makes too long a predicate; keep them apart with "
                    "simplify=False",
                )
            return self.add(Select(a.keys, a.queries, predicate))
        return self.add(SelectorAnd(fst, snd) if word == "and" else SelectorOr(fst, snd))

    def selector_not(self, at: ast.expr, inner: Ref, simplify: bool = True) -> Expression:
        """What a selector does not select."""
        node = self.nodes[inner]
        if not simplify or not isinstance(node, Select):
            return self.add(SelectorNot(inner))
        self._spend(at, node.predicate)
        try:
            return self.add(Select(node.keys, node.queries, negate(node.predicate)))
        except ProgramError as error:
            raise self._place.error(at, str(error)) from None

    def annotate(
        self,
        at: ast.expr,
        target: Expression,
        *,
        name: str | None = None,
        encoding: Encoding | None = None,
    ) -> Expression:
        """A copy of ``target`` with another name or encoding; itself if it is fresh."""
        node = self.nodes[target.ref]
        if isinstance(node, SELECTOR_TYPES) and encoding is not None:
            raise self._place.error(at, "a selector has no encoding, only a SOp has one")
        if isinstance(node, (Tokens, Indices)):
            if encoding is NUMERICAL:
                source = "tokens" if target.ref == TOKENS else "indices"
                raise self._place.error(
                    at,
                    f"{source} is always categorical; write numerical(Map(lambda x: x, {source}))",
                )
            return target
        ref = target.ref
        if not target.fresh:
            self.names.append(self.names[ref])
            self.nodes.append(node)
            if ref in self.default_given:
                self.default_given.add(len(self.nodes) - 1)
            ref = len(self.nodes) - 1
        if encoding is not None:
            self.nodes[ref] = self._encoded(ref, encoding)
        if name is not None:
            self.names[ref] = name
        return Expression(ref, True)

    def _encoded(self, ref: Ref, encoding: Encoding) -> Node:
        node = self.nodes[ref]
        assert isinstance(node, SOP_TYPES)
        if isinstance(node, Aggregate) and ref not in self.default_given:
            default = 0 if encoding is NUMERICAL else None
            return dataclasses.replace(node, encoding=encoding, default=default)
        return dataclasses.replace(node, encoding=encoding)

    def program(self, output: Ref) -> Program:
        """The program of what ``output`` needs, labelled."""
        nodes, renumbered, needed = pruned(tuple(self.nodes), output)
        names = tuple(self.names[old] for old in needed)
        variables = tuple(self._variable_of.get(old) for old in needed)
        labels = _unique_labels(tracr_labels(nodes, renumbered, names), names, variables)
        return Program(nodes, renumbered, labels)


def _length(function: Predicate) -> int:
    return len(function.entries) if isinstance(function, Table) else length_of(function)


def _table_after(outer: Function, inner: Table) -> Table:
    """The table of ``outer(inner(...))``; entries on which ``outer`` fails are left out."""
    entries: list[tuple[tuple[Value, ...], Value]] = []
    for arguments, value in inner.entries:
        try:
            entries.append((arguments, outer(value)))
        except FAILURES:
            continue
    return Table(tuple(entries), inner.arity)


def _unique_labels(
    fallback: tuple[str, ...], names: tuple[str | None, ...], variables: tuple[str | None, ...]
) -> tuple[str, ...]:
    """Variable names where they are free, else Tracr's labels with a free number."""
    labels: list[str | None] = [*fallback[:2], *[None] * (len(fallback) - 2)]
    taken = set(fallback[:2])
    numbers: dict[str, int] = {}
    for ref, variable in enumerate(variables):
        if variable is not None and names[ref] is None and variable not in taken:
            labels[ref] = variable
            taken.add(variable)
    for ref, label in enumerate(labels):
        if label is None:
            stem = fallback[ref].rpartition("_")[0]
            free = fallback[ref]
            while free in taken:
                numbers[stem] = numbers.get(stem, len(fallback)) + 1
                free = f"{stem}_{numbers[stem] - 1}"
            labels[ref] = free
            taken.add(free)
    return tuple(label for label in labels if label is not None)
