"""Which heads and neurons of two models correspond, up to a rotation and their order.

A model is taken as vectors of its residual stream; heads, neurons and layers
that are zero do nothing and are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from untracr.transformer.transformer import Transformer

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TINY = 1e-6
"""Heads and neurons all of whose weights are below this do nothing."""

CLOSE = 1e-4
"""Descriptions of parts that correspond differ by less than this share of their largest number."""


@dataclass(frozen=True)
class Parts:
    """A model as vectors of its residual stream.

    Attributes:
        embeddings: [rows, D].
        heads: a layer's heads, each [4 K, D]: columns of W_Q, W_K, W_V, rows of W_O.
        neurons: a layer's neurons, [n, 2, D]: what each reads, what it writes.
        head_places, neuron_places: their numbers in the model, a layer's each.
    """

    embeddings: Floats
    heads: tuple[tuple[Floats, ...], ...]
    neurons: tuple[Floats, ...]
    head_places: tuple[Ints, ...]
    neuron_places: tuple[Ints, ...]

    def rows(self) -> Floats:
        """All vectors, [vectors, D]."""
        width = self.embeddings.shape[1]
        heads = [head for layer in self.heads for head in layer]
        neurons = [layer.reshape(-1, width) for layer in self.neurons]
        return np.concatenate([self.embeddings, *heads, *neurons])

    @property
    def in_order(self) -> bool:
        """Whether heads and neurons are in the order that the model has them in."""
        return all(bool((np.diff(p) > 0).all()) for p in (*self.head_places, *self.neuron_places))


def parts_of(model: Transformer, n_layers: int) -> Parts:
    """The living parts of the first layers of a model; layers beyond its own are empty."""
    heads: list[tuple[Floats, ...]] = []
    neurons: list[Floats] = []
    head_places, neuron_places = [], []
    for layer in range(n_layers):
        if layer >= model.n_layers:
            heads.append(())
            neurons.append(np.zeros((0, 2, model.d_model)))
            head_places.append(np.zeros(0, dtype=np.int64))
            neuron_places.append(np.zeros(0, dtype=np.int64))
            continue
        found, places = [], []
        for h in range(model.n_heads):
            reads = (model.W_Q[layer, h], model.W_K[layer, h], model.W_V[layer, h])
            stacked = np.concatenate([*(r.T for r in reads), model.W_O[layer, h]])
            if np.abs(stacked).max(initial=0.0) > TINY:
                found.append(stacked.astype(np.float64))
                places.append(h)
        pairs = np.stack([model.W_in[layer].T, model.W_out[layer]], axis=1).astype(np.float64)
        alive = np.flatnonzero(np.abs(pairs).max(axis=(1, 2), initial=0.0) > TINY)
        heads.append(tuple(found))
        neurons.append(pairs[alive])
        head_places.append(np.array(places, dtype=np.int64))
        neuron_places.append(alive)
    embeddings = np.concatenate([model.W_E, model.W_pos]).astype(np.float64)
    return Parts(embeddings, tuple(heads), tuple(neurons), tuple(head_places), tuple(neuron_places))


def in_order_of(mine: Parts, theirs: Parts) -> Parts | str:
    """Our parts in the order of theirs; if some do not correspond, in which layer.

    What a part reads is described by its products with all that earlier parts
    write, what it writes by those with all later readers, whose order is not yet
    known, in ascending order. Of parts with equal descriptions the first is taken
    whose writing has the products with that of the parts before it that it should.
    """
    for layer in range(len(theirs.heads)):
        order = _match(mine, theirs, layer)
        if order is None:
            return f"heads or neurons of layer {layer} do not correspond"
        mine = _reordered(mine, layer, order)
    return mine


def _match(mine: Parts, theirs: Parts, layer: int) -> tuple[Ints, Ints] | None:
    """For their heads and neurons in order, which of ours corresponds."""
    if len(mine.heads[layer]) != len(theirs.heads[layer]):
        return None
    if len(mine.neurons[layer]) != len(theirs.neurons[layer]):
        return None
    my_frame, their_frame = _writes(mine, layer), _writes(theirs, layer)
    my_readers, their_readers = _reads(mine, layer), _reads(theirs, layer)
    if len(my_readers) != len(their_readers):
        return None
    my_neurons, their_neurons = mine.neurons[layer], theirs.neurons[layer]
    heads = _assign(
        [
            _describe_head(h, my_frame, _with_neurons(my_readers, my_neurons))
            for h in mine.heads[layer]
        ],
        [
            _describe_head(h, their_frame, _with_neurons(their_readers, their_neurons))
            for h in theirs.heads[layer]
        ],
        _gram([_outputs(h).ravel() for h in mine.heads[layer]]),
        _gram([_outputs(h).ravel() for h in theirs.heads[layer]]),
    )
    if heads is None:
        return None
    ordered = [mine.heads[layer][i] for i in heads]
    my_frame = np.concatenate([my_frame, *map(_outputs, ordered)])
    their_frame = np.concatenate([their_frame, *map(_outputs, theirs.heads[layer])])
    neurons = _assign(
        _describe(my_neurons, my_frame, my_readers),
        _describe(their_neurons, their_frame, their_readers),
        _gram(list(my_neurons[:, 1])),
        _gram(list(their_neurons[:, 1])),
    )
    return None if neurons is None else (heads, neurons)


def _outputs(head: Floats) -> Floats:
    """The rows of W_O, [K, D]."""
    return head[3 * len(head) // 4 :]


def _gram(vectors: list[Floats]) -> Floats:
    stacked = np.stack(vectors) if vectors else np.zeros((0, 1))
    return np.asarray(stacked @ stacked.T)


def _with_neurons(readers: Floats, neurons: Floats) -> Floats:
    """Later readers with those of the same layer's neurons, scaled to length 1 at most."""
    reads = neurons[:, 0]
    sizes: Floats = np.linalg.norm(reads, axis=1)
    return np.concatenate([readers, reads / np.maximum(1.0, sizes)[:, None]])


