"""Which of strangers' programs are checked: time and memory are bounded before they are spent.

A program in a file may be of any size, and a short one may take any number of
values. So each variable's values are counted one by one before the compiler
makes them all, and the program is run over the inputs with a look at every
step before it is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from untracr.compile.checks import static_problems
from untracr.compile.compiler import BOS, PAD
from untracr.compile.values import ValueSet, node_values
from untracr.decompile.outputs import FIRST_CHUNK, batches
from untracr.errors import EvaluationError, ProgramError
from untracr.metamodel.vocabulary import MAX_OPERATIONS
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import CHUNK
from untracr.rasp.functions import Formula, Function, Predicate
from untracr.rasp.interpreter import Column, Mask
from untracr.rasp.node_building import MAX_FORMULA_LENGTH
from untracr.rasp.program import (
    SELECTOR_TYPES,
    Aggregate,
    LinearSequenceMap,
    Map,
    Node,
    Program,
    Ref,
    Select,
    Selector,
    SelectorNot,
    SequenceMap,
)

MAX_NODES = 4 * MAX_OPERATIONS
"""Operations and selectors of a program; one that was decompiled has half of it at most."""

MAX_CALLS = 5_000_000
"""Calls of functions for one variable, or one selector, on all values or pairs of values."""

MAX_ALL_CALLS = 100_000_000
"""Calls of functions in all: some minutes."""

MAX_ALL_CELLS = 20_000_000_000
"""Cells of selectors in all, [input, query, key]: some minutes."""

CELLS_HELD = 4_000_000
"""Cells of one selector at a time."""

SHORT = 50
"""Characters of a function that count as one call."""


class TooCostly(ProgramError):
    """A program that cannot be checked within these bounds."""


@dataclass
class Spent:
    """What checking has cost so far.

    Attributes:
        calls: of functions, long ones counted as several.
        cells: of selectors.
    """

    calls: int = 0
    cells: int = 0

    def call(self, function: Function | Predicate | None, times: int, label: str) -> None:
        """Adds calls of one function.

        Raises:
            TooCostly: they are too many.
        """
        length = len(function.source) if isinstance(function, Formula) else 0
        if length > MAX_FORMULA_LENGTH:
            raise TooCostly(
                f"{label}: a function may have at most {MAX_FORMULA_LENGTH:,} characters to be "
                f"checked, not {length:,}"
            )
        calls = times * (1 + length // SHORT)
        self.calls += calls
        if calls > MAX_CALLS or self.calls > MAX_ALL_CALLS:
            raise TooCostly(
                f"{label}: a program may call one function at most {MAX_CALLS:,} times, and all of "
                f"them {MAX_ALL_CALLS:,} times, to be checked; this takes {calls:,} and "
                f"{self.calls:,}"
            )

    def select(self, cells: int, label: str) -> None:
        """Adds the cells of one selector or aggregate.

        Raises:
            TooCostly: they are too many.
        """
        self.cells += cells
        if self.cells > MAX_ALL_CELLS:
            raise TooCostly(
                f"{label}: selectors may have at most {MAX_ALL_CELLS:,} cells in all to be "
                f"checked, inputs times queries times keys; these have {self.cells:,}"
            )


def require_affordable(
    program: Program, domain: Domain, *, causal: bool, outputs: bool = True
) -> None:
    """Checks that compiling and running a program is bounded.

    Args:
        program: a stranger's.
        domain: the inputs.
        causal: as the model.
        outputs: whether it will be run on all inputs; else on the first only.

    Raises:
        TooCostly: it is not.
        ProgramError: there are no weights for the program at all.
    """
    if len(program.nodes) > MAX_NODES:
        raise TooCostly(
            f"a program may have at most {MAX_NODES} operations to be checked, not "
            f"{len(program.nodes)}"
        )
    spent = Spent()
    _count_values(program, domain, spent)
    _require_compilable(program, domain)
    _count_run(program, domain, spent, causal=causal, outputs=outputs)


def _count_values(program: Program, domain: Domain, spent: Spent) -> None:
    """Makes the values of each variable as the compiler does, one after another."""
    sets: dict[Ref, ValueSet] = {}
    selectors = _Selectors()
    for ref in sorted(program.reachable):
        node, label = program.nodes[ref], program.labels[ref]
        if isinstance(node, SELECTOR_TYPES):
            predicate = node.predicate if isinstance(node, Select) else None
            spent.call(predicate, selectors.pairs(ref, node, sets), label)
            continue
        spent.call(*_calls(node, {r: s.unordered for r, s in sets.items()}), label)
        try:
            sets[ref] = node_values(program, ref, sets, set(domain.vocab), domain.max_seq_len)
        except ProgramError:  # the compiler will say so
            return


def _require_compilable(program: Program, domain: Domain) -> None:
    """Checks the rules of single operations; what tokens are called is the model's affair."""
    tokens = tuple(token for token in domain.vocab if token not in (None, BOS, PAD)) or (0,)
    for problem in static_problems(program, tokens, domain.max_seq_len):
        if problem.ref is not None and problem.severity == "error":
            raise ProgramError(f"{problem.expression}: {problem.rule}")


@dataclass(frozen=True)
class _Source:
    """What keys or queries are read from: a SOp, or a product of several.

    Attributes:
        number: the same for the same source.
        values: how many it takes.
    """

    number: int
    values: int


class _Selectors:
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


def _calls(
    node: Node, values: Mapping[Ref, tuple[object, ...]]
) -> tuple[Function | Predicate | None, int]:
    """The function that a node calls, and how often, once its arguments' values are known."""
    match node:
        case Map(function, inner):
            return function, len(values[inner])
        case SequenceMap(function, fst, snd):
            return function, len(values[fst]) * len(values[snd])
        case LinearSequenceMap(fst, snd):
            return None, len(values[fst]) * len(values[snd])
        case Select(keys, queries, predicate):
            return predicate, len(values[keys]) * len(values[queries])
        case _:
            return None, 0


def _count_run(
    program: Program, domain: Domain, spent: Spent, *, causal: bool, outputs: bool
) -> None:
    largest = max(1, min(CHUNK, CELLS_HELD // domain.max_seq_len**2))
    left = domain.size if outputs else CHUNK
    for batch in batches(domain, largest, causal=causal, first=FIRST_CHUNK):
        states: dict[Ref, Column | Mask] = {}
        for ref in sorted(program.reachable):
            node, label = program.nodes[ref], program.labels[ref]
            if isinstance(node, (*SELECTOR_TYPES, Aggregate)):
                spent.select(batch.valid.size * batch.valid.shape[1], label)
            spent.call(*_calls(node, _values(states)), label)
            try:
                states[ref] = batch.step(node, states)
            except EvaluationError:  # the check will say so
                return
        left -= len(batch)
        if left <= 0:
            return


def _values(states: Mapping[Ref, Column | Mask]) -> dict[Ref, tuple[object, ...]]:
    return {ref: state.values for ref, state in states.items() if isinstance(state, Column)}
