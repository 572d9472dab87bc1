"""A second forward pass and a second comparison of outputs, written down plainly.

They share nothing with what the decompiler compares outputs by
(`untracr.verify.outputs`, `untracr.verify.read_out`): double precision, head by
head, every position decoded to a value, which is then compared with the interpreter's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from untracr.errors import EvaluationError
from untracr.rasp.domain import Domain
from untracr.rasp.functions import Value, number_or
from untracr.rasp.interpreter import Batch, Column, Entry
from untracr.rasp.nodes import CATEGORICAL
from untracr.rasp.program import Program
from untracr.transformer.transformer import Transformer

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LARGEST_RUN_WHOLE = 200_000
"""Inputs of the largest domain that is run as a whole."""

INPUTS_DRAWN = 20_000
"""Inputs that are drawn of a larger one."""

SEED = 20_240_229
"""From which they are drawn: not those that the decompiler tries."""

INPUTS_AT_ONCE = 4_096

TOLERANCE = 1e-3
"""How far a decoded number may be off, relative to the larger of 1 and itself."""

TIE = 1e-3
"""Columns of a read-out that are nearer to each other may change places by rounding."""

ROUNDING = 1e-5
"""Single and double precision may differ by this share of a number, or of 1."""


def inputs(domain: Domain, *, causal: bool) -> Iterator[Batch]:
    """All inputs of a domain, or `INPUTS_DRAWN` of one that has more than `LARGEST_RUN_WHOLE`."""
    if domain.size <= LARGEST_RUN_WHOLE:
        for start in range(0, domain.size, INPUTS_AT_ONCE):
            yield Batch.of_domain(domain, start, start + INPUTS_AT_ONCE, causal=causal)
        return
    rng = np.random.default_rng(SEED)
    for start in range(0, INPUTS_DRAWN, INPUTS_AT_ONCE):
        yield Batch.sampled(domain, min(INPUTS_AT_ONCE, INPUTS_DRAWN - start), rng, causal=causal)


def outputs_differ(fst: Program, snd: Program, domain: Domain, *, causal: bool) -> str:
    """An input on which two programs differ, or how one fails; empty if there is none."""
    try:
        for batch in inputs(domain, causal=causal):
            left, right = batch.evaluate(fst), batch.evaluate(snd)
            rows = np.flatnonzero((_columns_differ(left, right) & batch.valid).any(axis=1))
            if len(rows):
                row = int(rows[0])
                return (
                    f"{batch.input(row)} gives {batch.row(left, row)}, not {batch.row(right, row)}"
                )
    except EvaluationError as error:
        return f"a program fails on some input: {error}"
    return ""


def fails(program: Program, domain: Domain, *, causal: bool) -> bool:
    """Whether a program fails on some input."""
    try:
        for batch in inputs(domain, causal=causal):
            batch.evaluate(program)
    except EvaluationError:
        return True
    return False


def renamed(fst: Program, snd: Program, domain: Domain, *, causal: bool) -> bool:
    """Whether outputs are the same but for other names of the values, one for each.

    Only where both are categorical: numbers mean something.
    """
    if any(program.encoding(program.output) is not CATEGORICAL for program in (fst, snd)):
        return False
    pairs: set[tuple[str, str]] = set()
    try:
        for batch in inputs(domain, causal=causal):
            left, right = batch.evaluate(fst), batch.evaluate(snd)
            codes = left.codes * len(right.values) + right.codes
            for code in np.unique(codes[batch.valid]).tolist():
                a, b = divmod(code, len(right.values))
                pairs.add((_name(left.values[a]), _name(right.values[b])))
    except EvaluationError:
        return False
    return len({a for a, _ in pairs}) == len(pairs) == len({b for _, b in pairs})


def _name(value: object) -> str:
    """The same for values that count as equal: 1, True and 1.0."""
    return f"{float(value):.9g}" if isinstance(value, (bool, int, float)) else repr(value)


def _columns_differ(left: Column, right: Column) -> npt.NDArray[np.bool_]:
    pairs, inverse = np.unique(left.codes * len(right.values) + right.codes, return_inverse=True)
    found = [divmod(pair, len(right.values)) for pair in pairs.tolist()]
    differ = np.array([not _alike(left.values[a], right.values[b]) for a, b in found])
    return np.asarray(differ[inverse.reshape(left.codes.shape)])


def _alike(fst: Entry, snd: Entry) -> bool:
    """Whether two values count as equal: numbers within a billionth, or of the smaller."""
    if isinstance(fst, tuple) and isinstance(snd, tuple):
        return len(fst) == len(snd) and all(map(_alike, fst, snd))
    numbers = all(isinstance(value, (bool, int, float)) for value in (fst, snd))
    if fst == snd or not numbers or (isinstance(fst, int) and isinstance(snd, int)):
        return fst == snd
    try:
        one, other = (Fraction(value) for value in (fst, snd))  # type: ignore[arg-type]
    except (OverflowError, ValueError):  # infinite, or no number
        return str(fst) == str(snd)
    return abs(one - other) * 10**9 <= max(Fraction(1), min(abs(one), abs(other)))


@dataclass(frozen=True)
class Misread:
    """A place where a model's read-out is not a program's output.

    Attributes:
        tokens: the input.
        text: what the program gives, and what is read out.
    """

    tokens: tuple[Value, ...]
    text: str


def read_out_differs(model: Transformer, program: Program, domain: Domain, tolerance: float) -> str:
    """An input on which a model's read-out is not a program's output; empty if there is none.

    Args:
        model: with a read-out.
        program: what it is said to compute.
        domain: the inputs.
        tolerance: how far a number may be off, relative to the larger of 1 and itself.
    """
    if model.W_U is None:
        return "the model has no read-out"
    try:
        misread_at = next(misread(model, program, domain, tolerance), None)
    except EvaluationError as error:
        return f"the program fails on some input: {error}"
    return "" if misread_at is None else misread_at.text


def misread(
    model: Transformer,
    program: Program,
    domain: Domain,
    tolerance: float,
    *,
    but_for: Transformer | None = None,
) -> Iterator[Misread]:
    """The inputs on which a model's read-out is not a program's output.

    Args:
        model, program, domain, tolerance: see `read_out_differs`.
        but_for: places where this model's read-out is not either are left out, and those
            where rounding decides what is read out of it.

    Raises:
        EvaluationError: the program fails on some input.
    """
    layers = _layers(model)
    others = None if but_for is None else (but_for, _layers(but_for))
    for batch in inputs(domain, causal=model.causal):
        column = batch.evaluate(program)
        for length in np.unique(batch.lengths).tolist():
            rows = np.flatnonzero(batch.lengths == length)
            ids, codes = (a.codes[rows, :length] for a in (batch.tokens, column))
            read = _read(model, layers, ids)
            wrong = _wrong(read, codes, column.values, model.output_values, tolerance)
            if others is not None and wrong.any():
                theirs = _read(*others, ids)
                named = others[0].output_values
                wrong &= ~(
                    _wrong(theirs, codes, column.values, named, tolerance) | _is_tie(theirs, named)
                )
            for row in np.flatnonzero(wrong.any(axis=1)).tolist():
                tokens, position = batch.input(int(rows[row])), int(wrong[row].argmax())
                text = (
                    f"{tokens} gives {column.values[codes[row, position]]!r} at position "
                    f"{position}, where {np.round(read[row, position], 4).tolist()} is read out"
                )
                yield Misread(tuple(tokens), text)


def _read(model: Transformer, layers: list[_Layer], ids: Ints) -> Floats:
    """Read-outs [inputs, positions, columns] of token ids [inputs, positions]."""
    assert model.W_U is not None
    return np.asarray(_forward(model, layers, ids) @ model.W_U.astype(np.float64))


def _wrong(
    read: Floats,
    codes: Ints,
    wanted: tuple[Entry, ...],
    columns: tuple[Value, ...] | None,
    tolerance: float,
) -> npt.NDArray[np.bool_]:
    """Where a read-out [inputs, positions, columns] is not the wanted value.

    Decoded as Tracr decodes, by the largest column: None it gives only by a column of that name.
    """
    if columns is None:
        numbers = np.array([number_or(value, np.nan) for value in wanted])[codes]
        allowed = (tolerance + ROUNDING) * np.maximum(1.0, np.abs(numbers))
        close = np.abs(read[:, :, 0] - numbers) <= allowed
        return np.asarray(~(close & np.isfinite(numbers) & np.isfinite(read[:, :, 0])))
    fits = np.array([[_alike(value, other) for other in columns] for value in wanted])
    return np.asarray(~fits[codes, read.argmax(axis=2)] | ~np.isfinite(read).all(axis=2))


def _is_tie(read: Floats, columns: tuple[Value, ...] | None) -> npt.NDArray[np.bool_]:
    """Where the two largest columns of a read-out are the same but for rounding."""
    if columns is None or len(columns) < 2:
        return np.zeros(read.shape[:2], dtype=np.bool_)
    second, first = np.moveaxis(np.sort(read, axis=2)[:, :, -2:], 2, 0)
    return np.asarray(first - second < TIE)


def decoded_differs(model: Transformer, program: Program, domain: Domain) -> str:
    """An input on which a compiled model does not give a program's output; empty if none."""
    layers = _layers(model)
    try:
        for batch in inputs(domain, causal=model.causal):
            column = batch.evaluate(program)
            for length in np.unique(batch.lengths).tolist():
                rows = np.flatnonzero(batch.lengths == length)
                read = _read(model, layers, batch.tokens.codes[rows, :length])
                codes = column.codes[rows, :length]
                wrong = _wrong(read, codes, column.values, model.output_values, TOLERANCE)
                if wrong.any():
                    row, position = (int(n) for n in np.argwhere(wrong)[0])
                    wanted = column.values[codes[row, position]]
                    return f"{batch.input(int(rows[row]))}, position {position}: not {wanted!r}"
    except EvaluationError as error:
        return f"the program fails on some input: {error}"
    return ""


