"""Models of the TransformerLens library compute what the network does.

They run with version 4 and with version 3, whichever is installed.
"""

from __future__ import annotations

import copy
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from compiled_models import model_of
from random_networks import KINDS, ids_of, network_of
from untracr.decompile.bundled import decompile_model
from untracr.errors import ModelFileError
from untracr.loading.loading import load_model
from untracr.loading.network_file import SavedNetwork, network_file
from untracr.network.architecture import RmsNorm, Rotary
from untracr.network.compiled_form import network_of_compiled
from untracr.network.forward import forward
from untracr.network.network import Array, Network
from untracr.network.state_dict import state_dict
from untracr.network.transformer_lens import to_transformer_lens
from untracr.transformer.transformer import ARRAY_NAMES

pytest.importorskip("transformer_lens")  # the extra `test` has it
pytestmark = pytest.mark.filterwarnings("ignore")  # the library's own

NUMBER = "numerical(Map(lambda x: x * 2, tokens))"

BRIDGE = int(version("transformer_lens").split(".")[0]) >= 4
"""Whether version 4 is installed."""

LACKING = {"gates and biases"}
"""Kinds that version 4 has not."""

SUPPORTED = [name for name in KINDS if name not in LACKING]


def relative(found: Array, wanted: Array) -> float:
    """The largest difference by the largest number."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def logits_of(model: Any, ids: npt.NDArray[np.int64]) -> Array:
    """What a model of the library computes."""
    with torch.no_grad():
        return np.asarray(model(torch.from_numpy(ids)).numpy())


def bound_of(network: Network) -> float:
    """How far off a model may be: version 4 has parts that work in single precision."""
    what = network.architecture
    single = isinstance(what.norm, RmsNorm) or isinstance(what.positions, Rotary)
    return 1e-5 if network.W_E.dtype == np.float32 or single else 1e-12


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SUPPORTED)
def test_logits_are_the_networks(name: str, dtype: type) -> None:
    network = network_of(KINDS[name]).astype(dtype)
    ids = ids_of(network)
    model = to_transformer_lens(network)
    found = logits_of(model, ids)
    assert found.dtype == dtype
    assert relative(found, forward(network, ids)) < bound_of(network)
    cached, cache = model.run_with_cache(torch.from_numpy(ids))
    np.testing.assert_array_equal(cached.detach().numpy(), found)
    assert len(cache["blocks.0.attn.hook_pattern"]) == len(ids)


@pytest.mark.parametrize("name", ["compiled", "gpt2", "masked", "windows"])
def test_hooks_removed_and_copied_models_compute_the_same(name: str) -> None:
    network = network_of(KINDS[name])
    ids = ids_of(network)
    model = to_transformer_lens(network)
    model.reset_hooks()
    wanted = forward(network, ids)
    assert relative(logits_of(model, ids), wanted) < 1e-5
    assert relative(logits_of(copy.deepcopy(model), ids), wanted) < 1e-5


@pytest.mark.parametrize("name", ["gpt2", "one number", "masked causal", "llama"])
def test_what_compatibility_mode_changes(name: str) -> None:
    """Nothing without processing; with it, logits by a constant at each position, and more."""
    network = network_of(KINDS[name])
    ids, wanted = ids_of(network), forward(network, ids_of(network))
    plain, processed = to_transformer_lens(network), to_transformer_lens(network)
    if BRIDGE:
        plain.enable_compatibility_mode(disable_warnings=True, no_processing=True)
        processed.enable_compatibility_mode(disable_warnings=True)
    else:
        processed.process_weights_()
    assert relative(logits_of(plain, ids), wanted) < 1e-5
    changed = logits_of(processed, ids)
    assert relative(changed, wanted) > 0.01
    if name == "one number":
        assert relative(changed + 1, np.ones_like(changed)) < 1e-5
    elif name != "masked causal":  # where value biases are folded, which is wrong
        centred = wanted - wanted.mean(axis=-1, keepdims=True)
        found = changed - changed.mean(axis=-1, keepdims=True)
        assert relative(found, centred) < 1e-4


def test_a_compiled_model_whose_output_is_a_number() -> None:
    model = model_of(NUMBER)
    network = network_of_compiled(model)
    assert network.W_U is not None
    assert network.W_U.shape[1] == 1
    ids = np.random.default_rng(0).integers(0, len(model.W_E), (10, len(model.W_pos)))
    found = logits_of(to_transformer_lens(network), ids)
    assert found.shape[-1] == 1
    assert relative(found, forward(network, ids)) < 1e-5


@pytest.mark.parametrize("name", ["compiled", "gpt2", "attention-only"])
def test_weights_are_the_networks_to_the_bit(name: str) -> None:
    network = network_of(KINDS[name])
    model = to_transformer_lens(network)
    weights = state_dict(network, "transformer_bridge" if BRIDGE else "transformer_lens")
    found = model.state_dict()
    for tensor, array in weights.items():
        assert found[tensor].numpy().tobytes() == array.tobytes(), tensor


def test_the_configuration_says_what_the_network_is() -> None:
    config = to_transformer_lens(network_of(KINDS["masked"])).cfg
    assert config.default_prepend_bos is False
    assert config.attention_dir == "bidirectional"
    assert (config.d_vocab, config.d_vocab_out, config.n_ctx) == (7, 5, 11)


def test_gradients_flow() -> None:
    network = network_of(KINDS["gpt2"])
    model = to_transformer_lens(network)
    model(torch.from_numpy(ids_of(network))).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.skipif(not BRIDGE, reason="version 3 has such neurons")
def test_what_the_library_lacks_is_refused_by_name() -> None:
    with pytest.raises(ModelFileError, match="no neurons with both gates and biases"):
        to_transformer_lens(network_of(KINDS["gates and biases"]))


CHANGED = {"llama", "no positions", "later rows", "uneven", "no read-out", "adjacent"}
"""Kinds that the library has in another form."""


@pytest.mark.parametrize("name", [name for name in SUPPORTED if name not in CHANGED])
def test_file_to_torch_to_the_library_and_back_is_the_same_file(name: str) -> None:
    """To the last byte, masked tokens, windows and divisors with it."""
    network = network_of(KINDS[name])
    data = network_file(SavedNetwork(network, None, {}))
    module = load_model(network).to_torch()
    model = load_model(module).to_transformer_lens()
    back = load_model(copy.deepcopy(model)).network
    assert network_file(SavedNetwork(back, None, {})) == data


@pytest.mark.parametrize("name", sorted(CHANGED))
def test_the_librarys_form_comes_back_as_the_same_function(name: str) -> None:
    network = network_of(KINDS[name])
    ids = ids_of(network)
    back = load_model(to_transformer_lens(network)).network
    assert relative(forward(back, ids), forward(network, ids)) < 1e-5


def test_a_compiled_model_comes_back_to_the_bit() -> None:
    model = model_of(NUMBER)
    back = load_model(load_model(model).to_transformer_lens()).transformer
    for name in (*ARRAY_NAMES, "W_U"):
        assert getattr(back, name).tobytes() == getattr(model, name).tobytes(), name


@pytest.mark.slow
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("source", [NUMBER, "SelectorWidth(Select(tokens, tokens, Comparison.EQ))"])
def test_a_live_model_is_decompiled_as_its_file_is(source: str, causal: bool) -> None:
    model = load_model(model_of(source, causal=causal)).to_transformer_lens()
    assert decompile_model(model).verdict == "identical"
