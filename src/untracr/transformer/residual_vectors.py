"""Weight matrices as vectors of the residual stream: rows of what writes, columns of what reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from untracr.arrays import Floats
from untracr.transformer.transformer import Array, Transformer

WRITERS = ("W_E", "W_pos", "W_O", "b_O", "W_out", "b_out")
READERS = ("W_Q", "W_K", "W_V", "W_in", "W_U")

LAYER_MATRICES = ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")


def residual_vectors(name: str, matrix: Array) -> Array:
    """The vectors of a matrix, [..., vectors, D].

    Args:
        name: of the array, one of `WRITERS` or `READERS`.
        matrix: [..., vectors, D] of a writer, [..., D, vectors] of a reader.
    """
    return matrix.swapaxes(-1, -2) if name in READERS else matrix


@dataclass(frozen=True, eq=False)
class PairedMatrix:
    """One matrix of two models, vector by vector, heads one after the other.

    Attributes:
        name: of the array.
        layer: of a layer's matrix, else None.
        mine: [vectors, D], zeros where our model has no such part.
        theirs: [vectors, R].
    """

    name: str
    layer: int | None
    mine: Floats
    theirs: Floats


def paired_matrices(mine: Transformer, theirs: Transformer) -> list[PairedMatrix]:
    """All matrices of two models in pairs: embeddings, then layer by layer.

    Args:
        mine: our model, of as many tokens, positions and inner dimensions of heads as
            theirs, and with no more heads, neurons or layers.
        theirs: the other one.
    """
    pairs = [
        PairedMatrix(name, None, *(getattr(m, name).astype(np.float64) for m in (mine, theirs)))
        for name in ("W_E", "W_pos")
    ]
    for layer in range(theirs.n_layers):
        for name in LAYER_MATRICES:
            vectors = _layer_vectors(theirs, name, layer)
            padded = np.zeros((len(vectors), mine.d_model))
            if layer < mine.n_layers:
                own = _layer_vectors(mine, name, layer)
                padded[: len(own)] = own
            pairs.append(PairedMatrix(name, layer, padded, vectors.astype(np.float64)))
    return pairs


def _layer_vectors(model: Transformer, name: str, layer: int) -> Array:
    """[vectors, D]."""
    return residual_vectors(name, getattr(model, name)[layer]).reshape(-1, model.d_model)
