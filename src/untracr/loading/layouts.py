"""Whose names tensors have: the layouts that are read, and those that are only recognised."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from untracr.errors import ModelFileError
from untracr.loading.renaming import Names
from untracr.loading.tensors import Tensors
from untracr.shown_text import shown

_BLOCK = "blocks.{layer}."
_QKV = tuple(f"{_BLOCK}attn.W_{one}" for one in "QKV")


@dataclass(frozen=True)
class Layout:
    """A library's names.

    Attributes:
        name: of the library or the model.
        mark: a pattern that one of the names has, and no other layout's.
        names: what each tensor is of TransformerLens'.
        prefix: that every name may have in front, or lack.
        defaults: ``model_type`` of transformers whose settings hold where no configuration is
            given; empty where TransformerLens' do.
    """

    name: str
    mark: str
    names: Names
    prefix: str = ""
    defaults: str = ""


def _norms(names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Gains and biases of normalisations."""
    return {
        f"{theirs}.{kind}": f"{ours}.{part}"
        for theirs, ours in names
        for kind, part in (("weight", "w"), ("bias", "b"))
    }


_LENS_4_SHARED: Names = {
    **_norms((f"{_BLOCK}{norm}", f"{_BLOCK}{norm}") for norm in ("ln1", "ln2")),
    **_norms([("ln_final", "ln_final")]),
    **{f"{_BLOCK}attn.{one.lower()}.weight": f"{_BLOCK}attn.W_{one}.T" for one in "QKV"},
    **{f"{_BLOCK}attn.{one.lower()}.bias": f"{_BLOCK}attn.b_{one}" for one in "QKVO"},
    **{f"{_BLOCK}mlp.{one}.bias": f"{_BLOCK}mlp.b_{one}" for one in ("in", "out", "gate")},
    f"{_BLOCK}mlp.gate.weight": f"{_BLOCK}mlp.W_gate.T",
    "embed.weight": "embed.W_E",
    "pos_embed.weight": "pos_embed.W_pos",
    "unembed.weight": "unembed.W_U.T",
    "unembed.bias": "unembed.b_U",
}
_LINEAR = {
    f"{_BLOCK}attn.o.weight": f"{_BLOCK}attn.W_O.T",
    f"{_BLOCK}mlp.in.weight": f"{_BLOCK}mlp.W_in.T",
    f"{_BLOCK}mlp.out.weight": f"{_BLOCK}mlp.W_out.T",
}
_CONV1D = {name: target.removesuffix(".T") for name, target in _LINEAR.items()}

LENS_3 = Layout("TransformerLens", r"embed\.W_E|blocks\.\d+\.attn\.W_[QO]", {})
LENS_4 = Layout(
    "TransformerLens 4",
    r"blocks\.\d+\.attn\.q\.weight",
    {**_LENS_4_SHARED, **_LINEAR},
)
LENS_4_OF_GPT2 = Layout(
    "TransformerLens 4, of GPT-2",
    r"(?!)",
    {**_LENS_4_SHARED, **_CONV1D},
)

