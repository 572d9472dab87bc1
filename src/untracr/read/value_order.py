"""The order of a variable's values, as later parts read them.

What a component writes shows which of its results are the same, but not their
order. Later parts do: the columns of a head's keys and of what it moves, and
the grid of a SequenceMap, follow the order of the values they read.
"""

from __future__ import annotations

import numpy as np

from untracr.arrays import Annotated, Floats, Ints
from untracr.read.components import Pairs, StairToValues
from untracr.read.reader import Reader
from untracr.read.tolerances import ZERO_SHARE, ZERO_SQUARE
from untracr.transformer.half_layer import HalfLayer

LEAST_FACTOR_READ = 0.6
"""A neuron of a grid reads one value of the variable with at least this factor ..."""

NOT_READ = 0.4
"""... and the others with at most this."""

READ_ALONE = 0.9
"""Neurons that the variable explains to this share read nothing else: they are of no grid."""


def ranks_read(
    reader: Reader, component: Pairs | StairToValues
) -> Annotated[Ints, "assignments"] | None:
    """A component's groups as later parts order them; None where none shows the order.

    Args:
        reader: of its model.
        component: one that does not show the order itself.

    Returns:
        Per assignment the place of its result; -1 where the group is not known.
    """
    groups = component.groups
    count = int(groups.max(initial=-1)) + 1
    if count < 2 or len(component.outputs) != len(groups):
        return None
    rows = np.stack([component.outputs[groups == n].mean(axis=0) for n in range(count)])
    places = _places(reader, component.half_layer, rows)
    return None if places is None else np.where(groups < 0, -1, places[groups])


def _places(
    reader: Reader, half_layer: HalfLayer, rows: Annotated[Floats, "n D"]
) -> Annotated[Ints, "n"] | None:
    """The place of each row in the order in which later parts read them."""
    if not bool((np.square(rows).sum(axis=1) > ZERO_SQUARE).all()):
        return None
    for later in half_layer.next.until(reader.model.n_layers):
        read = _grid if later.is_mlp else _columns
        places = read(reader, later.layer, rows)
        if places is not None:
            return places
    return None


def _columns(
    reader: Reader, layer: int, rows: Annotated[Floats, "n D"]
) -> Annotated[Ints, "n"] | None:
    """By the keys and values of heads, which read one row a column."""
    own = np.square(rows).sum(axis=1)[:, None]
    for head in np.flatnonzero(reader.alive_heads[layer]).tolist():
        for W, tolerance in (
            (reader.W_K[layer, head], reader.head_noise.keys),
            (reader.W_V[layer, head], reader.head_noise.values),
        ):
            # |column - row|^2, [rows, columns].
            distance = np.square(W).sum(axis=0) - 2 * (rows @ W) + own
            columns = distance.argmin(axis=1)
            limit = tolerance.squared(W)[columns]
            fits = distance[np.arange(len(rows)), columns] <= limit
            if bool(fits.all()) and len(set(columns.tolist())) == len(rows):
                return np.argsort(np.argsort(columns))
    return None


def _grid(
    reader: Reader, layer: int, rows: Annotated[Floats, "n D"]
) -> Annotated[Ints, "n"] | None:
    """By the neurons of a SequenceMap, which read one row and something else."""
    W = reader.W_in[layer][:, reader.alive_neurons[layer]]
    if W.shape[1] < len(rows):
        return None
    products = rows @ W
    # Least squares of readers on rows, [rows, n], and the share of |w|^2 that it explains, [n].
    factors = np.linalg.pinv(rows @ rows.T, rcond=ZERO_SHARE, hermitian=True) @ products
    squares = np.maximum(np.square(W).sum(axis=0), ZERO_SQUARE)
    explained = np.einsum("vn,vn->n", products, factors) / squares
    largest = np.sort(factors, axis=0)[-2:]
    reads = (
        (largest[1] > LEAST_FACTOR_READ)
        & (np.abs(largest[0]) < NOT_READ)
        & (explained < READ_ALONE)
    )
    values = factors[:, reads].argmax(axis=0)
    seen = list(dict.fromkeys(values.tolist()))
    if len(seen) != len(rows):
        return None
    places = np.argsort(seen)
    step = (places[values[1:]] - places[values[:-1]]) % len(rows)
    return places if bool((step <= 1).all()) else None