_Head = tuple[Floats, Floats, Floats, Floats, Floats, Floats, Floats]
_Layer = tuple[list[_Head], Floats, Floats, Floats, Floats, Floats]


def _layers(model: Transformer) -> list[_Layer]:
    """The weights in double precision, without the heads and neurons that write nothing."""
    layers: list[_Layer] = []
    for n in range(model.n_layers):
        heads = []
        for h in range(model.n_heads):
            if np.any(model.W_O[n, h]):
                arrays = (model.W_Q, model.b_Q, model.W_K, model.b_K, model.W_V, model.b_V)
                q, bq, k, bk, v, bv = (a[n, h].astype(np.float64) for a in arrays)
                heads.append((q, bq, k, bk, v, bv, model.W_O[n, h].astype(np.float64)))
        writes = model.W_out[n].any(axis=1)
        layers.append(
            (
                heads,
                model.b_O[n].astype(np.float64),
                model.W_in[n][:, writes].astype(np.float64),
                model.b_in[n][writes].astype(np.float64),
                model.W_out[n][writes].astype(np.float64),
                model.b_out[n].astype(np.float64),
            )
        )
    return layers


def _forward(model: Transformer, layers: list[_Layer], tokens: Ints) -> Floats:
    """The final stream behind BOS, [inputs, positions, D], of token ids [inputs, positions]."""
    bos = np.full((len(tokens), 1), len(model.W_E) - 2, dtype=np.int64)
    ids = np.concatenate([bos, tokens], axis=1)
    length = ids.shape[1]
    stream = model.W_E.astype(np.float64)[ids] + model.W_pos[:length].astype(np.float64)
    for heads, b_o, w_in, b_in, w_out, b_out in layers:
        before = stream
        stream = stream + b_o
        for q, bq, k, bk, v, bv, o in heads:
            scores = (before @ q + bq) @ (before @ k + bk).swapaxes(1, 2) / np.sqrt(q.shape[1])
            if model.causal:
                scores = np.where(np.tri(length, dtype=np.bool_), scores, -np.inf)
            scores = np.exp(scores - scores.max(axis=2, keepdims=True))
            attention = scores / scores.sum(axis=2, keepdims=True)
            stream = stream + attention @ (before @ v + bv) @ o
        stream = stream + np.maximum(stream @ w_in + b_in, 0.0) @ w_out + b_out
    return np.asarray(stream[:, 1:])
