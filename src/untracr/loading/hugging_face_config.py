"""What a configuration of Hugging Face's transformers says: GPT-2, GPT-Neo, Llama and its kin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from untracr.errors import ModelFileError
from untracr.loading.config_values import ConfigValues
from untracr.loading.stated import Scale, Stated, Told
from untracr.network.architecture import (
    Activation,
    LayerNorm,
    PositionTable,
    RmsNorm,
    Rotary,
)
from untracr.shown_text import shown

_OFF = (False,)
_UNSUPPORTED: Mapping[str, tuple[tuple[object, ...], str]] = {
    "add_cross_attention": (_OFF, "attention to an encoder"),
    "is_encoder_decoder": (_OFF, "an encoder and a decoder"),
    "quantization_config": (({},), "quantised weights"),
    "mlp_bias": (_OFF, "gates with a bias"),
    "attn_logit_softcapping": ((), "a soft cap on scores"),
    "final_logit_softcapping": ((), "a soft cap on logits"),
    "num_local_experts": ((0, 1), "a mixture of experts"),
    "use_sliding_window": (_OFF, "a window in some layers"),
}


def stated_by_hugging_face(values: Mapping[str, Any], source: str) -> Stated:
    """What a configuration says.

    Args:
        values: what ``config.json`` holds, or ``config.to_dict()`` gives.
        source: what errors call it.

    Raises:
        ModelFileError: it is of another model, asks for what is not supported, or holds values
            of another kind.
    """
    config = ConfigValues(values, source)
    config.refuse(_UNSUPPORTED)
    kind = config.get("model_type")
    readers = {
        "gpt2": _gpt2,
        "gpt_neo": _gpt_neo,
        "llama": _llama,
        "mistral": _llama,
    }
    if not isinstance(kind, str) or kind not in readers:
        raise ModelFileError(
            f"of Hugging Face's models {', '.join(readers)} are read, not {shown(kind)} "
            f"(model_type of {source})"
        )
    return readers[kind](config)


def _gpt2(config: ConfigValues) -> Stated:
    layers, heads = _layers(config, "n_layer"), _whole(config, "n_head")
    scaled = config.flag("scale_attn_weights", True)
    growing = config.flag("scale_attn_by_inverse_layer_idx", False)
    sizes = config.sizes({"n_embd": "d_model", "vocab_size": "tokens", "n_positions": "positions"})
    sizes |= _of_layers(config, layers, {"n_head": "n_heads@", "n_inner": "d_mlp@"})
    return Stated(
        norm=Told(LayerNorm(config.number("layer_norm_epsilon") or 1e-5)),
        gains=True,
        activation=config.activation("activation_function") or Activation.GELU_TANH,
        positions=Told(PositionTable()),
        causal=True,
        scale=Scale(None if scaled else 1.0, growing),
        heads=heads,
        tied=config.flag("tie_word_embeddings", True),
        sizes={"layers": (layers, f"n_layer of {config.source}"), **sizes},
    )


def _gpt_neo(config: ConfigValues) -> Stated:
    layers, heads = _layers(config, "num_layers"), _whole(config, "num_heads")
    sizes = config.sizes(
        {
            "hidden_size": "d_model",
            "vocab_size": "tokens",
            "max_position_embeddings": "positions",
        }
    )
    sizes |= _of_layers(config, layers, {"num_heads": "n_heads@", "intermediate_size": "d_mlp@"})
    return Stated(
        norm=Told(LayerNorm(config.number("layer_norm_epsilon") or 1e-5)),
        gains=True,
        activation=config.activation("activation_function") or Activation.GELU_TANH,
        positions=Told(PositionTable()),
        causal=True,
        scale=Scale(1.0),
        windows=_local_windows(config, layers),
        heads=heads,
        tied=config.flag("tie_word_embeddings", True),
        sizes={"layers": (layers, f"num_layers of {config.source}"), **sizes},
    )


def _local_windows(config: ConfigValues, layers: int) -> tuple[int | None, ...]:
    """GPT-Neo's windows, from ``attention_layers`` or the short form ``attention_types``."""
    kinds = config.get("attention_layers")
    if kinds is None:
        kinds = _expanded(config.get("attention_types"), layers)
    window = config.whole("window_size") or 256
    if (
        not isinstance(kinds, list)
        or len(kinds) != layers
        or not all(kind in ("global", "local") for kind in kinds)
    ):
        raise ModelFileError(
            f"attention_layers must be global or local for each of the {layers} layers, not "
            f"{shown(kinds)} ({config.source})"
        )
    return tuple(window if kind == "local" else None for kind in kinds)


