"""Which values each SOp can take, as Tracr infers them.

Source of the rules: Tracr, `compiler/basis_inference.py`. Sets are built in
the same order as Tracr builds them, so that where 1 and True meet in one set
the same one stays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from untracr.errors import ProgramError
from untracr.rasp.functions import Function, Value, types_of, weighted_sum
from untracr.rasp.program import (
    NUMERICAL,
    Aggregate,
    Indices,
    LinearSequenceMap,
    Map,
    Program,
    Ref,
    SelectorWidth,
    SequenceMap,
    Tokens,
)

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
    tokens = vocab if isinstance(vocab, (set, frozenset)) else set(vocab)
    for ref in program.sops:
        sets[ref] = node_values(program, ref, sets, set(tokens), max_seq_len)
    return sets


def node_values(
    program: Program, ref: Ref, sets: dict[Ref, ValueSet], vocab: set[Value], max_seq_len: int
) -> ValueSet:
    """The values of one SOp, given those of the SOps that it reads.

    Raises:
        ProgramError: a function fails, or a numerical Aggregate averages values
            other than 0 and 1.
    """
    node = program.nodes[ref]
    _require_countable(program, ref, sets, max_seq_len)
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


MAX_VALUES = 100_000
"""Values one variable may take."""

MAX_PAIRS = 4_000_000
"""Pairs of values one SequenceMap may have: each is a neuron."""


def _require_countable(
    program: Program, ref: Ref, sets: dict[Ref, ValueSet], max_seq_len: int
) -> None:
    """Refuses what would fill memory long before it is weights.

    Raises:
        ProgramError: a variable would take too many values.
    """
    node = program.nodes[ref]
    if isinstance(node, (Indices, SelectorWidth)) and max_seq_len > MAX_VALUES:
        raise ProgramError(
            f"{program.labels[ref]}: a variable may take at most {MAX_VALUES:,} values, but "
            f"max_seq_len is {max_seq_len:,}"
        )
    if isinstance(node, (SequenceMap, LinearSequenceMap)):
        fst, snd = len(sets[node.fst].unordered), len(sets[node.snd].unordered)
        if fst * snd > MAX_PAIRS:
            raise ProgramError(
                f"{program.labels[ref]}: its arguments take {fst:,} and {snd:,} values, more than "
                f"{MAX_PAIRS:,} pairs; shorten max_seq_len or the vocabulary"
            )


def _mean_set(program: Program, ref: Ref, inner: ValueSet, max_seq_len: int) -> ValueSet:
    numbers = [v for v in inner.unordered if isinstance(v, (bool, int, float))]
    if len(numbers) < len(inner.unordered) or not {int(x) for x in numbers} <= {0, 1}:
        raise ProgramError(
            f"{program.labels[ref]}: a numerical Aggregate can only average 0 and 1 (Tracr's "
            f"rule), not {list(inner.ordered)}; map the values to booleans first"
        )
    return ValueSet.of({value / n for value in numbers for n in range(1, max_seq_len + 1)})


@functools.lru_cache(maxsize=256)
def _range_set(stop: int) -> ValueSet:
    return ValueSet.of(set(range(stop)))


@functools.lru_cache(maxsize=16384)
def _map_set(function: Function, values: tuple[Value, ...], types: Types) -> ValueSet:
    out: set[Value] = set()
    for x in values:
        result = without_arithmetic_errors(function, x)
        if result is not None:
            out.add(result)
    return ValueSet.of(out)


@functools.lru_cache(maxsize=16384)
def _sequence_map_set(
    function: Function,
    fst: tuple[Value, ...],
    snd: tuple[Value, ...],
    fst_types: Types,
    snd_types: Types,
) -> ValueSet:
    out: set[Value] = set()
    for x in fst:
        for y in snd:
            result = without_arithmetic_errors(function, x, y)
            if result is not None:
                out.add(result)
    return ValueSet.of(out)


@functools.lru_cache(maxsize=16384)
def _linear_set(
    fst_factor: float,
    snd_factor: float,
    fst: tuple[Value, ...],
    snd: tuple[Value, ...],
    fst_types: Types,
    snd_types: Types,
) -> ValueSet:
    try:
        return ValueSet.of({weighted_sum(x, y, fst_factor, snd_factor) for x in fst for y in snd})
    except (TypeError, ValueError, ArithmeticError) as error:
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
        shown = ", ".join(map(repr, args))
        raise ProgramError(f"{function} fails on {shown}: {error}") from None


def tracr_sorted(values: Sequence[Value]) -> tuple[Value, ...]:
    """Values in Tracr's order: by value, and as text where they cannot be compared."""
    try:
        return tuple(sorted(values))  # type: ignore[type-var]
    except TypeError:
        return tuple(sorted(values, key=_AsTracrCompares))


class _AsTracrCompares:
    def __init__(self, value: Value) -> None:
        self.value = value

    def __lt__(self, other: _AsTracrCompares) -> bool:
        try:
            return bool(self.value < other.value)  # type: ignore[operator]
        except TypeError:
            return str(self.value) < str(other.value)
