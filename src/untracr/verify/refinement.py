"""Which heads and neurons of two models correspond, in whatever order and basis they are.

Colour refinement. Parts that may correspond have one colour; at first these are
all heads, or all neurons, of a layer. In every round each colour stands for some
random numbers; what all parts read and write, summed with the numbers of their
colours, gives a few vectors of the residual stream, and how a part reads and
writes these vectors parts its colour further. Such products do not depend on the
basis, nor such sums on the order. Where a colour is left with several parts,
one of theirs is paired with one of ours and the refinement goes on; a pair
that leads to colours of unequal size is taken back. The number of rounds is
bounded. Whoever asks compares the vectors in the order that is found.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from untracr.arrays import Annotated, Floats, Ints
from untracr.verify.head_products import Head

SUMS = 6
"""Vectors by which parts are told apart in one round."""

CLOSE_PRODUCT = 1e-4
"""Products with a vector of length one that differ by less than this may be the same: rounding
moves them by some 1e-6."""

MAX_ROUNDS = 400
"""Rounds for two models; beyond, parts that are still alike are taken in their order."""

SEED = 20_240_101

_Colours = tuple[Annotated[Ints, "parts"], Annotated[Ints, "parts"]]


@dataclass(frozen=True)
class Graph:
    """A model's parts, layer after layer.

    Attributes:
        embeddings: which correspond row by row.
        heads: all heads.
        neurons: what each neuron reads and writes.
        head_layers, neuron_layers: the layer of each.
    """

    embeddings: Annotated[Floats, "rows D"]
    heads: tuple[Head, ...]
    neurons: Annotated[Floats, "neurons 2 D"]
    head_layers: Annotated[Ints, "heads"]
    neuron_layers: Annotated[Ints, "neurons"]


@dataclass(frozen=True)
class Orders:
    """For each of their heads and neurons, in their order, which of ours it is."""

    heads: Annotated[Ints, "heads"]
    neurons: Annotated[Ints, "neurons"]


def corresponding(mine: Graph, theirs: Graph) -> Orders | None:
    """Finds the parts that correspond; None if there are none for some part.

    Args:
        mine, theirs: with as many heads and neurons in each layer.
    """
    refinement = _Refinement((_Sums.of(mine), _Sums.of(theirs)))
    colours = refinement.settle(refinement.first())
    if colours is None:
        return None
    paired = refinement.pair_in_order(colours) or refinement.pair(colours)
    return None if paired is None else _orders(paired, len(mine.heads))


def _orders(colours: _Colours, n_heads: int) -> Orders:
    """Parts of one colour in pairs, in the order they have."""
    mine, theirs = (np.argsort(colour, kind="stable") for colour in colours)
    order = np.empty(len(mine), dtype=np.int64)
    order[theirs] = mine
    return Orders(order[:n_heads], order[n_heads:] - n_heads)


@dataclass(frozen=True)
class _Sums:
    """A model, with vectors and products of length one.

    Attributes:
        layers: of all heads, then of all neurons.
        sizes: the lengths before.
    """

    embeddings: Annotated[Floats, "rows D"]
    selects: Annotated[Floats, "heads D D"]
    moves: Annotated[Floats, "heads D D"]
    reads: Annotated[Floats, "neurons D"]
    writes: Annotated[Floats, "neurons D"]
    layers: Annotated[Ints, "heads+neurons"]
    sizes: Annotated[Floats, "heads+neurons 2"]

    @classmethod
    def of(cls, graph: Graph) -> _Sums:
        width = graph.embeddings.shape[1]
        empty = np.zeros((0, width, width))
        selects = np.stack([h.selects for h in graph.heads]) if graph.heads else empty
        moves = np.stack([h.moves for h in graph.heads]) if graph.heads else empty
        reads, writes = graph.neurons[:, 0], graph.neurons[:, 1]
        sizes = np.concatenate(
            [
                np.stack([np.linalg.norm(m, axis=(1, 2)) for m in (selects, moves)], axis=1),
                np.stack([np.linalg.norm(v, axis=1) for v in (reads, writes)], axis=1),
            ]
        )
        units = np.where(sizes > 0, sizes, 1.0)
        n = len(graph.heads)
        return cls(
            graph.embeddings,
            selects / units[:n, 0, None, None],
            moves / units[:n, 1, None, None],
            reads / units[n:, 0, None],
            writes / units[n:, 1, None],
            np.concatenate([graph.head_layers, graph.neuron_layers]),
            sizes,
        )

    def products(
        self, numbers: Annotated[Floats, "parts 2 sums"], rows: Annotated[Floats, "sums rows"]
    ) -> Annotated[Floats, "parts 4*sums**2"]:
        """Each part's products with the sums of all.

        Args:
            numbers: of each part's colour.
            rows: of the embeddings.
        """
        n = len(self.moves)
        plain = rows @ self.embeddings + numbers[n:, 0].T @ self.writes  # [SUMS, D]
        written = plain
        for _ in range(int(self.layers.max(initial=0)) + 1):  # what was moved may be moved again
            moved = written @ self.moves  # [heads, SUMS, D]
            written = plain + np.einsum("hs,hsd->sd", numbers[:n, 0], moved)
        read = numbers[n:, 1].T @ self.reads  # [SUMS, D], and below what heads read
        back = written @ (self.selects + self.selects.transpose(0, 2, 1))
        read = read + np.einsum("hs,hsd->sd", numbers[:n, 1], back)
        read = read + np.einsum("hs,hsd->sd", numbers[:n, 1], read @ self.moves.transpose(0, 2, 1))
        written, read = _units(written), _units(read)
        heads = [  # [heads, SUMS, SUMS] each: no change of basis changes them
            written @ self.selects @ written.T,
            read @ self.selects @ read.T,
            written @ self.moves @ read.T,
            written @ self.moves @ written.T,
        ]
        products = np.zeros((len(self.layers), 4 * SUMS**2))
        products[:n] = np.concatenate([h.reshape(n, SUMS**2) for h in heads], axis=1)
        neurons = [v @ s.T for v in (self.reads, self.writes) for s in (written, read)]
        products[n:, : 4 * SUMS] = np.concatenate(neurons, axis=1)
        return products


def _units(vectors: Annotated[Floats, "n D"]) -> Annotated[Floats, "n D"]:
    sizes = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(sizes > 0, sizes, 1.0))


@dataclass
class _Refinement:
    """Colours the parts of two models.

    Attributes:
        sums: ours and theirs.
        rounds: how many are left.
    """

    sums: tuple[_Sums, _Sums]
    rounds: int = MAX_ROUNDS
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(SEED))

    def first(self) -> _Colours:
        """By layer and kind, then by lengths."""
        mine, theirs = self.sums
        n = len(mine.moves)
        start = [2 * s.layers + (np.arange(len(s.layers)) >= n) for s in self.sums]
        sizes = np.concatenate([mine.sizes, theirs.sizes])
        return _parted(
            (start[0], start[1]), sizes, CLOSE_PRODUCT * np.maximum(1.0, sizes.max(axis=0))
        )

    def settle(self, colours: _Colours) -> _Colours | None:
        """Refines until nothing parts any more; None if some colour has fewer parts of ours."""
        while self.rounds > 0:
            if not _are_balanced(colours):
                return None
            count = _count(colours)
            if count == len(colours[0]):
                return colours
            self.rounds -= 1
            finer = self._finer(colours)
            if _count(finer) == count:
                return finer
            colours = finer
        return colours if _are_balanced(colours) else None

    def _finer(self, colours: _Colours) -> _Colours:
        numbers = self.rng.standard_normal((_count(colours), 2, SUMS))
        rows = self.rng.standard_normal((SUMS, len(self.sums[0].embeddings)))
        products = [s.products(numbers[c], rows) for s, c in zip(self.sums, colours, strict=True)]
        return _parted(
            colours, np.concatenate(products), np.full(products[0].shape[1], CLOSE_PRODUCT)
        )

    def pair(self, colours: _Colours) -> _Colours | None:
        """Pairs parts of one colour, one after the other, until each is alone."""
        tied = np.flatnonzero(np.bincount(colours[1]) > 1)
        if not len(tied) or self.rounds <= 0:
            return colours
        theirs = np.flatnonzero(colours[1] == tied[0])[0]
        for ours in np.flatnonzero(colours[0] == tied[0]).tolist():
            mine, other = colours[0].copy(), colours[1].copy()
            mine[ours] = other[theirs] = _count(colours)
            settled = self.settle((mine, other))
            paired = None if settled is None else self.pair(settled)
            if paired is not None:
                return paired
        return None

    def pair_in_order(self, colours: _Colours) -> _Colours | None:
        """Pairs the parts of each colour as they stand; None if some others then differ.

        Steps of two staircases that write nothing, say, are the same in all they do.
        """
        paired = np.empty_like(colours[0]), np.empty_like(colours[1])
        for places, mine in zip(paired, colours, strict=True):
            places[np.argsort(mine, kind="stable")] = np.arange(len(mine))
        return paired if _are_balanced(self._finer(paired)) else None


def _count(colours: _Colours) -> int:
    return int(max(c.max(initial=-1) for c in colours)) + 1


def _are_balanced(colours: _Colours) -> bool:
    size = _count(colours)
    mine, theirs = (np.bincount(colour, minlength=size) for colour in colours)
    return np.array_equal(mine, theirs)


def _parted(
    colours: _Colours, values: Annotated[Floats, "both n"], close: Annotated[Floats, "n"]
) -> _Colours:
    """Finer colours: parts stay together that are linked by values less than ``close`` apart.

    Args:
        colours, values: of our parts and of theirs.
        close: for each column of the values.
    """
    colour = np.concatenate(colours)
    for column, limit in zip(values.T, close.tolist(), strict=True):
        order = np.lexsort((column, colour))
        apart = (np.diff(colour[order]) > 0) | (np.diff(column[order]) > limit)
        colour = np.empty_like(colour)
        colour[order] = np.concatenate([[0], np.cumsum(apart)])[: len(order)]
    return colour[: len(colours[0])], colour[len(colours[0]) :]
