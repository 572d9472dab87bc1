"""Attention heads: which variables a head reads, and what it selects and moves.

A column of W_K reads one value of the keys, or BOS; the same column of W_Q
reads the queries that select it; a column of W_V reads what the same row of
W_O writes. Columns come in the order of their values, BOS where its dimension
falls (Tracr's `craft/chamber/categorical_attn`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from untracr.arrays import Annotated, Floats, Ints
from untracr.read.components import Head, Mean, Move, Selection, UnknownHead, Width
from untracr.read.frame import Directions, Variable
from untracr.read.tolerances import MAX_BOS_LOGIT, MAX_TABLE, READS, ZERO_SQUARE, Tolerance
from untracr.transformer.half_layer import HalfLayer


@dataclass(frozen=True)
class HeadWeights:
    """One head; in Tracr's form its keys (K) and values (N) may have unequal inner sizes."""

    W_Q: Annotated[Floats, "D K"]
    W_K: Annotated[Floats, "D K"]
    W_V: Annotated[Floats, "D N"]
    W_O: Annotated[Floats, "N D"]


@dataclass(frozen=True)
class HeadNoise:
    """How exact keys, queries and values are."""

    keys: Tolerance
    queries: Tolerance
    values: Tolerance


@dataclass(frozen=True)
class _Keys:
    """The variable that a head's keys read.

    Attributes:
        columns: [values], the column of each.
        bos: BOS's column.
        fits: whether every column is what it should be.
        is_disordered: whether the columns read each value, but in another order.
    """

    variable: Variable
    columns: Annotated[Ints, "values"]
    bos: int
    fits: bool
    is_disordered: bool


def read_head(
    half_layer: HalfLayer, head: int, weights: HeadWeights, known: Directions, noise: HeadNoise
) -> tuple[Head, bool]:
    """Describes a head.

    Returns:
        The component, and whether keys and queries are fully explained.

    Raises:
        ProgramError: what is known takes too many values.
    """
    keys = _keys(weights.W_K, known, noise.keys)
    if keys is None:
        selection, selects = Selection(None, None), False
        size = weights.W_K.shape[1]
    else:
        selection, selects = _selection(weights.W_Q, keys, known, noise.queries)
        size = len(keys.columns) + 1
    is_explained = keys is not None and ((keys.fits and selects) or keys.is_disordered)
    value, outputs, is_moved = _moved(weights, known, noise.values)
    if not is_moved:
        return UnknownHead(half_layer, head, size, selection, outputs), is_explained
    if value is None:
        return Width(half_layer, head, size, selection, outputs), is_explained
    form = Move if value.is_categorical else Mean
    return form(half_layer, head, size, selection, outputs, value), is_explained


def _keys(W_K: Annotated[Floats, "D K"], known: Directions, tolerance: Tolerance) -> _Keys | None:
    """The variable whose values the columns read in order, with BOS among them."""
    count = W_K.shape[1]
    products = known.products_with(W_K)
    squares = np.square(W_K).sum(axis=0)
    allowed = tolerance.squared(W_K)
    # |column - bos|^2, [columns].
    to_bos = squares - 2 * (known.base.bos @ W_K) + known.bos_bos
    best: tuple[float, _Keys] | None = None
    for variable in known.categorical:
        n = len(variable.values)
        if n + 1 > count:
            continue
        part = known.slice(variable)
        # |column - x_v|^2 of each value and column (blocks.attention_head, where a column of W_K
        # reads one value of the keys).
        own = known.squares[part, None]
        distance = squares - 2 * products[part] + own  # [values, columns]
        # If BOS has column b, values before b have their own column and those from b on the next:
        # `total` is the sum of squared distances for each b, [n + 1].
        left, right = np.diagonal(distance), np.diagonal(distance, offset=1)
        each = np.arange(n)
        before = np.concatenate([[0.0], np.cumsum(left[:n])])
        after = np.concatenate([np.cumsum(right[:n][::-1])[::-1], [0.0]])
        rest = float(squares[n + 1 :].sum())
        total = before + to_bos[: n + 1] + after + rest
        bos = int(np.argmin(total))
        columns = each + (each >= bos)
        worst = np.concatenate([distance[each, columns], to_bos[[bos]]])
        limits = np.concatenate([allowed[columns], allowed[[bos]]])
        fits = bool((worst <= limits).all()) and rest <= float(allowed[n + 1 :].sum())
        score, disordered = float(total[bos]), False
        if not fits:
            nearest = distance.argmin(axis=1)
            closest = distance[each, nearest]
            disordered = len(set(nearest.tolist())) == n and bool(
                (closest <= allowed[nearest]).all()
            )
            score = float(closest.sum()) if disordered else score
        if best is None or score < best[0] - 1e-9:
            best = score, _Keys(variable, columns, bos, fits, disordered)
    return None if best is None else best[1]


