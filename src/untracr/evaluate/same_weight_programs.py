"""The programs that have the very weights of a reference: what no reader can tell apart.

Counted are programs with the reference's operations, arguments and names, but
perhaps other functions, predicates and factors, all at once, as far as the
sampler could draw them: a Map's function comes from the pool of its argument's
type, which the operations before it decide. (Where the reference itself lies
outside these pools, from all of the closed lists.) Each is compiled, and counts
where its weights are

* bit for bit the reference's, or
* the reference's up to one rotation of the residual stream, heads and neurons
  in order: then the sign of a number that nothing reads is lost.

Where the model has a read-out, theirs must agree too. Not counted are equal
operations whose names are exchanged, and nothing is left out because the
sampler would refuse it for other reasons, such as a nearly constant output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from untracr.compile.canonical import paper_tokens
from untracr.compile.compiler import compile_program
from untracr.compile.values import value_sets
from untracr.errors import ProgramError
from untracr.evaluate.cases import Case
from untracr.rasp.functions import Function, Value, number_or
from untracr.rasp.known_tables import call
from untracr.rasp.listed_functions import BINARY, FACTORS, MAP_POOL, PREDICATES, UNARY, Type
from untracr.rasp.nodes import (
    CATEGORICAL,
    INDICES,
    TOKENS,
    Aggregate,
    LinearSequenceMap,
    Map,
    Node,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
)
from untracr.rasp.program import Program
from untracr.transformer.transformer import Transformer
from untracr.verify.alignment import align
from untracr.verify.read_out import read_out_differs
from untracr.verify.weight_equivalence import same_weights

MAX_PROGRAMS_COMPILED = 2_000
"""Programs compiled for one reference; beyond, those with the same weights are not counted."""

NUMBERS: tuple[Type, ...] = ("float", "freq")
"""Types that a LinearSequenceMap may read."""


@dataclass(frozen=True)
class _Guess:
    """What one variable would be in another program of the same weights.

    Attributes:
        values: one for each of the reference's values, in their order.
        type: as the sampler has it; None where types are not looked at.
        sign: -1 where a number is the negative of the reference's.
    """

    values: tuple[Value, ...]
    type: Type | None = "categorical"
    sign: int = 1


_Guesses = Mapping[Ref, _Guess]


def same_weight_programs(case: Case, *, rotated: bool) -> frozenset[tuple[str, ...]] | None:
    """The canonical tokens of all programs with a reference's weights, itself included.

    Args:
        case: the reference.
        rotated: whether the weights are known up to a rotation only.

    Returns:
        None where there are more than `MAX_PROGRAMS_COMPILED` to be compiled, where the
        reference cannot be compiled, and where not even the reference is found.
    """
    for typed in (True, False):
        try:
            found = _Search(case, rotated=rotated, typed=typed).run()
        except ProgramError:
            return None
        if found is None or tuple(paper_tokens(case.program)) in found:
            return found
    return None


class _Search:
    """Goes through a program's operations in order and tries what each could be instead.

    What is tried fits the reference's tables up to the names of values, which
    is necessary for equal weights; the finished program is then compiled.

    Raises:
        ProgramError: the reference's values cannot be found.
    """

    def __init__(self, case: Case, *, rotated: bool, typed: bool) -> None:
        self.case, self.rotated, self.typed = case, rotated, typed
        program, domain = case.program, case.domain
        sets = value_sets(program, domain.vocab, domain.max_seq_len)
        self.own = {ref: values.ordered for ref, values in sets.items()}
        self.order = [ref for ref in sorted(program.reachable) if ref not in (TOKENS, INDICES)]

    def run(self) -> frozenset[tuple[str, ...]] | None:
        """The programs found (see `same_weight_programs`)."""
        given = self.case.load()
        mine = self._compiled(self.case.program, given)
        if mine is None:
            return None
        start = {ref: _Guess(self.own[ref]) for ref in (TOKENS, INDICES) if ref in self.own}
        found = set()
        for number, program in enumerate(self._programs(0, start, {})):
            if number == MAX_PROGRAMS_COMPILED:
                return None
            theirs = self._compiled(program, given)
            if theirs is not None and self._same(mine, theirs):
                found.add(tuple(paper_tokens(program)))
        return frozenset(found)

    def _compiled(self, program: Program, given: Transformer) -> Transformer | None:
        domain = self.case.domain
        try:
            weights = compile_program(
                program, domain.vocab, domain.max_seq_len, causal=given.causal
            ).transformer
        except ProgramError:
            return None
        return weights if given.W_U is not None else weights.replace(W_U=None, output_values=None)

    def _same(self, mine: Transformer, theirs: Transformer) -> bool:
        weights = theirs.arrays()
        equal = all(np.array_equal(array, weights[name]) for name, array in mine.arrays().items())
        if not equal and self.rotated:
            equivalence = same_weights(mine, theirs)
            equal = equivalence.same and equivalence.in_order
        if not equal or mine.W_U is None:
            return equal
        return not read_out_differs(mine, theirs, align(mine, theirs))

    def _programs(
        self, done: int, guesses: _Guesses, nodes: Mapping[Ref, Node]
    ) -> Iterator[Program]:
        if done == len(self.order):
            every = (nodes.get(ref, node) for ref, node in enumerate(self.case.program.nodes))
            yield replace(self.case.program, nodes=tuple(every))
            return
        ref = self.order[done]
        for node, guess in self._choices(ref, guesses):
            known = {**guesses, ref: guess} if guess is not None else guesses
            yield from self._programs(done + 1, known, {**nodes, ref: node})

    def _choices(self, ref: Ref, guesses: _Guesses) -> Iterator[tuple[Node, _Guess | None]]:
        """What an operation or selector may be, given those before it."""
        match self.case.program.nodes[ref]:
            case Select() as node:
                yield from ((other, None) for other in self._selects(node, guesses))
            case SelectorWidth() as node:
                yield node, _Guess(self.own[ref])
            case Aggregate(sop=sop) as node if node.encoding is CATEGORICAL:
                yield node, _Guess(guesses[sop].values)
            case Aggregate(sop=sop) as node:
                if not self.typed or guesses[sop].type == "bool":
                    sign = guesses[sop].sign
                    yield node, self._number(ref, "freq", sign)
            case LinearSequenceMap() as node:
                yield from self._linear(ref, node, guesses)
            case SequenceMap(function, fst, snd) as node:
                pairs = [(x, y) for x in self.own[fst] for y in self.own[snd]]
                mine = [(x, y) for x in guesses[fst].values for y in guesses[snd].values]
                for other in dict.fromkeys((function, *BINARY)):
                    for values, sign in self._fitting(ref, function, pairs, other, mine):
                        yield replace(node, function=other), _Guess(values, sign=sign)
            case Map() as node:
                yield from self._maps(ref, node, guesses)
            case node:
                raise TypeError(f"composite selectors are lowered before: {node}")

    def _selects(self, node: Select, guesses: _Guesses) -> Iterator[Select]:
        keys, queries = guesses[node.keys].values, guesses[node.queries].values
        own = [
            bool(call(node.predicate, k, q))
            for k in self.own[node.keys]
            for q in self.own[node.queries]
        ]
        for other in dict.fromkeys((node.predicate, *PREDICATES)):
            if [bool(call(other, k, q)) for k in keys for q in queries] == own:
                yield replace(node, predicate=other)

    def _linear(
        self, ref: Ref, node: LinearSequenceMap, guesses: _Guesses
    ) -> Iterator[tuple[Node, _Guess]]:
        fst, snd = guesses[node.fst], guesses[node.snd]
        if self.typed and not {fst.type, snd.type} <= {*NUMBERS}:
            return
        for sign in (1, -1) if self.rotated else (1,):
            factors = sign * fst.sign * node.fst_factor, sign * snd.sign * node.snd_factor
            if self.typed and not {*factors} <= {*FACTORS}:
                continue
            other = replace(node, fst_factor=factors[0], snd_factor=factors[1])
            yield other, self._number(ref, "float", sign)

    def _number(self, ref: Ref, type_: Type, sign: int) -> _Guess:
        return _Guess(tuple(sign * number_or(v, 0.0) for v in self.own[ref]), type_, sign)

    def _maps(self, ref: Ref, node: Map, guesses: _Guesses) -> Iterator[tuple[Node, _Guess]]:
        inner = guesses[node.inner]
        arguments, mine = [(v,) for v in self.own[node.inner]], [(v,) for v in inner.values]
        for other, type_ in self._unary(node, inner.type):
            for values, sign in self._fitting(ref, node.function, arguments, other, mine):
                yield replace(node, function=other), _Guess(values, type_, sign)

    def _unary(self, node: Map, inner: Type | None) -> list[tuple[Function, Type | None]]:
        """The functions a Map may have, with the type of its result."""
        if not self.typed or inner is None:
            return [(f, None) for f in dict.fromkeys((node.function, *UNARY))]
        results: tuple[Type, ...] = ("bool", "float")
        if node.encoding is CATEGORICAL:
            results = ("categorical",)
        return [(f, type_) for type_ in results for f in MAP_POOL[inner, type_]]

    def _fitting(
        self,
        ref: Ref,
        function: Function,
        arguments: Sequence[tuple[Value, ...]],
        other: Function,
        mine: Sequence[tuple[Value, ...]],
    ) -> Iterator[tuple[tuple[Value, ...], int]]:
        """The variable's values if another function takes its place, if it can, and their sign.

        A categorical result must be equal where the reference's is. A number must
        be the same, or the negative everywhere if weights are known up to a rotation.
        """
        before = [call(function, *args) for args in arguments]
        after = [call(other, *args) for args in mine]
        renamed: dict[Value, Value] = {}
        if any((a is None) != (b is None) for a, b in zip(before, after, strict=True)):
            return
        for old, new in zip(before, after, strict=True):
            if renamed.setdefault(old, new) != new:
                return
        if self.case.program.encoding(ref) is CATEGORICAL:
            if len(set(renamed.values())) == len(renamed):
                yield tuple(renamed.get(v, v) for v in self.own[ref]), 1
            return
        for sign in (1, -1) if self.rotated else (1,):
            if all(sign * number_or(a, 0.0) == number_or(b, 0.0) for a, b in renamed.items()):
                yield tuple(renamed.get(v, v) for v in self.own[ref]), sign
                return
