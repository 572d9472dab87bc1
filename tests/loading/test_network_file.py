"""Files of networks: read back exactly, and refused with one clear error where they are strange."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from random_networks import KINDS, network_of
from untracr.errors import ModelFileError, UsageError
from untracr.loading.network_file import (
    SavedNetwork,
    document_of_network,
    network_file,
    read_network_file,
)
from untracr.loading.safetensors_format import read_header
from untracr.network.network import Network
from untracr.network.state_dict import scores_of
from untracr.network.torch_module import network_of_module, to_torch

TASK = {"tokens": ["a", 1, None], "note": "é"}


def read(data: bytes) -> SavedNetwork:
    """What a file holds."""
    header = read_header(data)
    document = document_of_network(header)
    assert document is not None
    return read_network_file(data, header, document)


def file_of(name: str) -> bytes:
    """The file of a network of a kind."""
    return network_file(SavedNetwork(network_of(KINDS[name]), TASK, {"seed": 3}))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", KINDS)
def test_a_network_is_read_back_exactly(name: str, dtype: type) -> None:
    network = network_of(KINDS[name]).astype(dtype)
    data = network_file(SavedNetwork(network, TASK, {"seed": 3}))
    saved = read(data)
    assert (saved.task, saved.metadata) == (TASK, {"seed": 3})
    assert saved.network.architecture == network.architecture
    assert scores_of(saved.network) == scores_of(network)
    assert _bytes_of(saved.network) == _bytes_of(network)
    assert network_file(saved) == data


@pytest.mark.parametrize("name", KINDS)
def test_file_to_torch_and_back_is_the_same_file(name: str) -> None:
    saved = read(file_of(name))
    module = to_torch(saved.network)
    again = SavedNetwork(network_of_module(module), saved.task, saved.metadata)
    assert network_file(again) == file_of(name)


def test_pytorch_reads_the_tensors() -> None:
    """Safetensors' own reader gives what the module's state dict holds."""
    tensors = safetensors.numpy.load(file_of("llama"))
    state = to_torch(network_of(KINDS["llama"])).state_dict()
    assert tensors.keys() == state.keys()
    assert all(torch.equal(state[name], torch.from_numpy(tensors[name])) for name in state)


def test_half_precision_is_written_in_single() -> None:
    network = network_of(KINDS["gpt2"]).astype(np.float16)
    saved = read(network_file(SavedNetwork(network, None, {})))
    assert saved.network.W_E.dtype == np.float32
    np.testing.assert_array_equal(saved.network.W_E, network.W_E)


def test_metadata_that_json_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match="nan"):
        network_file(SavedNetwork(network_of(KINDS["gpt2"]), None, {"x": float("nan")}))


def _bytes_of(network: Network) -> dict[str, bytes]:
    return {name: array.tobytes() + str(array.dtype).encode() for name, array in network.arrays()}


Change = Callable[[dict[str, Any]], object]


def strange(change: Change, name: str = "llama") -> bytes:
    """A sound file, its document changed."""
    data = file_of(name)
    document = copy.deepcopy(document_of_network(read_header(data)))
    assert document is not None
    change(document)
    tensors = safetensors.numpy.load(data)
    return safetensors.numpy.save(tensors, metadata={"untracr": json.dumps(document)})


def _in(*path: str | int, value: object) -> Change:
    """Puts a value at a place of a document."""

    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


A = "architecture"
STRANGE: list[tuple[Change, str]] = [
    (lambda d: d.pop(A), "must have a key 'architecture'"),
    (_in("architectur", value=1), "unknown key 'architectur'. Did you mean 'architecture'?"),
    (_in("task", value=[1]), r"task must be an object or null, not \[1\]"),
    (_in("metadata", value=7), "metadata must be an object, not 7"),
    (_in(A, value=None), "architecture must be an object, not None"),
    (_in(A, "experts", value=8), "architecture has an unknown key 'experts'"),
    (lambda d: d[A].pop("causal"), "architecture must have a key 'causal'"),
    (_in(A, "causal", value="yes"), r"architecture\.causal must be true or false, not 'yes'"),
    (_in(A, "activation", value="solu"), "one of relu, gelu, gelu_new, silu, not 'solu'"),
    (_in(A, "activation", value=["relu"]), r"architecture\.activation must be one of"),
    (_in(A, "norm", "kind", value="batch norm"), "of kind 'layer norm' or 'RMS norm'"),
    (_in(A, "norm", "epsilon", value=-1), r"norm\.epsilon must be a number above 0, not -1"),
    (_in(A, "norm", "epsilon", value=True), r"norm\.epsilon must be a number above 0, not True"),
    (_in(A, "norm", "epsilon", value=10**400), r"norm\.epsilon|digits|must be JSON"),
    (_in(A, "positions", value={"kind": "alibi"}), "of kind 'table' or 'rotary'"),
    (_in(A, "positions", value={"kind": "table", "first": 0}), "there is no W_pos"),
    (_in(A, "positions", "dimensions", value=3), "rotary dimensions must be even and 2 to d_head"),
    (_in(A, "positions", "dimensions", value=3.5), r"positions\.dimensions must be a whole number"),
    (_in(A, "positions", "base", value=0), r"positions\.base must be a number above 0, not 0"),
    (_in(A, "masked_token", value=7), "masked token's id must be 0 to 6, not 7"),
    (_in(A, "scores", value={}), "scores must be a list with one entry a layer"),
    (lambda d: d[A]["scores"].pop(), "scores of 1 layers are described; there are 2"),
    (_in(A, "scores", 1, "divisor", value=0), r"scores\[1\]\.divisor must be a number above 0"),
    (_in(A, "scores", 1, "divisor", value=5e-324), "layer 1's scores must be above 0 and finite"),
    (
        _in(A, "norm", "epsilon", value=1e308),
        "a norm's epsilon must be above 0 and finite in float32",
    ),
    (_in(A, "scores", 1, "window", value=0), r"scores\[1\]\.window must be at least 1, or null"),
    (_in(A, "scores", 0, value=None), r"scores\[0\] must be an object, not None"),
]


@pytest.mark.parametrize(("change", "message"), STRANGE, ids=[text for _, text in STRANGE])
def test_strange_documents_get_one_clear_error(change: Change, message: str) -> None:
    with pytest.raises(ModelFileError, match=message) as error:
        read(strange(change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks.0.attn.W_Q": np.ones((3, 12, 5), "f4")}, r"b_Q must have shape \[H=3, K=5\]"),
        ({"blocks.0.attn.W_S": np.ones(3, np.float32)}, "unknown: 'blocks.0.attn.W_S'"),
        ({"ln_final.w": np.ones(12, np.int32)}, "must be floating-point numbers"),
        ({"ln_final.w": np.full(12, np.inf, np.float32)}, r"ln_final\.w\[0\] is inf"),
        ({"ln_final.w": np.full(12, np.nan)}, r"ln_final\.w\[0\] is nan"),
    ],
)
def test_tensors_that_contradict_each_other_are_refused(
    changes: dict[str, np.ndarray], message: str
) -> None:
    data = file_of("llama")
    notes = read_header(data)["__metadata__"]
    tensors = safetensors.numpy.load(data) | changes
    with pytest.raises(ModelFileError, match=message):
        read(safetensors.numpy.save(tensors, metadata=notes))


def test_files_of_compiled_models_are_no_networks_files() -> None:
    version_1 = strange(_in("format_version", value=1))
    assert document_of_network(read_header(version_1)) is None