def _selection(
    W_Q: Annotated[Floats, "D K"], keys: _Keys, known: Directions, tolerance: Tolerance
) -> tuple[Selection, bool]:
    """What is selected, and whether the queries' variable explains it."""
    query, logits, fits = _queries(W_Q, keys, known, tolerance)
    plain = Selection(keys.variable, query, is_disordered=keys.is_disordered)
    if query is None or len(keys.columns) * len(query.values) > MAX_TABLE:
        return plain, fits
    largest, bos_logit = float(logits.max(initial=0.0)), 0.0
    if largest > READS:
        bos_logit = _bounded(_along_one(W_Q[:, keys.bos], known) / largest, MAX_BOS_LOGIT)
    # Where a predicate gives 0 or 1, logits are 0 or the largest: half of that tells them apart.
    table = logits > max(0.5 * largest, READS)
    return replace(plain, logits=logits, table=table, bos_logit=bos_logit), fits


def _queries(
    W_Q: Annotated[Floats, "D K"], keys: _Keys, known: Directions, tolerance: Tolerance
) -> tuple[Variable | None, Annotated[Floats, "keys queries"], bool]:
    """The variable that the queries read, and the logits [keys, queries]."""
    columns = W_Q[:, keys.columns]
    products = known.products_with(columns)
    squares = np.square(columns).sum(axis=0)
    limit = tolerance.squared(columns)
    options: list[tuple[bool, float, Variable, Floats]] = []
    for variable in known.categorical:
        part = products[known.slice(variable)]
        coefficients = known.solve(variable, part)  # [queries, keys]
        # What least squares leaves of each column of W_Q, [keys]: |w|^2 - c (P w).
        left = squares - np.einsum("qk,qk->k", part, coefficients)
        fits = bool((left <= limit).all())
        # Of several that fit the one with the fewest values says most.
        cost = float(len(variable.values)) if fits else float(left.sum())
        options.append((not fits, cost, variable, coefficients))
    if not options:
        return None, np.zeros((0, 0)), False
    misfit, _, variable, coefficients = min(options, key=lambda option: option[:2])
    return variable, coefficients.T, not misfit


def _along_one(vector: Annotated[Floats, "D"], known: Directions) -> float:
    return float(known.base.one @ vector) / max(known.one_one, ZERO_SQUARE)


def _moved(
    weights: HeadWeights, known: Directions, tolerance: Tolerance
) -> tuple[Variable | None, Annotated[Floats, "values D"], bool]:
    """What the values read, None for BOS; where it goes [values or 1, d_model]; if it is known."""
    W_V, W_O = weights.W_V, weights.W_O
    count = W_V.shape[1]
    products = known.products_with(W_V)
    squares = np.square(W_V).sum(axis=0)
    rest = np.concatenate([np.cumsum(squares[::-1])[::-1], [0.0]])  # of columns from n on
    # |first column - bos|^2 and the squares of all others: a SelectorWidth moves BOS alone.
    to_bos = squares[0] - 2 * float(known.base.bos @ W_V[:, 0]) + known.bos_bos + rest[1]
    best: tuple[float, Variable | None, int] = float(to_bos), None, 1
    for variable in known.variables:
        part = known.slice(variable)
        n = len(variable.directions)
        if n > count:
            continue
        each = np.arange(n)
        own = known.squares[part]
        # |column v of W_V - x_v|^2, [n]; the other columns hold nothing.
        distance = squares[:n] - 2 * products[part][each, each] + own
        total = float(distance.sum() + rest[n])
        if total < best[0] - 1e-9:
            best = total, variable, n
    total, variable_moved, n = best
    if variable_moved is None:
        is_unknown = total > float(tolerance.squared(W_V).sum())
        return None, W_O[:1], not is_unknown
    return variable_moved, W_O[:n], True


def _bounded(number: float, limit: float) -> float:
    return min(max(number, -limit), limit) if number == number else 0.0
