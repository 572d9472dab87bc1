"""A program's own weights laid beside a model's, also where some part of the model was changed.

`untracr.verify.alignment.align` says whether a model is the program's up to
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
from untracr.transformer.transformer import Array, Transformer
from untracr.verify.alignment import Alignment, align
from untracr.verify.correspondence import parts_of
from untracr.verify.recompiling import recompile_with_parts

ROUNDS = 6
"""Fits of the basis, each without what did not fit before."""

FITS = 1e-3
"""A vector fits if it is off by no more than this share of its matrix's usual length."""

NOISE = 8.0
"""Or, where all are off, by no more than this many times the median."""

LARGEST_MEDIAN = 0.1
"""Beyond this nothing fits."""

SHARE = 0.7
"""Of the program's vectors that must fit, or nothing is said."""

KEPT = 0.5
"""A direction whose length is less than this after the change of basis is lost."""


@dataclass(frozen=True)
class Beside:
    """How a model holds a program's variables.

    Attributes:
        compiled: the program's own weights, and where each operation lives in them.
        found: how the model's weights are to them, with the change of basis.
        back: [R, D], from the model's residual basis to the program's.
        changed: parts of the model that are not the program's, such as
            ``layer 1 neuron 7``; empty where ``found`` says what is the case.
        loose: whether all weights are a little off, as after a projection or with noise.
    """

    compiled: Compiled
    found: Alignment
    back: Floats
    changed: tuple[str, ...] = ()
    loose: bool = False


def lay_beside(model: Transformer, program: Program, domain: Domain) -> Beside | str:
    """Lays a program's own weights beside a model's.

    Args:
        model: the weights; the last two rows of W_E are BOS and PAD.
        program: without composite selectors.
        domain: values of the token rows, and the longest input.

    Returns:
        One sentence why, if they are not alike.
    """
    try:
        compiled = recompile_with_parts(program, domain, model)
    except ProgramError as error:
        return f"the program does not compile: {error}"
    if compiled is None:
        return "the program needs more dimensions or neurons than the model has"
    found = align(model, compiled.transformer)
    changed: tuple[str, ...] = ()
    loose = found.found not in ("reordered", "rotated")
    if found.change is None:
        fitted = _fitted(model, compiled.transformer)
        if fitted is None:
            return f"the model's weights are not the program's: {found.reason}"
        change, changed, loose = fitted
        living = parts_of(compiled.transformer, compiled.transformer.n_layers)
        found = replace(
            found, change=change, heads=living.head_places, neurons=living.neuron_places
        )
    assert found.change is not None
    return Beside(compiled, found, _back(found.change), changed, loose)


def _back(change: Floats) -> Floats:
    """[R, D]: brings back what the change of basis [D, R] keeps, at its own length."""
    u, sizes, vt = np.linalg.svd(change, full_matrices=False)
    kept = sizes > KEPT
    return np.asarray(vt[kept].T @ u[:, kept].T)


@dataclass(frozen=True)
class _Vectors:
    """The residual vectors of a matrix, ours and theirs, and what each belongs to.

    Attributes:
        mine, theirs: [vectors, D] and [vectors, R].
        names: of each vector's part.
    """

    mine: Floats
    theirs: Floats
    names: tuple[str, ...]


def _fitted(model: Transformer, mine: Transformer) -> tuple[Floats, tuple[str, ...], bool] | None:
    """The change of basis that most vectors agree on, what does not fit, and `Beside.loose`.

    None if few vectors agree.
    """
    if _too_small(model, mine):
        return None
    matrices = _matrices(model, mine)
    if not all(np.isfinite(m.theirs).all() for m in matrices):
        return None
    sizes = np.concatenate([_usual(m) for m in matrices])[:, None]
    ours = np.concatenate([m.mine for m in matrices]) / sizes
    given = np.concatenate([m.theirs for m in matrices]) / sizes
    names = [name for m in matrices for name in m.names]
    some = np.abs(ours).max(axis=1) > 0
    kept = some.copy()
    off = np.zeros(len(ours))
    limit, change = 0.0, np.zeros((ours.shape[1], given.shape[1]))
    for _ in range(ROUNDS):
        change = _change(ours[kept], given[kept])
        off = np.linalg.norm(given - ours @ change, axis=1)
        limit = max(FITS, NOISE * float(np.median(off[some])))
        fits = some & (off <= limit)
        if (fits == kept).all():
            break
        if not fits.any():
            return None
        kept = fits
    if limit > NOISE * LARGEST_MEDIAN or kept.sum() < SHARE * some.sum():
        return None
    changed = dict.fromkeys(name for name, wrong in zip(names, off > limit, strict=True) if wrong)
    return change, tuple(changed), limit > FITS or model.d_model < mine.d_model


