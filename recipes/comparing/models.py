"""Model files that both versions are asked about: weights alone, rotated, with noise.

Made here by NumPy from files with Tracr's names of weights, so that no version
of the package has a part in how they are changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

Weights = dict[str, npt.NDArray[np.float32]]
Change = Callable[[Weights, np.random.Generator], Weights]

NOISE = 0.01
"""Size of noise, relative to the standard deviation of each array."""


def bare(weights: Weights, _: np.random.Generator) -> Weights:
    """The weights alone, as Tracr's users save them: no read-out, nothing that describes them."""
    return {name: array for name, array in weights.items() if "/" in name or name == "num_heads"}


def rotated(weights: Weights, rng: np.random.Generator) -> Weights:
    """The same model with another basis of the residual stream, read-out included."""
    width = weights["token_embed/embeddings"].shape[1]
    basis = np.linalg.qr(rng.standard_normal((width, width)))[0].astype(np.float32)
    return {name: _in_basis(name, array, basis) for name, array in weights.items()}


def rotated_bare(weights: Weights, rng: np.random.Generator) -> Weights:
    """The same, the weights alone."""
    return bare(rotated(weights, rng), rng)


def noisy(weights: Weights, rng: np.random.Generator) -> Weights:
    """The model with noise on all its weights, the read-out as it is."""
    return {
        name: array + np.float32(NOISE * array.std()) * _noise(array, rng) if "/" in name else array
        for name, array in weights.items()
    }


def change_all(files: Iterable[Path], change: Change, out: Path, seed: int) -> list[Path]:
    """Writes changed models into a new folder, under the names that they have."""
    out.mkdir(parents=True)
    written = []
    for number, file in enumerate(files):
        with np.load(file) as arrays:
            changed = change(dict(arrays), np.random.default_rng([seed, number]))
        written.append(out / file.name)
        np.savez(out / file.name, **changed)  # type: ignore[arg-type]
    return written


def _in_basis(
    name: str, array: npt.NDArray[np.float32], basis: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """An array whose sides are the residual stream [D], in the basis [D, D] of its columns."""
    module = name.rpartition("/")[0]
    if name.endswith("embeddings") or module.endswith(("attn/linear", "mlp/linear_2")):
        return array @ basis  # what writes: rows [..., D]
    if name == "unembed" or name.endswith("/w"):
        return basis.T @ array  # what reads: columns [D, ...]
    return array


def _noise(array: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    return rng.standard_normal(array.shape, dtype=np.float32)
