"""Decompiling what people write for Tracr and samplers leave out, compiled by the real Tracr."""

from __future__ import annotations

import numpy as np
import pytest

from live_programs import CONSTANTS, PROGRAMS, compiled
from untracr.decompile.decompiler import Decompiler
from untracr.transformer.treatments import compress, rotate


@pytest.fixture(scope="module")
def decompiler() -> Decompiler:
    return Decompiler()


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_is_identical_from_weights_alone(decompiler: Decompiler, name: str) -> None:
    """As compiled and rotated, the program that is found has these very weights."""
    model, vocab = compiled(name)
    for weights in (model, rotate(model, np.random.default_rng(0))):
        found = decompiler.decompile(weights, vocab=vocab)
        assert found.verdict == "identical", found.detail


@pytest.mark.parametrize("name", list(CONSTANTS)[:4])
def test_constants_are_found_where_compression_hides_what_reads_them(
    decompiler: Decompiler, name: str
) -> None:
    """The search finds the lookup that the reader cannot tell from a number."""
    model, vocab = compiled(name)
    small = compress(model, np.random.default_rng(0), 0.95, include_bos=True).model
    found = decompiler.decompile(small, vocab=vocab)
    assert found.evidence.weights == "projected", found.detail


@pytest.mark.slow
def test_search_ends_where_the_weights_are_no_programs(decompiler: Decompiler) -> None:
    """However much time there is: what no operation explains is no operation."""
    model, vocab = compiled("two kinds of brackets")
    W_in = model.W_in.copy()
    last = np.flatnonzero(np.abs(W_in).any(axis=(1, 2)))[-1]
    neuron = np.flatnonzero(np.abs(W_in[last]).any(axis=0))[0]
    W_in[last][:, neuron] += np.random.default_rng(0).normal(0, 0.2, model.d_model)
    found = decompiler.decompile(model.replace(W_in=W_in), vocab=vocab, budget=3600.0)
    assert found.verdict == "unverified"
    assert found.search is not None
    assert 0 < found.search.operations < 20_000
