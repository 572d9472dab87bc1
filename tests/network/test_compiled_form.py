"""A compiled model and the same weights as a network."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from compiled_models import model_of
from untracr.errors import ModelFileError
from untracr.network.architecture import Activation, Architecture, LayerNorm, PositionTable
from untracr.network.compiled_form import compiled_form, network_of_compiled, why_not_compiled
from untracr.network.forward import forward
from untracr.network.network import Network
from untracr.transformer.transformer import ARRAY_NAMES, Transformer

SOURCE = "Map(lambda x: x + 1, Aggregate(Select(indices, indices, Comparison.LEQ), indices))"


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "causal"])
def model(request: pytest.FixtureRequest) -> Transformer:
    """A compiled model with a read-out."""
    return model_of(SOURCE, causal=request.param)


def ids_of(model: Transformer) -> np.ndarray:
    """Random token ids that fill all positions."""
    shape = (50, len(model.W_pos))
    return np.random.default_rng(5).integers(0, len(model.W_E), shape)


def test_a_compiled_model_as_a_network_computes_the_same_final_stream(model: Transformer) -> None:
    network = network_of_compiled(model.replace(W_U=None, output_values=None)).validate()
    ids = ids_of(model)
    np.testing.assert_allclose(
        forward(network, ids), model.forward(ids).output, rtol=1e-5, atol=1e-5
    )


def test_there_and_back_gives_the_same_arrays(model: Transformer) -> None:
    back = compiled_form(network_of_compiled(model))
    assert back.causal == model.causal
    for name in (*ARRAY_NAMES, "W_U"):
        assert getattr(back, name).tobytes() == getattr(model, name).tobytes()


def test_a_network_without_neurons_gets_one_that_does_nothing(model: Transformer) -> None:
    network = network_of_compiled(model)
    layers = tuple(dataclasses.replace(layer, mlp=None) for layer in network.layers)
    attention_only = network.replace(layers=layers)
    ids = ids_of(model)
    expected = forward(attention_only, ids)
    form = compiled_form(attention_only).validate()
    assert form.W_U is not None
    np.testing.assert_allclose(form.forward(ids).output @ form.W_U, expected, atol=1e-5)


def _bias(network: Network) -> Network:
    assert network.W_U is not None
    return network.replace(b_U=np.ones(network.W_U.shape[1], dtype=np.float32))


def _unscaled(network: Network) -> Network:
    first = network.layers[0]
    heads = dataclasses.replace(first.attention, divisor=1.0)
    return network.replace(
        layers=(dataclasses.replace(first, attention=heads), *network.layers[1:])
    )


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        (lambda n: n.replace(architecture=Architecture(norm=LayerNorm())), "LayerNorm"),
        (lambda n: n.replace(architecture=Architecture(activation=Activation.GELU)), "gelu"),
        (lambda n: n.replace(architecture=Architecture(masked_token=0)), "masked"),
        (lambda n: n.replace(architecture=Architecture(positions=None), W_pos=None), "table"),
        (_bias, "bias"),
        (_unscaled, "sqrt"),
    ],
)
def test_what_no_compiled_model_has_is_named(changed, word: str) -> None:  # type: ignore[no-untyped-def]
    network = changed(network_of_compiled(model_of(SOURCE)))
    assert word in (why_not_compiled(network) or "")
    with pytest.raises(ModelFileError, match=word):
        compiled_form(network)


def test_rows_before_the_first_position_are_left_out(model: Transformer) -> None:
    network = network_of_compiled(model)
    pad = np.full((2, model.d_model), 7.0, dtype=np.float32)
    moved = network.replace(
        W_pos=np.concatenate([pad, model.W_pos]),
        architecture=dataclasses.replace(network.architecture, positions=PositionTable(2)),
    )
    ids = ids_of(model)
    np.testing.assert_array_equal(forward(moved, ids), forward(network, ids))
    np.testing.assert_array_equal(compiled_form(moved).W_pos, model.W_pos)
