"""How steep a model's staircases are: Tracr's ``mlp_exactness``, read off the weights.

A step of a staircase (`untracr.compile.blocks.staircase`) is two neurons. One reads
``e x - e t`` of a number x and a threshold t, the other one more; what the one writes
the other takes back. So two such neurons differ by the constant, which is in every row
of W_E and in nothing else, and what the first reads besides the constant is e long.

All that reads programs takes e for Tracr's usual 100: `at_usual_slope` gives the weights
that the model would have then, and a model of that slope itself. Compressed or noisy
weights do not show e; it is taken for 100.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np

from untracr.arrays import Bools, Floats, Ints
from untracr.compile.compiler import MLP_EXACTNESS
from untracr.measure.one_direction import embeddings_are_orthonormal
from untracr.measure.simplest import simplest_number
from untracr.short_repr import short_repr
from untracr.transformer.transformer import Transformer

SAME_UNIT_VECTOR = 1e-3
"""Vectors of length one or so are the same within this."""

ROUNDED_SHARE_OF_LONGEST = 3e-6
"""... and within this share of the length of the longest vector that takes part."""

FLATTEST_SLOPE = 1e-4
"""Slopes below this are none."""

SAME_SHARE_OF_SLOPE = 1e-3
"""Slopes that differ by less than this share are one."""

SHOWN_SHARE_OF_SLOPE = 2e-7
"""How exactly single precision shows a slope, as a share of it."""

MAX_PAIRED = 1_500
"""Neurons of a layer whose partner is looked for anywhere; else it must stand beside."""


@dataclass(frozen=True)
class Exactness:
    """What staircases show.

    Attributes:
        value: the slope of most steps; None where there is none.
        others: slopes of the other steps, which no compiled model has.
    """

    value: float | None = None
    others: tuple[float, ...] = ()

    __repr__ = short_repr

    @property
    def to_compile(self) -> float:
        """The mlp_exactness that gives these slopes."""
        return MLP_EXACTNESS if self.value is None else self.value


@dataclass(frozen=True)
class _Steps:
    """The steps of one layer.

    Attributes:
        one: [D], the constant.
        up, down: [steps], neurons that read one more and those that read less.
        slopes: [steps].
    """

    one: Floats
    up: Ints
    down: Ints
    slopes: Floats


_found: weakref.WeakKeyDictionary[Transformer, Exactness] = weakref.WeakKeyDictionary()


def find_exactness(model: Transformer) -> Exactness:
    """Reads the slopes of a model's staircases; once for each model."""
    if model not in _found:
        with np.errstate(all="ignore"):
            _found[model] = _exactness(model)
    return _found[model]


def at_usual_slope(model: Transformer) -> Transformer:
    """The model as compiled with an mlp_exactness of 100; itself where it is so compiled."""
    exactness = find_exactness(model)
    if not exactness.others and exactness.to_compile == MLP_EXACTNESS:
        return model
    W_in = model.W_in.astype(np.float64)
    for layer, steps in enumerate(_all_steps(model)):
        if steps is not None:
            W_in[layer][:, steps.down] *= MLP_EXACTNESS / steps.slopes
            W_in[layer][:, steps.up] = W_in[layer][:, steps.down] + steps.one[:, None]
    return model.replace(W_in=W_in.astype(np.float32))


def _exactness(model: Transformer) -> Exactness:
    found = [steps.slopes for steps in _all_steps(model) if steps is not None]
    slopes = np.sort(np.concatenate([np.zeros(0), *found]))
    if not len(slopes):
        return Exactness()
    parts = np.split(slopes, np.flatnonzero(np.diff(slopes) > SAME_SHARE_OF_SLOPE * slopes[1:]) + 1)
    ordered = sorted(parts, key=len, reverse=True)
    value, *others = [simplest_number(float(np.median(part)), _spread(part)) for part in ordered]
    return Exactness(value, tuple(others))


def _spread(slopes: Floats) -> float:
    middle = float(np.median(slopes))
    return max(SHOWN_SHARE_OF_SLOPE * middle, 3 * float(np.median(np.abs(slopes - middle))))


def _all_steps(model: Transformer) -> list[_Steps | None]:
    """The steps of each layer, None where it has none."""
    rows, places = model.W_E.astype(np.float64), model.W_pos[1:].astype(np.float64)
    if not embeddings_are_orthonormal(rows, places):
        return [None] * model.n_layers
    return [
        _steps_of(W_in.astype(np.float64).T, W_out.astype(np.float64), rows)
        for W_in, W_out in zip(model.W_in, model.W_out, strict=True)
    ]


