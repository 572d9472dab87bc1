"""Treatments are what their names say, and mistakes in a name are told."""

from __future__ import annotations

import numpy as np
import pytest

from untracr.compile.compiler import compile_program
from untracr.errors import UsageError
from untracr.sample.sampler import sample_program
from untracr.transformer.named_treatments import (
    CONTROLS,
    TREATMENTS,
    Treatment,
    parse_treatments,
)
from untracr.transformer.residual_vectors import LAYER_MATRICES
from untracr.transformer.transformer import Transformer
from untracr.transformer.treatments import compress, rotate_and_compress


@pytest.fixture
def model() -> Transformer:
    """Some compiled weights."""
    return compile_program(sample_program(4, 1), range(5), 5).transformer


def treated(name: str, model: Transformer) -> Transformer:
    """The weights after one treatment of seed 0."""
    (treatment,) = parse_treatments(name)
    return treatment.apply(model, np.random.default_rng(0)).model


def test_lists_and_sizes_are_read() -> None:
    """Commas part treatments, colons part sizes, and labels are as short as can be."""
    found = parse_treatments("compiled, rotated,noisy:0.001:0.01,compressed:0.8,compressed-bos")
    assert found == (
        Treatment("compiled"),
        Treatment("rotated"),
        Treatment("noisy", 0.001),
        Treatment("noisy", 0.01),
        Treatment("compressed", 0.8),
        Treatment("compressed-bos", 0.9),
    )
    labels = [treatment.label for treatment in found]
    assert labels[2:] == ["noisy:0.001", "noisy", "compressed:0.8", "compressed-bos"]
    assert parse_treatments(",".join(labels)) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a treatment is one of compiled, .*, not ''"),
        ("compiled,rotatd", "not 'rotatd'. Did you mean 'rotated'?"),
        ("rotated:2", "rotated takes no size, not '2'"),
        ("noisy:loud", "the size of noisy must be a number from 0 up, not 'loud'"),
        ("noisy:", "from 0 up, not ''"),
        ("noisy:inf", "from 0 up, not 'inf'"),
        ("noisy:nan", "from 0 up, not 'nan'"),
        ("noisy:-1", "from 0 up, not '-1'"),
        ("compressed:0", "above 0 and at most 1, not '0'"),
        ("compressed-bos:1.1", "above 0 and at most 1, not '1.1'"),
        ("noisy,noisy:0.01", "noisy comes twice"),
    ],
)
def test_mistakes_are_told(text: str, message: str) -> None:
    """An unknown name, a size that makes no sense, a treatment asked for twice."""
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        parse_treatments(text)


@pytest.mark.parametrize("name", TREATMENTS)
def test_a_seed_fixes_every_bit(name: str, model: Transformer) -> None:
    """The same generator gives the same weights, and the model given is not changed."""
    before = {key: array.copy() for key, array in model.arrays().items()}
    one, two = treated(name, model), treated(name, model)
    assert all(np.array_equal(array, two.arrays()[key]) for key, array in one.arrays().items())
    assert all(np.array_equal(array, model.arrays()[key]) for key, array in before.items())


def test_bos_compression_keeps_bos(model: Transformer) -> None:
    """Fitted behind BOS, its row survives; fitted the paper's way, most of it is lost."""
    rng = np.random.default_rng
    assert compress(model, rng(0), 0.9, include_bos=True).bos_error < 0.1
    assert compress(model, rng(0), 0.9).bos_error > 0.3
    expected = compress(model, rng(0), 0.9, include_bos=True).model
    assert np.array_equal(treated("compressed-bos", model).W_E, expected.W_E)
    assert treated("compressed:0.5", model).d_model == model.d_model // 2


@pytest.mark.parametrize("name", ["rotated-compressed", "rotated-compressed-bos"])
def test_names_stand_for_the_functions(name: str, model: Transformer) -> None:
    """The same seed gives what `rotate_and_compress` gives, rotation included; data sets draw less.

    What is said of a basis holds: the residual stream is the compiled one's, times it.
    """
    rng = np.random.default_rng
    expected = rotate_and_compress(model, rng(0), 0.9, include_bos=name.endswith("bos"))
    found = Treatment(name, 0.9).apply(model, rng(0))
    assert np.array_equal(found.model.W_E, expected.model.W_E)
    assert found.basis is not None
    assert np.array_equal(found.basis, expected.basis)
    other = Treatment(name, 0.9).apply(model, rng(0), measured=False)
    assert other.basis is not None
    assert np.allclose(other.model.W_E, model.W_E @ other.basis, atol=1e-6)
    assert not np.array_equal(other.basis, found.basis)


def test_controls_leave_nothing_of_the_program(model: Transformer) -> None:
    """Shuffling keeps each matrix's entries and the embeddings; Gaussians keep neither."""
    shuffled, gaussian = treated("shuffled", model), treated("gaussian", model)
    assert np.array_equal(shuffled.W_E, model.W_E)
    assert np.array_equal(shuffled.W_pos, model.W_pos)
    for name in LAYER_MATRICES:
        old, new = getattr(model, name), getattr(shuffled, name)
        for mine, theirs in zip(old, new, strict=True):
            assert np.array_equal(np.sort(mine, axis=None), np.sort(theirs, axis=None))
    assert not np.array_equal(shuffled.W_in, model.W_in)
    assert not np.isin(gaussian.W_E, model.W_E).any()
    assert np.std(gaussian.W_in) == pytest.approx(np.std(model.W_in), rel=0.2)
    assert all(control.is_control for control in CONTROLS)