def _too_small(model: Transformer, mine: Transformer) -> bool:
    if model.causal != mine.causal or model.d_head != mine.d_head:
        return True
    if len(model.W_E) != len(mine.W_E) or len(model.W_pos) != len(mine.W_pos):
        return True
    return any(getattr(model, n) < getattr(mine, n) for n in ("n_layers", "n_heads", "d_mlp"))


def _change(mine: Floats, theirs: Floats) -> Floats:
    """The change of basis [D, R] that carries ours to theirs best; a reordering if near one."""
    if mine.shape[1] != theirs.shape[1]:
        return np.asarray(np.linalg.lstsq(mine, theirs, rcond=1e-6)[0])
    u, _, vt = np.linalg.svd(mine.T @ theirs)
    change = u @ vt  # orthogonal Procrustes (Schönemann 1966)
    nearest = np.rint(change)
    is_order = (np.abs(nearest).sum(axis=0) == 1).all() and (np.abs(nearest).sum(axis=1) == 1).all()
    return np.asarray(nearest if is_order and np.abs(change - nearest).max() < 0.3 else change)


def _usual(vectors: _Vectors) -> Floats:
    """What each vector's difference is measured by: its length, or its matrix's if that is more."""
    lengths: Floats = np.linalg.norm(vectors.mine, axis=1)
    some = np.square(vectors.mine[vectors.mine != 0])
    size = float(np.sqrt(some.mean())) if some.size else 1.0
    return np.maximum(lengths, size)


def _matrices(model: Transformer, mine: Transformer) -> list[_Vectors]:
    tokens = [f"row {row} of W_E" for row in range(len(model.W_E))]
    places = [f"row {row} of W_pos" for row in range(len(model.W_pos))]
    found = [_vectors(mine.W_E, model.W_E, tokens), _vectors(mine.W_pos, model.W_pos, places)]
    for layer in range(model.n_layers):
        heads = [f"layer {layer} head {head}" for head in range(model.n_heads)]
        neurons = [f"layer {layer} neuron {neuron}" for neuron in range(model.d_mlp)]
        for name in ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out"):
            theirs = _rows(name, model, layer)
            ours = np.zeros((*theirs.shape[:-1], mine.d_model))
            if layer < mine.n_layers:
                own = _rows(name, mine, layer)
                ours[tuple(slice(size) for size in own.shape)] = own
            names = neurons
            if theirs.ndim == 3:
                names = [head for head in heads for _ in range(theirs.shape[1])]
            found.append(_vectors(ours, theirs, names))
    return found


def _rows(name: str, model: Transformer, layer: int) -> Floats:
    """The residual vectors of one layer's matrix: [H, K, D] or [M, D]."""
    matrix = getattr(model, name)[layer].astype(np.float64)
    if name in ("W_Q", "W_K", "W_V"):
        return np.asarray(matrix.transpose(0, 2, 1))
    return np.asarray(matrix.T if name == "W_in" else matrix)


def _vectors(mine: Floats | Array, theirs: Floats | Array, names: list[str]) -> _Vectors:
    return _Vectors(
        mine.reshape(-1, mine.shape[-1]).astype(np.float64),
        theirs.reshape(-1, theirs.shape[-1]).astype(np.float64),
        tuple(names),
    )
