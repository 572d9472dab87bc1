"""A trace holds all that a network computes, by hook points."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from closeness import relative
from random_networks import KINDS, ids_of, network_of
from untracr.errors import HookPointError, InputError
from untracr.network import tracing
from untracr.network.forward import ReadOut, forward, steps, through
from untracr.network.network import Network
from untracr.network.torch_module import to_torch
from untracr.network.tracing import trace


@pytest.fixture(params=KINDS)
def network(request: pytest.FixtureRequest) -> Network:
    """A network of each kind."""
    return network_of(KINDS[request.param])


def test_logits_are_those_of_the_forward_pass(network: Network) -> None:
    ids = ids_of(network)
    np.testing.assert_array_equal(trace(network, ids).logits, forward(network, ids))


def test_values_are_those_of_the_module_of_torch(network: Network) -> None:
    """Each point, asked for in a random order; the module is written apart from the trace."""
    network = network.astype(np.float64)
    ids = ids_of(network)
    found = trace(network, ids)
    seen = values_of_module(network, ids)
    assert seen.keys() == {name for name in found if not name.endswith("hook_result")}
    for name in np.random.default_rng(4).permutation(list(seen)):
        assert found[name].shape == found.points[name].shape(*ids.shape)
        assert relative(found[name], seen[name]) < 1e-12, name


def test_single_precision_is_near_double_precision(network: Network) -> None:
    """1e-5; where scores are far above 50, what their own rounding does to a softmax."""
    ids = ids_of(network)
    found, exact = trace(network, ids), trace(network.astype(np.float64), ids)
    scores = [exact[name] for name in exact if name.endswith("hook_attn_scores")]
    largest = max(np.abs(value[np.isfinite(value)]).max() for value in scores)
    for name in found:
        assert found[name].dtype == np.float32
        assert relative(found[name], exact[name]) < max(1e-5, 2e-7 * largest), name


def values_of_module(network: Network, ids: np.ndarray) -> dict[str, np.ndarray]:
    """What passes through each named place of the module of PyTorch."""
    seen: dict[str, np.ndarray] = {}
    module = to_torch(network)
    for name, place in module.named_modules():
        if "hook_" in name:
            place.register_forward_hook(
                lambda _module, _given, value, name=name: seen.update({name: value.numpy()})
            )
    with torch.no_grad():
        module(torch.from_numpy(ids))
    return seen


def test_results_of_heads_add_up_to_what_the_heads_add(network: Network) -> None:
    found = trace(network, ids_of(network))
    for number, layer in enumerate(network.layers):
        whole = found[f"blocks.{number}.attn.hook_result"].sum(axis=2) + layer.attention.b_O
        assert relative(whole, found[f"blocks.{number}.hook_attn_out"]) < 1e-5


def test_asking_for_one_point_runs_nothing_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = counted(monkeypatch)
    network = network_of(KINDS["gpt2"])
    found = trace(network, ids_of(network))
    assert found["blocks.0.hook_resid_mid"].any()
    assert len(ran) == 1
    assert found["blocks.1.attn.hook_pattern"].any()
    assert len(ran) == 3
    assert found["blocks.0.hook_resid_post"].any()
    assert found["blocks.1.attn.hook_pattern"].any()
    assert len(ran) == 3
    assert found["blocks.1.attn.hook_z"].any()
    assert found["blocks.1.attn.hook_q"].any()
    assert len(ran) == 4


@pytest.mark.parametrize("group", [1, 7])
def test_inputs_in_groups_give_the_same(
    network: Network, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network.astype(np.float64)
    ids = ids_of(network)
    whole = trace(network, ids)
    wanted = {name: whole[name] for name in whole}
    monkeypatch.setattr(tracing, "inputs_at_once", lambda *_: group)
    parts = trace(network, ids)
    assert relative(parts.logits, whole.logits) < 1e-12
    for name, values in wanted.items():
        assert relative(parts[name], values) < 1e-12


def test_asking_in_order_costs_three_passes_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = counted(monkeypatch)
    network = network_of(KINDS["gpt2"])
    found = trace(network, ids_of(network))
    for name in found:
        assert found[name].size
    assert len(ran) <= 3 * len(steps(network))
    assert sum(isinstance(step, ReadOut) for step in ran) <= 2


def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The steps that traces run from now on."""
    ran: list[object] = []

    def watched(network: Network, step: object, *rest: object) -> object:
        ran.append(step)
        return through(network, step, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(tracing, "through", watched)
    return ran


def test_values_cannot_be_written_to() -> None:
    network = network_of(KINDS["gpt2"])
    found = trace(network, ids_of(network))
    for name in (*found, "logits"):
        values = found.logits if name == "logits" else found[name]
        with pytest.raises(ValueError, match="read-only"):
            values[...] = 0


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("blocks.0.attn.pattern", "blocks.0.attn.hook_pattern"),
        ("hook_pattern", "blocks.0.attn.hook_pattern, blocks.1.attn.hook_pattern"),
        ("blocks.7.hook_resid_post", "blocks.0.hook_resid_post"),
        ("?", "hook_points\\(network\\)"),
        (3, "hook_points\\(network\\)"),
    ],
)
def test_an_unknown_name_is_one_error_with_near_names(name: str, near: str) -> None:
    network = network_of(KINDS["gpt2"])
    found = trace(network, ids_of(network))
    assert name not in found
    assert found.get(name) is None
    with pytest.raises(HookPointError, match=f"no hook point {name!r}.*{near}".replace("?", ".")):
        found[name]


def test_what_an_architecture_lacks_it_has_no_points_of() -> None:
    def names(kind: str) -> set[str]:
        network = network_of(KINDS[kind])
        return set(trace(network, ids_of(network)))

    assert not [name for name in names("attention-only") if "mid" in name or "mlp" in name]
    assert "blocks.0.attn.hook_rot_q" in names("llama")
    assert "hook_pos_embed" not in names("llama")
    assert "blocks.0.mlp.hook_pre_linear" in names("llama")
    assert not [name for name in names("compiled") if "ln" in name]
    assert "blocks.1.hook_resid_mid" not in names("uneven")


def test_its_repr_is_short_and_its_text_has_the_shapes() -> None:
    network = network_of(KINDS["gpt2"])
    seen = trace(network, ids_of(network))
    assert len(repr(seen)) < 100
    text = str(seen)
    assert len(text) < 800
    assert "20 inputs of 9 positions" in text
    assert "[20, 3, 9, 9]: blocks.i.{attn.hook_attn_scores, attn.hook_pattern}" in text


def test_more_than_may_be_kept_is_refused_before_it_is_run() -> None:
    network = network_of(KINDS["gpt2"])
    ids = np.broadcast_to(np.zeros((1, 1), dtype=np.int64), (10**9, 9))
    monster = np.lib.stride_tricks.as_strided(ids, (10**7, 9), (0, 0))
    with pytest.raises(InputError, match=r"10,000,000 inputs .* at most [\d,]+ inputs at a time"):
        trace(network, monster)


def test_ids_that_are_none_of_the_networks_are_refused() -> None:
    network = network_of(KINDS["gpt2"])
    with pytest.raises(InputError, match="0 to 6, not 7"):
        trace(network, [[0, 7]])


def test_an_input_too_long_for_any_trace_is_told_to_be_shorter() -> None:
    """Not to trace 0 inputs at a time."""
    network = network_of(KINDS["llama"])
    with pytest.raises(InputError, match="Trace shorter inputs"):
        trace(network, np.zeros((1, 10**6), dtype=np.int64))
