"""Compares loaded models with the libraries that they come from.

    python recipes/check_lens.py

Random models of TransformerLens (3.x: `HookedTransformer`; 4.x: `TransformerBridge`) and of
transformers (GPT-2, GPT-Neo, Llama, Mistral) are made, loaded live and from what the library
writes, and run on random inputs: those of whichever libraries are installed. One line each says
how far logits are apart, relative to the largest, in single and in double precision.
TransformerLens 3.9 and 4 ask for other versions of the same packages, so each is checked in an
environment of its own. The exit code is 1 if any model is further off than 1e-5, or no library
is there.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import untracr
from untracr.network.forward import forward

CLOSE = 1e-5
"""How far off logits may be, relative to the largest."""

INPUTS, LENGTH, TOKENS = 7, 12, 17

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Case:
    """A model of another library.

    Attributes:
        model: the module, in evaluation mode.
        written: writes it into a folder; what to load then, by a name, and with which options.
    """

    model: Any
    written: Callable[[Path], dict[str, tuple[Any, dict[str, Any]]]]


def cases() -> Iterator[tuple[str, Callable[[], Case]]]:
    """Every model that this environment has a library for: its name, and what makes it."""
    if major("transformers"):
        yield from _transformers()
    if major("transformer-lens") == 3:
        for settings in LENS + LENS_3:
            yield _told("HookedTransformer", settings), partial(hooked_case, settings)
    if major("transformer-lens") >= 4:
        for settings in LENS + LENS_4:
            yield _told("TransformerBridge", settings), partial(bridge_case, settings)
        for kind, usual in (("GPT2", GPT2), ("Llama", LLAMA)):
            for compatible in (False, True):
                name = f"TransformerBridge of {kind}" + ", compatibility mode" * compatible
                yield name, partial(wrapped_case, kind, usual, compatible)


def major(package: str) -> int:
    """The first number of a package's version; 0 where it is not installed."""
    try:
        return int(version(package).split(".")[0])
    except PackageNotFoundError:
        return 0


def _told(name: str, settings: dict[str, Any]) -> str:
    return " ".join([name, *(f"{key}={value}" for key, value in settings.items())])


# transformers

_IDS = {"bos_token_id": 0, "eos_token_id": 0, "vocab_size": TOKENS}
GPT2 = {"n_layer": 2, "n_embd": 24, "n_head": 3, "n_positions": LENGTH, **_IDS}
NEO = {
    "num_layers": 3,
    "hidden_size": 24,
    "num_heads": 3,
    "max_position_embeddings": LENGTH,
    "attention_types": [[["global", "local", "local"], 1]],
    "window_size": 4,
    **_IDS,
}
LLAMA = {
    "num_hidden_layers": 2,
    "hidden_size": 24,
    "num_attention_heads": 3,
    "num_key_value_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": LENGTH,
    **_IDS,
}
SETTINGS: dict[str, tuple[dict[str, Any], tuple[dict[str, Any], ...]]] = {
    "GPT2": (
        GPT2,
        (
            {},
            {"activation_function": "relu"},
            {"activation_function": "gelu", "n_inner": 10},
            {"activation_function": "silu", "layer_norm_epsilon": 0.1},
            {"tie_word_embeddings": False},
            {"scale_attn_weights": False},
            {"scale_attn_by_inverse_layer_idx": True, "n_layer": 4},
            {"n_head": 1, "n_layer": 1},
        ),
    ),
    "GPTNeo": (NEO, ({}, {"activation_function": "relu", "intermediate_size": 30})),
    "Llama": (
        LLAMA,
        (
            {},
            {"tie_word_embeddings": True},
            {"attention_bias": True, "hidden_act": "gelu"},
            {"head_dim": 10, "rms_norm_eps": 0.01},
            {"rope_parameters": {"rope_type": "default", "rope_theta": 100.0}},
        ),
    ),
    "Mistral": (LLAMA, ({"sliding_window": 4}, {"sliding_window": None})),
}


def _transformers() -> Iterator[tuple[str, Callable[[], Case]]]:
    for kind, (usual, many) in SETTINGS.items():
        for settings in many:
            yield _told(kind, settings), partial(transformers_case, kind, usual | settings)


def transformers_model(kind: str, settings: dict[str, Any]) -> Any:
    """A random model of transformers."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(3)
    name = f"{kind}LMHeadModel" if kind == "GPT2" else f"{kind}ForCausalLM"
    config = getattr(transformers, f"{kind}Config")(**settings, architectures=[name])
    return _stirred(getattr(transformers, name)(config).eval())


def transformers_case(kind: str, settings: dict[str, Any]) -> Case:
    """A model of transformers: live, as a folder, and in several files."""
    model = transformers_model(kind, settings)

    def written(folder: Path) -> dict[str, tuple[Any, dict[str, Any]]]:
        model.save_pretrained(folder)
        model.save_pretrained(folder / "sharded", max_shard_size="20KB")
        return {"live": (model, {}), "folder": (folder, {}), "files": (folder / "sharded", {})}

    return Case(model, written)


def _stirred(model: Any) -> Any:
    """The model with every weight random: a fresh one's gains are 1 and its biases 0."""
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


# TransformerLens

