"""Which tensors a network has by TransformerLens' names, and whether they fit each other."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from untracr.bounds import MAX_NETWORK_BYTES
from untracr.errors import ModelFileError, UsageError, did_you_mean
from untracr.file_tensors import n_layers, require_names, require_size
from untracr.loading.renaming import LAYER, Names, target_names
from untracr.loading.tensors import Tensors
from untracr.shown_text import shown

BUFFER = re.compile(r"blocks\.\d+\.attn\.(mask|IGNORE|rotary_sin|rotary_cos|alibi)")
"""Constants that TransformerLens keeps beside weights."""

_HEADS = {
    **{f"attn.W_{one}": ("n_heads@", "d_model", "d_head@") for one in "QKV"},
    **{f"attn.b_{one}": ("n_heads@", "d_head@") for one in "QKV"},
    "attn.W_O": ("n_heads@", "d_head@", "d_model"),
    "attn.b_O": ("d_model",),
}
_NEURONS = {
    "mlp.W_in": ("d_model", "d_mlp@"),
    "mlp.W_gate": ("d_model", "d_mlp@"),
    "mlp.b_in": ("d_mlp@",),
    "mlp.W_out": ("d_mlp@", "d_model"),
    "mlp.b_out": ("d_model",),
}
_NORMS = {f"{norm}.{part}": ("d_model",) for norm in ("ln1", "ln2") for part in "wb"}
_OUTSIDE = {
    "embed.W_E": ("tokens", "d_model"),
    "pos_embed.W_pos": ("positions", "d_model"),
    "ln_final.w": ("d_model",),
    "ln_final.b": ("d_model",),
    "unembed.W_U": ("d_model", "outputs"),
    "unembed.b_U": ("outputs",),
}

_UNSUPPORTED = (
    (r"\._[Wb]_[KV]$", "grouped heads (several share a key and a value)"),
    (r"\.experts\.", "a mixture of experts"),
    (r"\.mlp\.ln\.", "a layer norm among the neurons (SoLU)"),
    (r"\.(q|k)_norm\.", "normalised queries and keys"),
    (r"\.ln\d_post\.", "a normalisation behind a half-layer"),
    (r"^embed\.(ln|token_type)|token_type", "BERT's embedding"),
    (r"^(embed|post_embed\w*)\.ln\.|^post_embed", "a layer norm behind the embedding"),
    (r"rel_pos_bias", "relative position bias (T5)"),
    (r"^(encoder|decoder)\.|cross_attn", "an encoder and a decoder"),
    (r"\.mlp\.b_gate$", "gates with a bias"),
    (r"_(quant|scales?|absmax|zeros?)\w*$|\.qweight$", "quantised weights"),
)
"""Names that say what is not supported."""


@dataclass(frozen=True)
class LensNames:
    """The weights that there are.

    Attributes:
        names: all of them, by TransformerLens' names.
        layers: how many layers they make up.
        sizes: of each axis, those of a layer with its number behind an ``@``.
    """

    names: frozenset[str]
    layers: int
    sizes: Mapping[str, int]

    def has(self, part: str) -> bool:
        """Whether any layer has a part, such as ``mlp.W_gate``."""
        return any(f"blocks.{layer}.{part}" in self.names for layer in range(self.layers))


def lens_names(tensors: Tensors, sizes: Mapping[str, tuple[int, str]]) -> LensNames:
    """Checks names, shapes and sizes of tensors before any is read.

    Args:
        tensors: by TransformerLens' names; buffers may be among them.
        sizes: of axes, with who says so.

    Raises:
        ModelFileError: a name is missing or unknown, or shapes do not fit or are too large.
    """
    names = frozenset(name for name in tensors.names if not BUFFER.fullmatch(name))
    _require_supported(names)
    layers = n_layers(names, r"blocks\.(\d+)\.")
    stated, source = sizes.get("layers", (layers, ""))
    if stated != layers:
        raise ModelFileError(
            f"there must be {stated} layers, as {source} has it; the tensors are of {layers}"
        )
    axes = _axes(layers)
    _require_names(tensors, names, layers, axes)
    _require_even(names, layers)
    bound = dict(sizes)
    for name in (name for name in axes if name in names):
        _bind(bound, tensors.called(name), tensors.shape(name), axes[name])
    numbers = sum(math.prod(tensors.shape(name)) for name in names)
    require_size("the model, in single precision,", 4 * numbers, MAX_NETWORK_BYTES)
    return LensNames(names, layers, {axis: size for axis, (size, _) in bound.items()})


def _require_names(
    tensors: Tensors, names: frozenset[str], layers: int, axes: Mapping[str, tuple[str, ...]]
) -> None:
    """Checks which there are, and tells of them by the names that the user knows."""
    wanted = list(dict.fromkeys(map(tensors.expected, _required(names, layers))))
    have = {tensors.expected(name) for name in names}
    require_names(tensors.style, have, wanted, set(map(tensors.expected, axes)))


def require_targets(names: Names) -> None:
    """Checks that a user's mapping leads to names of TransformerLens'.

    Raises:
        UsageError: one is none of these; those of parts that are not supported are told later.
    """
    known = _axes(1)
    for theirs, target in names.items():
        for one in target_names(theirs, target):
            ours = one.removesuffix(".T").replace(LAYER, "0")
            plain = re.sub(r"^blocks\.\d+\.", "blocks.0.", ours)
            told = plain in known or any(re.search(pattern, plain) for pattern, _ in _UNSUPPORTED)
            if not told:
                raise UsageError(
                    f"names: {shown(theirs)} is to be {shown(one)}, which is none of "
                    f"TransformerLens' names.{did_you_mean(ours, known)}"
                )


def _require_supported(names: frozenset[str]) -> None:
    for pattern, what in _UNSUPPORTED:
        found = sorted(name for name in names if re.search(pattern, name))
        if found:
            raise ModelFileError(f"not supported: {what}; {shown(found[0])} is part of it")


def _axes(layers: int) -> dict[str, tuple[str, ...]]:
    """The axes of every tensor that there may be, by its name; those of a layer numbered."""
    axes = dict(_OUTSIDE)
    for layer in range(layers):
        for name, wanted in (_HEADS | _NORMS | _NEURONS).items():
            numbered = (f"{axis}{layer}" if axis.endswith("@") else axis for axis in wanted)
            axes[f"blocks.{layer}.{name}"] = tuple(numbered)
    return axes


def _required(names: frozenset[str], layers: int) -> list[str]:
    """What must be there: all but biases, normalisations, neurons, positions and the read-out."""
    wanted = ["embed.W_E"]
    for layer in range(layers):
        block = f"blocks.{layer}."
        wanted += [f"{block}attn.W_{one}" for one in "QKVO"]
        if any(name.startswith(f"{block}mlp.") for name in names):
            wanted += [f"{block}mlp.W_in", f"{block}mlp.W_out"]
    if "unembed.b_U" in names:
        wanted.append("unembed.W_U")
    return wanted


def _require_even(names: frozenset[str], layers: int) -> None:
    """Checks that normalisations have the same parts everywhere."""
    mlps = [layer for layer in range(layers) if f"blocks.{layer}.mlp.W_in" in names]
    places = ["ln_final", *(f"blocks.{layer}.ln1" for layer in range(layers))]
    places += [f"blocks.{layer}.ln2" for layer in mlps]
    for part in "wb":
        have = [f"{place}.{part}" for place in places if f"{place}.{part}" in names]
        lack = [f"{place}.{part}" for place in places if f"{place}.{part}" not in names]
        if have and lack:
            raise ModelFileError(
                f"all normalisations must have the same parts; {have[0]} is there and "
                f"{lack[0]} is missing"
            )


def _bind(
    bound: dict[str, tuple[int, str]], name: str, shape: tuple[int, ...], axes: tuple[str, ...]
) -> None:
    """Checks one tensor's shape against the sizes known so far, and adds those that it gives."""
    if 0 in shape:
        raise ModelFileError(f"tensors must not be empty; {name} has shape {list(shape)}")
    if len(shape) != len(axes):
        plain = ", ".join(axis.split("@")[0] for axis in axes)
        raise ModelFileError(f"{name} must have shape [{plain}], not {list(shape)}")
    for axis, size in zip(axes, shape, strict=True):
        known, source = bound.setdefault(axis, (size, name))
        if known != size:
            raise ModelFileError(
                f"{axis.split('@')[0]} must be {known}, as {source} has it; {name} of shape "
                f"{list(shape)} has {size}"
            )
