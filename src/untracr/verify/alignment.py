"""How given weights are to a program's: the same, projected on fewer dimensions, or noisy.

A compressed model holds V^T v for every vector v of the original, with V [D, R]
of orthonormal columns (`untracr.transformer.treatments.change_basis`). The
program's own vectors tell V by least squares, and then every vector of the
given model can be compared. Noise is compared matrix by matrix: all that is
left must be normal, of one size relative to each matrix, and nowhere larger
than chance allows. Neither is equality, so neither is a proof of what the
weights compute.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from untracr.arrays import Annotated, Basis, Floats, Places, Vectors
from untracr.measure.likely_orders import likely_orders
from untracr.measure.one_direction import find_one_direction
from untracr.short_repr import short_repr
from untracr.transformer.residual_vectors import paired_matrices
from untracr.transformer.transformer import BIASES, Transformer
from untracr.verify.change_of_basis import best_change
from untracr.verify.correspondence import parts_of
from untracr.verify.evidence import WeightRelation
from untracr.verify.weight_equivalence import (
    ROTATED_SHARE_OF_LENGTH,
    WeightEquivalence,
    same_weights,
)

PROJECTED_SHARE_OF_LENGTH = 10 * ROTATED_SHARE_OF_LENGTH
"""A vector may be off by this share of its length (or of 1) after a projection: rounded basis
vectors and the least squares that find them again add up."""

ORTHOGONAL_OFF = 1e-3
"""Eigenvalues, of the identity less a basis' products with itself, that are zero up to rounding."""

NEAR_AXES_IN_NOISE = 0.1
"""A change of basis whose entries are this near to a reordering of axes is one, but for noise."""

LARGEST_NOISE_SHARE = 0.3
"""Noise, as a share of a matrix's root mean square, beyond which nothing is recognised."""

FARTHEST_DEVIATIONS = 6.5
"""Standard deviations beyond which no entry of noise lies, and no vector's length from the usual
one: the length of a normal vector of any dimension has a deviation below one."""

FEWEST_VECTORS = 5
"""Vectors of a matrix among which one can stand out."""

UNEVEN = (0.1, 4.0)
"""The noise of one matrix lies between these multiples of that of all: where it was added to
rotated weights its size depends on how full a matrix is."""

FEW_NOISY_ENTRIES = 20
"""Entries of a matrix whose noise may by chance be of another size."""

NOT_COMPARED = WeightEquivalence(False)


@dataclass(frozen=True)
class Alignment:
    """A program's weights laid beside given ones.

    Attributes:
        relation: how they are to each other; see `Evidence`.
        off: see `Evidence.weights_off`.
        change: from the program's residual basis to the model's, if known.
        heads: of each layer of the program's, the model's number of each living head.
        neurons: likewise of each living neuron.
        equivalence: the comparison up to a rotation.
        reason: why they differ, else an empty string.
    """

    relation: WeightRelation
    off: float = 0.0
    change: Basis | None = None
    heads: Places = ()
    neurons: Places = ()
    equivalence: WeightEquivalence = NOT_COMPARED
    reason: str = ""

    __repr__ = short_repr

    @property
    def basis(self) -> Basis:
        """The change of basis, of ones and zeros where axes are reordered at most."""
        assert self.change is not None
        return np.rint(self.change) if self.relation == "reordered" else self.change


def align(given: Transformer, recompiled: Transformer) -> Alignment:
    """Compares given weights with a recompiled program's, as closely as they allow.

    Args:
        given: the model.
        recompiled: the program's weights, of the same vocabulary and positions.
    """
    with np.errstate(all="ignore"):  # huge weights end as "not finite"
        equivalence = same_weights(given, recompiled)
        if equivalence.same:
            return _same(equivalence)
        alignment = _align(given, recompiled, equivalence)
        if alignment.relation != "different" or not _may_be_reordered(given, recompiled):
            return alignment
        return _in_another_order(given, recompiled, alignment)


def _may_be_reordered(given: Transformer, recompiled: Transformer) -> bool:
    """Whether the model may be the program's, compressed or noisy and in another order."""
    if isinstance(_matrices(given, recompiled), str):
        return False
    return given.d_model < recompiled.d_model or find_one_direction(given).noise > 0


def _in_another_order(given: Transformer, recompiled: Transformer, plain: Alignment) -> Alignment:
    """With our parts in the order that the model's seem to have; as found if that is no better."""
    orders, same = likely_orders(given, recompiled), plain.equivalence
    tried = ((order, _align(given, order.model, same)) for order in orders)
    other, again = next(((o, a) for o, a in tried if a.relation != "different"), (None, plain))
    if other is None:
        return plain
    living = parts_of(recompiled, recompiled.n_layers)
    heads = tuple(
        np.argsort(order)[places]
        for order, places in zip(other.heads, living.head_places, strict=True)
    )
    neurons = tuple(
        np.argsort(order)[places]
        for order, places in zip(other.neurons, living.neuron_places, strict=True)
    )
    return replace(again, heads=heads, neurons=neurons)


def _same(same: WeightEquivalence) -> Alignment:
    relation: WeightRelation = "reordered" if same.axes_permuted else "rotated"
    return Alignment(relation, same.off, same.change, same.heads, same.neurons, same)


@dataclass(frozen=True)
class _Matrix:
    """The vectors of a matrix, ours and theirs; the root mean square of our non-zero entries."""

    mine: Vectors
    theirs: Annotated[Floats, "vectors R"]
    size: float


