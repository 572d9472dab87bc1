"""What is no supported model is refused at the door, by one error that names the thing."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from foreign_tensors import (
    GPT2_CONFIG,
    LENS_CONFIG,
    LLAMA_CONFIG,
    Arrays,
    folder_of,
    gpt2_arrays,
    lens_arrays,
    random_arrays,
)
from untracr.errors import ModelFileError, UsageError
from untracr.loading.loading import load_model


def refused(given: object, *parts: str, **options: Any) -> None:
    """Loading must fail with one line that has all parts."""
    with pytest.raises(ModelFileError) as caught:
        load_model(given, **options)
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text


# Configurations

GPT2_ASKS: list[tuple[dict[str, Any], str]] = [
    (
        {"add_cross_attention": True},
        "not supported: attention to an encoder; config.json has add_cross_attention=True",
    ),
    ({"quantization_config": {"bits": 4}}, "not supported: quantised weights"),
    ({"activation_function": "quick_gelu"}, "not 'quick_gelu' (activation_function"),
    ({"model_type": "bert"}, "not 'bert' (model_type of config.json)"),
    ({"model_type": "gpt_neox"}, "not 'gpt_neox'"),
    ({"n_layer": 3}, "there must be 3 layers, as n_layer of config.json has it"),
    ({"n_embd": 16}, "d_model must be 16, as n_embd of config.json has it"),
    ({"n_head": 3}, "number of heads must divide the 8 columns"),
    ({"vocab_size": 12}, "tokens must be 12, as vocab_size of config.json"),
    ({"n_positions": 7}, "positions must be 7, as n_positions of config.json"),
    ({"n_inner": 30}, "d_mlp must be 30, as n_inner of config.json"),
    ({"n_layer": "two"}, "n_layer must be a whole number from 1, not 'two'"),
    ({"n_layer": 2**40}, "n_layer must be a whole number"),
    ({"n_layer": 5000}, "n_layer must be at most 1000, not 5000"),
    ({"n_layer": None}, "n_layer must be given"),
    ({"layer_norm_epsilon": -1}, "layer_norm_epsilon must be above 0"),
    ({"scale_attn_weights": "yes"}, "scale_attn_weights must be true or false"),
]


@pytest.mark.parametrize(("asks", "part"), GPT2_ASKS)
def test_a_gpt2_that_is_not_run_so_is_refused(
    tmp_path: Path, asks: dict[str, Any], part: str
) -> None:
    refused(folder_of(tmp_path / "m", gpt2_arrays(), GPT2_CONFIG | asks), part)


LLAMA_ASKS: list[tuple[dict[str, Any], str]] = [
    ({"num_key_value_heads": 1}, "not supported: grouped heads"),
    ({"mlp_bias": True}, "gates with a bias"),
    ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "a scaled rotation"),
    ({"rope_parameters": {"rope_type": "yarn"}}, "a scaled rotation"),
    (
        {
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            "rope_scaling": {"type": "linear", "factor": 2.0},
        },
        "a scaled rotation; rope_scaling of config.json has type='linear'",
    ),
    ({"rope_parameters": 3}, "rope_parameters must be an object"),
    ({"model_type": "gemma2"}, "not 'gemma2'"),
    ({"model_type": "mixtral"}, "not 'mixtral'"),
]


@pytest.mark.parametrize(("asks", "part"), LLAMA_ASKS)
def test_a_llama_that_is_not_run_so_is_refused(
    tmp_path: Path, asks: dict[str, Any], part: str
) -> None:
    arrays = random_arrays({"model.layers.0.self_attn.q_proj.weight": (8, 8)})
    refused(folder_of(tmp_path / "m", arrays, LLAMA_CONFIG | asks), part)


LENS_ASKS: list[tuple[dict[str, Any], str]] = [
    ({"parallel_attn_mlp": True}, "attention in parallel with neurons"),
    ({"attn_scores_soft_cap": 50.0}, "a soft cap on scores"),
    ({"output_logits_soft_cap": 30.0}, "a soft cap on logits"),
    ({"num_experts": 4}, "a mixture of experts"),
    ({"n_key_value_heads": 1}, "grouped heads"),
    ({"use_qk_norm": True}, "normalised queries and keys"),
    ({"relative_attention_num_buckets": 32}, "relative position bias"),
    ({"positional_embedding_type": "alibi"}, "not 'alibi'"),
    ({"positional_embedding_type": "shortformer"}, "not 'shortformer'"),
    ({"normalization_type": "post"}, "normalization_type must be None, LN, LNPre, RMS or RMSPre"),
    ({"act_fn": "solu_ln"}, "not 'solu_ln'"),
    ({"final_rms": True}, "final_rms=true"),
    ({"load_in_4bit": True}, "quantised weights"),
    ({"attention_dir": "both"}, "attention_dir must be causal or bidirectional"),
    ({"use_local_attn": True}, "local attention needs a window_size"),
    ({"d_head": 5}, "d_head must be 5, as d_head of config.json has it"),
    ({"normalization_type": "LNPre"}, "asks for a normalisation without gains"),
    ({"normalization_type": None}, "asks for no normalisation, and there are gains"),
]


@pytest.mark.parametrize(("asks", "part"), LENS_ASKS)
def test_a_model_of_transformer_lens_that_is_not_run_so_is_refused(
    tmp_path: Path, asks: dict[str, Any], part: str
) -> None:
    refused(folder_of(tmp_path / "m", lens_arrays(), LENS_CONFIG | asks), part)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "config.json must be JSON"),
        ("[]", "config.json must be a JSON object, not list"),
        ('{"n_layer": NaN}', "config.json must be JSON"),
        ("\xff", "config.json must be JSON"),
        ("[" * 100_000, "config.json must be JSON"),
    ],
)
def test_a_damaged_configuration_is_refused(tmp_path: Path, text: str, part: str) -> None:
    path = folder_of(tmp_path / "m", gpt2_arrays())
    (path / "config.json").write_bytes(text.encode("latin-1"))
    refused(path, part)


def test_a_folder_without_a_configuration_is_refused_unless_heads_are_told(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "m", gpt2_arrays())
    refused(path, "Hugging Face's GPT-2", "number of heads", "config.json", "num_heads=")
    loaded = load_model(path, num_heads=2)
    assert any("usual for Hugging Face's GPT-2 assumed" in text for text in loaded.said)
    neo = random_arrays({"transformer.h.0.attn.attention.q_proj.weight": (8, 8)})
    refused(neo, "GPT-Neo", "config.json must lie beside")


# Names

STRANGERS = {
    "gpt_neox.layers.0.attention.query_key_value.weight": "GPT-NeoX",
    "transformer.h.0.self_attention.query_key_value.weight": "Bloom or Falcon",
    "model.layers.0.block_sparse_moe.gate.weight": "Mixtral",
    "model.layers.0.pre_feedforward_layernorm.weight": "Gemma",
    "model.layers.0.self_attn.q_norm.weight": "Qwen 3",
    "encoder.block.0.layer.0.SelfAttention.q.weight": "T5",
    "model.decoder.layers.0.self_attn_layer_norm.weight": "OPT",
    "bert.encoder.layer.0.attention.self.query.weight": "BERT",
    "transformer.h.0.attn.q_proj.weight": "GPT-J",
    "backbone.layers.0.mixer.in_proj.weight": "Mamba",
    "layers.0.self_attn.in_proj_weight": "nn.TransformerEncoder",
}


@pytest.mark.parametrize("name", STRANGERS)
def test_tensors_of_another_architecture_are_recognised(name: str) -> None:
    refused(random_arrays({name: (3, 3)}), "look like the tensors of", STRANGERS[name])


PARTS: list[tuple[Callable[[Arrays], object], tuple[str, ...]]] = [
    (lambda a: a.pop("blocks.0.attn.W_Q"), ("missing: 'blocks.0.attn.W_Q'",)),
    (
        lambda a: a.update({"blocks.0.attn._W_K": a.pop("blocks.0.attn.W_K")}),
        ("grouped heads", "_W_K"),
    ),
    (
        lambda a: a.update({"blocks.0.mlp.ln.w": np.ones(20, "f4")}),
        ("a layer norm among the neurons (SoLU)",),
    ),
    (
        lambda a: a.update({"blocks.0.mlp.experts.0.W_in": np.ones((8, 20), "f4")}),
        ("not supported: a mixture of experts",),
    ),
    (lambda a: a.pop("ln_final.w"), ("same parts", "ln_final.w is missing")),
    (lambda a: a.pop("unembed.W_U"), ("missing: 'unembed.W_U'",)),
    (
        lambda a: a.update({"blocks.0.attn.W_O": np.ones((2, 4, 9), "f4")}),
        ("d_model must be 8, as embed.W_E has it", "blocks.0.attn.W_O of shape [2, 4, 9] has 9"),
    ),
    (lambda a: a["embed.W_E"].__setitem__((2, 3), np.nan), ("embed.W_E[2, 3] is nan",)),
    (
        lambda a: a.update({"blocks.0.attn.rotary_sin": np.full((6, 4), 0.3, "f4"),
                            "blocks.0.attn.rotary_cos": np.full((6, 4), 0.9, "f4"),
                            "x": a.pop("pos_embed.W_pos")}),
        ("unknown: 'x'",),
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(PARTS)))
def test_parts_that_are_missing_or_not_supported_are_named(case: int) -> None:
    change, parts = PARTS[case]
    arrays = lens_arrays()
    change(arrays)
    refused(arrays, *parts)


def test_other_rotations_than_ours_are_refused() -> None:
    arrays = lens_arrays()
    del arrays["pos_embed.W_pos"]
    arrays["blocks.0.attn.rotary_sin"] = np.full((6, 4), 0.3, "f4")
    arrays["blocks.0.attn.rotary_cos"] = np.full((6, 4), 0.9, "f4")
    refused(arrays, "not supported: a scaled rotation")


def test_a_tied_read_out_that_differs_is_refused(tmp_path: Path) -> None:
    arrays = gpt2_arrays() | random_arrays({"lm_head.weight": (11, 8)}, seed=1)
    path = folder_of(tmp_path / "m", arrays, GPT2_CONFIG)
    refused(path, "tie_word_embeddings", "differ")
    config = GPT2_CONFIG | {"tie_word_embeddings": False}
    network = load_model(folder_of(tmp_path / "n", arrays, config)).network
    assert network.W_U is not None
    assert (network.W_U == arrays["lm_head.weight"].T).all()


@pytest.mark.parametrize(
    ("given", "options", "part"),
    [
        ({"w": np.ones(3)}, {"names": {"w": 3}}, "names must map"),
        ({"w": np.ones(3)}, {"names": {"w": "blocks.{layer}.attn.W_Q"}}, "has no {layer}"),
        ({"w": np.ones(3)}, {"names": {3: "embed.W_E"}}, "names must map"),
        ({"w": np.ones(3)}, {"names": "embed.W_E"}, "names must be a mapping, not 'embed.W_E'"),
        (
            {"w": np.ones(3)},
            {"names": {"w": "unembed.b"}},
            r"'w' is to be 'unembed.b', which is none .* Did you mean 'unembed.b_U'\?",
        ),
        (
            {"w": np.ones(3)},
            {"names": {"w": ["blocks.{layer}.att.W_Q.T", "embed.W_E"]}},
            "'w' is to be 'blocks.{layer}.att.W_Q.T'",
        ),
        ({}, {"causal": "yes"}, "causal must be True or False, not 'yes'"),
        ({}, {"num_heads": "2"}, "num_heads must be a whole number, not '2'"),
        ({}, {"num_heads": True}, "num_heads must be a whole number, not True"),
        ({}, {"config": object()}, "config must be a mapping of settings, .* not object"),
        ({"token_embed": {}}, {"names": {}}, "names and config are for tensors that do not"),
    ],
)
def test_names_that_are_none_are_wrong_usage(given: Any, options: Any, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        load_model(given, **options)


def test_names_that_meet_or_do_not_fit_are_refused() -> None:
    arrays = random_arrays({"a": (11, 8), "b": (11, 8), "q": (8, 7)})
    refused(arrays, "embed.W_E is there twice", names={"a": "embed.W_E", "b": "embed.W_E"})
    names: dict[str, Any] = {"a": "embed.W_E", "b": None, "q": "blocks.0.attn.W_Q"}
    for one in "KVO":
        arrays[f"blocks.0.attn.W_{one}"] = np.ones((1, 8, 8), "f4")
    refused(arrays, "nothing tells how many", names=names)
    refused(arrays, "must divide the 7 columns", names=names, num_heads=2)
    refused(arrays, "must divide the 7 columns", names=names, num_heads=0)
    del arrays["blocks.0.attn.W_K"]
    both = names | {"q": ["blocks.0.attn.W_Q", "blocks.0.attn.W_K"]}
    refused(arrays, "2 equal parts", names=both, num_heads=1)


def test_names_of_no_library_are_refused_with_the_way_out() -> None:
    refused({"fc.weight": np.ones((3, 3), "f4")}, "names={...}", "such as 'fc.weight'")


def test_heads_told_twice_must_agree(tmp_path: Path) -> None:
    path = folder_of(tmp_path / "m", gpt2_arrays(), GPT2_CONFIG)
    refused(path, "num_heads=4 is given; the configuration says 2", num_heads=4)


# Folders

INDEX = "model.safetensors.index.json"


def test_folders_that_hold_no_one_model_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, "must hold its weights", "nothing")
    (tmp_path / "readme.txt").write_text("x")
    refused(tmp_path, "must hold its weights", "'readme.txt'")
    for name in ("a.npz", "b.pt"):
        (tmp_path / name).write_bytes(b"x")
    refused(tmp_path, "this has 2 weights files", "'a.npz'", "'b.pt'")


@pytest.mark.parametrize(
    ("index", "part"),
    [
        ({}, "must have a weight_map"),
        ({"weight_map": {}}, "must have a weight_map"),
        ({"weight_map": {"a": "../m.safetensors"}}, "not '../m.safetensors'"),
        ({"weight_map": {"a": "/etc/passwd"}}, "not '/etc/passwd'"),
        ({"weight_map": {"a": "m.bin"}}, "not 'm.bin'"),
        ({"weight_map": {"a": "gone.safetensors"}}, "which is missing"),
        ({"weight_map": {"a": "part.safetensors"}}, "holds 'a', not so"),
    ],
)
def test_an_index_of_files_is_not_trusted(tmp_path: Path, index: Any, part: str) -> None:
    import safetensors.numpy

    safetensors.numpy.save_file({"x": np.ones(3, "f4")}, tmp_path / "part.safetensors")
    (tmp_path / INDEX).write_text(json.dumps(index))
    refused(tmp_path, part)


# PyTorch's files


class Bomb:
    """Code that a pickle would run."""

    def __reduce__(self) -> Any:
        return (print, ("boom",))


def test_a_file_of_pytorch_with_code_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.pt"
    torch.save({"embed.W_E": torch.ones(3, 3), "x": Bomb()}, path)
    refused(path, "weights_only=True", "it can run code")
    path.write_bytes(pickle.dumps({"x": Bomb()}))
    refused(path, "a pickle")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("held", "part"),
    [
        ([torch.ones(3)], "must hold a state dict, not list"),
        ({"a": 3, "b": "x"}, "must hold a state dict"),
        ({"state_dict": {"a": 3}}, "must hold a state dict"),
        (torch.nn.Linear(3, 3), "weights_only=True"),
        (torch.nn.Linear(3, 3), "it holds torch.nn.modules.linear.Linear; of a module save the"),
    ],
)
def test_files_of_pytorch_that_hold_something_else(tmp_path: Path, held: Any, part: str) -> None:
    torch.save(held, tmp_path / "m.pt")
    refused(tmp_path / "m.pt", part)


def test_nobody_is_advised_to_trust_a_pickle(tmp_path: Path) -> None:
    """PyTorch's own error says how to allow the class; that would run what the file says."""
    torch.save(torch.nn.Linear(3, 3), tmp_path / "m.pt")
    with pytest.raises(ModelFileError) as caught:
        load_model(tmp_path / "m.pt")
    assert "add_safe_globals" not in str(caught.value)
    assert str(caught.value).endswith("torch.save(module.state_dict(), path))")