USUAL = {
    "n_layers": 2,
    "d_model": 24,
    "n_ctx": LENGTH,
    "d_head": 8,
    "n_heads": 3,
    "d_vocab": TOKENS,
    "act_fn": "relu",
}
LENS: tuple[dict[str, Any], ...] = (
    {"normalization_type": "LN"},
    {"normalization_type": None},
    {"normalization_type": None, "attention_dir": "bidirectional"},
    {"normalization_type": "LN", "attention_dir": "bidirectional", "act_fn": "gelu"},
    {"normalization_type": "LNPre", "act_fn": "gelu_new", "d_vocab_out": 5},
    {"normalization_type": "RMS", "act_fn": "silu", "gated_mlp": True},
    {"normalization_type": "RMSPre", "eps": 0.01},
    {"normalization_type": "LN", "attn_only": True},
    {"normalization_type": None, "attn_only": True, "n_heads": 5, "d_head": 6},
    {"normalization_type": "RMS", "positional_embedding_type": "rotary", "rotary_dim": 8},
    {"normalization_type": "LN", "positional_embedding_type": "rotary", "rotary_dim": 4},
    {"normalization_type": "LN", "attn_scale": 3.0},
    {"normalization_type": "LN", "use_attn_scale": False},
)
LENS_3: tuple[dict[str, Any], ...] = (
    {"normalization_type": "LN", "scale_attn_by_inverse_layer_idx": True},
    {
        "normalization_type": "LN",
        "use_local_attn": True,
        "window_size": 4,
        "attn_types": ["global", "local"],
    },
    {
        "normalization_type": "LN",
        "positional_embedding_type": "rotary",
        "rotary_dim": 4,
        "rotary_adjacent_pairs": True,
        "rotary_base": 500,
    },
)
LENS_4: tuple[dict[str, Any], ...] = (
    {"normalization_type": "LN", "d_mlp": 24},
    {"normalization_type": "LN", "positional_embedding_type": "rotary", "rotary_base": 500},
)


def hooked_case(settings: dict[str, Any]) -> Case:
    """A `HookedTransformer`: live, as a folder with a file of PyTorch, and as a state dict."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    settings = USUAL | settings
    model = _stirred(HookedTransformer(HookedTransformerConfig(**settings, seed=1)).eval())
    return _lens_case(model, settings)


def bridge_case(settings: dict[str, Any]) -> Case:
    """A `TransformerBridge` around a model of TransformerLens' own."""
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

    settings = USUAL | settings | {"architecture": "TransformerLensNative"}
    model = TransformerBridge.boot_native(TransformerBridgeConfig(**settings))
    return _lens_case(_stirred(model.eval()), settings)


def _lens_case(model: Any, settings: dict[str, Any]) -> Case:
    import torch

    def written(folder: Path) -> dict[str, tuple[Any, dict[str, Any]]]:
        torch.save(model.state_dict(), folder / "model.pt")
        (folder / "config.json").write_text(json.dumps(settings))
        config = {"config": model.cfg.to_dict()}
        return {
            "live": (model, {}),
            "folder": (folder, {}),
            "state dict": (model.state_dict(), config),
        }

    return Case(model, written)


def wrapped_case(kind: str, settings: dict[str, Any], compatible: bool) -> Case:
    """A `TransformerBridge` around a model of transformers, live."""
    from transformer_lens.model_bridge import TransformerBridge

    inner = transformers_model(kind, settings)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = _tokenizer(Path(folder))
        model = TransformerBridge.boot_transformers(kind, hf_model=inner, tokenizer=tokenizer)
    if compatible:
        model.enable_compatibility_mode()
    return Case(model, lambda folder: {"live": (model, {})})


def _tokenizer(folder: Path) -> Any:
    """A tokenizer, which a bridge asks for, of words that are numbers."""
    import tokenizers
    import transformers

    words = tokenizers.models.WordLevel({str(i): i for i in range(TOKENS)}, unk_token="0")
    special = {f"{role}_token": "0" for role in ("bos", "eos", "pad", "unk")}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(words), **special
    ).save_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


# Comparing


def logits_of(model: Any, ids: Ids) -> npt.NDArray[Any]:
    """What a library's model gives, [inputs, positions, outputs]."""
    import torch

    with torch.no_grad():
        outputs = model(torch.tensor(ids))
    return np.asarray(getattr(outputs, "logits", outputs))


def off(given: Any, options: dict[str, Any], ids: Ids, wanted: npt.NDArray[Any]) -> float:
    """How far a loaded model's logits are from the library's, relative to the largest."""
    network = untracr.load(given, **options).network.astype(wanted.dtype)
    return float(np.abs(forward(network, ids) - wanted).max() / np.abs(wanted).max())


def differences(case: Case) -> dict[str, float]:
    """How far a model is off, by the way of loading it, and live in double precision."""
    import torch

    ids = np.random.default_rng(0).integers(0, TOKENS, (INPUTS, LENGTH))
    wanted = logits_of(case.model, ids)
    with tempfile.TemporaryDirectory() as folder:
        ways = case.written(Path(folder)).items()
        found = {way: off(given, options, ids, wanted) for way, (given, options) in ways}
    if hasattr(case.model, "cfg"):
        case.model.cfg.dtype = torch.float64  # what TransformerLens casts to within layers
    case.model.double()
    found["double"] = off(case.model, {}, ids, logits_of(case.model, ids))
    return found


def main() -> int:
    """Prints one line a model."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.simplefilter("ignore")
    worst: list[float] = []
    for name, make in cases():
        found = differences(make())
        worst.append(max(found.values()))
        print(f"{name}: " + ", ".join(f"{way} {value:.1e}" for way, value in found.items()))
    if not worst:
        print("neither transformers nor transformer-lens is installed")
        return 1
    print(f"{len(worst)} models, at most {max(worst):.1e} off; {CLOSE:g} are allowed")
    return 0 if max(worst) <= CLOSE else 1


if __name__ == "__main__":
    sys.exit(main())
