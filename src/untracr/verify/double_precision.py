"""A model in double precision: whether rounding decides on what it gives.

Single precision drops what is small beside what is large. A model that adds 1e8, then a
one, then takes 1e8 away again gives in single precision what it would give without the one;
summed in another order, or on another machine, it does not. So outputs count only where both
precisions give them, and where no sum is of numbers that double precision may drop as well.
"""

from __future__ import annotations

import numpy as np

from untracr.arrays import Annotated, Floats, Ints, Reals
from untracr.transformer.transformer import ARRAY_NAMES, Trace, Transformer

LARGEST_SUM = 1e12
"""Sums of larger numbers are not told: double precision holds them to some thousandth at best."""


def in_double(model: Transformer) -> Transformer:
    """A model with the same weights, to be run in double precision."""
    assert model.W_U is not None
    arrays = {name: getattr(model, name).astype(np.float64) for name in ARRAY_NAMES}
    return model.replace(**arrays, W_U=model.W_U.astype(np.float64))


def held_read_out(
    model: Transformer, ids: Annotated[Ints, "B T"]
) -> Annotated[Floats, "B T-1 outputs"]:
    """What a model in double precision reads out behind BOS.

    "Not a number" if some sum on the way is of numbers that are too large to be held.

    Args:
        model: one of `in_double`, with a read-out.
        ids: token ids, BOS first.
    """
    assert model.W_U is not None
    trace = model.forward(ids)
    out = trace.output[:, 1:] @ model.W_U
    with np.errstate(all="ignore"):
        held = _largest_sum(model, trace) <= LARGEST_SUM
    return np.asarray(out if held else np.full_like(out, np.nan))


def _largest_sum(model: Transformer, trace: Trace) -> float:
    """What the terms of any sum on the way to the read-out add up to at most, without signs."""
    assert model.W_U is not None
    largest, stream = 0.0, _largest(trace.input_embeddings)
    for layer in range(model.n_layers):
        after_attention, after = (_largest(r) for r in trace.residuals[2 * layer : 2 * layer + 2])
        # |x| |W| + |b|, entry by entry, bounds x W + b and its partial sums: [K], [D] or [M].
        for head in range(model.n_heads):
            value = stream @ np.abs(model.W_V[layer, head]) + np.abs(model.b_V[layer, head])
            moved = value @ np.abs(model.W_O[layer, head])
            largest = max(largest, value.max(), moved.max())
        read = after_attention @ np.abs(model.W_in[layer]) + np.abs(model.b_in[layer])
        written = read @ np.abs(model.W_out[layer])
        largest = max(largest, read.max(initial=0.0), written.max())
        stream = after
    return float(max(largest, stream.max(), (stream @ np.abs(model.W_U)).max()))


def _largest(stream: Annotated[Reals, "B T D"]) -> Annotated[Floats, "D"]:
    """The largest number in each dimension of some streams, without signs."""
    return np.asarray(np.abs(stream).max(axis=(0, 1)), dtype=np.float64)
