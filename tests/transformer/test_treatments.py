"""Treatments: what they promise to keep is kept, and what they lose is told truly."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from real_models import REAL
from untracr.compile.compiler import Compiled, compile_program
from untracr.loading.loading import load_model
from untracr.rasp.functions import Comparison, formula
from untracr.rasp.nodes import (
    CATEGORICAL,
    INDICES,
    NUMERICAL,
    TOKENS,
    Aggregate,
    Map,
    Select,
    SelectorWidth,
    SequenceMap,
)
from untracr.rasp.program import Builder
from untracr.transformer import treatments
from untracr.transformer.transformer import BIASES, Transformer

VOCAB = (0, 1, 2, 3, 4)
MAX_SEQ_LEN = 5


def compiled() -> Compiled:
    """Two heads in a layer, several layers, a staircase, a lookup and a pairwise MLP."""
    b = Builder()
    same = b.add(Select(TOKENS, TOKENS, Comparison.EQ))
    before = b.add(Select(INDICES, INDICES, Comparison.LT))
    count = b.add(SelectorWidth(same))
    place = b.add(SelectorWidth(before))
    mixed = b.add(SequenceMap(formula("x + y", 2), count, place, CATEGORICAL))
    moved = b.add(Select(mixed, INDICES, Comparison.EQ))
    found = b.add(Aggregate(moved, TOKENS, None, CATEGORICAL))
    return compile_program(b.build(found), VOCAB, MAX_SEQ_LEN)


def numerical() -> Compiled:
    """A share of tokens: numbers in the stream, and one as the output."""
    b = Builder()
    before = b.add(Select(INDICES, INDICES, Comparison.LEQ))
    is_one = b.add(Map(formula("x > 1"), TOKENS, NUMERICAL))
    share = b.add(Aggregate(before, is_one, 0, NUMERICAL))
    return compile_program(b.build(share), VOCAB, MAX_SEQ_LEN, causal=True)


MODELS = {"categorical": compiled().transformer, "numerical": numerical().transformer}


@pytest.fixture(params=list(MODELS))
def model(request: pytest.FixtureRequest) -> Transformer:
    return MODELS[request.param]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def with_bos(n: int = 40, seed: int = 5) -> npt.NDArray[np.int64]:
    """Inputs as in use: BOS (row 5), then five tokens."""
    return np.concatenate([np.full((n, 1), 5), rng(seed).integers(0, 5, (n, 5))], axis=1)


def outputs(model: Transformer) -> npt.NDArray[np.float32]:
    assert model.W_U is not None
    return model.forward(with_bos()).output @ model.W_U


def assert_same_function(found: Transformer, wanted: Transformer) -> None:
    """Read-out and attention logits agree to float32 rounding of the largest number."""
    np.testing.assert_allclose(outputs(found), outputs(wanted), atol=2e-3)
    before, after = wanted.forward(with_bos()), found.forward(with_bos())
    for one, other in zip(before.attn_logits, after.attn_logits, strict=True):
        np.testing.assert_allclose(
            np.sort(other, axis=1),
            np.sort(one, axis=1),
            atol=1e-4 * (1 + np.abs(one[one > -1e29]).max()),
        )


KEEPING: dict[str, Callable[[Transformer, np.random.Generator], Transformer]] = {
    "rotate": treatments.rotate,
    "permute_residual": treatments.permute_residual,
    "permute_heads": treatments.permute_heads,
    "permute_neurons": treatments.permute_neurons,
}

ALL: dict[str, Callable[[Transformer, np.random.Generator], Transformer]] = {
    **KEEPING,
    "compress": lambda model, rng: treatments.compress(model, rng).model,
    "compress_bos": lambda model, rng: treatments.compress(model, rng, include_bos=True).model,
    "rotate_and_compress": lambda model, rng: treatments.rotate_and_compress(model, rng).model,
    "add_noise": lambda model, rng: treatments.add_noise(model, rng, 0.1),
}


def biased(model: Transformer) -> Transformer:
    """The model with biases, which Tracr leaves at zero and a treatment may forget."""
    changes = {
        name: rng(9).normal(scale=0.01, size=getattr(model, name).shape).astype(np.float32)
        for name in BIASES
    }
    return model.replace(**changes)


@pytest.mark.parametrize("name", KEEPING)
@pytest.mark.parametrize("seed", range(3))
def test_changes_of_basis_keep_the_function(model: Transformer, name: str, seed: int) -> None:
    """Rotations and permutations are symmetries: the same outputs from other weights."""
    for original in (model, biased(model)):
        treated = KEEPING[name](original, rng(seed)).validate()
        assert_same_function(treated, original)


@pytest.mark.parametrize("name", ALL)
def test_a_seed_fixes_every_bit_and_the_model_is_left_alone(model: Transformer, name: str) -> None:
    """Data sets are rebuilt from seeds; and models are values, never changed in place."""
    before = {key: array.copy() for key, array in model.arrays().items()}
    one, again, *others = (ALL[name](model, rng(seed)) for seed in (1, 1, 2, 3, 4, 5, 6))
    for key, array in one.arrays().items():
        assert array.dtype == np.float32
        assert array.tobytes() == again.arrays()[key].tobytes()
        assert before[key].tobytes() == model.arrays()[key].tobytes()
    differs = any(
        one.arrays()[key].tobytes() != other.arrays()[key].tobytes()
        for key in before
        for other in others
    )
    sizes = {"permute_heads": model.n_heads, "permute_neurons": model.d_mlp}
    assert differs or sizes.get(name) == 1
    assert (one.causal, one.output_values) == (model.causal, model.output_values)


def test_random_orthogonal_matrices_are_uniform() -> None:
    """Haar: no direction or sign is preferred; without the sign fix the diagonal leans."""
    draws = np.stack([treatments.random_orthogonal(3, r) for r in [rng(3)] for _ in range(4000)])
    np.testing.assert_allclose(
        draws @ draws.swapaxes(1, 2), np.broadcast_to(np.eye(3), draws.shape), atol=1e-12
    )
    # Means are 0 and squares 1/3, with a standard error below 0.01.
    assert np.abs(draws.mean(axis=0)).max() < 0.05
    assert np.abs((draws**2).mean(axis=0) - 1 / 3).max() < 0.03
    assert abs(np.mean(np.linalg.det(draws) > 0) - 0.5) < 0.05


def test_a_rotation_can_be_given_and_undone(model: Transformer) -> None:
    """Rotating back gives the original weights, so nothing but the basis changed."""
    rotation = treatments.random_orthogonal(model.d_model, rng())
    turned = treatments.rotate(model, rng(), rotation)
    np.testing.assert_allclose(turned.W_E, model.W_E @ rotation, atol=1e-5)
    back = treatments.rotate(turned, rng(), rotation.T)
    for name, array in model.arrays().items():
        np.testing.assert_allclose(
            back.arrays()[name], array, atol=1e-5 * (1 + np.abs(array).max())
        )
    for bad in (2 * rotation, rotation[:, :-1]):
        with pytest.raises(ValueError, match="orthogonal"):
            treatments.rotate(model, rng(), bad)


def test_permutations_can_be_given(model: Transformer) -> None:
    """New i is old permutation[i], the same for all layers or one a layer."""
    width, neurons, heads = model.d_model, model.d_mlp, model.n_heads
    assert MODELS["categorical"].n_heads > 1
    back = np.arange(width)[::-1]
    turned = treatments.permute_residual(model, rng(), back)
    assert np.array_equal(turned.W_E, model.W_E[:, ::-1])
    turned = treatments.permute_neurons(model, rng(), np.arange(neurons)[::-1])
    assert (turned.W_in == model.W_in[:, :, ::-1]).all()
    assert (turned.W_out == model.W_out[:, ::-1]).all()
    orders = np.tile(np.arange(heads), (model.n_layers, 1))
    orders[0] = orders[0, ::-1]
    turned = treatments.permute_heads(model, rng(), orders)
    assert (turned.W_Q[0] == model.W_Q[0, ::-1]).all()
    assert (turned.W_O[1:] == model.W_O[1:]).all()
    for bad in ([0] * width, list(range(width - 1)), [0.5] * width):
        with pytest.raises(ValueError, match="once"):
            treatments.permute_residual(model, rng(), bad)


# Compression


def test_compression_keeps_floor_of_ratio_directions(model: Transformer) -> None:
    """The width is part of the treatment's definition."""
    for ratio in (0.01, 0.5, 0.9, 1.0):
        found = treatments.compress(model, rng(), ratio)
        rank = max(1, math.floor(ratio * model.d_model))
        assert found.rank == found.model.validate().d_model == rank
        np.testing.assert_allclose(found.basis.T @ found.basis, np.eye(rank), atol=1e-12)
        assert found.arbitrary == max(0, rank - found.data_rank)


