"""What a configuration of TransformerLens says: of 3.x, of 4.x, or JSON beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from untracr.errors import ModelFileError
from untracr.loading.config_values import ConfigValues
from untracr.loading.stated import Scale, Stated, Told
from untracr.network.architecture import (
    LayerNorm,
    Normalisation,
    Positions,
    PositionTable,
    RmsNorm,
    Rotary,
)
from untracr.shown_text import shown

_OFF = (False, 0, 0.0, -1, -1.0)
_UNSUPPORTED: Mapping[str, tuple[tuple[object, ...], str]] = {
    "parallel_attn_mlp": (_OFF, "attention in parallel with neurons"),
    "attn_scores_soft_cap": (_OFF, "a soft cap on scores"),
    "output_logits_soft_cap": (_OFF, "a soft cap on logits"),
    "num_experts": ((0, 1), "a mixture of experts"),
    "post_embedding_ln": (_OFF, "a layer norm behind the embedding"),
    "use_normalization_before_and_after": (_OFF, "a normalisation behind a half-layer"),
    "use_qk_norm": (_OFF, "normalised queries and keys"),
    "use_attention_sinks": (_OFF, "attention sinks"),
    "use_logn_attn": (_OFF, "scores that grow with the length"),
    "clip_qkv": ((), "clipped queries, keys and values"),
    "relative_attention_num_buckets": ((0,), "relative position bias"),
    "use_NTK_by_parts_rope": (_OFF, "a scaled rotation"),
    "use_dynamic_ntk_rope": (_OFF, "a scaled rotation"),
    "use_yarn_rope": (_OFF, "a scaled rotation"),
    "rope_scaling": (({},), "a scaled rotation"),
    "rotary_scaling_factor": ((1, 1.0), "a scaled rotation"),
    "rotary_base_local": ((), "a second rotation for local attention"),
    "rmsnorm_uses_offset": (_OFF, "an RMS norm with 1 added to its gain"),
    "scale_embedding": (_OFF, "a scaled embedding"),
    "per_layer_head_dim": (([],), "heads of another size in each layer"),
    "load_in_4bit": (_OFF, "quantised weights"),
    "quantization_method": ((), "quantised weights"),
    "is_audio_model": (_OFF, "sound as input"),
    "is_visual_model": (_OFF, "pictures as input"),
    "is_multimodal": (_OFF, "pictures as input"),
    "is_stateful": (_OFF, "a state space"),
    "shortformer_pos": (_OFF, "positions that only attention sees (shortformer)"),
}
_SIZES = {
    "d_model": "d_model",
    "d_vocab": "tokens",
    "d_vocab_out": "outputs",
}
_NORMS: Mapping[str | None, tuple[type[LayerNorm] | type[RmsNorm] | None, bool]] = {
    None: (None, False),
    "LN": (LayerNorm, True),
    "LNPRE": (LayerNorm, False),
    "RMS": (RmsNorm, True),
    "RMSPRE": (RmsNorm, False),
}
_NO_POSITIONS = ("none", "None")

NATIVE = "TransformerLensNative"
"""How 4.x calls a model of its own, which reads some settings in its own way."""


_KNOWN = {
    *_UNSUPPORTED,
    *_SIZES,
    *("n_layers", "n_heads", "d_head", "d_mlp", "n_ctx", "act_fn", "eps", "attn_only"),
    *("normalization_type", "attention_dir", "positional_embedding_type", "use_attn_scale"),
}


def is_lens_config(values: Mapping[str, Any]) -> bool:
    """Whether a configuration is one of TransformerLens', be it a part of one."""
    return "model_type" not in values and not _KNOWN.isdisjoint(values)


def stated_by_lens(values: Mapping[str, Any], source: str) -> Stated:
    """What a configuration says.

    Args:
        values: by the names of ``HookedTransformerConfig`` or ``TransformerBridgeConfig``.
        source: what errors call it.

    Raises:
        ModelFileError: it asks for what is not supported, or holds values of another kind.
    """
    config = ConfigValues(values, source)
    config.refuse(_UNSUPPORTED)
    _refuse_grouped(config)
    layers, native = config.layers("n_layers"), config.get("architecture") == NATIVE
    norm, gains = _norm(config)
    return Stated(
        norm=norm,
        gains=gains,
        activation=None if config.flag("attn_only", False) else config.activation("act_fn"),
        positions=_positions(config, native),
        causal=_causal(config),
        scale=_scale(config, native),
        windows=None if native else _windows(config, layers),
        heads=config.whole("n_heads"),
        sizes=_sizes(config, layers),
    )


