"""The network twice: torch for training, NumPy for reading models; both give the same logits."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from untracr.decompile.decompiler import BUNDLED
from untracr.errors import ModelFileError
from untracr.metamodel.examples import Example, training_example
from untracr.metamodel.features import Features
from untracr.metamodel.network import Network, NetworkConfig, loss_and_hits, masked_logits
from untracr.metamodel.numpy_network import NumpyNetwork, TokenPlace
from untracr.train.batching import collate
from untracr.train.checkpoint import save_checkpoint

TOLERANCE = 1e-4

SMALL = NetworkConfig(width=32, layers=2, heads=4)


@pytest.fixture(scope="module")
def network() -> Network:
    """A random network whose biases are not zero either."""
    torch.manual_seed(1)
    network = Network(SMALL).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def as_numpy(network: Network) -> NumpyNetwork:
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return NumpyNetwork(weights, network.config.as_dict())


def numpy_logits(
    network: NumpyNetwork, example: Example
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Logits of every token of an example, fed one at a time as in decoding."""
    decoding = network.start()
    rows, seen = [], -1
    for t in range(len(example.targets)):
        step = int(example.step[t])
        if step > seen:
            here = example.component_step == step
            decoding.see(Features(example.integers[here], example.numbers[here]))
            seen = step
        place = TokenPlace(int(example.ordinal[t]), int(example.field[t]))
        rows.append(decoding.feed(int(example.inputs[t]), place))
    return np.stack(rows)


def assert_same_logits(network: Network, numpy_network: NumpyNetwork, seed: int) -> None:
    examples = [training_example(seed, index) for index in range(12)]
    with torch.no_grad():
        wanted = network(collate(examples)).numpy()
    for row, example in enumerate(examples):
        found = numpy_logits(numpy_network, example)
        scale = max(1.0, float(np.abs(found).max()))
        assert np.abs(found - wanted[row, : len(found)]).max() <= TOLERANCE * scale


def test_numpy_gives_torchs_logits(network: Network) -> None:
    """Token by token with kept keys and values, or all at once in a padded batch: the same."""
    assert_same_logits(network, as_numpy(network), 71)


def test_bundled_network_gives_torchs_logits() -> None:
    """The same for the trained network that comes with the package."""
    path = Path(str(files("untracr") / BUNDLED))
    numpy_network = NumpyNetwork.load(path)
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        weights = {
            name.removeprefix("model."): file.get_tensor(name).float()
            for name in file.keys()  # noqa: SIM118
            if name.startswith("model.")
        }
    layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("layers."))
    config = NetworkConfig(numpy_network.width, layers, numpy_network.heads)
    network = Network(config).eval()
    network.load_state_dict(weights)
    assert_same_logits(network, numpy_network, 72)


def test_later_tokens_and_components_are_not_seen(network: Network) -> None:
    """A logit depends on nothing that comes after it."""
    example = training_example(73, 4)
    batch = collate([example])
    with torch.no_grad():
        before = network(batch)
    cut = len(example.targets) // 2
    step = int(example.step[cut])
    batch.inputs[0, cut + 1 :] = 1
    late = batch.component_step[0] > step
    assert bool(late.any())
    batch.numbers[0, late] = 3.0
    with torch.no_grad():
        after = network(batch)
    assert torch.equal(before[0, : cut + 1], after[0, : cut + 1])
    assert not torch.equal(before[0, cut + 1 :], after[0, cut + 1 :])


def test_padding_changes_nothing(network: Network) -> None:
    """An example's logits are the same alone and beside a longer one."""
    examples = sorted((training_example(74, n) for n in range(20)), key=lambda e: len(e.targets))
    short, long_ = examples[0], examples[-1]
    assert len(short.targets) < len(long_.targets)
    with torch.no_grad():
        alone = network(collate([short]))[0]
        beside = network(collate([short, long_]))[0, : len(short.targets)]
    assert float((alone - beside).abs().max()) < 1e-5


def test_masked_logits_stay_in_the_class(network: Network) -> None:
    """The best masked logit always belongs to the class of the token that is wanted."""
    batch = collate([training_example(75, n) for n in range(8)])
    with torch.no_grad():
        best = masked_logits(network, batch).argmax(dim=-1)
        loss, hits, counts = loss_and_hits(network, batch)
    mask = network.get_buffer("class_mask")
    assert bool(mask[batch.targets.clamp(min=0), best][counts].all())
    assert loss.item() > 0
    assert bool(hits[~counts].all())


def test_a_checkpoint_is_loaded_without_torch(network: Network, tmp_path: Path) -> None:
    """A training checkpoint is read by the NumPy network and gives the same logits."""
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, network, None, {"config": SMALL.as_dict()})
    assert_same_logits(network, NumpyNetwork.load(path), 76)


def test_a_wrong_checkpoint_is_refused(network: Network, tmp_path: Path) -> None:
    """A missing file, another file and a network of other sizes are each told in one line."""
    with pytest.raises(ModelFileError, match="cannot be read"):
        NumpyNetwork.load(tmp_path / "none.safetensors")
    text = tmp_path / "text.safetensors"
    text.write_text("hello")
    with pytest.raises(ModelFileError):
        NumpyNetwork.load(text)
    path = tmp_path / "other.safetensors"
    save_checkpoint(path, network, None, {"config": {**SMALL.as_dict(), "width": 64}})
    with pytest.raises(ModelFileError, match="shape"):
        NumpyNetwork.load(path)
