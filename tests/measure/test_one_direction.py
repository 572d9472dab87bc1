"""The constant direction of compressed models, and the noise that embeddings show."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from untracr.compile.compiler import compile_program
from untracr.measure.one_direction import find_one_direction
from untracr.sample.sampler import PAPER, sample_program
from untracr.syntax.parsing import parse
from untracr.transformer import treatments

VOCAB, LENGTH = PAPER.domain.vocab, PAPER.domain.max_seq_len

SOURCES: dict[str, str] = {
    "a head": "out = Aggregate(Select(tokens, indices, Comparison.EQ), tokens)",
    "a grid with indices": "out = SequenceMap(lambda x, y: x - y, indices, tokens)",
    "a grid with other values": (
        "a = Map(lambda x: x + 1, indices)\nout = SequenceMap(lambda x, y: x * y, a, tokens)"
    ),
    "a staircase": (
        "a = numerical(Map(lambda x: x * 2, tokens))\n"
        "out = numerical(Map(lambda x: x > 3.5, a, simplify=False))"
    ),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("include_bos", [True, False])
def test_constant_is_found_where_something_reads_it(name: str, include_bos: bool) -> None:
    """In a compressed model the constant is its direction, projected on the basis."""
    compiled = compile_program(parse(SOURCES[name]), VOCAB, LENGTH)
    model = compiled.transformer
    one = compiled.residual.dim("one")
    for seed in range(5):
        rng = np.random.default_rng(seed)
        found = treatments.rotate_and_compress(model, rng, include_bos=include_bos)
        constant = find_one_direction(found.model)
        assert not constant.is_orthonormal
        assert np.allclose(constant.direction, found.basis[one], atol=1e-4)


def test_nothing_reads_a_constant() -> None:
    """A program of sums alone is compiled without a constant, and none is made up."""
    source = (
        "a = numerical(Map(lambda x: x * 2, tokens))\n"
        "out = numerical(LinearSequenceMap(a, a, 1, 2))"
    )
    model = compile_program(parse(source), VOCAB, LENGTH).transformer
    for seed in range(5):
        small = treatments.rotate_and_compress(model, np.random.default_rng(seed)).model
        assert not find_one_direction(small).direction.any()


@pytest.mark.slow
def test_constants_of_sampled_programs() -> None:
    """Of 150 sampled programs, compressed, the constant is wrong for a few at most."""
    wrong = 0
    for index in range(150):
        compiled = compile_program(sample_program(61, index), VOCAB, LENGTH)
        rng = np.random.default_rng(index)
        found = treatments.rotate_and_compress(compiled.transformer, rng)
        constant = find_one_direction(found.model)
        if constant.is_orthonormal or "one" not in compiled.residual.starts:
            continue
        wrong += not np.allclose(
            constant.direction, found.basis[compiled.residual.dim("one")], atol=1e-3
        )
    assert wrong <= 4


@pytest.mark.parametrize("size", [0.003, 0.01, 0.03])
def test_noise_is_told_from_the_embeddings(size: float) -> None:
    """The noise found is the noise added, within a third; exact weights show none."""
    sizes = []
    for index in range(40):
        model = compile_program(sample_program(62, index), VOCAB, LENGTH).transformer
        rng = np.random.default_rng(index)
        assert find_one_direction(treatments.rotate(model, rng)).noise == 0.0
        noisy = treatments.rotate(treatments.add_noise(model, rng, size), rng)
        constant = find_one_direction(noisy)
        assert constant.is_orthonormal
        sizes.append(constant.noise)
    assert np.mean(sizes) == pytest.approx(size, rel=0.1)
    assert np.std(sizes) < size / 3


def test_large_vocabularies_take_little_memory() -> None:
    """Hundreds of tokens and positions are not paired with each other."""
    rng = np.random.default_rng(0)
    source = "out = SequenceMap(lambda x, y: x - y, indices, tokens)"
    model = compile_program(parse(source), VOCAB, LENGTH).transformer
    rows, places = (rng.standard_normal((n, model.d_model)) for n in (602, 601))
    large = model.replace(W_E=rows.astype(np.float32), W_pos=places.astype(np.float32))
    tracemalloc.start()
    try:
        find_one_direction(large)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6