def test_a_tensor_that_stands_for_a_huge_one_is_refused_by_its_shape(tmp_path: Path) -> None:
    """One number may be expanded to any shape: the file stays small, the model would not."""
    tensors = {name: torch.tensor(array) for name, array in lens_arrays().items()}
    tensors["embed.W_E"] = torch.ones(1).expand(10**8, 8)
    torch.save(tensors, tmp_path / "m.pt")
    refused(tmp_path / "m.pt", "in single precision, has 3,20")


def test_a_sparse_tensor_is_refused_by_name(tmp_path: Path) -> None:
    tensors = {name: torch.tensor(array) for name, array in lens_arrays().items()}
    tensors["embed.W_E"] = tensors["embed.W_E"].to_sparse()
    torch.save(tensors, tmp_path / "m.pt")
    refused(tmp_path / "m.pt", "embed.W_E must be an array of numbers")


def test_without_pytorch_its_files_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"embed.W_E": torch.ones(3, 3)}, tmp_path / "m.pt")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    refused(tmp_path / "m.pt", "PyTorch", "untracr[torch]")


def test_quantised_weights_are_refused_by_name() -> None:
    arrays: dict[str, Any] = {n: torch.tensor(a) for n, a in lens_arrays().items()}
    arrays["embed.W_E"] = arrays["embed.W_E"].to(torch.float8_e4m3fn)
    refused(arrays, "quantised weights are not read; embed.W_E is torch.float8_e4m3fn")
    arrays["embed.W_E"] = torch.ones(11, 8, dtype=torch.int8)
    refused(arrays, "floating-point", "embed.W_E", "int8")


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_what_is_missing_is_told_by_the_library_s_own_names(tmp_path: Path, prefix: str) -> None:
    arrays = gpt2_arrays(prefix=prefix)
    del arrays[f"{prefix}h.1.attn.c_attn.weight"]
    arrays["score.weight"] = np.ones((2, 8), "f4")
    refused(
        folder_of(tmp_path / "m", arrays, GPT2_CONFIG),
        "named as in Hugging Face's GPT-2; unknown: 'score.weight'",
        f"missing: '{prefix}h.1.attn.c_attn.weight'",
    )


