"""What rounding decides on is not shown."""

from __future__ import annotations

import numpy as np
import pytest

from untracr import Domain, Transformer
from untracr.ambiguity.checking import check
from untracr.audit.claims import compiled_rows
from untracr.audit.plain_run import read_out_differs
from untracr.compile.canonical import canonicalise
from untracr.explain.comparing import compare_outputs
from untracr.syntax.parsing import parse
from untracr.verify.double_precision import in_double
from untracr.verify.outputs import outputs_agree

DOMAIN = Domain(("a", "b", "c"), 3)
HIST = canonicalise(parse("SelectorWidth(Select(tokens, tokens, Comparison.EQ))"))


def hist() -> Transformer:
    return compiled_rows(HIST, DOMAIN, causal=False)


def constant(model: Transformer) -> np.ndarray:
    """The direction that holds 1 at every position: PAD's row is that and its own."""
    steps = model.W_in[-1][:, (model.W_in[-1] < 0).any(axis=0)]
    reads = np.zeros(model.d_model, dtype=np.float32)
    reads[np.flatnonzero((steps < 0).any(axis=1))[0]] = 1
    return reads


def with_layers(model: Transformer, *sizes: float) -> Transformer:
    """With layers behind it, each of which adds a number to the first column of the read-out."""
    assert model.W_U is not None
    more = len(sizes)
    arrays = {
        name: np.concatenate([array, np.zeros((more, *array.shape[1:]), dtype=np.float32)])
        for name, array in model.arrays().items()
        if name not in ("W_E", "W_pos")
    }
    for layer, size in enumerate(sizes, start=model.n_layers):
        arrays["W_in"][layer, :, 0] = constant(model)
        arrays["W_out"][layer, 0] = np.float32(size) * model.W_U[:, 0]
    return model.replace(**arrays)


@pytest.mark.parametrize("size", [1e8, 1e17])
def test_what_rounding_drops_is_not_called_equal(size: float) -> None:
    """1e8 and 2 and -1e8: nothing in single precision, and the first column is the largest in
    double. Of 1e17 that one drops the 2 as well."""
    model = with_layers(hist(), size, 2, -size)
    single = model.forward([[3, 0]]).output[0, 1] @ model.W_U
    assert single.argmax() == 1  # the program's value
    found = check(model, HIST, DOMAIN, settle=False)
    assert found.verdict == "unverified"
    assert "rounding in single precision decides" in found.detail
    for other in (HIST, hist()):
        compared = compare_outputs(model, other, DOMAIN)
        assert compared.unclear is not None
        assert not compared.is_shown


def test_layers_that_cancel_in_every_precision_change_nothing() -> None:
    model = with_layers(hist(), 1000, -1000)
    assert read_out_differs(model, HIST, DOMAIN, 0.0) == ""
    found = check(model, HIST, DOMAIN, settle=False)
    assert (found.verdict, found.inputs_checked) == ("equivalent", DOMAIN.size)
    assert compare_outputs(model, HIST, DOMAIN).is_shown


def test_a_model_in_double_precision_runs_in_it() -> None:
    model = in_double(hist())
    assert model.forward([[3, 0]]).output.dtype == np.float64
    assert outputs_agree(hist(), HIST, DOMAIN).rounded == 0
