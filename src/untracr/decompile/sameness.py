"""Whether a program recompiles to given weights, up to the symmetries of the architecture.

Two models are the same when the unused heads, neurons and layers of either are
zero, their heads and neurons correspond, and one orthogonal change of the
residual basis carries every vector of one to the other. The change is found by
orthogonal Procrustes (Schönemann 1966) and then checked vector by vector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from untracr.transformer.transformer import Transformer

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

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

TINY = 1e-6
"""Heads and neurons all of whose weights are below this do nothing."""


@dataclass(frozen=True)
class Sameness:
    """The outcome of a comparison.

    Attributes:
        same: the weights are the same up to the symmetries.
        axes_permuted: the change of basis only reorders axes, signs kept. Then
            nothing about the output's sign is left open.
        in_order: heads and neurons correspond in the order they have.
        reason: why they are not the same, else an empty string.
    """

    same: bool
    axes_permuted: bool = False
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
    mine = _parts(recompiled, given.n_layers)
    theirs = _parts(given, given.n_layers)
    in_order = True
    for layer in range(given.n_layers):
        order = _match(mine, theirs, layer)
        if order is None:
            return Sameness(False, reason=f"heads or neurons of layer {layer} do not correspond")
        in_order &= all(bool((part == np.arange(len(part))).all()) for part in order)
        mine = _reorder(mine, layer, order)
    return replace(_compare(_rows(mine), _rows(theirs)), in_order=in_order)


def _off(problem: float) -> Sameness:
    return Sameness(False, reason=f"a vector of the weights is off by {problem:.1e} of its length")


@dataclass(frozen=True)
class _Parts:
    """A model as vectors of its residual stream.

    Attributes:
        embeddings: [rows, D].
        heads: a layer's heads, each [4 K, D]: columns of W_Q, W_K, W_V, rows of W_O.
        neurons: a layer's neurons, [n, 2, D]: what each reads, what it writes.
    """

    embeddings: Floats
    heads: tuple[tuple[Floats, ...], ...]
    neurons: tuple[Floats, ...]


def _parts(model: Transformer, n_layers: int) -> _Parts:
    """Heads and neurons that do something; others contribute nothing and are left out."""
    heads: list[tuple[Floats, ...]] = []
    neurons: list[Floats] = []
    for layer in range(n_layers):
        if layer >= model.n_layers:
            heads.append(())
            neurons.append(np.zeros((0, 2, model.d_model)))
            continue
        found = []
        for h in range(model.n_heads):
            reads = (model.W_Q[layer, h], model.W_K[layer, h], model.W_V[layer, h])
            stacked = np.concatenate([*(r.T for r in reads), model.W_O[layer, h]])
            if np.abs(stacked).max(initial=0.0) > TINY:
                found.append(stacked.astype(np.float64))
        pairs = np.stack([model.W_in[layer].T, model.W_out[layer]], axis=1).astype(np.float64)
        alive = np.abs(pairs).max(axis=(1, 2), initial=0.0) > TINY
        heads.append(tuple(found))
        neurons.append(pairs[alive])
    embeddings = np.concatenate([model.W_E, model.W_pos]).astype(np.float64)
    return _Parts(embeddings, tuple(heads), tuple(neurons))


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


def _match(mine: _Parts, theirs: _Parts, layer: int) -> tuple[Ints, Ints] | None:
    """For their heads and neurons in order, which of ours corresponds.

    What a part reads is described by its products with all that earlier parts
    write, what a neuron writes by those with all later readers, whose order is
    not yet known, in ascending order. Parts with equal descriptions are taken in
    order.
    """
    if len(mine.heads[layer]) != len(theirs.heads[layer]):
        return None
    if len(mine.neurons[layer]) != len(theirs.neurons[layer]):
        return None
    my_frame, their_frame = _writes(mine, layer), _writes(theirs, layer)
    heads = _assign(
        [(my_frame @ h.T).ravel() for h in mine.heads[layer]],
        [(their_frame @ h.T).ravel() for h in theirs.heads[layer]],
    )
    if heads is None:
        return None
    ordered = [mine.heads[layer][i] for i in heads]
    my_frame = np.concatenate([my_frame, *(h[3 * len(h) // 4 :] for h in ordered)])
    their_frame = np.concatenate(
        [their_frame, *(h[3 * len(h) // 4 :] for h in theirs.heads[layer])]
    )
    my_readers, their_readers = _reads(mine, layer), _reads(theirs, layer)
    if len(my_readers) != len(their_readers):
        return None
    neurons = _assign(
        _describe(mine.neurons[layer], my_frame, my_readers),
        _describe(theirs.neurons[layer], their_frame, their_readers),
    )
    return None if neurons is None else (heads, neurons)


def _writes(parts: _Parts, layer: int) -> Floats:
    """All that is written before a layer, [vectors, D]."""
    rows = [parts.embeddings]
    for earlier in range(layer):
        rows += [head[3 * len(head) // 4 :] for head in parts.heads[earlier]]
        rows.append(parts.neurons[earlier][:, 1])
    return np.concatenate(rows)


def _reads(parts: _Parts, layer: int) -> Floats:
    """All by which later layers read, [vectors, D], scaled to length 1 at most."""
    rows = [np.zeros((0, parts.embeddings.shape[1]))]
    for later in range(layer + 1, len(parts.heads)):
        rows += [head[: 3 * len(head) // 4] for head in parts.heads[later]]
        rows.append(parts.neurons[later][:, 0])
    readers = np.concatenate(rows)
    sizes: Floats = np.linalg.norm(readers, axis=1)
    return np.asarray(readers / np.maximum(1.0, sizes)[:, None])


def _describe(neurons: Floats, writes: Floats, readers: Floats) -> list[Floats]:
    read = neurons[:, 0] @ writes.T
    is_read = np.sort(neurons[:, 1] @ readers.T, axis=1)
    return list(np.concatenate([read, is_read], axis=1))


def _assign(mine: list[Floats], theirs: list[Floats]) -> Ints | None:
    """A one-to-one assignment of equal descriptions, in order where several are equal."""
    if not mine:
        return np.zeros(0, dtype=np.int64)
    ours = np.stack(mine)
    # Sums in fixed proportions rule out nearly all that differ.
    weights = np.linspace(0.5, 1.0, ours.shape[1])
    sums = ours @ weights
    free = np.ones(len(mine), dtype=np.bool_)
    chosen = []
    for wanted in theirs:
        scale = ROTATED * 10 * max(1.0, float(np.abs(wanted).max(initial=0.0)))
        near = free & (np.abs(sums - wanted @ weights) <= scale * len(weights))
        fits = (
            i for i in np.flatnonzero(near) if np.abs(ours[i] - wanted).max(initial=0.0) <= scale
        )
        found = next(fits, None)
        if found is None:
            return None
        free[found] = False
        chosen.append(int(found))
    return np.array(chosen, dtype=np.int64)


def _reorder(parts: _Parts, layer: int, order: tuple[Ints, Ints]) -> _Parts:
    heads, neurons = list(parts.heads), list(parts.neurons)
    heads[layer] = tuple(parts.heads[layer][i] for i in order[0])
    neurons[layer] = parts.neurons[layer][order[1]]
    return _Parts(parts.embeddings, tuple(heads), tuple(neurons))


def _rows(parts: _Parts) -> Floats:
    width = parts.embeddings.shape[1]
    heads = [head for layer in parts.heads for head in layer]
    neurons = [layer.reshape(-1, width) for layer in parts.neurons]
    return np.concatenate([parts.embeddings, *heads, *neurons])


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
            return Sameness(True, axes_permuted=bool(nearest.min() >= 0))
        return Sameness(False, reason=f"a weight is off by {off.max():.1e}")
    off = np.linalg.norm(mine @ change - theirs, axis=1) / np.maximum(1.0, sizes)
    usual = float(np.median(off[sizes > TINY]))
    if float(off.max()) <= min(ROTATED, max(ROUNDED, OUTLIER * usual)):
        return Sameness(True)
    return _off(float(off.max()))
