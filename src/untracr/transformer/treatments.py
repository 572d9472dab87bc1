"""Treatments: the same computation, or nearly, in other weights.

Every function takes a model and a generator and returns a new float32 model,
computed in float64; the generator alone decides, so a seed fixes every bit.

| treatment | what it keeps |
| --- | --- |
| `rotate`, `permute_residual`, `permute_heads`, `permute_neurons` | the function, to rounding |
| `compress`, `rotate_and_compress` | the function on the sampled inputs, at best |
| `add_noise` | nothing for sure |

The residual basis can be changed freely since nothing in this architecture
works on single coordinates of the stream: it is only written by W_E, W_pos,
W_O, b_O, W_out, b_out (rows) and read by W_Q, W_K, W_V, W_in, W_U (columns).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from untracr.short_repr import short_repr
from untracr.transformer.residual_vectors import READERS, WRITERS
from untracr.transformer.transformer import ARRAY_NAMES, BIASES, Array, Transformer

Float64 = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


SAMPLE_SIZE = 64
"""Inputs sampled by `compress`, as many as the paper's code takes."""

MARGIN = 0.05
"""Read-outs nearer than this are the same; where nothing is selected all columns are near 0."""

RANK_TOLERANCE = 1e-6
"""Singular values below this share of the largest are rounding errors of the forward pass."""


def rotate(
    model: Transformer, rng: np.random.Generator, rotation: npt.ArrayLike | None = None
) -> Transformer:
    """Changes the residual basis by an orthogonal matrix.

    Args:
        model: any model.
        rng: draws the matrix, uniformly over all orthogonal ones (reflections too).
        rotation: [D, D], to be used instead of a drawn one.

    Raises:
        ValueError: ``rotation`` is not an orthogonal [D, D] matrix.
    """
    width = model.d_model
    if rotation is None:
        return change_basis(model, random_orthogonal(width, rng))
    given = np.asarray(rotation, dtype=np.float64)
    if given.shape != (width, width) or not np.allclose(given @ given.T, np.eye(width), atol=1e-6):
        raise ValueError(f"rotation must be an orthogonal [{width}, {width}] matrix")
    return change_basis(model, given)


def random_orthogonal(size: int, rng: np.random.Generator) -> Float64:
    """A Haar-distributed orthogonal [size, size] matrix.

    QR of a Gaussian matrix; the signs of R's diagonal are moved into Q, since
    without that the distribution depends on the QR routine's sign convention.
    """
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return np.asarray(q * np.where(np.diagonal(r) < 0, -1.0, 1.0))


def change_basis(model: Transformer, basis: Float64) -> Transformer:
    """Replaces the residual stream x by ``x @ basis``.

    Args:
        model: of width D.
        basis: [D, R] with orthonormal columns.

    Returns:
        A model of width R: the same function if R is D, else what is left of it.
    """
    changes: dict[str, Array] = {}
    for name in WRITERS:
        changes[name] = _to32(getattr(model, name).astype(np.float64) @ basis)
    for name in READERS:
        array = getattr(model, name)
        if array is not None:
            changes[name] = _to32(basis.T @ array.astype(np.float64))
    return model.replace(**changes)


