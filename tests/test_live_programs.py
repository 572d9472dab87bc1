"""Decompiling what people write for Tracr and samplers leave out, compiled by the real Tracr."""

from __future__ import annotations

import numpy as np
import pytest

from live_programs import PROGRAMS, compiled
from untracr.decompile.decompiler import Decompiler
from untracr.transformer.treatments import rotate


@pytest.fixture(scope="module")
def decompiler() -> Decompiler:
    return Decompiler()


@pytest.mark.parametrize("name", PROGRAMS)
def test_is_identical_from_weights_alone(decompiler: Decompiler, name: str) -> None:
    """As compiled and rotated, the program that is found has these very weights."""
    model, vocab = compiled(name)
    for weights in (model, rotate(model, np.random.default_rng(0))):
        found = decompiler.decompile(weights, vocab=vocab)
        assert found.verdict == "identical", found.detail
