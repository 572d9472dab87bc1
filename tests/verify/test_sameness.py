"""Equal weights up to the symmetries, and what is never called equal."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from untracr.compile.compiler import compile_program
from untracr.sample.sampler import PAPER, sample_program
from untracr.syntax.parsing import parse
from untracr.transformer import residual_vectors, treatments
from untracr.transformer.head_basis import change_head_bases
from untracr.transformer.transformer import ARRAY_NAMES, Transformer
from untracr.verify.weight_equivalence import same_weights

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
    changes: dict[str, object] = {n: getattr(model, n) @ q for n in residual_vectors.WRITERS}
    changes |= {
        n: q.T @ getattr(model, n)
        for n in residual_vectors.READERS
        if getattr(model, n) is not None
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


@pytest.mark.parametrize("rotated", [False, True])
def test_reordered_parts_are_recognised(models: list[Transformer], rotated: bool) -> None:
    """Heads and neurons correspond by what they read and who reads them, ties included."""
    rng = np.random.default_rng(2)
    found = []
    for model in models:
        moved = treatments.permute_neurons(treatments.permute_heads(model, rng), rng)
        found.append(same_weights(treatments.rotate(moved, rng) if rotated else moved, model))
    assert [f.reason for f in found] == [""] * len(found)
    assert not any(f.same and f.in_order for f, m in zip(found, models, strict=True) if m.d_mlp > 9)


PARTNERS = {"W_Q": "W_K", "W_K": "W_Q", "W_V": "W_O", "W_O": "W_V"}


def _is_used(model: Transformer, name: str, place: tuple[int, ...]) -> bool:
    """Whether a head's other factor has anything in the inner dimension of a weight."""
    layer, head, *rest = place
    other = getattr(model, PARTNERS[name])[layer, head]
    if name == "W_O":
        return bool(other[:, rest[0]].any())
    return bool((other[rest[1]] if name == "W_V" else other[:, rest[1]]).any())


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
            if name in PARTNERS and not _is_used(base, name, place):
                continue  # it shows in no product of the head
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
        is_unused = name in PARTNERS and not getattr(models[1], PARTNERS[name]).any()
        assert found.same == (is_rounding or is_unused)


BASES: dict[str, Callable[[Transformer, np.random.Generator], Transformer]] = {
    "permuted": lambda m, rng: change_head_bases(m, rng, "permuted"),
    "orthogonal": lambda m, rng: change_head_bases(m, rng, "orthogonal"),
    "invertible": change_head_bases,
    "more dimensions": lambda m, rng: change_head_bases(m, rng, d_head=m.d_head + 5),
    "fewer dimensions": lambda m, rng: change_head_bases(m, rng, d_head=max(1, m.d_head - 1)),
    "everything": lambda m, rng: treatments.rotate(
        treatments.permute_neurons(
            treatments.permute_heads(change_head_bases(m, rng, d_head=m.d_head + 2), rng), rng
        ),
        rng,
    ),
}


@pytest.mark.parametrize("name", BASES)
def test_the_inner_basis_of_a_head_is_free(models: list[Transformer], name: str) -> None:
    """Its products are the head: neither their factors nor how many there are count."""
    rng = np.random.default_rng(11)
    for model in models:
        found = same_weights(BASES[name](model, rng), model)
        assert found.same, found.reason
        assert found.axes_permuted or name == "everything"


@pytest.mark.parametrize("rotated", [False, True])
def test_half_a_change_of_inner_basis_is_seen(models: list[Transformer], rotated: bool) -> None:
    """A basis changed in one factor only, or scores that forget the root of d_head."""
    rng = np.random.default_rng(12)
    with_heads = [m for m in models if m.W_Q.any()]
    assert len(with_heads) > 10
    for model in with_heads:
        for name in PARTNERS:
            changed = change_head_bases(model, rng)
            half = model.replace(**{name: getattr(changed, name)})
            other = change_head_bases(model, rng, d_head=model.d_head + 3)
            for wrong in (half, other.replace(W_Q=0.99 * other.W_Q)):
                given = treatments.rotate(wrong, rng) if rotated else wrong
                assert not same_weights(given, model).same, name


@pytest.mark.parametrize("amount", [1e-2, 1.0])
def test_one_changed_entry_of_a_product_is_seen(models: list[Transformer], amount: float) -> None:
    """In whatever basis its factors are."""
    rng = np.random.default_rng(13)
    for model in (m for m in models if m.W_Q.any()):
        layer, head = np.argwhere(model.W_Q.any(axis=(2, 3)))[0]
        for first, second in (("W_Q", "W_K"), ("W_V", "W_O")):
            wider = change_head_bases(model, rng, "orthogonal", model.d_head + 1)
            arrays = {n: getattr(wider, n).astype(np.float64) for n in PARTNERS}
            row, column = rng.integers(model.d_model, size=2)
            W_O = arrays["W_O"].transpose(0, 1, 3, 2)
            factors = (arrays[first][layer, head], (W_O if second == "W_O" else arrays[second]))
            product = factors[0] @ factors[1][layer, head].T
            product[row, column] += amount
            u, sizes, vt = np.linalg.svd(product)
            k = model.d_head + 1
            changed = getattr(wider, first).copy()
            changed[layer, head] = u[:, :k] * sizes[:k]
            other = getattr(wider, second).copy()
            other[layer, head] = vt[:k] if second == "W_O" else vt[:k].T
            given = wider.replace(**{first: changed, second: other})
            assert not same_weights(given, model).same, (first, row, column)


def test_a_badly_conditioned_basis_hides_nothing(models: list[Transformer]) -> None:
    """Where rounding could hide a change of a thousandth, weights are not called the same."""
    rng = np.random.default_rng(14)
    model = next(m for m in models if m.W_Q.any())
    for stretch in (1e2, 1e4, 1e6):
        basis = np.eye(model.d_head)
        basis[0, 1:] = stretch * rng.standard_normal(model.d_head - 1)
        inverse = np.linalg.inv(basis).T
        given = model.replace(
            W_Q=(model.W_Q.astype(np.float64) @ basis).astype(np.float32),
            W_K=(model.W_K.astype(np.float64) @ inverse).astype(np.float32),
        )
        array = given.W_E.copy()
        array[0, 0] += 1e-3
        assert not same_weights(given.replace(W_E=array), model).same
        if stretch > 1e3:
            assert not same_weights(given, model).same
            assert not same_weights(treatments.rotate(given, rng), model).same


def test_a_name_decides_nothing() -> None:
    """Columns of W_Q and W_K stand in the order of names, BOS among them."""
    source = "{0} = Map(lambda x: x + 1, tokens)\nwidth = SelectorWidth(Select({0}, {0}, {1}))"
    for comparison in ("Comparison.LT", "Comparison.GEQ"):
        first, second = (
            compile_program(parse(source.format(name, comparison)), VOCAB, LENGTH).transformer
            for name in ("a", "x")
        )
        assert not np.array_equal(first.W_K, second.W_K)
        found = same_weights(first, second)
        assert found.same, found.reason
        assert found.in_order