_GPT2_SHARED: Names = {
    "wte.weight": "embed.W_E",
    "wpe.weight": "pos_embed.W_pos",
    **_norms([("h.{layer}.ln_1", f"{_BLOCK}ln1"), ("h.{layer}.ln_2", f"{_BLOCK}ln2")]),
    **_norms([("ln_f", "ln_final")]),
    "h.{layer}.mlp.c_fc.bias": f"{_BLOCK}mlp.b_in",
    "h.{layer}.mlp.c_proj.bias": f"{_BLOCK}mlp.b_out",
    "lm_head.weight": "unembed.W_U.T",
    "lm_head.bias": "unembed.b_U",
}
_GPT2_ATTENTION: Names = {
    "h.{layer}.attn.c_attn.bias": tuple(f"{_BLOCK}attn.b_{one}" for one in "QKV"),
    "h.{layer}.attn.c_proj.bias": f"{_BLOCK}attn.b_O",
    "h.{layer}.attn.bias": None,
    "h.{layer}.attn.masked_bias": None,
}
GPT2 = Layout(
    "Hugging Face's GPT-2",
    r"h\.\d+\.attn\.c_attn\.weight",
    {
        **_GPT2_SHARED,
        **_GPT2_ATTENTION,
        "h.{layer}.attn.c_attn.weight": _QKV,
        "h.{layer}.attn.c_proj.weight": f"{_BLOCK}attn.W_O",
        "h.{layer}.mlp.c_fc.weight": f"{_BLOCK}mlp.W_in",
        "h.{layer}.mlp.c_proj.weight": f"{_BLOCK}mlp.W_out",
    },
    "transformer.",
    "gpt2",
)
NANO_GPT = Layout(
    "nanoGPT",
    r"(?!)",
    {
        **_GPT2_SHARED,
        **_GPT2_ATTENTION,
        "h.{layer}.attn.c_attn.weight": tuple(f"{name}.T" for name in _QKV),
        "h.{layer}.attn.c_proj.weight": f"{_BLOCK}attn.W_O.T",
        "h.{layer}.mlp.c_fc.weight": f"{_BLOCK}mlp.W_in.T",
        "h.{layer}.mlp.c_proj.weight": f"{_BLOCK}mlp.W_out.T",
    },
    "transformer.",
    "gpt2",
)
GPT_NEO = Layout(
    "Hugging Face's GPT-Neo",
    r"h\.\d+\.attn\.attention\.q_proj\.weight",
    {
        **_GPT2_SHARED,
        **{
            f"h.{{layer}}.attn.attention.{one.lower()}_proj.weight": f"{_BLOCK}attn.W_{one}.T"
            for one in "QKV"
        },
        "h.{layer}.attn.attention.out_proj.weight": f"{_BLOCK}attn.W_O.T",
        "h.{layer}.attn.attention.out_proj.bias": f"{_BLOCK}attn.b_O",
        "h.{layer}.attn.attention.bias": None,
        "h.{layer}.attn.attention.masked_bias": None,
        "h.{layer}.mlp.c_fc.weight": f"{_BLOCK}mlp.W_in.T",
        "h.{layer}.mlp.c_proj.weight": f"{_BLOCK}mlp.W_out.T",
    },
    "transformer.",
    "gpt_neo",
)
LLAMA = Layout(
    "Hugging Face's Llama",
    r"layers\.\d+\.self_attn\.q_proj\.weight",
    {
        "embed_tokens.weight": "embed.W_E",
        "norm.weight": "ln_final.w",
        "layers.{layer}.input_layernorm.weight": f"{_BLOCK}ln1.w",
        "layers.{layer}.post_attention_layernorm.weight": f"{_BLOCK}ln2.w",
        **{
            f"layers.{{layer}}.self_attn.{one.lower()}_proj.weight": f"{_BLOCK}attn.W_{one}.T"
            for one in "QKVO"
        },
        **{
            f"layers.{{layer}}.self_attn.{one.lower()}_proj.bias": f"{_BLOCK}attn.b_{one}"
            for one in "QKVO"
        },
        "layers.{layer}.self_attn.rotary_emb.inv_freq": None,
        "layers.{layer}.mlp.gate_proj.weight": f"{_BLOCK}mlp.W_gate.T",
        "layers.{layer}.mlp.up_proj.weight": f"{_BLOCK}mlp.W_in.T",
        "layers.{layer}.mlp.down_proj.weight": f"{_BLOCK}mlp.W_out.T",
        "rotary_emb.inv_freq": None,
        "lm_head.weight": "unembed.W_U.T",
    },
    "model.",
    "llama",
)

KNOWN = "TransformerLens, Hugging Face's GPT-2, GPT-Neo or Llama, nanoGPT, or Tracr's parameters"
"""Whose names are known, in words."""

