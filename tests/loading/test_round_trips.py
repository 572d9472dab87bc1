"""A loaded model comes back from its file as it was, and a bare file is inferred as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy
import torch

from compiled_models import model_of
from foreign_tensors import GPT2_CONFIG, LENS_CONFIG, folder_of, gpt2_arrays, lens_arrays
from random_networks import KINDS, ids_of, network_of
from untracr.errors import ModelFileError, UsageError
from untracr.loading.loading import load_model
from untracr.network.architecture import Activation, LayerNorm, RmsNorm, Rotary
from untracr.network.forward import forward
from untracr.network.network import Network


def same(one: Network, other: Network) -> None:
    """Both hold the same bytes and describe themselves alike."""
    arrays = dict(one.arrays())
    others = dict(other.arrays())
    assert list(arrays) == list(others)
    for name, array in arrays.items():
        assert array.tobytes() == others[name].tobytes()
    assert one.architecture == other.architecture
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        assert mine.attention.divisor == theirs.attention.divisor
        assert mine.attention.window == theirs.attention.window


@pytest.mark.parametrize("name", KINDS)
def test_a_saved_network_is_loaded_as_it_was(name: str, tmp_path: Path) -> None:
    """Weights, architecture, task and metadata; saved again, the same bytes."""
    network = network_of(KINDS[name])
    tokens = [f"t{number}" for number in range(network.n_tokens)]
    loaded = load_model(network, task={"tokens": tokens})
    loaded.save(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    same(again.network, network)
    assert again.task == loaded.task
    again.save(tmp_path / "n.safetensors")
    assert (tmp_path / "m.safetensors").read_bytes() == (tmp_path / "n.safetensors").read_bytes()


def test_a_compiled_model_is_saved_in_its_own_form(tmp_path: Path) -> None:
    model = model_of("Aggregate(Select(indices, indices, Comparison.LEQ), indices)")
    for name in ("m.npz", "m.safetensors"):
        load_model(model).save(tmp_path / name)
        again = load_model(tmp_path / name)
        assert again.transformer.W_E.tobytes() == model.W_E.tobytes()
    with pytest.raises(UsageError, match=r"saved as \.safetensors"):
        load_model(network_of(KINDS["gpt2"])).save(tmp_path / "g.npz")


@pytest.mark.parametrize("name", [name for name in KINDS if name != "masked"])
def test_modules_and_state_dicts_are_loaded_back(name: str) -> None:
    """What `to_torch` makes is a model like any other."""
    network = network_of(KINDS[name])
    same(load_model(load_model(network).to_torch()).network, network)


# Inference


def test_what_a_bare_file_shows_is_taken_and_told(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    safetensors.numpy.save_file(lens_arrays(), path)
    loaded = load_model(path)
    what = loaded.network.architecture
    assert (what.norm, what.activation, what.causal) == (LayerNorm(1e-5), Activation.RELU, True)
    said = " / ".join(loaded.said)
    for part in ("layer norm", "relu assumed", "causal assumed", "sqrt(d_head) assumed"):
        assert part in said


def test_without_gains_and_with_them(tmp_path: Path) -> None:
    assert load_model(lens_arrays(norm=False)).network.architecture.norm is None
    arrays = {name: a for name, a in lens_arrays().items() if not name.endswith((".b",))}
    assert load_model(arrays).network.architecture.norm == RmsNorm(1e-5)
    config = LENS_CONFIG | {"normalization_type": "LNPre", "eps": 0.5}
    folded = load_model(lens_arrays(norm=False), config=config)
    assert folded.network.architecture.norm == LayerNorm(0.5)


def test_an_attention_only_model_has_no_neurons() -> None:
    network = load_model(lens_arrays(mlp=False)).network
    assert network.layers[0].mlp is None


@pytest.mark.parametrize(
    ("mask", "causal"), [(np.tril(np.ones((6, 6))), True), (np.ones((6, 6)), False)]
)
def test_an_older_mask_tells_whether_attention_is_causal(
    mask: npt.NDArray[Any], causal: bool
) -> None:
    arrays: dict[str, Any] = lens_arrays() | {"blocks.0.attn.mask": mask.astype(bool)}
    loaded = load_model(arrays)
    assert loaded.network.architecture.causal == causal
    assert any("as its mask shows" in text for text in loaded.said)


@pytest.mark.parametrize("adjacent", [False, True])
@pytest.mark.parametrize(("dimensions", "base"), [(4, 10000.0), (4, 500.0), (2, 10000.0)])
def test_rotations_are_read_off_their_tables(adjacent: bool, dimensions: int, base: float) -> None:
    arrays = lens_arrays()
    del arrays["pos_embed.W_pos"]
    half = dimensions // 2
    angles = np.outer(np.arange(30), base ** (-np.arange(half) / half))
    table = np.repeat(angles, 2, axis=1) if adjacent else np.tile(angles, 2)
    arrays["blocks.0.attn.rotary_sin"] = np.sin(table).astype("f4")
    arrays["blocks.0.attn.rotary_cos"] = np.cos(table).astype("f4")
    found = load_model(arrays).network.architecture.positions
    assert isinstance(found, Rotary)
    assert (found.dimensions, found.base) == (dimensions, base)
    assert half == 1 or found.adjacent == adjacent


def test_half_precision_is_read(tmp_path: Path) -> None:
    arrays = gpt2_arrays()
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    half = load_model(folder_of(tmp_path / "h", halves, GPT2_CONFIG)).network
    assert half.W_E.dtype == np.float32
    assert (halves["wte.weight"].astype(np.float32) == half.W_E).all()
    tensors = {name: torch.tensor(array).bfloat16() for name, array in arrays.items()}
    torch.save(tensors, tmp_path / "h" / "b.pt")
    bfloat = load_model(tmp_path / "h" / "b.pt", config=GPT2_CONFIG).network
    assert (tensors["wte.weight"].float().numpy() == bfloat.W_E).all()


def test_prefixes_buffers_and_checkpoints_of_training_are_understood(tmp_path: Path) -> None:
    plain = load_model(folder_of(tmp_path / "m", gpt2_arrays(), GPT2_CONFIG)).network
    arrays = gpt2_arrays(prefix="transformer.")
    arrays["transformer.h.0.attn.bias"] = np.ones((1, 1, 6, 6), "f4")
    arrays["transformer.h.0.attn.masked_bias"] = np.array(-1e4, "f4")
    same(load_model(folder_of(tmp_path / "p", arrays, GPT2_CONFIG)).network, plain)
    wrapped = {f"_orig_mod.{name}": torch.tensor(array) for name, array in arrays.items()}
    torch.save({"state_dict": wrapped, "config": GPT2_CONFIG, "step": 7}, tmp_path / "c.pt")
    same(load_model(tmp_path / "c.pt").network, plain)
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    same(load_model(tmp_path / "a.npz", config=GPT2_CONFIG).network, plain)


def test_a_checkpoint_of_nano_gpt_is_a_gpt2_the_other_way_round(tmp_path: Path) -> None:
    arrays = gpt2_arrays(prefix="transformer.")
    wanted = load_model(arrays, config=GPT2_CONFIG | {"activation_function": "gelu"}).network
    linear = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    turned = {
        name: torch.tensor(array.T.copy() if name.endswith(linear) else array)
        for name, array in arrays.items()
    }
    settings = {"n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": 6, "bias": True}
    torch.save({"model": turned, "model_args": settings, "iter_num": 3}, tmp_path / "ckpt.pt")
    same(load_model(tmp_path / "ckpt.pt").network, wanted)
    told = load_model(turned, num_heads=2)
    same(told.network, wanted)
    assert any("usual for nanoGPT" in sentence for sentence in told.said)
    assert any("gelu assumed" in sentence for sentence in told.said)


@pytest.mark.parametrize("turn", [False, True])
def test_a_read_out_of_its_own_is_used_where_no_configuration_speaks_of_it(turn: bool) -> None:
    """Not held to be the embedding, as of a GPT-2 it usually is, nor refused for that."""
    arrays = gpt2_arrays(prefix="transformer.") | {"lm_head.weight": np.ones((11, 8), "f4")}
    if turn:
        linear = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
        arrays = {name: a.T if name.endswith(linear) else a for name, a in arrays.items()}
    network = load_model(arrays, num_heads=2).network
    assert network.W_U is not None
    assert (network.W_U == 1).all()


def test_names_of_one_s_own_are_mapped() -> None:
    """Transposed, joined, side by side, or left out, as the mapping says."""
    arrays = gpt2_arrays()
    wanted = load_model(arrays, config=GPT2_CONFIG).network
    own: dict[str, npt.NDArray[Any]] = {"tok": arrays["wte.weight"], "pos": arrays["wpe.weight"]}
    own |= {"out": arrays["wte.weight"], "step": np.array(3)}
    own |= {"norm.g": arrays["ln_f.weight"], "norm.b": arrays["ln_f.bias"]}
    for layer in range(2):
        at, old = f"layers.{layer}.", f"h.{layer}."
        own[f"{at}qkv.weight"] = arrays[f"{old}attn.c_attn.weight"].T
        own[f"{at}qkv.bias"] = arrays[f"{old}attn.c_attn.bias"]
        own[f"{at}proj.weight"] = arrays[f"{old}attn.c_proj.weight"].T
        own[f"{at}proj.bias"] = arrays[f"{old}attn.c_proj.bias"]
        for theirs, name in (("fc1", "c_fc"), ("fc2", "c_proj")):
            own[f"{at}{theirs}.weight"] = arrays[f"{old}mlp.{name}.weight"].T
            own[f"{at}{theirs}.bias"] = arrays[f"{old}mlp.{name}.bias"]
        for norm in ("1", "2"):
            own[f"{at}n{norm}.g"] = arrays[f"{old}ln_{norm}.weight"]
            own[f"{at}n{norm}.b"] = arrays[f"{old}ln_{norm}.bias"]
    block = "blocks.{layer}."
    names = {
        "tok": "embed.W_E",
        "pos": "pos_embed.W_pos",
        "out": "unembed.W_U.T",
        "step": None,
        "norm.g": "ln_final.w",
        "norm.b": "ln_final.b",
        "layers.{layer}.qkv.weight": [f"{block}attn.W_{one}.T" for one in "QKV"],
        "layers.{layer}.qkv.bias": [f"{block}attn.b_{one}" for one in "QKV"],
        "layers.{layer}.proj.weight": f"{block}attn.W_O.T",
        "layers.{layer}.proj.bias": f"{block}attn.b_O",
        "layers.{layer}.fc1.weight": f"{block}mlp.W_in.T",
        "layers.{layer}.fc1.bias": f"{block}mlp.b_in",
        "layers.{layer}.fc2.weight": f"{block}mlp.W_out.T",
        "layers.{layer}.fc2.bias": f"{block}mlp.b_out",
        "layers.{layer}.n1.g": f"{block}ln1.w",
        "layers.{layer}.n1.b": f"{block}ln1.b",
        "layers.{layer}.n2.g": f"{block}ln2.w",
        "layers.{layer}.n2.b": f"{block}ln2.b",
    }
    config = {"act_fn": "gelu_new", "attention_dir": "causal"}
    found = load_model(own, names=names, num_heads=2, config=config).network
    ids = ids_of(found)
    np.testing.assert_array_equal(forward(found, ids), forward(wanted, ids))


def test_a_configuration_beside_several_models_is_nobody_s(tmp_path: Path) -> None:
    """Beside the only weights file it counts, and beside the one of the usual name."""
    folder = folder_of(tmp_path / "m", gpt2_arrays(), GPT2_CONFIG)
    (folder / "other.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    wanted = load_model(folder).network
    same(load_model(folder / "model.safetensors").network, wanted)
    with pytest.raises(ModelFileError, match=r"must lie beside.*; passed over: config\.json"):
        load_model(folder / "other.safetensors")
    told = load_model(folder / "other.safetensors", num_heads=2)
    assert any("passed over: config.json" in text for text in told.said)
    (folder / "model.safetensors").unlink()
    same(load_model(folder / "other.safetensors").network, wanted)
