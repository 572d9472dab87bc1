"""The module of PyTorch computes what the network does, and gives it back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from random_networks import KINDS, ids_of, network_of
from untracr.errors import ModelFileError
from untracr.network.forward import forward
from untracr.network.network import Array, Network
from untracr.network.torch_module import TorchNetwork, network_of_module, to_torch


@pytest.fixture(params=KINDS)
def network(request: pytest.FixtureRequest) -> Network:
    """A network of each kind."""
    return network_of(KINDS[request.param])


def relative(found: Array, wanted: Array) -> float:
    """The largest difference by the largest number."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_logits_are_the_networks(network: Network, dtype: type, bound: float) -> None:
    network = network.astype(dtype)
    ids = ids_of(network)
    with torch.no_grad():
        found = to_torch(network)(torch.from_numpy(ids)).numpy()
    assert found.dtype == dtype
    assert relative(found, forward(network, ids)) < bound


def test_the_state_dict_has_the_networks_names_and_bytes(network: Network) -> None:
    tensors = {name: t.numpy() for name, t in to_torch(network).state_dict().items()}
    wanted = dict(network.arrays())
    assert tensors.keys() == wanted.keys()
    for name, array in wanted.items():
        assert tensors[name].shape == array.shape
        assert tensors[name].tobytes() == array.tobytes()


def test_there_and_back_gives_the_same_network(network: Network) -> None:
    back = network_of_module(to_torch(network))
    assert back.architecture == network.architecture
    for (name, array), (other, wanted) in zip(back.arrays(), network.arrays(), strict=True):
        assert name == other
        assert array.tobytes() == wanted.tobytes()
    ids = ids_of(network)
    np.testing.assert_array_equal(forward(back, ids), forward(network, ids))


def test_gradients_are_those_of_finite_differences(network: Network) -> None:
    """Of every tensor along a random direction, in double precision."""
    network = network.astype(np.float64)
    module = to_torch(network)
    ids = ids_of(network, inputs=3)
    wanted = np.random.default_rng(2).normal(size=forward(network, ids).shape)
    (module(torch.from_numpy(ids)) * torch.from_numpy(wanted)).sum().backward()
    for name, parameter in module.named_parameters():
        direction = np.random.default_rng(3).normal(size=parameter.shape)
        slope = _slope(module, ids, wanted, name, direction)
        gradient = (
            0.0 if parameter.grad is None else float((parameter.grad.numpy() * direction).sum())
        )
        assert gradient == pytest.approx(slope, rel=1e-5, abs=1e-5), name


def _slope(
    module: TorchNetwork, ids: npt.NDArray[np.int64], weights: Array, name: str, direction: Array
) -> float:
    """How fast the weighted sum of logits grows along a direction of one tensor."""
    step, sums = 1e-6, []
    for sign in (1, -1):
        moved = to_torch(network_of_module(module))
        with torch.no_grad():
            moved.get_parameter(name).add_(torch.from_numpy(sign * step * direction))
        logits = forward(network_of_module(moved), ids)
        sums.append(float((logits * weights).sum()))
    return (sums[0] - sums[1]) / (2 * step)


def test_a_hook_on_a_named_place_changes_what_comes_after() -> None:
    network = network_of(KINDS["gpt2"])
    module, ids = to_torch(network), torch.from_numpy(ids_of(network))
    place = module.get_submodule("blocks.1.hook_resid_post")
    with torch.no_grad():
        before = module(ids)
        with place.register_forward_hook(lambda module, args, value: torch.zeros_like(value)):
            changed = module(ids)
    assert not torch.equal(before, changed)
    assert torch.equal(changed, changed[:1, :1].expand_as(changed))


def test_another_module_is_refused() -> None:
    with pytest.raises(ModelFileError, match="to_torch made, not Linear"):
        network_of_module(torch.nn.Linear(2, 2))  # type: ignore[arg-type]


def test_a_module_runs_on_the_device_that_it_is_on(network: Network) -> None:
    """The device ``meta`` has no numbers, and refuses whatever lies on another one."""
    module = to_torch(network).to("meta")
    ids = torch.from_numpy(ids_of(network)).to("meta")
    logits = module(ids)
    assert logits.device.type == "meta"
    assert logits.shape == (*ids.shape, forward(network, ids_of(network)).shape[-1])
