"""Whether a program recompiles to given weights, up to the symmetries of the architecture.

Two models are the same when the unused heads, neurons and layers of either are
zero, their heads and neurons correspond, and one orthogonal change of the
residual basis carries every vector of one to the other. The change is found by
orthogonal Procrustes (Schönemann 1966) and then checked vector by vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from untracr.transformer.transformer import Transformer

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EXACT = 1e-6
"""Largest difference of a weight, relative to the larger of 1 and itself, on permuted axes."""

ROTATED = 1e-5
"""Largest difference of a vector, relative to the larger of 1 and its length, after a rotation:
single precision leaves a few parts in ten million of the largest weight."""


@dataclass(frozen=True)
class Sameness:
    """The outcome of a comparison.

    Attributes:
        same: the weights are the same up to the symmetries.
        axes_permuted: the change of basis only reorders axes, signs kept. Then
            nothing about the output's sign is left open.
        reason: why they are not the same, else an empty string.
    """

    same: bool
    axes_permuted: bool = False
    reason: str = ""


def same_weights(given: Transformer, recompiled: Transformer) -> Sameness:
    """Compares given weights with a recompiled program's."""
    problem = _sizes_differ(given, recompiled) or _has_bias(given)
    if problem:
        return Sameness(False, reason=problem)
    mine = _parts(recompiled, given.n_layers)
    theirs = _parts(given, given.n_layers)
    for layer in range(given.n_layers):
        order = _match(mine, theirs, layer)
        if order is None:
            return Sameness(False, reason=f"heads or neurons of layer {layer} do not correspond")
        mine = _reorder(mine, layer, order)
    return _compare(_rows(mine), _rows(theirs))


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
            if np.abs(stacked).max() > EXACT:
                found.append(stacked.astype(np.float64))
        pairs = np.stack([model.W_in[layer].T, model.W_out[layer]], axis=1).astype(np.float64)
        alive = np.abs(pairs).max(axis=(1, 2)) > EXACT
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
        if np.abs(getattr(model, name)).max(initial=0.0) > EXACT:
            return f"{name} is not zero, as a compiled model's is"
    return ""


def _match(mine: _Parts, theirs: _Parts, layer: int) -> tuple[Ints, Ints] | None:
    """For their heads and neurons in order, which of ours corresponds.

    What a part reads is described by its products with all that earlier parts
    write; parts with equal descriptions are taken in order.
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
    neurons = _assign(
        list(mine.neurons[layer][:, 0] @ my_frame.T),
        list(theirs.neurons[layer][:, 0] @ their_frame.T),
    )
    return None if neurons is None else (heads, neurons)


def _writes(parts: _Parts, layer: int) -> Floats:
    """All that is written before a layer, [vectors, D]."""
    rows = [parts.embeddings]
    for earlier in range(layer):
        rows += [head[3 * len(head) // 4 :] for head in parts.heads[earlier]]
        rows.append(parts.neurons[earlier][:, 1])
    return np.concatenate(rows)


def _assign(mine: list[Floats], theirs: list[Floats]) -> Ints | None:
    """A one-to-one assignment of equal descriptions, in order where several are equal."""
    free = list(range(len(mine)))
    chosen = []
    for wanted in theirs:
        scale = ROTATED * 10 * max(1.0, float(np.abs(wanted).max(initial=0.0)))
        fits = (i for i in free if np.abs(mine[i] - wanted).max(initial=0.0) <= scale)
        found = next(fits, None)
        if found is None:
            return None
        free.remove(found)
        chosen.append(found)
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
    sizes = np.maximum(np.linalg.norm(mine, axis=1), 1e-12)
    u, _, vt = np.linalg.svd((mine / sizes[:, None]).T @ (theirs / sizes[:, None]))
    change = u @ vt
    nearest = np.rint(change)
    is_permutation = bool(
        np.abs(change - nearest).max() < 1e-3
        and (nearest.sum(axis=0) == 1).all()
        and (nearest.sum(axis=1) == 1).all()
        and nearest.min() >= 0
    )
    if is_permutation:
        moved = mine @ nearest
        off = np.abs(moved - theirs) / np.maximum(1.0, np.abs(moved))
        if float(off.max()) <= EXACT:
            return Sameness(True, axes_permuted=True)
    off = np.linalg.norm(mine @ change - theirs, axis=1) / np.maximum(1.0, sizes)
    if float(off.max()) <= ROTATED:
        return Sameness(True)
    return Sameness(
        False, reason=f"a vector of the weights is off by {off.max():.1e} of its length"
    )
