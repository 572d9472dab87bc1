"""What a file says of the residual dimensions: their labels, and the variables these name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def residual_labels(metadata: Mapping[str, object], width: int) -> tuple[str, ...]:
    """The label of each dimension, as the file says; empty where it does not, or of others.

    Nothing is checked: labels of weights that were rotated since are no longer true.
    """
    labels = metadata.get("residual_labels")
    if not isinstance(labels, list) or len(labels) != width:
        return ()
    return tuple(labels) if all(isinstance(label, str) for label in labels) else ()


def variables_of(labels: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The dimensions of each variable: what stands before a label's colon is its name."""
    dims: dict[str, list[int]] = {}
    for dim, label in enumerate(labels):
        dims.setdefault(label.partition(":")[0], []).append(dim)
    return {name: tuple(numbers) for name, numbers in dims.items()}
