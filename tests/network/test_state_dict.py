"""Weights by names, there and back."""

from __future__ import annotations

import numpy as np
import pytest

from random_networks import KINDS, D, H, K, network_of
from untracr.errors import ModelFileError, UsageError
from untracr.network.network import Network
from untracr.network.state_dict import network_of_state_dict, scores_of, state_dict


@pytest.fixture(params=KINDS)
def network(request: pytest.FixtureRequest) -> Network:
    """A network of each kind."""
    return network_of(KINDS[request.param])


def test_there_and_back_gives_the_same_arrays(network: Network) -> None:
    tensors = state_dict(network)
    back = network_of_state_dict(tensors, network.architecture, scores_of(network))
    assert {name: id(array) for name, array in back.arrays()} == {
        name: id(array) for name, array in tensors.items()
    }
    assert scores_of(back) == scores_of(network)


def test_a_bridges_matrices_are_linear_layers() -> None:
    network = network_of(KINDS["llama"])
    lens, bridge = state_dict(network), state_dict(network, "transformer_bridge")
    assert len(bridge) == len(lens)
    query = bridge["blocks.1.attn.q.weight"]
    assert query.shape == (H * K, D)
    np.testing.assert_array_equal(query[K : 2 * K], lens["blocks.1.attn.W_Q"][1].T)
    np.testing.assert_array_equal(bridge["blocks.0.mlp.gate.weight"], lens["blocks.0.mlp.W_gate"].T)


def test_another_style_is_refused() -> None:
    with pytest.raises(UsageError, match="transformer_lens or transformer_bridge, not 'gpt2'"):
        state_dict(network_of(KINDS["gpt2"]), "gpt2")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"blocks.0.attn.W_Q": None}, r"missing: 'blocks\.0\.attn\.W_Q"),
        ({"blocks.0.attn.W_S": np.ones(3)}, r"unknown: 'blocks\.0\.attn\.W_S"),
        ({"blocks.3.attn.W_Q": np.ones(3)}, "numbered from 0 without a gap"),
        ({"blocks.1.mlp.b_in": None}, r"missing: 'blocks\.1\.mlp\.b_in"),
        ({"blocks.1.ln1.w": np.ones(3)}, r"blocks\.1\.ln1\.w must have shape \[D=12\]"),
        ({"pos_embed.W_pos": None}, "there is no W_pos"),
        ({"unembed.W_U": None, "unembed.b_U": np.ones(5)}, r"missing: 'unembed\.W_U"),
        ({"embed.W_E": np.ones((7, 12), dtype=int)}, "must be floating-point numbers"),
        ({"ln_final.w": np.full(12, np.nan)}, r"ln_final\.w\[0\] is nan"),
    ],
)
def test_tensors_that_are_no_networks_are_refused(changes: dict[str, object], word: str) -> None:
    network = network_of(KINDS["gelu"])
    tensors = {**state_dict(network), **changes}
    tensors = {name: array for name, array in tensors.items() if array is not None}
    with pytest.raises(ModelFileError, match=word):
        network_of_state_dict(tensors, network.architecture, scores_of(network))  # type: ignore[arg-type]
