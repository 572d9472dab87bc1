"""Changing the inner basis of attention heads: other weights, the same model.

A head scores by W_Q W_K^T and moves by W_V W_O. For every invertible A and B the
weights W_Q A, W_K A^-T, W_V B, B^-1 W_O have the same products. The number of
inner dimensions is free too, as long as it holds the products: scores are
divided by its root, so W_Q grows with it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from untracr.transformer.transformer import Array, Transformer
from untracr.transformer.treatments import Float64, random_orthogonal

BasisKind = Literal["permuted", "orthogonal", "invertible"]

CONDITION = 8.0
"""The largest singular value of a drawn invertible matrix by the smallest one."""

RANK = 1e-9
"""Singular values below this share of the largest are zero."""


def change_head_bases(
    model: Transformer,
    rng: np.random.Generator,
    kind: BasisKind = "invertible",
    d_head: int | None = None,
) -> Transformer:
    """Draws another inner basis for every head, one for scores and one for values.

    Args:
        model: any model without biases in its heads.
        rng: draws the bases.
        kind: orders of the inner dimensions, orthogonal matrices, or invertible ones
            whose condition is at most `CONDITION`.
        d_head: inner dimensions of the new heads; as many as before if not given.

    Raises:
        ValueError: a head has a bias, or products of a rank above ``d_head``.
    """
    if any(np.any(getattr(model, name)) for name in ("b_Q", "b_K", "b_V")):
        raise ValueError("the inner basis of a head with biases is not changed")
    size = model.d_head if d_head is None else d_head
    shape = (model.n_layers, model.n_heads, model.d_model, size)
    W_Q, W_K, W_V, W_O = (np.zeros(shape, dtype=np.float32) for _ in range(4))
    scale = np.sqrt(size / model.d_head)
    for at in np.ndindex(shape[:2]):
        weights = (model.W_Q[at], model.W_K[at], model.W_V[at], model.W_O[at].T)
        query, key, value, out = (w.astype(np.float64) for w in weights)
        query, key = _resized(query * scale, key, size)
        value, out = _resized(value, out, size)
        for (first, second), (new_first, new_second) in (
            ((query, key), (W_Q, W_K)),
            ((value, out), (W_V, W_O)),
        ):
            basis = _basis(kind, size, rng)
            new_first[at] = first @ basis
            new_second[at] = second @ np.linalg.inv(basis).T
    zeros: Array = np.zeros((*shape[:2], size), dtype=np.float32)
    return model.replace(
        W_Q=W_Q,
        W_K=W_K,
        W_V=W_V,
        W_O=np.ascontiguousarray(W_O.transpose(0, 1, 3, 2)),
        b_Q=zeros,
        b_K=zeros,
        b_V=zeros,
    )


def _resized(first: Float64, second: Float64, size: int) -> tuple[Float64, Float64]:
    """Two factors [D, K] with the same product of other sizes."""
    old = first.shape[1]
    if size >= old:
        wider = ((0, 0), (0, size - old))
        return np.pad(first, wider), np.pad(second, wider)
    (q, r), (other_q, other_r) = np.linalg.qr(first), np.linalg.qr(second)
    u, sizes, vt = np.linalg.svd(r @ other_r.T)
    rank = int((sizes > RANK * max(float(sizes[0]), np.finfo(np.float64).tiny)).sum())
    if rank > size:
        raise ValueError(f"a head's products of rank {rank} do not fit into {size} dimensions")
    wider = ((0, 0), (0, max(0, size - len(sizes))))
    root = np.sqrt(sizes[:size])
    return np.pad(q @ u[:, :size] * root, wider), np.pad(other_q @ vt[:size].T * root, wider)


def _basis(kind: BasisKind, size: int, rng: np.random.Generator) -> Float64:
    if kind == "permuted":
        return np.eye(size)[rng.permutation(size)]
    if kind == "orthogonal":
        return random_orthogonal(size, rng)
    sizes = CONDITION ** rng.uniform(-0.5, 0.5, size)
    return random_orthogonal(size, rng) * sizes @ random_orthogonal(size, rng)
