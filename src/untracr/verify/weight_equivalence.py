"""Whether a program recompiles to given weights, up to the symmetries of the architecture.

Two models are the same when the unused heads, neurons and layers of either are
zero, their heads and neurons correspond, and one orthogonal change of the
residual basis carries every vector of one to the other. The change is found by
orthogonal Procrustes (Schönemann 1966) and then checked vector by vector. A head
is its two products (`heads`): the basis and the number of its inner dimensions
do not count.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from untracr.arrays import Annotated, Floats, Places, Square, Vectors
from untracr.short_repr import short_repr
from untracr.transformer.transformer import BIASES, Transformer
from untracr.verify.change_of_basis import nearest_orthogonal, reordering_near
from untracr.verify.correspondence import TINY_WEIGHT, Parts, in_order_of, parts_of
from untracr.verify.head_products import Head, columns_in_order, paired_vectors

# How far off a weight may be is a matter of single precision, whose unit is 6e-8
# of a number. Compiling again gives the same bits; another compiler may round the
# last one differently. A rotation rounds each entry once, which moves a vector by
# at most 6e-8 of its length when the product was formed in double precision and
# by some 1e-6 when it was formed in single precision. Such errors are spread over
# all vectors alike, while a changed weight moves one of them: so one vector must
# not be off by much more than the others. A weight of a raw model that was changed
# by 1e-3 never passes unless it is larger than 4,000, where 1e-3 is rounding.
#
# The weights of a head are compared as products W_Q W_K^T and W_V W_O, in double
# precision. If each weight w is rounded by a share e, an entry of a product moves by
# at most 2 e |W_Q| |W_K|^T, all entries taken without their signs, and its rows by
# at most 2 e times their length in W_Q times the length of W_K. In Tracr's basis that
# is e times the entry itself. In another basis it is more, since the entries that add
# up are larger than their sum: by the condition of the basis. Where they are more than
# `ILL_CONDITIONED` times larger, rounding hides too much, and no more is allowed.

EXACT_SHARE_OF_WEIGHT = 2.5e-7
"""Largest difference of a weight, relative to the larger of 1 and itself, on permuted axes:
two units of single precision."""

ROTATED_SHARE_OF_LENGTH = 1e-5
"""Largest difference of a vector, relative to the larger of 1 and its length, after a rotation."""

ROUNDED_SHARE_OF_LENGTH = 3e-7
"""Differences up to this share of a vector's length (of 1 if shorter) are rounding, however small
the others are."""

TIMES_MEDIAN = 10.0
"""Beyond that, no vector may be off by more than this many times the median."""

ILL_CONDITIONED = 100.0
"""Weights of a head may be this many times larger than their products, and no more is allowed."""

ROUNDINGS = 4
"""A product may be off by that of its two factors and of the change of basis on either side."""

REORDERING_ENTRY = 1e-3
"""A change of basis this near to a reordering of axes must be one exactly."""


@dataclass(frozen=True)
class WeightEquivalence:
    """The outcome of a comparison.

    Attributes:
        same: the weights are the same up to the symmetries.
        axes_permuted: the change of basis only reorders axes, signs kept. Then
            nothing about the output's sign is left open.
        off: the largest difference, relative to the larger of 1 and the weight's
            size, or its vector's length.
        in_order: heads, neurons and the inner dimensions of heads correspond in the
            order they have.
        reason: why they are not the same, else an empty string.
        change: from the program's residual basis to the model's; None if they differ.
        heads, neurons: if they are, of each layer of the program's, the model's number of
            each living head and neuron.
    """

    same: bool
    axes_permuted: bool = False
    off: float = 0.0
    in_order: bool = True
    reason: str = ""
    change: Square | None = field(default=None, compare=False)
    heads: Places = field(default=(), compare=False)
    neurons: Places = field(default=(), compare=False)

    __repr__ = short_repr


def same_weights(given: Transformer, recompiled: Transformer) -> WeightEquivalence:
    """Compares given weights with a recompiled program's."""
    with np.errstate(all="ignore"):  # huge weights end as "not finite"
        return _same_weights(given, recompiled)


