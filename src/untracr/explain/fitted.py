"""A program's variables found in a model, also where some part of the model was changed.

`untracr.verify.verdict.lay_beside` says whether a model is the program's up to
its symmetries. To show where a model departs from a program, the rest of it
must still be laid beside the program's: here heads and neurons are taken by
their numbers, the change of basis is fitted, and vectors that do not fit are
left out of the fit and named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from untracr.arrays import Floats
from untracr.compile.compiler import Compiled
from untracr.errors import ProgramError
from untracr.rasp.domain import Domain
from untracr.rasp.program import Program
from untracr.short_repr import short_repr
from untracr.transformer.residual_vectors import PairedMatrix, paired_matrices
from untracr.transformer.transformer import Transformer
from untracr.verify.alignment import Alignment
from untracr.verify.change_of_basis import best_change
from untracr.verify.correspondence import parts_of
from untracr.verify.verdict import Beside, lay_beside

FITS_TRIED = 6
"""Fits of the basis, each without what did not fit before."""

FITTING_SHARE_OF_LENGTH = 1e-3
"""A vector fits if it is off by no more than this share of its matrix's usual length."""

TIMES_MEDIAN = 8.0
"""Or, where all are off, by no more than this many times the median."""

LARGEST_MEDIAN = 0.1
"""Beyond this nothing fits."""

SHARE_THAT_FITS = 0.7
"""Of the program's vectors that must fit, or nothing is said."""

KEPT_LENGTH = 0.5
"""A direction whose length is less than this after the change of basis is lost."""

NEAR_AXES_OF_MOST = 0.3
"""A change of basis whose entries are this near to a reordering of axes is one: parts that do not
fit take part in the first fit."""


@dataclass(frozen=True)
class Fitted:
    """How a model holds a program's variables.

    Attributes:
        compiled: the program's own weights, and where each operation lives in them.
        alignment: how the model's weights are to them, with the change of basis.
        back: [R, D], from the model's residual basis to the program's.
        changed: parts of the model that are not the program's, such as
            ``layer 1 neuron 7``; empty where ``alignment`` says what is the case.
        loose: whether all weights are a little off, as after a projection or with noise.
    """

    compiled: Compiled
    alignment: Alignment
    back: Floats
    changed: tuple[str, ...] = ()
    loose: bool = False

    __repr__ = short_repr


def fitted(
    model: Transformer, program: Program, domain: Domain, earlier: Beside | None = None
) -> Fitted | str:
    """Finds a program's variables in a model.

    Args:
        model: the weights; the last two rows of W_E are BOS and PAD.
        program: without composite selectors.
        domain: values of the token rows, and the longest input.
        earlier: see `untracr.verify.verdict.lay_beside`.

    Returns:
        One sentence why, if they are not alike.
    """
    try:
        beside = lay_beside(model, program, domain, earlier)
    except ProgramError as error:
        return f"the program does not compile: {error}"
    if beside.parts is None:
        return "the program needs more dimensions or neurons than the model has"
    compiled, alignment = beside.parts, beside.alignment
    changed: tuple[str, ...] = ()
    loose = alignment.relation not in ("reordered", "rotated")
    if alignment.change is None:
        fit = _fitted(model, compiled.transformer)
        if fit is None:
            return f"the model's weights are not the program's: {alignment.reason}"
        change, changed, loose = fit
        living = parts_of(compiled.transformer, compiled.transformer.n_layers)
        alignment = replace(
            alignment, change=change, heads=living.head_places, neurons=living.neuron_places
        )
    assert alignment.change is not None
    return Fitted(compiled, alignment, _back(alignment.change), changed, loose)


def _back(change: Floats) -> Floats:
    """[R, D]: brings back what the change of basis [D, R] keeps, at its own length."""
    u, sizes, vt = np.linalg.svd(change, full_matrices=False)
    kept = sizes > KEPT_LENGTH
    return np.asarray(vt[kept].T @ u[:, kept].T)


def _fitted(model: Transformer, mine: Transformer) -> tuple[Floats, tuple[str, ...], bool] | None:
    """The change of basis that most vectors agree on, what does not fit, and `Fitted.loose`.

    None if few vectors agree.
    """
    if _too_small(model, mine):
        return None
    matrices = paired_matrices(mine, model)
    if not all(np.isfinite(m.theirs).all() for m in matrices):
        return None
    sizes = np.concatenate([_usual(m) for m in matrices])[:, None]
    ours = np.concatenate([m.mine for m in matrices]) / sizes
    given = np.concatenate([m.theirs for m in matrices]) / sizes
    names = [name for m in matrices for name in _names(m, model.d_head)]
    some = np.abs(ours).max(axis=1) > 0
    kept = some.copy()
    off = np.zeros(len(ours))
    limit, change = 0.0, np.zeros((ours.shape[1], given.shape[1]))
    for _ in range(FITS_TRIED):
        change = best_change(ours[kept], given[kept], NEAR_AXES_OF_MOST)
        off = np.linalg.norm(given - ours @ change, axis=1)
        limit = max(FITTING_SHARE_OF_LENGTH, TIMES_MEDIAN * float(np.median(off[some])))
        fits = some & (off <= limit)
        if (fits == kept).all():
            break
        if not fits.any():
            return None
        kept = fits
    if limit > TIMES_MEDIAN * LARGEST_MEDIAN or kept.sum() < SHARE_THAT_FITS * some.sum():
        return None
    changed = dict.fromkeys(name for name, wrong in zip(names, off > limit, strict=True) if wrong)
    return change, tuple(changed), limit > FITTING_SHARE_OF_LENGTH or model.d_model < mine.d_model


def _too_small(model: Transformer, mine: Transformer) -> bool:
    if model.causal != mine.causal or model.d_head != mine.d_head:
        return True
    if len(model.W_E) != len(mine.W_E) or len(model.W_pos) != len(mine.W_pos):
        return True
    return any(getattr(model, n) < getattr(mine, n) for n in ("n_layers", "n_heads", "d_mlp"))


def _usual(vectors: PairedMatrix) -> Floats:
    """What each vector's difference is measured by: its length, or its matrix's if that is more."""
    lengths: Floats = np.linalg.norm(vectors.mine, axis=1)
    some = np.square(vectors.mine[vectors.mine != 0])
    size = float(np.sqrt(some.mean())) if some.size else 1.0
    return np.maximum(lengths, size)


def _names(matrix: PairedMatrix, d_head: int) -> list[str]:
    """Which part of the model each vector belongs to."""
    numbers = range(len(matrix.theirs))
    if matrix.layer is None:
        return [f"row {row} of {matrix.name}" for row in numbers]
    if matrix.name in ("W_in", "W_out"):
        return [f"layer {matrix.layer} neuron {neuron}" for neuron in numbers]
    return [f"layer {matrix.layer} head {number // d_head}" for number in numbers]