def _describe_head(head: Floats, writes: Floats, readers: Floats) -> Floats:
    is_read = np.sort(_outputs(head) @ readers.T, axis=1)
    return np.concatenate([(writes @ head.T).ravel(), is_read.ravel()])


def _writes(parts: Parts, layer: int) -> Floats:
    """All that is written before a layer, [vectors, D]."""
    rows = [parts.embeddings]
    for earlier in range(layer):
        rows += map(_outputs, parts.heads[earlier])
        rows.append(parts.neurons[earlier][:, 1])
    return np.concatenate(rows)


def _reads(parts: Parts, layer: int) -> Floats:
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


def _assign(
    mine: list[Floats], theirs: list[Floats], my_gram: Floats, their_gram: Floats
) -> Ints | None:
    """A one-to-one assignment of equal descriptions, in order where several are equal.

    Args:
        mine, theirs: the descriptions.
        my_gram, their_gram: products of what the parts write with each other; they must
            agree too.
    """
    if not mine:
        return np.zeros(0, dtype=np.int64)
    ours = np.stack(mine)
    # Sums in fixed proportions rule out nearly all that differ.
    weights = np.linspace(0.5, 1.0, ours.shape[1])
    sums = ours @ weights
    free = np.ones(len(mine), dtype=np.bool_)
    chosen: list[int] = []
    for number, wanted in enumerate(theirs):
        scale = CLOSE * max(1.0, float(np.abs(wanted).max(initial=0.0)))
        near = free & (np.abs(sums - wanted @ weights) <= scale * len(weights))
        products = their_gram[number, [*range(number), number]]
        allowed = CLOSE * max(1.0, float(np.abs(products).max()))
        fits = (
            i
            for i in np.flatnonzero(near).tolist()
            if np.abs(ours[i] - wanted).max(initial=0.0) <= scale
            and np.abs(my_gram[i, [*chosen, i]] - products).max() <= allowed
        )
        found = next(fits, None)
        if found is None:
            return None
        free[found] = False
        chosen.append(found)
    return np.array(chosen, dtype=np.int64)


def _reordered(parts: Parts, layer: int, order: tuple[Ints, Ints]) -> Parts:
    heads, neurons = list(parts.heads), list(parts.neurons)
    head_places, neuron_places = list(parts.head_places), list(parts.neuron_places)
    heads[layer] = tuple(parts.heads[layer][i] for i in order[0])
    neurons[layer] = parts.neurons[layer][order[1]]
    head_places[layer] = head_places[layer][order[0]]
    neuron_places[layer] = neuron_places[layer][order[1]]
    return replace(
        parts,
        heads=tuple(heads),
        neurons=tuple(neurons),
        head_places=tuple(head_places),
        neuron_places=tuple(neuron_places),
    )
