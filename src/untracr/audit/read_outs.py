"""Models whose outputs are not what their weights suggest.

Either the read-out was changed by hand (a column, a value's name, its scale), or a
program ends in a table that differs from a common function on the rarest values only.
Item ``index`` is a pure function of (seed, index); every second model is rotated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

import numpy as np

from untracr.audit.claims import compiled_rows
from untracr.audit.foreign import without_read_out
from untracr.audit.subject import Subject
from untracr.compile.canonical import canonicalise
from untracr.compile.values import value_sets
from untracr.rasp.domain import PAPER_DOMAIN
from untracr.rasp.functions import Table, Value
from untracr.rasp.interpreter import Batch
from untracr.rasp.nodes import CATEGORICAL, Map
from untracr.rasp.program import Program
from untracr.sample.outside import with_outside_functions
from untracr.sample.sampler import sample_program
from untracr.transformer.transformer import Array, Transformer
from untracr.transformer.treatments import rotate

Rng = np.random.Generator

PROGRAMS_LOOKED_AT = 40
"""Programs among which one with enough different outputs is looked for."""


def changed_read_out(seed: int, index: int) -> Subject:
    """A compiled model whose read-out was changed in one way."""
    rng = np.random.default_rng([seed, index, 4])
    model = compiled_rows(_program(seed, index), PAPER_DOMAIN, causal=False)
    ways = {**_COLUMNS, **_NAMES} if model.output_values is not None else _COLUMNS
    how = list(ways)[index % len(ways)]
    given = ways[how](model, rng)
    before = without_read_out(model)
    return _subject(f"{seed}/{index} {how}", given, before, None, rng, rotated=bool(index // 2 % 2))


def rare_outputs(seed: int, index: int) -> Subject:
    """A program that changes the rarest value of another one's output, with its read-out."""
    rng = np.random.default_rng([seed, index, 5])
    program = _with_rare_value(seed, index, rng)
    model = compiled_rows(program, PAPER_DOMAIN, causal=False)
    before = without_read_out(model)
    return _subject(f"{seed}/{index}", model, before, program, rng, rotated=bool(index % 2))


def _subject(
    name: str,
    model: Transformer,
    before: Transformer,
    reference: Program | None,
    rng: Rng,
    *,
    rotated: bool,
) -> Subject:
    with np.errstate(invalid="ignore"):  # a read-out may be infinite
        given = rotate(model, rng) if rotated else model
    shown = f"{name}{', rotated' if rotated else ''}"
    return Subject(shown, given, PAPER_DOMAIN, reference, before, given)


def _program(seed: int, index: int) -> Program:
    """A sampled program, of every second one some functions are others."""
    program = sample_program(seed, index)
    if index % 2:
        return program
    other = with_outside_functions(program, Random(f"read-out/{seed}/{index}"))
    return program if other is None else canonicalise(other)


def _with_rare_value(seed: int, index: int, rng: Rng) -> Program:
    program, counts = next(
        (program, counts)
        for program in _sampled(seed, index)
        if len(counts := _inputs_by_value(program)) > 2
    )
    domain = PAPER_DOMAIN
    known = value_sets(program, domain.vocab, domain.max_seq_len)[program.output].ordered
    names: dict[Value, Value] = {value: value for value in (*known, *counts)}
    rarest = min(counts, key=lambda value: (counts[value], repr(value)))
    names[rarest] = int(max(counts)) + 1 + int(rng.integers(3))
    table = Table(tuple(((value,), name) for value, name in names.items()), 1)
    nodes = (*program.nodes, Map(table, program.output, CATEGORICAL))
    labels = (*program.labels, "rare")
    return canonicalise(replace(program, nodes=nodes, output=len(nodes) - 1, labels=labels))


def _sampled(seed: int, index: int) -> Iterator[Program]:
    """Sampled programs with categorical outputs."""
    for number in range(PROGRAMS_LOOKED_AT):
        program = sample_program(seed, index * PROGRAMS_LOOKED_AT + number)
        if program.encoding(program.output) is CATEGORICAL:
            yield program


