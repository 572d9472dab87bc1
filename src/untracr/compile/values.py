"""Which values each SOp can take, as Tracr infers them.

Source of the rules: Tracr, `compiler/basis_inference.py`. Sets are built in
the same order as Tracr builds them, so that where 1 and True meet in one set
the same one stays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from untracr.bounds import MAX_VARIABLE_VALUES
from untracr.errors import ProgramError
from untracr.rasp.functions import Function, Value, brief, types_of, weighted_sum
from untracr.rasp.nodes import (
    NUMERICAL,
    Aggregate,
    Indices,
    LinearSequenceMap,
    Map,
    Ref,
    SelectorWidth,
    SequenceMap,
    Tokens,
)
from untracr.rasp.program import Program
from untracr.rasp.spent import Held, Spent, TooCostly
from untracr.rasp.tabulating import PYTHON_FAILURES
from untracr.rasp.values import tracr_sorted
from untracr.short_repr import short_repr
from untracr.shown_text import shown

Types = tuple[type, ...]


@dataclass(frozen=True, slots=True)
class ValueSet:
    """The values a SOp can take.

    Attributes:
        unordered: in the iteration order of the Python set that Tracr builds.
        ordered: as Tracr orders the residual dimensions.
        types: the types of ``unordered``; tells (1,) from (True,) in caches.
    """

    unordered: tuple[Value, ...]
    ordered: tuple[Value, ...]
    types: Types

    __repr__ = short_repr

    @classmethod
    def of(cls, values: set[Value]) -> ValueSet:
        """Wraps a set."""
        unordered = tuple(values)
        return cls(unordered, tracr_sorted(unordered), types_of(unordered))


def value_sets(program: Program, vocab: Iterable[Value], max_seq_len: int) -> dict[Ref, ValueSet]:
    """The value set of every SOp the output depends on.

    Args:
        program: the program.
        vocab: the tokens, BOS and PAD not included.
        max_seq_len: the longest input.

    Raises:
        ProgramError: a numerical Aggregate averages values other than 0 and 1.
    """
    sets: dict[Ref, ValueSet] = {}
    spent = Spent()
    tokens = vocab if isinstance(vocab, (set, frozenset)) else set(vocab)
    for ref in program.sops:
        sets[ref] = node_values(program, ref, sets, set(tokens), max_seq_len, spent)
    return sets


def node_values(
    program: Program,
    ref: Ref,
    sets: dict[Ref, ValueSet],
    vocab: set[Value],
    max_seq_len: int,
    spent: Spent | None = None,
) -> ValueSet:
    """The values of one SOp, given those of the SOps that it reads.

    Args:
        program: the program.
        ref: the SOp.
        sets: the values of the SOps before it.
        vocab: the tokens.
        max_seq_len: the longest input.
        spent: what was spent on the program before; nothing if not given.

    Raises:
        TooCostly: the values take too long to be told, or are too many.
        ProgramError: a function fails, or a numerical Aggregate averages values
            other than 0 and 1.
    """
    node = program.nodes[ref]
    _count(program, ref, sets, max_seq_len, Spent() if spent is None else spent)
    match node:
        case Tokens():
            return ValueSet.of(vocab)
        case Indices():
            return _range_set(max_seq_len)
        case SelectorWidth():
            return _range_set(max_seq_len + 1)
        case Map(function, inner):
            return _map_set(function, sets[inner].unordered, sets[inner].types)
        case SequenceMap(function, fst, snd):
            a, b = sets[fst], sets[snd]
            return _sequence_map_set(function, a.unordered, b.unordered, a.types, b.types)
        case LinearSequenceMap(fst, snd, fst_factor, snd_factor):
            a, b = sets[fst], sets[snd]
            return _linear_set(fst_factor, snd_factor, a.unordered, b.unordered, a.types, b.types)
        case Aggregate(sop=sop, encoding=encoding):
            if encoding is not NUMERICAL:
                return sets[sop]
            return _mean_set(program, ref, sets[sop], max_seq_len)
        case _:
            raise TypeError(f"a selector has no values: {node}")


def _count(
    program: Program, ref: Ref, sets: dict[Ref, ValueSet], max_seq_len: int, spent: Spent
) -> None:
    """Adds what it costs to tell a variable's values, before they are made.

    Raises:
        ProgramError: a variable would take too many values, or it costs too much.
    """
    node, label = program.nodes[ref], program.labels[ref]
    match node:
        case Indices() | SelectorWidth() if max_seq_len > MAX_VARIABLE_VALUES:
            raise TooCostly(
                f"{label}: a variable may take at most {MAX_VARIABLE_VALUES:,} values, but "
                f"max_seq_len is {max_seq_len:,}"
            )
        case Map(function, inner):
            spent.call(function, len(sets[inner].unordered), label)
        case SequenceMap(function, fst, snd):
            spent.call(function, len(sets[fst].unordered) * len(sets[snd].unordered), label)
        case LinearSequenceMap(fst, snd):
            spent.call(None, len(sets[fst].unordered) * len(sets[snd].unordered), label)
        case Aggregate(sop=sop) if node.encoding is NUMERICAL:
            spent.call(None, len(sets[sop].unordered) * max_seq_len, label)
        case _:
            pass


class _Values:
    """Gathers the values of one variable while they are few enough."""

    def __init__(self) -> None:
        self.found: set[Value] = set()
        self._held = Held()

    def add(self, value: Value) -> None:
        """Adds a value.

        Raises:
            TooCostly: the variable takes too many.
        """
        if value in self.found:
            return
        self._held.add(value)
        self.found.add(value)
        if len(self.found) > MAX_VARIABLE_VALUES:
            raise TooCostly(
                f"a variable may take at most {MAX_VARIABLE_VALUES:,} values; it takes more"
            )


def _mean_set(program: Program, ref: Ref, inner: ValueSet, max_seq_len: int) -> ValueSet:
    numbers = [v for v in inner.unordered if isinstance(v, (bool, int, float))]
    if len(numbers) < len(inner.unordered) or not all(-1 < x < 2 for x in numbers):
        raise ProgramError(
            f"{program.labels[ref]}: a numerical Aggregate can only average 0 and 1 (Tracr's "
            f"rule), not {shown([*inner.ordered])}; map the values to booleans first"
        )
    return ValueSet.of({value / n for value in numbers for n in range(1, max_seq_len + 1)})


@functools.lru_cache(maxsize=256)
def _range_set(stop: int) -> ValueSet:
    return ValueSet.of(set(range(stop)))


@functools.lru_cache(maxsize=16384)
def _map_set(function: Function, values: tuple[Value, ...], types: Types) -> ValueSet:
    out = _Values()
    for x in values:
        result = without_arithmetic_errors(function, x)
        if result is not None:
            out.add(result)
    return ValueSet.of(out.found)


@functools.lru_cache(maxsize=16384)
def _sequence_map_set(
    function: Function,
    fst: tuple[Value, ...],
    snd: tuple[Value, ...],
    fst_types: Types,
    snd_types: Types,
) -> ValueSet:
    out = _Values()
    for x in fst:
        for y in snd:
            result = without_arithmetic_errors(function, x, y)
            if result is not None:
                out.add(result)
    return ValueSet.of(out.found)


@functools.lru_cache(maxsize=16384)
def _linear_set(
    fst_factor: float,
    snd_factor: float,
    fst: tuple[Value, ...],
    snd: tuple[Value, ...],
    fst_types: Types,
    snd_types: Types,
) -> ValueSet:
    out = _Values()
    try:
        for x in fst:
            for y in snd:
                out.add(weighted_sum(x, y, fst_factor, snd_factor))
        return ValueSet.of(out.found)
    except PYTHON_FAILURES as error:
        raise ProgramError(f"a LinearSequenceMap needs numbers: {error}") from None


def without_arithmetic_errors(function: Callable[..., Value], *args: Value) -> Value:
    """A function's result; None where it divides by zero or overflows, as Tracr assumes.

    Raises:
        ProgramError: the function fails in another way.
    """
    try:
        return function(*args)
    except ArithmeticError:
        return None
    except (TypeError, ValueError) as error:
        listed = ", ".join(map(shown, args))
        raise ProgramError(f"{brief(function)} fails on {listed}: {error}") from None