def _to32(array: npt.NDArray[Any]) -> Array:
    return np.ascontiguousarray(array, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Compression:
    """A compressed model, and what the compression costs.

    Errors are relative: the norm of the difference by the norm of the original,
    0 where nothing is lost, 1 where all is. R kept directions, D before.

    Attributes:
        model: the compressed model, of width R.
        basis: [D, R], orthonormal columns; ``x @ basis`` compresses a residual
            vector, ``y @ basis.T`` brings it back.
        rank: R.
        data_rank: independent directions that the sample used.
        arbitrary: kept directions that the sample never used, drawn at random
            to fill up the width: max(0, rank - data_rank).
        kept_energy: share of the sample's squared norm that lies in the basis.
        sample_error: of the sample's vectors brought back.
        bos_error: of the BOS row of W_E brought back. Large where the sample
            had no BOS (0.76 is common: only the constant direction that all
            tokens share survives); heads that rest on BOS then go astray.
        pad_error: of the PAD row of W_E brought back.
        product_error: of all products of a vector that is written (rows of
            W_E, W_pos, W_O, W_out, biases) with one that reads it later
            (columns of W_Q, W_K, W_V, W_in, W_U), all together, Frobenius.
        output_error: of the final stream brought back, on as many fresh inputs
            of all lengths with BOS in front: what really came of the model.
        outputs_changed: share of these inputs' positions (BOS's not counted)
            whose read-out differs: the column that is now largest was not
            within `MARGIN` of the largest before, or a single number moved by
            more than that. None without W_U.
    """

    model: Transformer
    basis: Float64
    rank: int
    data_rank: int
    arbitrary: int
    kept_energy: float
    sample_error: float
    bos_error: float
    pad_error: float
    product_error: float
    output_error: float
    outputs_changed: float | None

    __repr__ = short_repr


def compress(
    model: Transformer,
    rng: np.random.Generator,
    ratio: float = 0.9,
    *,
    inputs: npt.ArrayLike | None = None,
    include_bos: bool = False,
    n_inputs: int = SAMPLE_SIZE,
    bos_row: int = -2,
    pad_row: int = -1,
) -> Compression:
    """Projects the residual stream on its main directions.

    The directions are the leading right singular vectors (means not removed) of
    the residual vectors at the embedding and after every half-layer, on sampled
    inputs. By default, as in the paper's code, these are P ordinary tokens
    without BOS, something the model never meets in use; with ``include_bos``
    they are 1 to P - 1 tokens behind BOS, as in use.

    Args:
        model: any model.
        rng: draws the inputs, and directions where the sample has too few.
        ratio: floor(ratio * D) directions are kept, at least 1.
        inputs: [N, T] rows of W_E, to be used instead of sampled ones, as they
            are: ``include_bos`` then adds nothing.
        include_bos: fit on inputs with BOS in front.
        n_inputs: how many inputs to sample.
        bos_row, pad_row: rows of W_E, by default the last two; negative ones
            count from the end. String vocabularies may sort otherwise.

    Raises:
        ValueError: ratio not in (0, 1], no ordinary token, ``n_inputs`` below
            1, or ``inputs`` that the model cannot run.
    """
    special = _special_rows(model, bos_row, pad_row)
    if inputs is not None:
        batches = [np.asarray(inputs, dtype=np.int64)]
    else:
        batches = _sample_inputs(model, rng, n_inputs, special, include_bos)
    sample, basis, data_rank = _fitted(model, rng, ratio, batches)
    small = change_basis(model, basis)
    fresh = _sample_inputs(model, rng, n_inputs, special, include_bos=True)
    sample_error = _loss(sample, basis)
    output_error, outputs_changed = _compare(model, small, basis, fresh)
    return Compression(
        model=small,
        basis=basis,
        rank=basis.shape[1],
        data_rank=data_rank,
        arbitrary=max(0, basis.shape[1] - data_rank),
        kept_energy=1.0 - sample_error**2,
        sample_error=sample_error,
        bos_error=_loss(model.W_E[special[0]], basis),
        pad_error=_loss(model.W_E[special[1]], basis),
        product_error=_product_error(model, basis),
        output_error=output_error,
        outputs_changed=outputs_changed,
    )


def rotate_and_compress(
    model: Transformer,
    rng: np.random.Generator,
    ratio: float = 0.9,
    **options: Any,
) -> Compression:
    """`compress`, then a random rotation of what is left.

    The rotation hides the order of the singular values and costs nothing: all
    errors are those of the compression.

    Args:
        model, rng, ratio, options: as for `compress`.

    Raises:
        ValueError: as `compress`.
    """
    compression = compress(model, rng, ratio, **options)
    rotation = random_orthogonal(compression.rank, rng)
    basis = compression.basis @ rotation
    return dataclasses.replace(compression, model=change_basis(model, basis), basis=basis)


def compression_basis(
    model: Transformer,
    rng: np.random.Generator,
    ratio: float = 0.9,
    *,
    include_bos: bool = False,
    measured: bool = False,
) -> Float64:
    """The basis that `compress` finds with the same arguments, at less than half of the cost.

    Args:
        model, rng, ratio, include_bos: as for `compress`.
        measured: whether to leave ``rng`` as `compress` does, which draws inputs to be
            measured on.

    Returns:
        [D, R], for `change_basis`.

    Raises:
        ValueError: as `compress`.
    """
    special = _special_rows(model, -2, -1)
    batches = _sample_inputs(model, rng, SAMPLE_SIZE, special, include_bos)
    basis = _fitted(model, rng, ratio, batches)[1]
    if measured:
        _sample_inputs(model, rng, SAMPLE_SIZE, special, include_bos=True)
    return basis


def _fitted(
    model: Transformer, rng: np.random.Generator, ratio: float, batches: list[Indices]
) -> tuple[Float64, Float64, int]:
    """Residual vectors on the inputs, the basis fitted to them, and their rank."""
    if not 0 < ratio <= 1:
        raise ValueError(f"ratio must be above 0 and at most 1, not {ratio}")
    sample = np.concatenate([_stream(model, batch) for batch in batches])
    if not len(sample):
        raise ValueError("inputs must hold at least one sequence")
    return sample, *_main_directions(sample, max(1, math.floor(ratio * model.d_model)), rng)


def _special_rows(model: Transformer, bos_row: int, pad_row: int) -> tuple[int, int]:
    tokens = len(model.W_E)
    for name, row in (("bos_row", bos_row), ("pad_row", pad_row)):
        if not -tokens <= row < tokens:
            raise ValueError(f"{name} must be one of {tokens} rows of W_E, not {row}")
    return bos_row % tokens, pad_row % tokens


def _sample_inputs(
    model: Transformer,
    rng: np.random.Generator,
    count: int,
    special: tuple[int, int],
    include_bos: bool,
) -> list[Indices]:
    """Batches of [N, T] inputs of uniformly drawn tokens; one batch for each length."""
    positions = len(model.W_pos)
    ordinary = np.setdiff1d(np.arange(len(model.W_E)), special)
    if count < 1 or not len(ordinary):
        raise ValueError(f"{count} inputs of {len(ordinary)} ordinary tokens cannot be sampled")
    if not include_bos:
        return [rng.choice(ordinary, (count, positions))]
    lengths = rng.integers(min(1, positions - 1), positions, size=count)
    batches = []
    for length, repeats in zip(*np.unique(lengths, return_counts=True), strict=True):
        tokens = rng.choice(ordinary, (repeats, length))
        bos = np.full((repeats, 1), special[0])
        batches.append(np.concatenate([bos, tokens], axis=1))
    return batches


def _stream(model: Transformer, inputs: Indices) -> Float64:
    """Residual vectors of all inputs, half-layers and positions: [n, D]."""
    trace = model.forward(inputs)
    parts = [trace.input_embeddings, *trace.residuals]
    return np.concatenate([part.reshape(-1, model.d_model) for part in parts]).astype(np.float64)


def _main_directions(sample: Float64, rank: int, rng: np.random.Generator) -> tuple[Float64, int]:
    """Leading ``rank`` directions of the sample [n, D]: [D, rank], and the sample's own rank."""
    # The triangular factor has the same singular values and right vectors, and is small.
    triangle = np.linalg.qr(sample, mode="r")
    _, sizes, directions = np.linalg.svd(triangle, full_matrices=False)
    used = int((sizes > RANK_TOLERANCE * max(float(sizes[0]), np.finfo(np.float64).tiny)).sum())
    kept = directions[: min(rank, used)].T
    if used < rank:
        # The sample says nothing about the rest: any direction at a right angle will do.
        extra = rng.standard_normal((sample.shape[1], rank - used))
        for _ in range(2):  # twice, for full precision
            extra -= kept @ (kept.T @ extra)
            extra = np.linalg.qr(extra)[0]
        kept = np.concatenate([kept, extra], axis=1)
    return np.ascontiguousarray(kept), used


def _loss(vectors: npt.NDArray[Any], basis: Float64) -> float:
    """Relative error of vectors [..., D] projected on the basis; 0 for zero vectors."""
    exact = vectors.astype(np.float64)
    return _relative(exact - exact @ basis @ basis.T, exact)


def _relative(difference: Float64, original: Float64) -> float:
    norm = float(np.linalg.norm(original))
    return float(np.linalg.norm(difference)) / norm if norm else 0.0


def _product_error(model: Transformer, basis: Float64) -> float:
    lost = total = 0.0
    written = np.concatenate([model.W_E, model.W_pos]).astype(np.float64)
    for readers, writers in _half_layers(model):
        # |A B|^2 is the sum over A'A * BB': nothing larger than [D, D] is built.
        gram = written.T @ written
        reads = readers @ readers.T
        outside = np.eye(len(basis)) - basis @ basis.T
        lost += float(np.sum((outside @ gram @ outside) * reads))
        total += float(np.sum(gram * reads))
        written = np.concatenate([written, writers])
    return math.sqrt(max(lost, 0.0) / total) if total > 0 else 0.0


def _half_layers(model: Transformer) -> Iterator[tuple[Float64, Float64]]:
    """What each half-layer reads, [D, n], and then writes, [n, D]; at last the read-out."""
    width = model.d_model
    for layer in range(model.n_layers):
        heads = [getattr(model, name)[layer] for name in ("W_Q", "W_K", "W_V")]
        reads = np.concatenate(heads).transpose(1, 0, 2).reshape(width, -1)
        writes = np.concatenate([model.W_O[layer].reshape(-1, width), model.b_O[layer][None]])
        yield reads.astype(np.float64), writes.astype(np.float64)
        writes = np.concatenate([model.W_out[layer], model.b_out[layer][None]])
        yield model.W_in[layer].astype(np.float64), writes.astype(np.float64)
    if model.W_U is not None:
        yield model.W_U.astype(np.float64), np.zeros((0, width))


def _compare(
    model: Transformer, small: Transformer, basis: Float64, batches: list[Indices]
) -> tuple[float, float | None]:
    """`Compression.output_error` and `Compression.outputs_changed`."""
    before = [model.forward(batch).output.astype(np.float64) for batch in batches]
    after = [small.forward(batch).output.astype(np.float64) @ basis.T for batch in batches]
    exact, approximate = (
        np.concatenate([part[:, 1:].reshape(-1, model.d_model) for part in parts])
        for parts in (before, after)
    )
    error = _relative(approximate - exact, exact)
    if model.W_U is None or not len(exact):
        return error, None
    return error, _changed(exact @ model.W_U, approximate @ model.W_U)


def _changed(exact: Float64, found: Float64) -> float:
    if exact.shape[1] == 1:
        return float(np.mean(np.abs(exact - found) > MARGIN))
    chosen = np.take_along_axis(exact, found.argmax(axis=1)[:, None], axis=1)[:, 0]
    return float(np.mean(chosen < exact.max(axis=1) - MARGIN))


def add_noise(model: Transformer, rng: np.random.Generator, scale: float) -> Transformer:
    """Adds Gaussian noise to every entry of every weight matrix, zeros included.

    A matrix is W_E, W_pos, or one of W_Q, W_K, W_V, W_O, W_in, W_out in one
    layer, all heads together, as Tracr keeps them. Its noise has standard
    deviation ``scale`` times the root mean square of its own non-zero entries;
    a matrix of zeros gets none. Biases and the read-out stay as they are.

    Args:
        model: any model.
        rng: draws the noise, array by array in the order of `ARRAY_NAMES`.
        scale: 0 or more.

    Raises:
        ValueError: scale is negative or not finite.
    """
    if not (math.isfinite(scale) and scale >= 0):
        raise ValueError(f"scale must be a number from 0 up, not {scale}")
    changes = {
        name: _noisy(getattr(model, name), rng, scale, by_layer=name not in ("W_E", "W_pos"))
        for name in ARRAY_NAMES
        if name not in BIASES
    }
    return model.replace(**changes)


def _noisy(array: Array, rng: np.random.Generator, scale: float, by_layer: bool) -> Array:
    exact = array.astype(np.float64)
    axes = tuple(range(1 if by_layer else 0, array.ndim))
    count = np.count_nonzero(exact, axis=axes, keepdims=True)
    rms = np.sqrt(np.sum(exact**2, axis=axes, keepdims=True) / np.maximum(count, 1))
    return _to32(exact + scale * rms * rng.standard_normal(array.shape))


def permute_residual(
    model: Transformer, rng: np.random.Generator, permutation: npt.ArrayLike | None = None
) -> Transformer:
    """Reorders the residual dimensions: new dimension i is old ``permutation[i]``.

    Args:
        model: any model.
        rng: draws the permutation.
        permutation: [D], to be used instead of a drawn one.

    Raises:
        ValueError: ``permutation`` is not one of D numbers.
    """
    order = _permutations(permutation, 1, model.d_model, rng)[0]
    changes = {name: _to32(getattr(model, name)[..., order]) for name in WRITERS}
    for name in READERS:
        if getattr(model, name) is not None:
            changes[name] = _to32(getattr(model, name)[..., order, :])
    return model.replace(**changes)


def permute_heads(
    model: Transformer, rng: np.random.Generator, permutation: npt.ArrayLike | None = None
) -> Transformer:
    """Reorders the heads of each layer: new head i is old ``permutation[layer, i]``.

    Args:
        model: any model.
        rng: draws a permutation for each layer.
        permutation: [L, H], or [H] for all layers, to be used instead.

    Raises:
        ValueError: ``permutation`` does not hold one of H numbers for each layer.
    """
    orders = _permutations(permutation, model.n_layers, model.n_heads, rng)
    return _reorder(model, orders, dict.fromkeys(_HEAD_ARRAYS, 1))


def permute_neurons(
    model: Transformer, rng: np.random.Generator, permutation: npt.ArrayLike | None = None
) -> Transformer:
    """Reorders the neurons of each layer: new neuron i is old ``permutation[layer, i]``.

    Args:
        model: any model.
        rng: draws a permutation for each layer.
        permutation: [L, M], or [M] for all layers, to be used instead.

    Raises:
        ValueError: ``permutation`` does not hold one of M numbers for each layer.
    """
    orders = _permutations(permutation, model.n_layers, model.d_mlp, rng)
    return _reorder(model, orders, {"W_in": 2, "b_in": 1, "W_out": 1})


_HEAD_ARRAYS = ("W_Q", "b_Q", "W_K", "b_K", "W_V", "b_V", "W_O")


def _reorder(model: Transformer, orders: Indices, axes: dict[str, int]) -> Transformer:
    """Reorders an axis of arrays [L, ...] by ``orders`` [L, n]."""
    changes: dict[str, Array] = {}
    for name, axis in axes.items():
        array: Array = getattr(model, name)
        layers = [array[layer].take(order, axis=axis - 1) for layer, order in enumerate(orders)]
        changes[name] = np.stack(layers)
    return model.replace(**changes)


def _permutations(
    given: npt.ArrayLike | None, layers: int, size: int, rng: np.random.Generator
) -> Indices:
    """[layers, size]: the given permutations checked, or drawn ones."""
    if given is None:
        return np.stack([rng.permutation(size) for _ in range(layers)])
    orders = np.asarray(given)
    if orders.ndim == 1:
        orders = np.tile(orders, (layers, 1))
    if orders.shape != (layers, size) or not (np.sort(orders, axis=1) == np.arange(size)).all():
        raise ValueError(
            f"permutation must hold each of 0 to {size - 1} once, for {layers} rows or for all"
        )
    return orders.astype(np.int64)