def _expanded(types: object, layers: int) -> object:
    """``[[["global", "local"], 2]]`` as a list of layers; itself if it is no such thing."""
    kinds: list[object] = []
    for entry in types if isinstance(types, list) else ():
        match entry:
            case [list(some), int(times)] if 0 < times <= layers:
                kinds += some * times
            case _:
                return types
    return kinds


def _llama(config: ConfigValues) -> Stated:
    layers, heads = _layers(config, "num_hidden_layers"), _whole(config, "num_attention_heads")
    groups = config.whole("num_key_value_heads")
    if groups is not None and groups != heads:
        raise ModelFileError(
            f"not supported: grouped heads; {config.source} has num_key_value_heads={groups} "
            f"for {heads} heads"
        )
    size = config.whole("head_dim") or _whole(config, "hidden_size") // heads
    sizes = config.sizes({"hidden_size": "d_model", "vocab_size": "tokens"})
    named = {"num_attention_heads": "n_heads@", "intermediate_size": "d_mlp@"}
    sizes |= _of_layers(config, layers, named | {"head_dim": "d_head@"})
    window = config.whole("sliding_window") if config.get("model_type") == "mistral" else None
    return Stated(
        norm=Told(RmsNorm(config.number("rms_norm_eps") or 1e-6)),
        gains=True,
        activation=config.activation("hidden_act") or Activation.SILU,
        positions=Told(Rotary(size, _rotary_base(config))),
        causal=True,
        scale=Scale(),
        windows=(window,) * layers,
        heads=heads,
        tied=config.flag("tie_word_embeddings", False),
        sizes={"layers": (layers, f"num_hidden_layers of {config.source}"), **sizes},
    )


def _rotary_base(config: ConfigValues) -> float:
    """The rotation's base: of ``rope_parameters`` or, in older files, ``rope_theta``.

    Files have both names of a rotation's settings; transformers takes a scaled one of either.
    """
    bases = []
    for name in ("rope_parameters", "rope_scaling"):
        given = config.get(name)
        if given is None:
            continue
        if not isinstance(given, Mapping):
            raise ModelFileError(f"{name} must be an object, not {shown(given)} ({config.source})")
        inner = ConfigValues(given, f"{name} of {config.source}")
        inner.refuse(
            {
                "rope_type": (("default",), "a scaled rotation"),
                "type": (("default",), "a scaled rotation"),
                "factor": ((1, 1.0), "a scaled rotation"),
                "partial_rotary_factor": ((1, 1.0), "a rotation of a part of each head"),
            }
        )
        if (base := inner.number("rope_theta")) is not None:
            bases.append(base)
    return bases[0] if bases else config.number("rope_theta") or 10000.0


def _whole(config: ConfigValues, name: str) -> int:
    """A size that must be given."""
    size = config.whole(name)
    if size is None:
        raise ModelFileError(f"{name} must be given ({config.source})")
    return size


def _layers(config: ConfigValues, name: str) -> int:
    """The number of layers, which must be given."""
    layers = config.layers(name)
    return _whole(config, name) if layers is None else layers


def _of_layers(
    config: ConfigValues, layers: int, named: Mapping[str, str]
) -> dict[str, tuple[int, str]]:
    """Sizes that every layer has."""
    return {
        f"{axis}{layer}": size
        for axis, size in config.sizes(named).items()
        for layer in range(layers)
    }
