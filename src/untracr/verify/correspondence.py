"""The parts of a model, and which ones of two models correspond.

A model is taken as vectors of its residual stream and, for each head, the two
products that are all it does (`heads`). Heads, neurons and layers that are zero
do nothing and are left out. Which parts correspond, whatever their order and
the basis of the stream, is told by what they read and write (`refinement`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from untracr.arrays import Annotated, Floats, Places, Vectors
from untracr.transformer.transformer import Transformer
from untracr.verify.head_products import Head, heads_of
from untracr.verify.refinement import Graph, Orders, corresponding

TINY_WEIGHT = 1e-6
"""Heads and neurons all of whose weights are below this do nothing."""


@dataclass(frozen=True)
class Parts:
    """A model as vectors of its residual stream.

    Attributes:
        embeddings: rows of W_E, then of W_pos.
        heads: a layer's heads.
        neurons: a layer's neurons: what each reads, what it writes.
        head_places, neuron_places: their numbers in the model, a layer's each.
    """

    embeddings: Annotated[Floats, "rows D"]
    heads: tuple[tuple[Head, ...], ...]
    neurons: tuple[Annotated[Floats, "_ 2 D"], ...]
    head_places: Places
    neuron_places: Places

    @property
    def in_order(self) -> bool:
        """Whether heads and neurons are in the order that the model has them in."""
        return all(bool((np.diff(p) > 0).all()) for p in (*self.head_places, *self.neuron_places))

    @property
    def counts(self) -> list[tuple[int, int]]:
        """How many heads and neurons each layer has."""
        pairs = zip(self.heads, self.neurons, strict=True)
        return [(len(heads), len(neurons)) for heads, neurons in pairs]

    def vectors(self) -> Vectors:
        """All vectors but those of heads."""
        width = self.embeddings.shape[1]
        return np.concatenate([self.embeddings, *(n.reshape(-1, width) for n in self.neurons)])


def parts_of(model: Transformer, n_layers: int, d_head: int | None = None) -> Parts:
    """The living parts of the first layers of a model; layers beyond its own are empty.

    Args:
        model: the weights.
        n_layers: how many layers.
        d_head: inner dimensions of the heads that they are compared with, by whose root
            scores are divided; the model's own if not given.
    """
    scale = 1.0 if d_head is None else float(np.sqrt(d_head / max(1, model.d_head)))
    heads: list[tuple[Head, ...]] = []
    neurons: list[Floats] = []
    head_places, neuron_places = [], []
    for layer in range(n_layers):
        if layer >= model.n_layers:
            heads.append(())
            neurons.append(np.zeros((0, 2, model.d_model)))
            head_places.append(np.zeros(0, dtype=np.int64))
            neuron_places.append(np.zeros(0, dtype=np.int64))
            continue
        every_head = heads_of(model, layer, scale)
        places = [h for h, head in enumerate(every_head) if head.size > TINY_WEIGHT]
        pairs = np.stack([model.W_in[layer].T, model.W_out[layer]], axis=1).astype(np.float64)
        alive = np.flatnonzero(np.abs(pairs).max(axis=(1, 2), initial=0.0) > TINY_WEIGHT)
        heads.append(tuple(every_head[h] for h in places))
        neurons.append(pairs[alive])
        head_places.append(np.array(places, dtype=np.int64))
        neuron_places.append(alive)
    embeddings = np.concatenate([model.W_E, model.W_pos]).astype(np.float64)
    return Parts(embeddings, tuple(heads), tuple(neurons), tuple(head_places), tuple(neuron_places))


def in_order_of(mine: Parts, theirs: Parts) -> Parts | str:
    """Our parts in the order of theirs; if some do not correspond, in which layer."""
    for layer, (ours, given) in enumerate(zip(mine.counts, theirs.counts, strict=True)):
        if ours != given:
            return f"heads or neurons of layer {layer} do not correspond"
    orders = corresponding(_graph(mine), _graph(theirs))
    return "heads or neurons do not correspond" if orders is None else _reordered(mine, orders)


def _graph(parts: Parts) -> Graph:
    layers = range(len(parts.heads))
    return Graph(
        parts.embeddings,
        tuple(head for heads in parts.heads for head in heads),
        np.concatenate([np.zeros((0, 2, parts.embeddings.shape[1])), *parts.neurons]),
        np.repeat(layers, [len(heads) for heads in parts.heads]).astype(np.int64),
        np.repeat(layers, [len(neurons) for neurons in parts.neurons]).astype(np.int64),
    )


def _reordered(parts: Parts, orders: Orders) -> Parts:
    """The parts in an order of all heads and of all neurons, which keeps to the layers."""
    heads, neurons, head_places, neuron_places = [], [], [], []
    first_head = first_neuron = 0
    for layer, (n_heads, n_neurons) in enumerate(parts.counts):
        own = orders.heads[first_head : first_head + n_heads] - first_head
        heads.append(tuple(parts.heads[layer][i] for i in own.tolist()))
        head_places.append(parts.head_places[layer][own])
        own = orders.neurons[first_neuron : first_neuron + n_neurons] - first_neuron
        neurons.append(parts.neurons[layer][own])
        neuron_places.append(parts.neuron_places[layer][own])
        first_head, first_neuron = first_head + n_heads, first_neuron + n_neurons
    return replace(
        parts,
        heads=tuple(heads),
        neurons=tuple(neurons),
        head_places=tuple(head_places),
        neuron_places=tuple(neuron_places),
    )
