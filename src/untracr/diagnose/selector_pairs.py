"""How many pairs of a key and a query each selector has, before any of them is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from untracr.compile.values import ValueSet
from untracr.rasp.nodes import Ref, Select, Selector, SelectorNot


@dataclass(frozen=True)
class _Source:
    """What keys or queries are read from: a SOp, or a product of several.

    Attributes:
        number: the same for the same source.
        values: how many it takes.
    """

    number: int
    values: int


class SelectorPairs:
    """Counts pairs of a key and a query as the compiler makes them.

    It compiles a selector made of others over products of their keys and of their queries.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, int, int], int] = {}
        self._sources: dict[Ref, tuple[_Source, _Source]] = {}

    def pairs(self, ref: Ref, node: Selector, sets: Mapping[Ref, ValueSet]) -> int:
        """The pairs of one selector, whose arguments were counted before."""
        if isinstance(node, Select):
            mine = (self._sop(node.keys, sets), self._sop(node.queries, sets))
        elif isinstance(node, SelectorNot):
            mine = self._sources[node.inner]
        else:
            (a, b), (c, d) = self._sources[node.fst], self._sources[node.snd]
            mine = (self._product(a, c), self._product(b, d))
        self._sources[ref] = mine
        return mine[0].values * mine[1].values

    def _sop(self, ref: Ref, sets: Mapping[Ref, ValueSet]) -> _Source:
        number = self._numbers.setdefault(("sop", ref, ref), len(self._numbers))
        return _Source(number, len(sets[ref].unordered))

    def _product(self, fst: _Source, snd: _Source) -> _Source:
        if fst.number == snd.number:
            return fst
        key = ("product", fst.number, snd.number)
        number = self._numbers.setdefault(key, len(self._numbers))
        return _Source(number, fst.values * snd.values)