def _align(given: Transformer, recompiled: Transformer, same: WeightEquivalence) -> Alignment:
    matrices = _matrices(given, recompiled)
    if isinstance(matrices, str):
        return Alignment("different", reason=matrices)
    if not all(np.isfinite(m.theirs).all() for m in matrices):
        return Alignment("different", reason="a weight is not finite")
    # Matrices count by the size of their entries, as noise does: [vectors, D] and [vectors, R].
    living = [m for m in matrices if m.size > 0]
    mine = np.concatenate([m.mine / m.size for m in living])
    theirs = np.concatenate([m.theirs / m.size for m in living])
    change = best_change(mine, theirs, NEAR_AXES_IN_NOISE)
    heads, neurons = _living(recompiled)
    off = max(_off(m, change) for m in matrices)
    if off <= PROJECTED_SHARE_OF_LENGTH and _is_projection(mine, change):
        return Alignment("projected", off, change, heads, neurons, same)
    noise, reason = _noise(matrices, change)
    if not reason:
        return Alignment("noisy", noise, change, heads, neurons, same)
    return Alignment("different", off, equivalence=same, reason=f"{same.reason}; {reason}")


def _matrices(given: Transformer, recompiled: Transformer) -> list[_Matrix] | str:
    """All matrices vector by vector, heads and neurons in order; or why they cannot be paired."""
    if given.causal != recompiled.causal:
        return f"causal is {given.causal}, the program's is {recompiled.causal}"
    if given.W_E.shape[0] != recompiled.W_E.shape[0] or len(given.W_pos) != len(recompiled.W_pos):
        return "the vocabulary or the number of positions differs"
    for name in ("d_head", "n_heads", "n_layers", "d_mlp"):
        theirs, ours = getattr(given, name), getattr(recompiled, name)
        if theirs < ours or (name == "d_head" and theirs != ours):
            return f"{name} is {theirs}, the program's is {ours}"
    for name in BIASES:
        if np.abs(getattr(given, name)).max(initial=0.0) > ROTATED_SHARE_OF_LENGTH:
            return f"{name} is not zero, as a compiled model's is"
    return [_matrix(pair.mine, pair.theirs) for pair in paired_matrices(recompiled, given)]


def _matrix(mine: Vectors, theirs: Annotated[Floats, "vectors R"]) -> _Matrix:
    some = np.square(mine[mine != 0])
    size = float(np.sqrt(some.mean())) if some.size else 0.0
    return _Matrix(mine, theirs, size)


def _off(matrix: _Matrix, change: Basis) -> float:
    """The largest difference of a vector, relative to the larger of 1 and its length."""
    off = np.linalg.norm(matrix.theirs - matrix.mine @ change, axis=1)
    sizes = np.linalg.norm(matrix.mine, axis=1)
    return float((off / np.maximum(1.0, sizes)).max(initial=0.0))


def _is_projection(mine: Vectors, change: Basis) -> bool:
    """Whether the change has orthonormal columns, but for dimensions that are never used."""
    missing = np.eye(change.shape[1]) - change.T @ change  # [R, R], zero if orthonormal
    unused = mine.shape[1] - int(np.linalg.matrix_rank(mine.T @ mine, tol=1e-6))
    sizes = np.linalg.eigvalsh(missing)
    return bool(sizes[0] > -ORTHOGONAL_OFF and (np.abs(sizes) > ORTHOGONAL_OFF).sum() <= unused)


def _noise(matrices: list[_Matrix], change: Basis) -> tuple[float, str]:
    """The noise as a share of each matrix's size, and why it is none, else an empty string."""
    left = [(m, m.theirs - m.mine @ change) for m in matrices]  # [vectors, R] each
    some = [(m, rest) for m, rest in left if m.size > 0]
    squares = sum(float(np.square(rest / m.size).sum()) for m, rest in some)
    noise = float(np.sqrt(squares / max(1, sum(rest.size for _, rest in some))))
    if not noise <= LARGEST_NOISE_SHARE:
        return noise, f"what is left is {noise:.2g} of the weights' size, no noise"
    for m, rest in left:
        longest, largest = _share_of_longest(rest)
        own = float(np.sqrt(np.square(rest).mean()))
        if own * np.sqrt(rest.size) <= ROTATED_SHARE_OF_LENGTH:
            continue
        if own > LARGEST_NOISE_SHARE * m.size:
            return noise, f"one matrix is off by {own:.2g}, as much as its weights"
        share = own / max(noise * m.size, ROTATED_SHARE_OF_LENGTH)
        if not UNEVEN[0] < share < UNEVEN[1] and rest.size > FEW_NOISY_ENTRIES:
            return noise, f"noise of {noise:.2g} is {share:.2g} times that in one matrix"
        if max(longest, largest) > FARTHEST_DEVIATIONS or share > 2 * UNEVEN[1]:
            return noise, f"one vector is farther off than noise of {noise:.2g} would be"
    return noise, ""


def _share_of_longest(rest: Annotated[Floats, "vectors R"]) -> tuple[float, float]:
    """By how many deviations the longest vector is longer than the others, and the largest entry.

    The deviation is that of all other vectors' entries; 0 of fewer than `FEWEST_VECTORS` vectors.
    """
    if len(rest) < FEWEST_VECTORS:
        return 0.0, 0.0
    squares = np.square(rest).sum(axis=1)
    worst = int(squares.argmax())
    own = float(np.sqrt((squares.sum() - squares[worst]) / (rest.size - rest.shape[1])))
    if own <= 0:
        return np.inf, np.inf
    longest = float(np.sqrt(squares[worst])) / own - float(np.sqrt(rest.shape[1]))
    return longest, float(np.abs(rest).max()) / own


def _living(model: Transformer) -> tuple[Places, Places]:
    parts = parts_of(model, model.n_layers)
    return parts.head_places, parts.neuron_places
