"""A model of TransformerLens that holds compiled weights is decompiled as their file is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tracr_reference import compile_with_tracr
from untracr.decompile.bundled import decompile_model
from untracr.diagnose.model import compile_rasp_to_model
from untracr.loading.loading import load_model
from untracr.rasp.functions import Value
from untracr.syntax.library import named_program
from untracr.transformer.transformer import ARRAY_NAMES

pytest.importorskip("transformer_lens")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # the library's own


def require_as_its_file(model: Any, vocab: tuple[Value, ...]) -> None:
    """The model in the library holds the same bytes, and the answer on it is the same."""
    ours = load_model(model)
    theirs = ours.to_transformer_lens()
    found = load_model(theirs)
    for name in (*ARRAY_NAMES, "W_U"):
        array = getattr(ours.transformer, name)
        assert getattr(found.transformer, name).tobytes() == np.ascontiguousarray(array).tobytes()
    assert found.transformer.causal == ours.transformer.causal
    result = decompile_model(theirs, vocab=vocab)
    bare = ours.transformer.replace(output_values=None)
    assert result.verdict == "identical"
    assert result.source == decompile_model(bare, vocab=vocab).source


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", ["hist", "sort", "frac_prevs", "length"])
def test_compiled_models_go_and_come_back(name: str, causal: bool) -> None:
    vocab = (0, 1, 2, 3)
    model = compile_rasp_to_model(named_program(name), set(vocab), 4, causal=causal, strict=False)
    require_as_its_file(model, vocab)


def test_so_does_a_model_of_tracr_s() -> None:
    lib = pytest.importorskip("tracr.compiler.lib")

    model = compile_with_tracr(lib.make_hist(), {"a", "b"}, 4)
    described = load_model(model).metadata
    named: Any = described["token_values"]
    theirs = load_model(model).to_transformer_lens()
    result = decompile_model(theirs, token_values=named, bos=described["bos"], pad=described["pad"])  # type: ignore[arg-type]
    assert result.verdict == "identical"
    assert result.source == decompile_model(model).source
