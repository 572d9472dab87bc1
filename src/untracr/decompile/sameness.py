"""Whether a program recompiles to given weights, up to the symmetries of the architecture.

Two models are the same when the unused heads, neurons and layers of either are
zero, their heads and neurons correspond, and one orthogonal change of the
residual basis carries every vector of one to the other. The change is found by
orthogonal Procrustes (Schönemann 1966) and then checked vector by vector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from untracr.decompile.correspondence import TINY, Floats, in_order_of, parts_of
from untracr.transformer.transformer import Transformer

# How far off a weight may be is a matter of single precision, whose unit is 6e-8
# of a number. Compiling again gives the same bits; another compiler may round the
# last one differently. A rotation rounds each entry once, which moves a vector by
# at most 6e-8 of its length when the product was formed in double precision and
# by some 1e-6 when it was formed in single precision. Such errors are spread over
# all vectors alike, while a changed weight moves one of them: so one vector must
# not be off by much more than the others. A weight of a raw model that was changed
# by 1e-3 never passes unless it is larger than 4,000, where 1e-3 is rounding.

EXACT = 2.5e-7
"""Largest difference of a weight, relative to the larger of 1 and itself, on permuted axes:
two units of single precision."""

ROTATED = 1e-5
"""Largest difference of a vector, relative to the larger of 1 and its length, after a rotation."""

ROUNDED = 3e-7
"""Differences up to here are rounding, however small the others are."""

OUTLIER = 10.0
"""Beyond that, no vector may be off by more than this many times the median."""

NEAR_AXES = 1e-3
"""A change of basis this near to a reordering of axes must be one exactly."""


@dataclass(frozen=True)
class Sameness:
    """The outcome of a comparison.

    Attributes:
        same: the weights are the same up to the symmetries.
        axes_permuted: the change of basis only reorders axes, signs kept. Then
            nothing about the output's sign is left open.
        off: the largest difference, relative to the larger of 1 and the weight's
            size, or its vector's length.
        in_order: heads and neurons correspond in the order they have.
        reason: why they are not the same, else an empty string.
    """

    same: bool
    axes_permuted: bool = False
    off: float = 0.0
    in_order: bool = True
    reason: str = ""


def same_weights(given: Transformer, recompiled: Transformer) -> Sameness:
    """Compares given weights with a recompiled program's."""
    with np.errstate(all="ignore"):  # huge weights end as "not finite"
        return _same_weights(given, recompiled)


def _same_weights(given: Transformer, recompiled: Transformer) -> Sameness:
    problem = _sizes_differ(given, recompiled) or _has_bias(given)
    if problem:
        return Sameness(False, reason=problem)
    theirs = parts_of(given, given.n_layers)
    mine = in_order_of(parts_of(recompiled, given.n_layers), theirs)
    if isinstance(mine, str):
        return Sameness(False, reason=mine)
    return replace(_compare(mine.rows(), theirs.rows()), in_order=mine.in_order)


def _off(problem: float) -> Sameness:
    return Sameness(False, reason=f"a vector of the weights is off by {problem:.1e} of its length")


def _sizes_differ(given: Transformer, recompiled: Transformer) -> str:
    for name in ("d_model", "d_head", "causal"):
        theirs, mine = getattr(given, name), getattr(recompiled, name)
        if theirs != mine:
            return f"{name} is {theirs}, the program's is {mine}"
    if given.W_E.shape != recompiled.W_E.shape or given.W_pos.shape != recompiled.W_pos.shape:
        return "the vocabulary or the number of positions differs"
    if given.n_layers < recompiled.n_layers:
        return f"the program needs {recompiled.n_layers} layers, the model has {given.n_layers}"
    return ""


def _has_bias(model: Transformer) -> str:
    for name in ("b_Q", "b_K", "b_V", "b_O", "b_in", "b_out"):
        if np.abs(getattr(model, name)).max(initial=0.0) > TINY:
            return f"{name} is not zero, as a compiled model's is"
    return ""


def _compare(mine: Floats, theirs: Floats) -> Sameness:
    if not (np.isfinite(mine).all() and np.isfinite(theirs).all()):
        return Sameness(False, reason="a weight is not finite")
    sizes = np.linalg.norm(mine, axis=1)
    lengths_off = np.abs(np.linalg.norm(theirs, axis=1) - sizes) / np.maximum(1.0, sizes)
    if float(lengths_off.max()) > ROTATED:  # also keeps the numbers below moderate
        return _off(float(lengths_off.max()))
    unit = 1 / np.maximum(sizes, TINY)[:, None]
    u, _, vt = np.linalg.svd((mine * unit).T @ (theirs * unit))
    change = u @ vt
    nearest = np.rint(change)
    on_axes = bool(
        np.abs(change - nearest).max() < NEAR_AXES
        and (np.abs(nearest).sum(axis=0) == 1).all()
        and (np.abs(nearest).sum(axis=1) == 1).all()
    )
    if on_axes:
        moved = mine @ nearest
        off = np.abs(moved - theirs) / np.maximum(1.0, np.abs(moved))
        if float(off.max()) <= EXACT:
            return Sameness(True, bool(nearest.min() >= 0), float(off.max()))
        return Sameness(False, reason=f"a weight is off by {off.max():.1e}")
    off = np.linalg.norm(mine @ change - theirs, axis=1) / np.maximum(1.0, sizes)
    usual = float(np.median(off[sizes > TINY]))
    if float(off.max()) <= min(ROTATED, max(ROUNDED, OUTLIER * usual)):
        return Sameness(True, off=float(off.max()))
    return _off(float(off.max()))
