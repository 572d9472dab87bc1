"""Inputs in batches of bounded memory, of one length each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from untracr.bounds import MAX_RUN_NUMBERS
from untracr.errors import InputError
from untracr.network.network import Network

AT_ONCE = 2**22
"""Numbers that the inputs of one batch take: 16 MiB, of which a cache holds much."""


def same_lengths(rows: Sequence[Sequence[int]]) -> list[list[int]]:
    """The numbers of the inputs of each length: nothing is filled up, whatever else is run."""
    groups: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(len(row), []).append(number)
    return list(groups.values())


def batches(network: Network, count: int, length: int) -> Iterator[slice]:
    """Parts of ``count`` inputs of a length that are run at a time.

    Raises:
        InputError: one input alone would take more memory than is spent.
    """
    each = numbers_of_a_run(network, length)
    if each > MAX_RUN_NUMBERS:
        raise InputError(
            f"running an input of {length:,} tokens takes {each:,} numbers at a time; "
            f"at most {MAX_RUN_NUMBERS:,} are"
        )
    size = max(1, AT_ONCE // max(1, each))
    for first in range(0, count, size):
        yield slice(first, first + size)


def numbers_of_a_run(network: Network, length: int) -> int:
    """How many numbers one input of a length takes at a time while a network runs."""
    widest = 0
    for layer in network.layers:
        heads, _, width = layer.attention.W_Q.shape
        neurons = 0 if layer.mlp is None else 3 * layer.mlp.W_in.shape[1]
        widest = max(widest, heads * (3 * length + 5 * width), neurons)
    outputs = network.d_model if network.W_U is None else network.W_U.shape[1]
    return int(length * (widest + 6 * network.d_model + outputs))
