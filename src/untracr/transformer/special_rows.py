"""Which rows of W_E may be BOS's and PAD's, as the weights show.

Tracr sorts BOS and PAD among the tokens, so they may be any rows. What tells them
apart is what reads them (`untracr.compile.blocks`):

- every head has a key that is BOS, which is selected by the constant alone, and the
  constant is in each row of W_E: BOS's logit is the same for every row, tokens, BOS
  and PAD as queries alike, and no other row's is;
- no query reads BOS, and no neuron but the one that takes back what a SelectorWidth
  wrote at BOS, which reads nothing else;
- nothing at all reads PAD: every part reads of its row what it reads of BOS's, or of
  the constant.

Tokens that nothing reads are like PAD in all of this, and without heads BOS is, too:
then the weights leave it open, and any of these rows may be either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from untracr.arrays import Bools, Floats
from untracr.transformer.transformer import Transformer

EVEN_SHARE_OF_MEAN = 0.1
"""BOS's logits, as shares of their mean, differ by less than this from row to row."""

SAME_PRODUCT = 1e-3
"""Products that differ by less than this are the same, in exact weights."""

ROUNDED_SHARE_OF_PRODUCT = 1e-5
"""... or by less than this share of what is multiplied."""

LIVING_WEIGHT = 1e-6
"""Heads and neurons whose weights are smaller hold nothing."""


@dataclass(frozen=True)
class SpecialRows:
    """Rows that may be BOS's and rows that may be PAD's: any of each, but not the same.

    Attributes:
        bos, pad: row numbers, ascending; both empty where nothing is shown.
    """

    bos: tuple[int, ...] = ()
    pad: tuple[int, ...] = ()

    def pairs(self) -> Iterator[tuple[int, int]]:
        """All that they may be together, as (bos, pad)."""
        return ((bos, pad) for bos in self.bos for pad in self.pad if bos != pad)


def find_special_rows(model: Transformer) -> SpecialRows:
    """Looks at what reads each row of W_E.

    Weights that are compressed or noisy show nothing where that blurs what is read.
    """
    rows = model.W_E.astype(np.float64)
    with np.errstate(all="ignore"):
        heads = list(_heads(model))
        if heads:
            bos = _bos_of(rows, heads)
            return SpecialRows() if bos is None else _with_bos(model, rows, heads, bos)
        unread = np.flatnonzero(_unread_by_neurons(model, rows))
    both = tuple(unread.tolist())
    return SpecialRows(both, both) if len(both) > 1 else SpecialRows()


_Head = tuple[Floats, Floats, Floats]
"""W_Q, W_K and W_V of a head, [D, K]."""


def _heads(model: Transformer) -> Iterator[_Head]:
    for layer in range(model.n_layers):
        for head in range(model.n_heads):
            W_Q, W_K = model.W_Q[layer, head], model.W_K[layer, head]
            if min(np.abs(W_Q).max(initial=0.0), np.abs(W_K).max(initial=0.0)) > LIVING_WEIGHT:
                W_V = model.W_V[layer, head]
                yield W_Q.astype(np.float64), W_K.astype(np.float64), W_V.astype(np.float64)


def _bos_of(rows: Floats, heads: list[_Head]) -> int | None:
    """The row whose logit is the same for all queries, if all heads have that and one row."""
    candidates = set()
    for W_Q, W_K, _ in heads:
        logits = (rows @ W_Q) @ (rows @ W_K).T  # [queries, keys]
        usual = logits.mean(axis=0)
        off = np.abs(logits - usual).max(axis=0)
        even = (usual > 1.0) & (off < EVEN_SHARE_OF_MEAN * usual)
        candidates.update(np.flatnonzero(even).tolist() or [-1])
    return candidates.pop() if len(candidates) == 1 and -1 not in candidates else None


def _with_bos(model: Transformer, rows: Floats, heads: list[_Head], bos: int) -> SpecialRows:
    """Once BOS is known: PAD's row is read as BOS's is by queries and neurons, and not by keys
    or values."""
    unread = np.ones(len(rows), dtype=np.bool_)
    for W_Q, W_K, W_V in heads:
        unread &= _same(rows, W_Q, (rows[bos] @ W_Q)[None])
        for matrix in (W_K, W_V):
            unread &= _same(rows, matrix, np.zeros((1, matrix.shape[1])))
    others = np.arange(len(rows)) != bos
    for W_in in model.W_in.astype(np.float64):
        products = rows @ W_in
        cleans = np.ptp(products[others], axis=0) < _allowed(rows, W_in)
        unread &= _same(rows, W_in[:, ~cleans], products[[bos]][:, ~cleans])
    unread[bos] = False
    pad = tuple(np.flatnonzero(unread).tolist())
    return SpecialRows((bos,), pad) if pad else SpecialRows()


def _unread_by_neurons(model: Transformer, rows: Floats) -> Bools:
    """Rows of which no neuron reads anything but the constant.

    Of the constant a neuron that reads tokens reads nothing, or -1 where it waits for one
    token together with another variable's value: then that token's row alone gives 0.
    """
    unread = np.ones(len(rows), dtype=np.bool_)
    for W_in in model.W_in.astype(np.float64):
        products, allowed = rows @ W_in, _allowed(rows, W_in)
        reads = np.ptp(products, axis=0) >= allowed
        zero = np.abs(products) < allowed
        waits = (zero.sum(axis=0) == 1) & (zero | (np.abs(products + 1) < allowed)).all(axis=0)
        unread &= (~reads | (zero ^ waits)).all(axis=1)
    return unread


def _same(rows: Floats, matrix: Floats, wanted: Floats) -> Bools:
    """Rows whose products with the columns of a matrix are the wanted ones, [1, columns]."""
    close = np.abs(rows @ matrix - wanted) < _allowed(rows, matrix)
    return np.asarray(close.all(axis=1))


def _allowed(rows: Floats, matrix: Floats) -> Floats:
    """How far the products of rows and columns may be off for rounding, [columns]."""
    longest = float(np.sqrt(np.square(rows).sum(axis=1).max(initial=0.0)))
    sizes = np.sqrt(np.square(matrix).sum(axis=0))
    return np.asarray(SAME_PRODUCT + ROUNDED_SHARE_OF_PRODUCT * longest * sizes, dtype=np.float64)