def _steps_of(reads: Floats, writes: Floats, rows: Floats) -> _Steps | None:
    up, down = _beside(reads, writes, rows)
    if len(up) < len(reads) // 2:
        up, down = _anywhere(reads, writes, rows, up, down)
    if not len(up):
        return None
    alone = reads[_alone(reads, rows)]  # the differences of steep readers are less exact
    one = alone[0] if len(alone) else (reads[up] - reads[down]).mean(axis=0)
    # e x - e t less its part along the constant is e x, and x is one long: [steps].
    along = reads[down] @ one / (one @ one)
    slopes = _lengths(reads[down] - along[:, None] * one)
    steep = slopes > FLATTEST_SLOPE
    return _Steps(one, up[steep], down[steep], slopes[steep]) if steep.any() else None


def _beside(reads: Floats, writes: Floats, rows: Floats) -> tuple[Ints, Ints]:
    """Steps whose two neurons stand side by side, in this order."""
    sizes = np.maximum(_lengths(reads[:-1]), _lengths(reads[1:]))
    fits = _is_constant(reads[:-1] - reads[1:], sizes, rows)
    fits &= _cancel(writes[:-1], writes[1:]) & (_lengths(reads[1:]) > FLATTEST_SLOPE)
    up: list[int] = []
    for neuron in np.flatnonzero(fits).tolist():
        if not up or neuron > up[-1] + 1:
            up.append(neuron)
    first = np.array(up, dtype=np.int64)
    return first, first + 1


def _anywhere(
    reads: Floats, writes: Floats, rows: Floats, up: Ints, down: Ints
) -> tuple[Ints, Ints]:
    """More steps, whose neurons stand anywhere; the constant is what one neuron reads alone."""
    alive = np.setdiff1d(
        np.flatnonzero(_lengths(reads) > FLATTEST_SLOPE), np.concatenate([up, down])
    )
    alone = _alone(reads, rows)
    if not len(alone) or len(alive) > MAX_PAIRED:
        return up, down
    wanted = reads[alive] - reads[alone[0]]
    # |(w_n - one) - w_m| of all pairs: neuron m reads one constant less than neuron n, [n, n].
    squares = np.square(wanted).sum(axis=1)[:, None] + np.square(reads[alive]).sum(axis=1)
    off = np.sqrt(np.maximum(0.0, squares - 2 * wanted @ reads[alive].T))
    close = off < SAME_UNIT_VECTOR + 10 * ROUNDED_SHARE_OF_LONGEST * _lengths(reads[alive])[:, None]
    free = np.ones(len(alive), dtype=np.bool_)
    pairs: list[tuple[int, int]] = []
    for n in range(len(alive)):
        if not free[n]:
            continue
        for m in np.flatnonzero(close[n] & free).tolist():
            if m != n and _cancel(writes[alive[[n]]], writes[alive[[m]]])[0]:
                pairs.append((int(alive[n]), int(alive[m])))
                free[[n, m]] = False
                break
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return np.concatenate([up, both[:, 0]]), np.concatenate([down, both[:, 1]])


def _alone(reads: Floats, rows: Floats) -> Ints:
    """Neurons that read the constant alone: one stands behind the steps of each staircase."""
    return np.flatnonzero(_is_constant(reads, np.ones(len(reads)), rows))


def _is_constant(vectors: Floats, sizes: Floats, rows: Floats) -> Bools:
    """Whether vectors [n, D] are one long and in each row of W_E; sizes are of what they are
    differences of."""
    allowed = SAME_UNIT_VECTOR + ROUNDED_SHARE_OF_LONGEST * sizes
    long = np.abs(_lengths(vectors) - 1) < allowed
    return np.asarray(long & (np.abs(vectors @ rows.T - 1) < 2 * allowed[:, None]).all(axis=1))


def _cancel(fst: Floats, snd: Floats) -> Bools:
    """Whether vectors [n, D] are each other's negative."""
    allowed = SAME_UNIT_VECTOR + ROUNDED_SHARE_OF_LONGEST * np.maximum(_lengths(fst), _lengths(snd))
    return np.asarray(_lengths(fst + snd) < allowed, dtype=np.bool_)


def _lengths(vectors: Floats) -> Floats:
    return np.asarray(np.sqrt(np.square(vectors).sum(axis=-1)), dtype=np.float64)