def _same_weights(given: Transformer, recompiled: Transformer) -> WeightEquivalence:
    problem = _sizes_differ(given, recompiled) or _has_bias(given)
    if problem:
        return WeightEquivalence(False, reason=problem)
    theirs = parts_of(given, given.n_layers, recompiled.d_head)
    mine = parts_of(recompiled, given.n_layers)
    if not _are_finite(theirs):
        return WeightEquivalence(False, reason="a weight is not finite")
    for layer, (ours, others) in enumerate(zip(mine.counts, theirs.counts, strict=True)):
        if ours != others:
            return WeightEquivalence(False, reason=_COUNTS.format(layer, *ours, *others))
    as_given = _compare(mine, theirs)
    if as_given.same:
        return as_given
    ordered = in_order_of(mine, theirs)
    if isinstance(ordered, str):
        return replace(as_given, reason=ordered)
    return as_given if ordered.in_order else _compare(ordered, theirs)


_COUNTS = "layer {} has {} heads and {} neurons in the program's weights, {} and {} in the model's"


def _are_finite(parts: Parts) -> bool:
    return bool(np.isfinite(parts.vectors()).all()) and all(
        np.isfinite(head.size) for heads in parts.heads for head in heads
    )


def _off(problem: float) -> WeightEquivalence:
    return WeightEquivalence(
        False, reason=f"a vector of the weights is off by {problem:.1e} of its length"
    )


def _sizes_differ(given: Transformer, recompiled: Transformer) -> str:
    for name in ("d_model", "causal"):
        theirs, mine = getattr(given, name), getattr(recompiled, name)
        if theirs != mine:
            return f"{name} is {theirs}, the program's is {mine}"
    if given.W_E.shape != recompiled.W_E.shape or given.W_pos.shape != recompiled.W_pos.shape:
        return "the vocabulary or the number of positions differs"
    if given.n_layers < recompiled.n_layers:
        return f"the program needs {recompiled.n_layers} layers, the model has {given.n_layers}"
    return ""


def _has_bias(model: Transformer) -> str:
    for name in BIASES:
        if getattr(model, name).any():  # in a head's own basis a small one may be all there is
            return f"{name} is not zero, as a compiled model's is"
    return ""


def _compare(mine: Parts, theirs: Parts) -> WeightEquivalence:
    """Compares models whose parts are in one order."""
    ours, given = mine.vectors(), theirs.vectors()
    sizes = np.linalg.norm(ours, axis=1)
    lengths_off = np.abs(np.linalg.norm(given, axis=1) - sizes) / np.maximum(1.0, sizes)
    if float(lengths_off.max()) > ROTATED_SHARE_OF_LENGTH:  # also keeps the numbers below moderate
        return _off(float(lengths_off.max()))
    pairs = _paired_heads(mine, theirs)
    change = _change_of_basis(ours, given, pairs)
    reordering = reordering_near(change, REORDERING_ENTRY)
    compare = _rotated if reordering is None else _on_axes
    change = change if reordering is None else reordering
    equivalence = compare(ours, given, [(h, other) for h, other, _ in pairs], change)
    return _numbered(equivalence, mine, theirs, pairs, change) if equivalence.same else equivalence


_Pairs = list[tuple[Head, Head, tuple[Annotated[Floats, "_ D"], Annotated[Floats, "_ D"]]]]
"""Heads that correspond, with vectors of theirs that do."""


def _paired_heads(mine: Parts, theirs: Parts) -> _Pairs:
    my_frame, their_frame = mine.embeddings, theirs.embeddings
    my_reads, their_reads = (np.concatenate([n[:, 0] for n in p.neurons]) for p in (mine, theirs))
    pairs: _Pairs = []
    for layer, heads in enumerate(mine.heads):
        here = []
        for head, other in zip(heads, theirs.heads[layer], strict=True):
            frames = my_frame, their_frame
            here.append((head, other, paired_vectors(head, other, frames, (my_reads, their_reads))))
        pairs += here
        my_frame, their_frame = (
            np.concatenate([frame, *(v[side] for _, _, v in here), neurons[:, 1]])
            for side, (frame, neurons) in enumerate(
                ((my_frame, mine.neurons[layer]), (their_frame, theirs.neurons[layer]))
            )
        )
    return pairs


