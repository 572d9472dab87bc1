"""Equal weights up to the symmetries, and what is never called equal."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from untracr.compile.compiler import compile_program
from untracr.decompile.sameness import same_weights
from untracr.sample.sampler import PAPER, sample_program
from untracr.transformer import treatments
from untracr.transformer.transformer import ARRAY_NAMES, Transformer

VOCAB, LENGTH = PAPER.domain.vocab, PAPER.domain.max_seq_len

N = 30

MATRICES = ("W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")


@pytest.fixture(scope="module")
def models() -> list[Transformer]:
    """Weights of sampled programs."""
    programs = [sample_program(81, index) for index in range(N)]
    return [compile_program(p, VOCAB, LENGTH).transformer for p in programs]


def pad(model: Transformer, axes: dict[str, int], count: int) -> Transformer:
    """Appends zeros along an axis of some arrays."""
    changes: dict[str, object] = {}
    for name, axis in axes.items():
        array: npt.NDArray[np.float32] = getattr(model, name)
        widths = [(0, 0)] * array.ndim
        widths[axis] = (0, count)
        changes[name] = np.pad(array, widths)
    return model.replace(**changes)


def rotate_in_single_precision(model: Transformer, rng: np.random.Generator) -> Transformer:
    """As a user of 32-bit tensors would rotate."""
    q, _ = np.linalg.qr(rng.standard_normal((model.d_model,) * 2).astype(np.float32))
    changes: dict[str, object] = {n: getattr(model, n) @ q for n in treatments.WRITERS}
    changes |= {
        n: q.T @ getattr(model, n) for n in treatments.READERS if getattr(model, n) is not None
    }
    return model.replace(**changes)


HEADS = {"W_Q": 1, "b_Q": 1, "W_K": 1, "b_K": 1, "W_V": 1, "b_V": 1, "W_O": 1}
NEURONS = {"W_in": 2, "b_in": 1, "W_out": 1}
LAYERS = {name: 0 for name in ARRAY_NAMES if name not in ("W_E", "W_pos")}

ON_AXES: dict[str, Callable[[Transformer, np.random.Generator], Transformer]] = {
    "itself": lambda m, rng: m,
    "axes reordered": treatments.permute_residual,
    "heads reordered": treatments.permute_heads,
    "spare heads": lambda m, rng: pad(m, HEADS, 2),
    "spare neurons": lambda m, rng: pad(m, NEURONS, 3),
    "spare layers": lambda m, rng: pad(m, LAYERS, 2),
}

OFF_AXES: dict[str, Callable[[Transformer, np.random.Generator], Transformer]] = {
    "rotated": treatments.rotate,
    "rotated twice": lambda m, rng: treatments.rotate(treatments.rotate(m, rng), rng),
    "rotated in single precision": rotate_in_single_precision,
}


@pytest.mark.parametrize("name", ON_AXES)
def test_reordered_and_padded_models_are_the_same(models: list[Transformer], name: str) -> None:
    """Orders and unused parts do not matter, and signs of axes stay known."""
    rng = np.random.default_rng(0)
    for model in models:
        found = same_weights(ON_AXES[name](model, rng), model)
        assert found.same, found.reason
        assert found.axes_permuted


@pytest.mark.parametrize("name", OFF_AXES)
def test_rotated_models_are_the_same(models: list[Transformer], name: str) -> None:
    """A rotation is recognised in double and in single precision; signs of axes are lost."""
    rng = np.random.default_rng(1)
    for model in models:
        found = same_weights(OFF_AXES[name](model, rng), model)
        assert found.same, found.reason
        assert not found.axes_permuted


def test_most_reordered_neurons_are_recognised(models: list[Transformer]) -> None:
    """Neurons correspond by what they read and who reads them; a few ties may stay open."""
    rng = np.random.default_rng(2)
    found = [same_weights(treatments.permute_neurons(m, rng), m) for m in models]
    assert sum(f.same for f in found) >= 0.9 * len(found)
    assert not any(f.same and f.in_order for f, m in zip(found, models, strict=True) if m.d_mlp > 9)


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("amount", [1e-3, 1e-2, 1.0])
def test_one_changed_weight_is_seen(
    models: list[Transformer], amount: float, rotated: bool
) -> None:
    """A single weight changed by 1e-3 or more makes other weights, in any matrix."""
    rng = np.random.default_rng(3)
    for model in models[:12]:
        base = treatments.rotate(model, rng) if rotated else model
        for name in MATRICES:
            array = getattr(base, name).copy()
            place = tuple(int(rng.integers(size)) for size in array.shape)
            if abs(array[place]) > 1000:
                continue  # 1e-3 is rounding there
            array[place] += np.float32(amount)
            assert not same_weights(base.replace(**{name: array}), model).same, name


@pytest.mark.parametrize("name", ["b_Q", "b_K", "b_V", "b_O", "b_in", "b_out"])
def test_a_bias_is_seen(models: list[Transformer], name: str) -> None:
    """Compiled models have no biases."""
    array = getattr(models[0], name).copy()
    array[(0,) * array.ndim] = 1e-3
    found = same_weights(models[0].replace(**{name: array}), models[0])
    assert not found.same
    assert name in found.reason


@pytest.mark.parametrize("scale", [1e-5, 1e-4, 1e-2, 1.0])
def test_noise_is_seen(models: list[Transformer], scale: float) -> None:
    """Noise on every weight makes other weights, also under a rotation."""
    rng = np.random.default_rng(4)
    for model in models:
        noisy = treatments.add_noise(model, rng, scale)
        assert not same_weights(noisy, model).same
        assert not same_weights(treatments.rotate(noisy, rng), model).same


def test_other_programs_have_other_weights(models: list[Transformer]) -> None:
    """No two models of different programs are the same, those of equal sizes included."""
    equal_sizes = 0
    for fst, snd in itertools.combinations(models, 2):
        assert not same_weights(fst, snd).same
        equal_sizes += (fst.d_model, fst.d_head) == (snd.d_model, snd.d_head)
    assert equal_sizes >= 3


def test_spliced_models_are_not_the_same(models: list[Transformer]) -> None:
    """The embeddings of a model with another basis under its layers are another model."""
    rng = np.random.default_rng(5)
    for model in models:
        other = treatments.rotate(model, rng)
        assert not same_weights(model.replace(W_E=other.W_E, W_pos=other.W_pos), model).same


def test_a_negated_unread_output_keeps_the_sign_open() -> None:
    """A flipped axis gives the same weights, but then axes were not only reordered."""
    model = compile_program(sample_program(81, 0), VOCAB, LENGTH).transformer
    flip = np.ones(model.d_model)
    flip[0] = -1.0
    flipped = treatments.rotate(model, np.random.default_rng(0), np.diag(flip))
    found = same_weights(flipped, model)
    assert found.same
    assert not found.axes_permuted


@pytest.mark.parametrize("value", [1e30, 3e38, -1e38, 1e-42])
def test_huge_and_tiny_weights_raise_nothing(models: list[Transformer], value: float) -> None:
    """Numbers near the ends of single precision are compared without a warning."""
    for name in MATRICES:
        array = getattr(models[1], name)
        found = same_weights(models[1].replace(**{name: np.full_like(array, value)}), models[1])
        is_rounding = abs(value) < 1e-7 and not array.any()
        assert found.same == is_rounding