def test_full_width_compression_loses_nothing(model: Transformer) -> None:
    """At ratio 1 it is a change of basis, and every reported loss must say so."""
    found = treatments.compress(model, rng(), 1.0)
    assert_same_function(found.model, model)
    assert found.kept_energy == pytest.approx(1)
    for loss in (found.sample_error, found.bos_error, found.pad_error, found.product_error):
        assert loss < 1e-6
    assert found.output_error < 1e-4
    assert found.outputs_changed == 0


def test_compression_fitted_without_bos_loses_bos() -> None:
    """The paper's fit never sees BOS; the report must admit what that costs."""
    model = MODELS["categorical"]
    blind = treatments.compress(model, rng())
    honest = treatments.compress(model, rng(), include_bos=True)
    assert blind.sample_error < 1e-3
    assert blind.arbitrary > 0
    assert blind.bos_error > 0.2
    assert honest.bos_error < 1e-3
    assert honest.kept_energy == pytest.approx(1, abs=1e-6)
    assert honest.output_error < 1e-3 < blind.output_error
    assert honest.outputs_changed == 0
    assert blind.outputs_changed is not None
    assert blind.outputs_changed > 0


def test_compression_reports_what_a_plain_computation_finds(model: Transformer) -> None:
    """Each number against its definition, computed the slow way."""
    inputs = rng(4).integers(0, 5, (30, 6))
    found = treatments.compress(model, rng(), 0.4, inputs=inputs)
    trace = model.forward(inputs)
    parts = [trace.input_embeddings, *trace.residuals]
    sample = np.concatenate([part.reshape(-1, model.d_model) for part in parts]).astype(float)
    sizes = np.linalg.svd(sample, compute_uv=False)
    best = (sizes[: found.rank] ** 2).sum() / (sizes**2).sum()
    assert found.kept_energy == pytest.approx(best)
    projector = found.basis @ found.basis.T
    lost = np.linalg.norm(sample - sample @ projector) / np.linalg.norm(sample)
    assert found.sample_error == pytest.approx(lost)
    for error, row in ((found.bos_error, model.W_E[-2]), (found.pad_error, model.W_E[-1])):
        assert error == pytest.approx(np.linalg.norm(row - row @ projector) / np.linalg.norm(row))
    assert found.product_error == pytest.approx(slow_product_error(model, projector))
    np.testing.assert_allclose(found.model.W_E, model.W_E @ found.basis, atol=1e-6)
    np.testing.assert_allclose(
        found.model.W_in[0], found.basis.T @ model.W_in[0], rtol=1e-4, atol=1e-3
    )