def _inputs_by_value(program: Program) -> dict[float, int]:
    """On how many inputs each number that a program can give is put out."""
    batch = Batch.of_domain(PAPER_DOMAIN)
    column = batch.evaluate(program)
    counts: dict[float, int] = {}
    for code, value in enumerate(column.values):
        if isinstance(value, (bool, int, float)):
            counts[value] = int(((column.codes == code) & batch.valid).any(axis=1).sum())
    return counts


def _columns(change: Callable[[Array, Transformer, Rng], Array]) -> Callable[..., Transformer]:
    """A change of W_U."""

    def changed(model: Transformer, rng: Rng) -> Transformer:
        assert model.W_U is not None
        W_U = change(model.W_U.astype(np.float32), model, rng).astype(np.float32)
        return model.replace(W_U=W_U)

    return changed


def _plus(column: int, W_U: Array, vector: Array) -> Array:
    added = W_U.copy()
    added[:, column] += vector
    return added


def _any(W_U: Array, rng: Rng) -> int:
    return int(rng.integers(W_U.shape[1]))


def _token(model: Transformer, rng: Rng) -> Array:
    return np.asarray(model.W_E[rng.integers(len(model.W_E) - 2)])


def _position(model: Transformer, rng: Rng) -> Array:
    return np.asarray(model.W_pos[rng.integers(1, len(model.W_pos))])


def _axis(model: Transformer, rng: Rng) -> Array:
    return np.asarray(np.eye(model.d_model, dtype=np.float32)[rng.integers(model.d_model)])


_COLUMNS: dict[str, Callable[[Transformer, Rng], Transformer]] = {
    "twice as large": _columns(lambda W_U, m, rng: 2 * W_U),
    "a hundredth": _columns(lambda W_U, m, rng: 0.01 * W_U),
    "negated": _columns(lambda W_U, m, rng: -W_U),
    "1% larger": _columns(lambda W_U, m, rng: 1.01 * W_U),
    "one column gone": _columns(
        lambda W_U, m, rng: W_U * (np.arange(W_U.shape[1]) != _any(W_U, rng))
    ),
    "other at one position": _columns(
        lambda W_U, m, rng: _plus(_any(W_U, rng), W_U, 2 * _position(m, rng))
    ),
    "other for one token": _columns(
        lambda W_U, m, rng: _plus(_any(W_U, rng), W_U, 2 * _token(m, rng))
    ),
    "other for one token at one position": _columns(
        lambda W_U, m, rng: _plus(_any(W_U, rng), W_U, 0.55 * (_token(m, rng) + _position(m, rng)))
    ),
    "other for one token at one position with one value": _columns(
        lambda W_U, m, rng: _plus(
            _any(W_U, rng), W_U, 0.36 * (_token(m, rng) + _position(m, rng) + _axis(m, rng))
        )
    ),
    "infinite in one place": _columns(
        lambda W_U, m, rng: _plus(_any(W_U, rng), W_U, np.where(_axis(m, rng) > 0, np.inf, 0))
    ),
}
"""Changes of any read-out."""


def _names(change: Callable[[list[Value], Rng], None]) -> Callable[[Transformer, Rng], Transformer]:
    """A change of the columns' names."""

    def changed(model: Transformer, rng: Rng) -> Transformer:
        values = list(model.output_values or ())
        change(values, rng)
        return model.replace(output_values=tuple(values))

    return changed


def _new_name(values: list[Value], rng: Rng) -> None:
    values[rng.integers(len(values))] = 99


def _swapped(values: list[Value], rng: Rng) -> None:
    place = int(rng.integers(len(values)))
    values[place - 1], values[place] = values[place], values[place - 1]


def _same_name(values: list[Value], rng: Rng) -> None:
    place = int(rng.integers(len(values)))
    values[place] = values[place - 1]


def _further(model: Transformer, rng: Rng) -> Transformer:
    """A column like another one, with a name of its own, in front of it."""
    assert model.W_U is not None
    W_U = np.concatenate([model.W_U[:, [_any(model.W_U, rng)]], model.W_U], axis=1)
    return model.replace(W_U=W_U, output_values=(99, *(model.output_values or ())))


_NAMES: dict[str, Callable[[Transformer, Rng], Transformer]] = {
    "one value of a new name": _names(_new_name),
    "two values' names swapped": _names(_swapped),
    "one value called as another": _names(_same_name),
    "one column more": _further,
}
"""Changes of read-outs with names."""