def _refuse_grouped(config: ConfigValues) -> None:
    groups, heads = config.whole("n_key_value_heads"), config.whole("n_heads")
    if groups is not None and groups != heads:
        raise ModelFileError(
            f"not supported: grouped heads; {config.source} has n_key_value_heads={groups} "
            f"for {heads} heads"
        )


def _sizes(config: ConfigValues, layers: int | None) -> dict[str, tuple[int, str]]:
    sizes = config.sizes(_SIZES)
    per_layer = {"n_heads": "n_heads@", "d_head": "d_head@"}
    if not config.flag("attn_only", False):
        per_layer["d_mlp"] = "d_mlp@"
    for axis, size in config.sizes(per_layer).items():
        sizes |= {f"{axis}{layer}": size for layer in range(layers or 0)}
    if layers is not None:
        sizes["layers"] = (layers, f"n_layers of {config.source}")
    if config.get("positional_embedding_type") == "standard":
        sizes |= config.sizes({"n_ctx": "positions"})
    return sizes


def _norm(config: ConfigValues) -> tuple[Told[Normalisation | None] | None, bool | None]:
    names = [name for name in ("normalization_type", "normalization") if name in config.values]
    if not names:
        return None, None
    name = config.get(names[0])
    key = name.upper() if isinstance(name, str) else name
    if not (key is None or isinstance(key, str)) or key not in _NORMS:
        raise ModelFileError(
            f"{names[0]} must be None, LN, LNPre, RMS or RMSPre, not {shown(name)} "
            f"({config.source})"
        )
    kind, gains = _NORMS[key]
    if config.flag("final_rms", False) and kind is LayerNorm:
        raise ModelFileError(
            f"not supported: an RMS norm at the end of layer norms; {config.source} has "
            "final_rms=true"
        )
    return Told(None if kind is None else kind(config.number("eps") or 1e-5)), gains


def _positions(config: ConfigValues, native: bool) -> Told[Positions] | None:
    kind = config.get("positional_embedding_type")
    match kind:
        case None:
            return None
        case "standard":
            return Told(PositionTable())
        case "rotary":
            dimensions = config.whole("rotary_dim") or config.whole("d_head")
            if dimensions is None:
                raise ModelFileError(f"rotary_dim must be given ({config.source})")
            adjacent = native or config.flag("rotary_adjacent_pairs", False)
            return Told(Rotary(dimensions, config.number("rotary_base") or 10000.0, adjacent))
        case _ if kind in _NO_POSITIONS:
            return Told(None)
        case _:
            raise ModelFileError(
                f"positional_embedding_type must be standard, rotary or none, not {shown(kind)} "
                f"({config.source})"
            )


def _causal(config: ConfigValues) -> bool | None:
    direction = config.get("attention_dir")
    if direction not in (None, "causal", "bidirectional"):
        raise ModelFileError(
            f"attention_dir must be causal or bidirectional, not {shown(direction)} "
            f"({config.source})"
        )
    whole = {"n_layers", "d_model"} <= config.values.keys()
    if direction is None:
        return True if whole else None  # TransformerLens' own default
    return bool(direction == "causal")


def _scale(config: ConfigValues, native: bool) -> Scale | None:
    """What scores are divided by; a model of 4.x's own reads ``use_attn_scale`` in its own way."""
    if not {"use_attn_scale", "attn_scale", "n_layers"} & config.values.keys():
        return None
    growing = config.flag("scale_attn_by_inverse_layer_idx", False) and not native
    if not config.flag("use_attn_scale", True):
        return Scale(None if native else 1.0, growing)
    given = config.get("attn_scale")
    return Scale(None if given in (None, -1, -1.0) else config.number("attn_scale"), growing)


def _windows(config: ConfigValues, layers: int | None) -> tuple[int | None, ...] | None:
    if not config.flag("use_local_attn", False):
        return None
    kinds, window = config.get("attn_types"), config.whole("window_size")
    if (
        window is None
        or not isinstance(kinds, (list, tuple))
        or layers is None
        or len(kinds) != layers
        or not all(kind in ("global", "local") for kind in kinds)
    ):
        raise ModelFileError(
            "local attention needs a window_size, n_layers, and attn_types, global or local for "
            f"each layer, not {shown(kinds)} ({config.source})"
        )
    return tuple(window if kind == "local" else None for kind in kinds)
