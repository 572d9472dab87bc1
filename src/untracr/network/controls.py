"""Networks with nothing to find in them, beside which findings are measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from untracr.network.network import Array, Layer, Network


def shuffled_within(network: Network, rng: np.random.Generator) -> Network:
    """The network with the entries of each array in random order: same numbers, no structure."""
    return mapped(network, lambda array: rng.permutation(array.ravel()).reshape(array.shape))


def random_like(network: Network, rng: np.random.Generator) -> Network:
    """A network of the same shape with normal entries of each array's mean and deviation."""

    def drawn(array: Array) -> Array:
        entries: Array = rng.normal(array.mean(), array.std(), array.shape).astype(array.dtype)
        return entries

    return mapped(network, drawn)


def mapped(network: Network, change: Callable[[Array], Array]) -> Network:
    """A network with each array changed; a tied read-out stays tied.

    Args:
        network: what is changed, in the order of its fields.
        change: gives an array of the same shape.
    """

    def of(holder: Any) -> Any:
        changes = {
            field.name: change(value)
            for field in dataclasses.fields(holder)
            if isinstance(value := getattr(holder, field.name), np.ndarray)
        }
        return dataclasses.replace(holder, **changes)

    layers = tuple(
        Layer(of(at.attention), None if at.mlp is None else of(at.mlp), of(at.ln1), of(at.ln2))
        for at in network.layers
    )
    after: Network = of(network).replace(layers=layers, ln_final=of(network.ln_final))
    return after.replace(W_U=after.W_E.T) if network.tied else after
