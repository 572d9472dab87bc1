"""Whether two models hold the same weights up to the symmetries, by Gram matrices.

A rotation of the residual stream leaves all products of two of its vectors as
they are, and nothing else does: models of one width are the same up to a
rotation if and only if the products of all pairs are. So the rotation need not
be known, and nothing here rests on how the decompiler finds and judges one
(`untracr.decompile.sameness`). Where the order of heads and neurons differs,
the decompiler's is taken: whoever names an order that fits shows that there is
one.
"""

from __future__ import annotations

import numpy as np

from untracr.decompile.correspondence import Parts, in_order_of, parts_of
from untracr.transformer.transformer import Transformer

EXACT = 1e-9
"""Products of weights that were only reordered differ by no more than this share of the lengths."""

ROTATED = 1e-6
"""Those of weights rotated in double precision and rounded to single."""

ROUNDED = 2.5e-7
"""Two units of single precision: by this share of it, or of 1, a weight may be rounded another
way."""

BIASES = ("b_Q", "b_K", "b_V", "b_O", "b_in", "b_out")


def weights_differ(given: Transformer, compiled: Transformer, tolerance: float) -> str:
    """Why two models are not the same up to rotation and order; empty if they are.

    Args:
        given: the model.
        compiled: a program's weights, of the same order of tokens.
        tolerance: by how much a product may differ, relative to the product of the
            vectors' lengths, each at least 1: `EXACT` or `ROTATED`.
    """
    for name in ("d_model", "d_head", "causal"):
        if getattr(given, name) != getattr(compiled, name):
            return f"{name} is {getattr(given, name)}, not {getattr(compiled, name)}"
    if given.W_E.shape != compiled.W_E.shape or given.W_pos.shape != compiled.W_pos.shape:
        return "the numbers of tokens or positions differ"
    for name in BIASES:
        if np.any(getattr(given, name)):
            return f"{name} is not zero"
    layers = max(given.n_layers, compiled.n_layers)
    theirs, mine = parts_of(given, layers), parts_of(compiled, layers)
    reason = _products_differ(theirs, mine, tolerance)
    if not reason:
        return ""
    ordered = in_order_of(mine, theirs)
    return reason if isinstance(ordered, str) else _products_differ(theirs, ordered, tolerance)


def rounded_alike(given: Transformer, compiled: Transformer) -> bool:
    """Whether two models of one shape and order differ in the rounding of weights at most."""
    theirs, mine = given.arrays(), compiled.arrays()
    if given.causal != compiled.causal or any(theirs[n].shape != a.shape for n, a in mine.items()):
        return False
    for name, array in mine.items():
        exact = array.astype(np.float64)
        if not (np.abs(theirs[name] - exact) <= ROUNDED * np.maximum(1.0, np.abs(exact))).all():
            return False
    return True


def _products_differ(theirs: Parts, mine: Parts, tolerance: float) -> str:
    for layer in range(len(theirs.heads)):
        if len(theirs.heads[layer]) != len(mine.heads[layer]):
            return f"the numbers of heads in layer {layer} differ"
        if len(theirs.neurons[layer]) != len(mine.neurons[layer]):
            return f"the numbers of neurons in layer {layer} differ"
    given, compiled = theirs.rows(), mine.rows()
    if not np.isfinite(given).all():
        return "a weight is not finite"
    sizes = np.linalg.norm(compiled, axis=1)
    worst = np.abs(np.linalg.norm(given, axis=1) - sizes) / np.maximum(1.0, sizes)
    if worst.max() > tolerance:
        return f"the length of a vector differs by {worst.max():.1e} of it"
    some = (sizes > 0) | (given != 0).any(axis=1)
    given, compiled = given[some], compiled[some]
    lengths = np.maximum(1.0, sizes[some])
    off = np.abs(given @ given.T - compiled @ compiled.T) / (lengths[:, None] * lengths)
    if off.max() > tolerance:
        return f"the product of two vectors differs by {off.max():.1e} of their lengths"
    return ""