def test_what_a_mapping_of_names_lacks_is_told_by_its_names() -> None:
    names = {"tok": "embed.W_E", "l.{layer}.q": "blocks.{layer}.attn.W_Q"}
    arrays = random_arrays({"tok": (11, 8), "l.0.k": (8, 8)})
    refused(arrays, "unknown: 'l.0.k'", "missing: 'l.0.q', 'blocks.", names=names, num_heads=1)


def test_only_names_that_are_missing_are_meant() -> None:
    """Nor is anything said of layer norms, which are read."""
    arrays = lens_arrays() | {"blocks.0.ln3.w": np.ones(8, "f4")}
    with pytest.raises(ModelFileError) as caught:
        load_model(arrays)
    assert str(caught.value) == (
        "tensors must be named as in TransformerLens; unknown: 'blocks.0.ln3.w'"
    )


def test_a_class_is_no_model() -> None:
    refused(torch.nn.Linear, "a model must be", "not the class Linear itself")


@pytest.mark.parametrize("name", ["gpt2", "someone/some-model"])
def test_a_model_of_a_hub_is_not_downloaded_and_it_is_said_how_it_is_given(name: str) -> None:
    refused(name, "there is no such file or folder", "nothing is downloaded", "save_pretrained")


def test_an_encoder_of_pytorch_is_refused_with_the_way_out() -> None:
    layer = torch.nn.TransformerEncoderLayer(8, 2)
    encoder = torch.nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
    refused(encoder, "norm_first=True", "names={...}")


@pytest.mark.parametrize("model_type", ["gpt_neo", "llama"])
def test_a_configuration_of_another_architecture_is_refused(
    tmp_path: Path, model_type: str
) -> None:
    """GPT-Neo's fits a GPT-2's tensors, and would leave its scores undivided."""
    config = GPT2_CONFIG | {
        "model_type": model_type,
        "num_layers": 2,
        "num_heads": 2,
        "hidden_size": 8,
        "max_position_embeddings": 6,
        "attention_types": [[["global"], 2]],
    }
    refused(
        folder_of(tmp_path / "m", gpt2_arrays(), config),
        f"config.json has model_type='{model_type}', and the tensors are those of Hugging Face's",
    )
