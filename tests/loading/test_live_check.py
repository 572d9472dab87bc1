"""A module is run beside what was read of it: what no weight shows is found all the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from random_networks import KINDS, network_of
from untracr.errors import ModelFileError
from untracr.loading.loading import load_model

BLOCK = "blocks.{layer}."
NAMES = {
    "tokens.weight": "embed.W_E",
    "places": "pos_embed.W_pos",
    "layers.{layer}.query.weight": f"{BLOCK}attn.W_Q.T",
    "layers.{layer}.key.weight": f"{BLOCK}attn.W_K.T",
    "layers.{layer}.value.weight": f"{BLOCK}attn.W_V.T",
    "layers.{layer}.out.weight": f"{BLOCK}attn.W_O.T",
    "read.weight": "unembed.W_U.T",
}


class Toy(nn.Module):
    """An attention-only model of somebody's own, with one head."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scale = scale
        self.tokens = nn.Embedding(7, 8)
        self.places = nn.Parameter(torch.randn(5, 8))
        parts = ("query", "key", "value", "out")
        self.layers = nn.ModuleList(
            nn.ModuleDict({part: nn.Linear(8, 8, bias=False) for part in parts}) for _ in range(2)
        )
        self.read = nn.Linear(8, 7, bias=False)
        self.drop = nn.Dropout(0.5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids) + self.places[: ids.shape[1]]
        allowed = torch.ones(ids.shape[1], ids.shape[1]).tril().bool()
        for layer in self.layers:
            parts: Any = layer
            scores = parts["query"](x) @ parts["key"](x).transpose(1, 2) / 8**0.5 * self.scale
            pattern = scores.masked_fill(~allowed, -torch.inf).softmax(-1)
            x = x + self.drop(parts["out"](pattern @ parts["value"](x)))
        read: torch.Tensor = self.read(x)
        return read


def test_a_module_of_one_s_own_is_read_and_compared() -> None:
    """In evaluation mode, and it is left in the mode in which it was."""
    toy = Toy().train()
    loaded = load_model(toy, names=NAMES, num_heads=1, config={"attention_dir": "causal"})
    assert toy.training
    assert not any("not compared" in text for text in loaded.said)


@pytest.mark.parametrize(
    ("toy", "options"),
    [
        (Toy(scale=0.5), {"config": {"attention_dir": "causal"}}),
        (Toy(), {"config": {"attention_dir": "bidirectional"}}),
        (Toy(), {"names": NAMES | {"read.weight": "unembed.W_U.T",
                                   "layers.{layer}.query.weight": f"{BLOCK}attn.W_Q"}}),
        (Toy(), {"config": {"attention_dir": "causal"}, "num_heads": 2}),
    ],
    ids=["another forward pass", "another mask", "not transposed", "other heads"],
)  # fmt: skip
def test_what_computes_something_else_is_refused(toy: Toy, options: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"names": NAMES, "num_heads": 1}
    with pytest.raises(ModelFileError, match=r"computes something else.* differ by"):
        load_model(toy, **usual | options)


def test_what_was_assumed_of_it_is_told() -> None:
    """A mask that nobody told is the likeliest reason."""
    with pytest.raises(ModelFileError) as caught:
        load_model(Toy(), names=NAMES, num_heads=1)
    assert "not causal assumed" in str(caught.value)
    assert str(caught.value).endswith("causal=... or config={...} say otherwise")


def test_a_hook_is_found() -> None:
    toy = Toy()
    toy.layers[0]["value"].register_forward_hook(lambda module, args, out: out * 0)  # type: ignore[index]
    with pytest.raises(ModelFileError, match="hooks"):
        load_model(toy, names=NAMES, num_heads=1, config={"attention_dir": "causal"})


def test_what_cannot_be_run_is_told() -> None:
    class Broken(Toy):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            raise KeyError("no such thing")

    loaded = load_model(Broken(), names=NAMES, num_heads=1, config={"attention_dir": "causal"})
    assert any("cannot be run so: 'no such thing'" in text for text in loaded.said)


@pytest.mark.filterwarnings("ignore")  # the library's own
@pytest.mark.parametrize("name", ["masked", "windows"])
def test_masks_that_are_hooks_are_known_of_models_that_we_made(name: str) -> None:
    """No setting shows them; of a copy of the model, which is not ours, they are found."""
    pytest.importorskip("transformer_lens")
    network = network_of(KINDS[name])
    model = load_model(network).to_transformer_lens()
    assert load_model(model).network.architecture == network.architecture
    for block in model.blocks:
        block.attn.register_forward_hook(lambda module, args, out: _halved(out))
    with pytest.raises(ModelFileError, match="hooks"):
        load_model(model)


def _halved(out: Any) -> Any:
    return (out[0] / 2, *out[1:]) if isinstance(out, tuple) else out / 2
