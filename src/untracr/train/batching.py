"""Examples to padded batches of tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from untracr.metamodel.examples import Example
from untracr.metamodel.features import INTEGER_SIZES, N_NUMBERS
from untracr.metamodel.network import Batch
from untracr.train.stream import Arrays

NO_STEP = 1_000
"""The step of padding: behind every token."""


def collate(examples: Sequence[Example]) -> Batch:
    """Pads examples to one batch."""
    return as_batch(collate_arrays(examples))


def as_batch(arrays: Arrays) -> Batch:
    """Tensors that share the memory of `collate_arrays`' arrays."""
    return Batch(**{name: torch.from_numpy(array) for name, array in arrays.items()})


def collate_arrays(examples: Sequence[Example]) -> Arrays:
    """The arrays of a `Batch`, by name."""
    size = len(examples)
    n_tokens = max(len(e.targets) for e in examples)
    n_components = max(1, *(len(e.component_step) for e in examples))
    integers = np.zeros((size, n_components, len(INTEGER_SIZES)), dtype=np.int64)
    numbers = np.zeros((size, n_components, N_NUMBERS), dtype=np.float32)
    component_step = np.full((size, n_components), NO_STEP, dtype=np.int64)
    component_ordinal = np.full((size, n_components), NO_STEP, dtype=np.int64)
    tokens = {
        name: np.zeros((size, n_tokens), dtype=np.int64)
        for name in ("inputs", "targets", "step", "ordinal", "field")
    }
    tokens["targets"][:] = -1
    for row, example in enumerate(examples):
        count, length = len(example.component_step), len(example.targets)
        integers[row, :count] = example.integers
        numbers[row, :count] = example.numbers
        component_step[row, :count] = example.component_step
        component_ordinal[row, :count] = ordinals(example.component_step)
        for name, array in tokens.items():
            array[row, :length] = getattr(example, name)
    return {
        "integers": integers,
        "numbers": numbers,
        "component_step": component_step,
        "component_ordinal": component_ordinal,
        **tokens,
    }


def ordinals(steps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Numbers equal neighbours from 0: [0, 0, 1, 1, 1] becomes [0, 1, 0, 1, 2]."""
    if not len(steps):
        return steps
    starts = np.flatnonzero(np.concatenate([[True], steps[1:] != steps[:-1]]))
    return np.arange(len(steps)) - np.repeat(starts, np.diff([*starts, len(steps)]))
