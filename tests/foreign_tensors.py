"""Random tensors as other libraries name and shape them, without these libraries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy

Arrays = dict[str, npt.NDArray[Any]]

GPT2_CONFIG: dict[str, Any] = {
    "model_type": "gpt2",
    "n_layer": 2,
    "n_head": 2,
    "n_embd": 8,
    "n_positions": 6,
    "vocab_size": 11,
    "activation_function": "gelu_new",
}
LLAMA_CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "hidden_size": 8,
    "intermediate_size": 12,
    "vocab_size": 11,
}
LENS_CONFIG: dict[str, Any] = {
    "n_layers": 1,
    "d_model": 8,
    "n_ctx": 6,
    "n_heads": 2,
    "d_head": 4,
    "d_vocab": 11,
    "act_fn": "gelu",
    "normalization_type": "LN",
    "attention_dir": "causal",
    "positional_embedding_type": "standard",
}


def random_arrays(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> Arrays:
    """Float32 arrays of these shapes."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def gpt2_arrays(layers: int = 2, D: int = 8, V: int = 11, P: int = 6, prefix: str = "") -> Arrays:
    """What a GPT-2 of transformers holds, its read-out tied."""
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (V, D), "wpe.weight": (P, D)}
    for layer in range(layers):
        at = f"h.{layer}."
        shapes |= {
            f"{at}attn.c_attn.weight": (D, 3 * D),
            f"{at}attn.c_attn.bias": (3 * D,),
            f"{at}attn.c_proj.weight": (D, D),
            f"{at}attn.c_proj.bias": (D,),
            f"{at}mlp.c_fc.weight": (D, 4 * D),
            f"{at}mlp.c_fc.bias": (4 * D,),
            f"{at}mlp.c_proj.weight": (4 * D, D),
            f"{at}mlp.c_proj.bias": (D,),
        }
        for norm in ("ln_1", "ln_2"):
            shapes |= {f"{at}{norm}.weight": (D,), f"{at}{norm}.bias": (D,)}
    shapes |= {"ln_f.weight": (D,), "ln_f.bias": (D,)}
    return random_arrays({f"{prefix}{name}": shape for name, shape in shapes.items()})


def llama_arrays(D: int = 8, M: int = 12, V: int = 11) -> Arrays:
    """What a Llama of transformers holds, one layer, its read-out of its own."""
    at = "model.layers.0."
    shapes: dict[str, tuple[int, ...]] = {
        f"{at}self_attn.{one}_proj.weight": (D, D) for one in "qkvo"
    }
    shapes |= {f"{at}mlp.{one}_proj.weight": (M, D) for one in ("gate", "up")}
    norms = (f"{at}input_layernorm", f"{at}post_attention_layernorm", "model.norm")
    shapes |= {f"{name}.weight": (D,) for name in norms}
    shapes |= {f"{at}mlp.down_proj.weight": (D, M), "model.embed_tokens.weight": (V, D)}
    return random_arrays(shapes | {"lm_head.weight": (V, D)})


def lens_arrays(layers: int = 1, norm: bool = True, mlp: bool = True) -> Arrays:
    """What a model of TransformerLens holds: width 8, 2 heads, 11 tokens, 6 positions."""
    D, H, K, M, V, P = 8, 2, 4, 20, 11, 6
    shapes: dict[str, tuple[int, ...]] = {"embed.W_E": (V, D), "pos_embed.W_pos": (P, D)}
    for layer in range(layers):
        at = f"blocks.{layer}."
        shapes |= {f"{at}attn.W_{one}": (H, D, K) for one in "QKV"}
        shapes |= {f"{at}attn.b_{one}": (H, K) for one in "QKV"}
        shapes |= {f"{at}attn.W_O": (H, K, D), f"{at}attn.b_O": (D,)}
        if mlp:
            shapes |= {f"{at}mlp.W_in": (D, M), f"{at}mlp.b_in": (M,)}
            shapes |= {f"{at}mlp.W_out": (M, D), f"{at}mlp.b_out": (D,)}
        norms = ("ln1", "ln2") if mlp else ("ln1",)
        shapes |= {f"{at}{one}.{part}": (D,) for one in norms for part in "wb"} if norm else {}
    shapes |= {"ln_final.w": (D,), "ln_final.b": (D,)} if norm else {}
    return random_arrays(shapes | {"unembed.W_U": (D, V), "unembed.b_U": (V,)})


def folder_of(path: Path, arrays: Arrays, config: object = None) -> Path:
    """A folder as transformers writes it."""
    path.mkdir(exist_ok=True)
    safetensors.numpy.save_file(arrays, path / "model.safetensors", metadata={"format": "pt"})
    if config is not None:
        text = config if isinstance(config, str) else json.dumps(config)
        (path / "config.json").write_text(text)
    return path