def slow_product_error(model: Transformer, projector: npt.NDArray[np.float64]) -> float:
    """All written-read pairs, one by one."""
    before: list[npt.NDArray[np.float32]] = [*model.W_E, *model.W_pos]
    lost = total = 0.0

    def read(vectors: npt.NDArray[np.float32]) -> None:
        nonlocal lost, total
        writers = np.array(before, dtype=float)
        lost += float(((writers @ vectors - writers @ projector @ vectors) ** 2).sum())
        total += float(((writers @ vectors) ** 2).sum())

    for layer in range(model.n_layers):
        for head in range(model.n_heads):
            for array in (model.W_Q, model.W_K, model.W_V):
                read(array[layer, head])
        before += [*model.W_O[layer].reshape(-1, model.d_model), model.b_O[layer]]
        read(model.W_in[layer])
        before += [*model.W_out[layer], model.b_out[layer]]
    assert model.W_U is not None
    read(model.W_U)
    return math.sqrt(lost / total)


def test_less_width_loses_more(model: Transformer) -> None:
    """Kept energy can only fall with the ratio."""
    kept = [treatments.compress(model, rng(), r).kept_energy for r in (0.9, 0.5, 0.2, 0.05)]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] < 0.99


def test_rotating_after_compression_costs_nothing(model: Transformer) -> None:
    """Same subspace, same losses, other coordinates."""
    plain = treatments.compress(model, rng(), 0.5)
    turned = treatments.rotate_and_compress(model, rng(), 0.5, include_bos=False)
    assert turned.kept_energy == plain.kept_energy
    np.testing.assert_allclose(
        turned.basis @ turned.basis.T, plain.basis @ plain.basis.T, atol=1e-10
    )
    assert not np.allclose(turned.model.W_E, plain.model.W_E)
    np.testing.assert_allclose(turned.model.W_E, model.W_E @ turned.basis, atol=1e-6)