_MARKED = (LENS_3, LENS_4, GPT2, GPT_NEO, LLAMA)

_STRANGERS = (
    (r"word_embeddings_layernorm|self_attention\.query_key_value", "Bloom or Falcon", "ALiBi"),
    (r"attention\.query_key_value|gpt_neox\.", "GPT-NeoX (Pythia)", "attention beside neurons"),
    (r"block_sparse_moe|\.experts\.", "Mixtral", "a mixture of experts"),
    (r"(pre|post)_feedforward_layernorm", "Gemma", "normalisations behind half-layers"),
    (r"self_attn\.(q|k)_norm\.", "Qwen 3 or OLMo 2", "normalised queries and keys"),
    (r"SelfAttention\.|relative_attention_bias", "T5", "relative position bias"),
    (r"decoder\.layers\.\d+\.self_attn_layer_norm", "OPT", "positions with an offset"),
    (r"attention\.self\.query\.", "BERT", "normalisations behind half-layers"),
    (r"h\.\d+\.attn\.q_proj\.weight", "GPT-J", "attention beside neurons"),
    (r"mixer\.(in_proj|A_log)", "Mamba", "a state space"),
    (
        r"self_attn\.in_proj_weight",
        "PyTorch's nn.TransformerEncoder",
        "normalisations whose place is not told; if norm_first=True say names={...}, num_heads=...",
    ),
    (r"cross_attn|multi_head_attention", "an encoder and a decoder", "attention between both"),
)
"""Patterns of other layouts' names, whose they are, and what of them is not supported."""


def without_prefix(tensors: Tensors, prefixes: Iterable[str]) -> Tensors:
    """Tensors without what a wrapper put in front of all names."""
    for prefix in prefixes:
        if tensors.names and all(name.startswith(prefix) for name in tensors.names):
            return _cut(tensors, prefix)
    return tensors


def _cut(tensors: Tensors, prefix: str) -> Tensors:
    return Tensors(
        frozenset(name.removeprefix(prefix) for name in tensors.names),
        lambda name: tensors.shape(prefix + name),
        lambda name: tensors.read(prefix + name),
        lambda name: tensors.called(prefix + name),
    )


WRAPPERS = ("_orig_mod.", "module.")
"""What torch.compile and data parallelism put in front of names."""


def layout_of(tensors: Tensors) -> Layout | None:
    """The layout whose names tensors have; None where they look like none.

    Raises:
        ModelFileError: they have the names of one that is not supported.
    """
    names = sorted(tensors.names)
    for pattern, whose, what in _STRANGERS:
        if (found := next((name for name in names if re.search(pattern, name)), None)) is not None:
            raise ModelFileError(
                f"these look like the tensors of {whose}, as {shown(found)}; not supported: {what}"
            )
    for layout in _MARKED:
        mark = re.compile(f"({re.escape(layout.prefix)})?({layout.mark})")
        if (found := next((name for name in names if mark.fullmatch(name)), None)) is not None:
            return _exact(layout, tensors, found)
    return None


def _exact(layout: Layout, tensors: Tensors, found: str) -> Layout:
    """The layout, or its twin whose matrices lie the other way round."""
    shape = tensors.shape(found)
    if layout is GPT2 and len(shape) == 2 and shape[0] == 3 * shape[1]:
        return NANO_GPT
    if layout is LENS_4:
        weight, bias = "blocks.0.mlp.in.weight", "blocks.0.mlp.in.bias"
        if {weight, bias} <= tensors.names:
            rows = tensors.shape(weight)[0]
            neurons = tensors.shape(bias)
            if neurons and rows != neurons[0]:
                return LENS_4_OF_GPT2
    return layout


def names_of(layout: Layout) -> Names:
    """A layout's names, with its prefix and without."""
    with_prefix = {f"{layout.prefix}{name}": target for name, target in layout.names.items()}
    return {**with_prefix, **layout.names}
