"""Deciding whether two programs behave the same, on every input of a domain."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.errors import InputError
from untracr.rasp.domain import Domain
from untracr.rasp.functions import Value
from untracr.rasp.interpreter import Batch, Column, Failure, distinct_codes
from untracr.rasp.program import Program

TOLERANCE = 1e-9
"""Numbers this close, relative to their size where above one, count as equal."""

CHUNK = 8192
"""Inputs evaluated at a time: bounds memory on large domains."""

DEFAULT_LIMIT = 5_000_000


@dataclass(frozen=True)
class CounterExample:
    """An input on which two programs differ."""

    input: tuple[Value, ...]
    fst_output: tuple[Value, ...]
    snd_output: tuple[Value, ...]


@dataclass(frozen=True)
class Equivalence:
    """The outcome of comparing two programs.

    Attributes:
        equal: no input tells them apart.
        inputs_checked: how many inputs were compared; the whole domain when ``equal``.
        counterexample: the first input that differs, else None.
    """

    equal: bool
    inputs_checked: int
    counterexample: CounterExample | None = None


def decide_equivalence(
    fst: Program, snd: Program, domain: Domain, *, limit: int = DEFAULT_LIMIT
) -> Equivalence:
    """Compares two programs on every input of a domain.

    True and 1, and numbers within `TOLERANCE`, count as the same value.

    Raises:
        InputError: the domain has more than ``limit`` inputs.
        EvaluationError: one of the programs fails on some input.
    """
    if domain.size > limit:
        raise InputError(
            f"a domain of {domain.size:,} inputs is more than the limit of {limit:,} that are "
            "compared one by one; raise the limit or shorten max_seq_len"
        )
    for start in range(0, domain.size, CHUNK):
        batch = Batch.of_domain(domain, start, start + CHUNK)
        left, right = batch.evaluate(fst), batch.evaluate(snd)
        differs = np.flatnonzero((columns_differ(left, right) & batch.valid).any(axis=1))
        if len(differs):
            row = int(differs[0])
            example = CounterExample(
                tuple(batch.input(row)),
                tuple(batch.row(left, row)),
                tuple(batch.row(right, row)),
            )
            return Equivalence(False, start + len(batch), example)
    return Equivalence(True, domain.size)


def columns_differ(left: Column, right: Column) -> npt.NDArray[np.bool_]:
    """Where two columns of one batch hold different values, [batch, position]."""
    n = len(right.values)
    pairs, used = distinct_codes(left.codes * n + right.codes, len(left.values) * n)
    differs = [not same_value(left.values[p // n], right.values[p % n]) for p in used.tolist()]
    return np.array(differs, dtype=np.bool_)[pairs]


def same_value(a: Value | Failure, b: Value | Failure) -> bool:
    """Whether two values count as equal (see `decide_equivalence`)."""
    if isinstance(a, (bool, int, float)) and isinstance(b, (bool, int, float)):
        return abs(a - b) <= TOLERANCE * max(1.0, abs(a), abs(b))
    return a == b


def behaviour_key(program: Program, domain: Domain) -> bytes:
    """A digest of a program's outputs on every input of a domain.

    Programs of equal behaviour have equal keys, up to numbers that straddle a
    rounding boundary at nine decimals.

    Raises:
        EvaluationError: the program fails on some input.
    """
    digest = hashlib.blake2b(digest_size=16)
    for start in range(0, domain.size, CHUNK):
        batch = Batch.of_domain(domain, start, start + CHUNK)
        column = batch.evaluate(program)
        # Only values that occur may count: they are numbered in the order of their names.
        here, used = distinct_codes(column.codes[batch.valid], len(column.values))
        names = [_canonical(column.values[code]) for code in used.tolist()]
        order = {name: position for position, name in enumerate(sorted(set(names)))}
        table = np.array([order[name] for name in names], dtype="<i4")
        digest.update(table[here].tobytes())
        digest.update(repr(list(order)).encode())
    return digest.digest()


def _canonical(value: Value | Failure) -> str:
    if isinstance(value, (bool, int, float)):
        return f"n{round(float(value), 9) + 0.0!r}"
    return repr(value)