def _change_of_basis(ours: Vectors, given: Vectors, pairs: _Pairs) -> Square:
    """The orthogonal change that carries ours to theirs best."""
    mine = np.concatenate([ours, *(v[0] for _, _, v in pairs)])
    theirs = np.concatenate([given, *(v[1] for _, _, v in pairs)])
    unit = 1 / np.maximum(np.linalg.norm(mine, axis=1), TINY_WEIGHT)[:, None]
    return nearest_orthogonal(mine * unit, theirs * unit)


def _on_axes(
    ours: Vectors, given: Vectors, heads: list[tuple[Head, Head]], change: Square
) -> WeightEquivalence:
    moved = ours @ change
    off = float((np.abs(moved - given) / np.maximum(1.0, np.abs(moved))).max())
    for head, other in heads:
        for product, their_product, factors in _products(head, other, change):
            # Rounding moves an entry by 2 e |W_Q| |W_K|^T at most, [D, D] (top of the file).
            terms = np.abs(factors[0]).T @ np.abs(factors[1])
            size = np.maximum(1.0, np.abs(product))
            row = np.maximum(1.0, np.linalg.norm(product, axis=1, keepdims=True))
            terms = np.maximum(size, np.minimum(terms, ILL_CONDITIONED * row))
            off = max(off, float((np.abs(product - their_product) / terms).max()))
    if off <= EXACT_SHARE_OF_WEIGHT:
        return WeightEquivalence(True, bool(change.min() >= 0), off)
    return WeightEquivalence(False, reason=f"a weight is off by {off:.1e}")


def _rotated(
    ours: Vectors, given: Vectors, heads: list[tuple[Head, Head]], change: Square
) -> WeightEquivalence:
    sizes = np.linalg.norm(ours, axis=1)
    off = np.linalg.norm(ours @ change - given, axis=1) / np.maximum(1.0, sizes)
    usual = float(np.median(off[sizes > TINY_WEIGHT]))
    worst, products = float(off.max()), 0.0
    for head, other in heads:
        for product, their_product, factors in _products(head, other, change):
            for axis in (0, 1):
                # A row, or column, moves by 2 e times its length in one factor times the other, [D]
                row = np.maximum(1.0, np.linalg.norm(product, axis=1 - axis))
                terms = np.linalg.norm(factors[axis], axis=0) * np.linalg.norm(factors[1 - axis])
                terms = np.maximum(1.0, np.minimum(terms, ILL_CONDITIONED * row))
                rest = np.linalg.norm(product - their_product, axis=1 - axis)
                products = max(products, float((rest / terms).max()))
    worst = max(worst, products / ROUNDINGS)
    if worst <= min(ROTATED_SHARE_OF_LENGTH, max(ROUNDED_SHARE_OF_LENGTH, TIMES_MEDIAN * usual)):
        return WeightEquivalence(True, off=worst)
    return _off(worst)


def _products(
    head: Head, other: Head, change: Square
) -> list[tuple[Square, Square, tuple[Vectors, Vectors]]]:
    """Our products in their basis, theirs, and the factors of theirs."""
    return [
        (change.T @ head.selects @ change, other.selects, (other.query, other.key)),
        (change.T @ head.moves @ change, other.moves, (other.value, other.out)),
    ]


def _numbered(
    equivalence: WeightEquivalence, mine: Parts, theirs: Parts, pairs: _Pairs, change: Square
) -> WeightEquivalence:
    """With the order of the parts."""
    back = [np.argsort(places) for places in mine.head_places]
    heads = tuple(p[order] for p, order in zip(theirs.head_places, back, strict=True))
    back = [np.argsort(places) for places in mine.neuron_places]
    neurons = tuple(p[order] for p, order in zip(theirs.neuron_places, back, strict=True))
    in_order = mine.in_order and all(columns_in_order(h, other, change) for h, other, _ in pairs)
    return replace(equivalence, in_order=in_order, change=change, heads=heads, neurons=neurons)