def test_compression_needs_no_read_out() -> None:
    """Tracr's parameters hold no read-out; then no output can be compared."""
    bare = MODELS["categorical"].replace(W_U=None, output_values=None)
    found = treatments.compress(bare, rng())
    assert found.outputs_changed is None
    assert found.model.W_U is None


def test_bad_compression_options_are_refused(model: Transformer) -> None:
    """Wrong options must not give a model of a wrong width or from no data."""
    for ratio in (0.0, -1.0, 1.1, math.nan):
        with pytest.raises(ValueError, match="ratio"):
            treatments.compress(model, rng(), ratio)
    with pytest.raises(ValueError, match="bos_row"):
        treatments.compress(model, rng(), bos_row=99)
    with pytest.raises(ValueError, match="sampled"):
        treatments.compress(model, rng(), n_inputs=0)
    with pytest.raises(ValueError, match="token_ids"):
        treatments.compress(model, rng(), inputs=np.zeros((2, 99), int))
    with pytest.raises(ValueError, match="at least one"):
        treatments.compress(model, rng(), inputs=np.zeros((0, 3), int))


def test_files_compiled_by_tracr_lose_bos_in_the_papers_compression() -> None:
    """On real files the paper's fit is good on its own sample, yet only honest fits keep BOS."""
    for path in sorted(REAL.glob("*.npz"))[::20]:
        model = load_model(path).transformer
        blind = treatments.compress(model, rng())
        honest = treatments.compress(model, rng(), include_bos=True)
        assert blind.rank == int(0.9 * model.d_model)
        assert blind.kept_energy > 0.99
        assert honest.bos_error < 1e-2 < blind.bos_error
        np.testing.assert_allclose(
            treatments.rotate(model, rng()).forward(with_bos()).attn_logits[0],
            model.forward(with_bos()).attn_logits[0],
            atol=1e-2,
        )


# Noise


def test_noise_has_the_stated_scale() -> None:
    """Each matrix's noise is measured against its own non-zero entries."""
    model = MODELS["categorical"]
    noisy = treatments.add_noise(model, rng(), 0.2).validate()
    for name, array in model.arrays().items():
        difference = noisy.arrays()[name].astype(float) - array
        if name in BIASES:
            assert not difference.any()
            continue
        for layer in range(model.n_layers) if name not in ("W_E", "W_pos") else (slice(None),):
            nonzero = array[layer][array[layer] != 0].astype(float)
            wanted = 0.2 * math.sqrt((nonzero**2).mean()) if len(nonzero) else 0.0
            size = difference[layer].size
            assert difference[layer].std() == pytest.approx(wanted, rel=5 / math.sqrt(2 * size))
            assert not len(nonzero) or difference[layer].all()
    assert noisy.W_U is model.W_U


def test_no_noise_changes_nothing_and_bad_scales_are_refused(model: Transformer) -> None:
    """Scale 0 is the identity; a negative or infinite scale has no meaning."""
    same = treatments.add_noise(model, rng(), 0.0)
    for name, array in model.arrays().items():
        assert (same.arrays()[name] == array).all()
    for scale in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="scale"):
            treatments.add_noise(model, rng(), scale)
