"""A network in the form of TransformerLens' models computes the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from random_networks import KINDS, D, M, ids_of, network_of
from untracr.errors import ModelFileError
from untracr.network.forward import forward
from untracr.network.lens_form import lens_config, uniform_network
from untracr.network.network import Network, Norm


@pytest.mark.parametrize("both_pairs", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_the_form_computes_the_same(name: str, both_pairs: bool) -> None:
    network = network_of(KINDS[name]).astype(np.float64)
    ids = ids_of(network)
    form = uniform_network(network, 20, both_pairs=both_pairs)
    assert len({layer.mlp is None for layer in form.layers}) == 1
    np.testing.assert_allclose(forward(form, ids), forward(network, ids), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", ["gpt2", "compiled", "attention-only", "masked"])
def test_what_has_the_form_keeps_its_arrays(kind: str) -> None:
    network = network_of(KINDS[kind])
    form = dict(uniform_network(network, 20, both_pairs=False).arrays())
    assert all(form[name].tobytes() == array.tobytes() for name, array in network.arrays())


def _biased(network: Network) -> Network:
    norm = Norm(network.ln_final.w, np.ones(D, dtype=np.float32))
    return network.replace(ln_final=norm)


def _half_gated(network: Network) -> Network:
    first, second = network.layers
    assert second.mlp is not None
    plain = dataclasses.replace(second, mlp=dataclasses.replace(second.mlp, W_gate=None))
    return network.replace(layers=(first, plain))


@pytest.mark.parametrize(
    ("change", "words"),
    [(_biased, "no RMS norm with a bias"), (_half_gated, "gates in some layers only")],
)
def test_what_the_library_lacks_is_named(change, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ModelFileError, match=words):
        uniform_network(change(network_of(KINDS["llama"])), 20, both_pairs=True)


def test_the_configuration_has_the_sizes() -> None:
    form = uniform_network(network_of(KINDS["no gains"]), 20, both_pairs=True)
    config = lens_config(form, 20)
    assert (config["d_mlp"], config["normalization_type"]) == (M, "LNPre")
