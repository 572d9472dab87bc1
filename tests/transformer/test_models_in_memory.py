"""Models that somebody makes of arrays are checked like files."""

from __future__ import annotations

import numpy as np
import pytest

import untracr
from untracr import ModelFileError, Transformer


def model() -> Transformer:
    program = untracr.parse("SelectorWidth(Select(tokens, tokens, Comparison.EQ))")
    return untracr.compile_rasp_to_model(program, vocab=("a", "b"), max_seq_len=3).transformer


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["W_E", "W_pos", "W_Q", "W_in", "b_out"])
def test_what_is_not_finite_is_refused(name: str, number: float) -> None:
    """A W_pos with NaN kept a decomposition from ending."""
    array = getattr(model(), name).copy()
    array.reshape(-1)[array.size // 2] = number
    with pytest.raises(ModelFileError, match=f"must be finite numbers; {name}"):
        untracr.decompile_model(model().replace(**{name: array}))


@pytest.mark.parametrize("kind", [np.int64, np.complex64, np.bool_, object])
def test_what_is_no_floating_point_number_is_refused(kind: type) -> None:
    with pytest.raises(ModelFileError, match="floating-point numbers; W_pos is"):
        untracr.decompile_model(model().replace(W_pos=model().W_pos.astype(kind)))
    with pytest.raises(ModelFileError, match="W_E is list"):
        untracr.decompile_model(model().replace(W_E=model().W_E.tolist()))


def test_double_precision_is_read() -> None:
    arrays = {name: array.astype(np.float64) for name, array in model().arrays().items()}
    found = untracr.decompile_model(model().replace(**arrays))
    assert (found.verdict, found.departures) == ("identical", 0)


@pytest.mark.parametrize("value", [[1], float("nan"), object(), np.int64(1)])
def test_what_is_no_value_names_no_column(value: object) -> None:
    count = len(model().output_values or ())
    with pytest.raises(ModelFileError, match="output_values"):
        untracr.decompile_model(model().replace(output_values=(value,) * count))
