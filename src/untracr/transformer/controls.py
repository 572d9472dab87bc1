"""Weights in which nothing of the program is left: what no reader may find anything in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from untracr.transformer.residual_vectors import LAYER_MATRICES
from untracr.transformer.transformer import Array, Transformer

EMBEDDINGS = ("W_E", "W_pos")


def shuffle_weights(model: Transformer, rng: np.random.Generator) -> Transformer:
    """Permutes the entries of each weight matrix of each layer; embeddings stay.

    All heads of a layer together count as one matrix, as for `add_noise`. With
    the embeddings kept, tokens and positions are found as ever, but nothing that
    a layer reads or writes means anything.
    """
    return _layers_replaced(model, lambda a: rng.permutation(a.ravel()).reshape(a.shape))


def gaussian_weights(model: Transformer, rng: np.random.Generator) -> Transformer:
    """Draws every weight anew, from a normal distribution of its matrix's mean and deviation.

    Embeddings too; all entries of a matrix count, zeros included.
    """

    def drawn(array: Array) -> Array:
        return rng.normal(array.mean(), array.std(), array.shape).astype(np.float32)

    embeddings = {name: drawn(getattr(model, name)) for name in EMBEDDINGS}
    return _layers_replaced(model.replace(**embeddings), drawn)


def _layers_replaced(model: Transformer, change: Callable[[Array], Array]) -> Transformer:
    changed = {}
    for name in LAYER_MATRICES:
        layers = getattr(model, name)
        changed[name] = np.stack([change(layer) for layer in layers]) if len(layers) else layers
    return model.replace(**changed)
