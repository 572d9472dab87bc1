"""A model of tensors of any known layout, and of what is said about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from untracr.errors import ModelFileError
from untracr.loading.assembling import assembled
from untracr.loading.hugging_face_config import stated_by_hugging_face
from untracr.loading.layouts import (
    GPT2,
    GPT_NEO,
    KNOWN,
    LENS_3,
    LENS_4,
    LENS_4_OF_GPT2,
    LLAMA,
    NANO_GPT,
    WRAPPERS,
    Layout,
    layout_of,
    names_of,
    without_prefix,
)
from untracr.loading.lens_config import is_lens_config, stated_by_lens
from untracr.loading.lens_names import require_targets
from untracr.loading.model import LoadedModel
from untracr.loading.nano_config import is_nano_config, stated_by_nano
from untracr.loading.renaming import Names, renamed
from untracr.loading.stated import NOTHING, Scale, Stated
from untracr.loading.tasks import stated_with
from untracr.loading.tensors import Tensors
from untracr.shown_text import shown
from untracr.task.told import Told


@dataclass(frozen=True)
class Config:
    """A configuration as it was found.

    Attributes:
        values: by name.
        source: where, as errors call it.
    """

    values: Mapping[str, Any]
    source: str


@dataclass(frozen=True)
class Given:
    """What the user says beside the model; None where nothing is said.

    Attributes:
        causal: whether attention is masked to later positions.
        num_heads: heads of a layer.
        names: whose tensor is which (`untracr.loading.renaming`).
        config: settings by TransformerLens' or transformers' names, instead of any found.
        told: of the model's task.
        divisors: of the scores of each layer, which a module in memory has.
    """

    causal: bool | None = None
    num_heads: int | None = None
    names: Names | None = None
    config: Mapping[str, Any] | None = None
    told: Told = field(default_factory=Told)
    divisors: tuple[float, ...] = ()


def model_of_tensors(
    tensors: Tensors, config: Config | None, given: Given, path: Path
) -> LoadedModel:
    """A model of named tensors.

    Args:
        tensors: by the names that they have.
        config: found with them.
        given: what the user says.
        path: where they were found.

    Raises:
        ModelFileError: their names are unknown, or what they make up is not supported.
    """
    config, notes = _known(config, given)
    tensors = without_prefix(tensors, WRAPPERS)
    if given.names is not None:
        require_targets(given.names)
        stated = _stated(config, None, tensors, given)
        named = renamed(tensors, given.names, stated.heads, "the mapping of names")
    else:
        layout = _layout(tensors, config)
        stated = _stated(config, layout, tensors, given)
        named = renamed(tensors, names_of(layout), stated.heads, layout.name)
    if "embed.W_E" in named.names and (shape := named.shape("embed.W_E")):
        stated = stated_with(stated, given.told, shape[0])
    network, said = assembled(named, stated)
    return LoadedModel(network, {}, path, notes=(*notes, *said))


def _known(config: Config | None, given: Given) -> tuple[Config | None, tuple[str, ...]]:
    """The configuration that counts; one that is found and of no known kind does not."""
    if given.config is not None:
        return Config(given.config, "config"), ()
    if config is None or _is_known(config.values):
        return config, ()
    return None, (f"{config.source} is no model's configuration, and was passed over",)


def _is_known(values: Mapping[str, Any]) -> bool:
    return "model_type" in values or is_lens_config(values) or is_nano_config(values)


def _layout(tensors: Tensors, config: Config | None) -> Layout:
    layout = layout_of(tensors) or _own_names(tensors)
    architecture = "" if config is None else str(config.values.get("architecture", ""))
    return LENS_4_OF_GPT2 if layout is LENS_4 and architecture.startswith("GPT2") else layout


def _own_names(tensors: Tensors) -> Layout:
    """TransformerLens' layout, where tensors have any of its names; there is no other left.

    Raises:
        ModelFileError: they have none of them.
    """
    parts = ("blocks.", "embed.", "pos_embed.", "unembed.", "ln_final.")
    if tensors.names and not any(name.startswith(parts) for name in tensors.names):
        raise ModelFileError(
            f"tensors must be named as in {KNOWN}, or names={{...}} must say which is which; "
            f"these have names such as {shown(min(tensors.names))}"
        )
    return LENS_3


def _stated(config: Config | None, layout: Layout | None, tensors: Tensors, given: Given) -> Stated:
    """What the configuration says, else what is usual for the layout, and what the user says."""
    if config is not None:
        _require_same_kind(config, layout)
        stated = stated_by(config)
    elif layout is not None and layout.defaults:
        stated = _usual(layout, tensors, given.num_heads)
    else:
        stated = NOTHING
    if given.num_heads is not None:
        if stated.heads not in (None, given.num_heads):
            raise ModelFileError(
                f"num_heads={given.num_heads} is given; the configuration says {stated.heads}"
            )
        stated = replace(stated, heads=given.num_heads)
    if given.divisors:
        stated = replace(stated, scale=Scale(each=given.divisors))
    return stated if given.causal is None else replace(stated, causal=given.causal)


def _require_same_kind(config: Config, layout: Layout | None) -> None:
    """Checks that a configuration is of the tensors' own architecture, not one that merely fits.

    Raises:
        ModelFileError: it is.
    """
    told = config.values.get("model_type")
    kind = "llama" if told == "mistral" else told
    kinds = [one.defaults for one in (GPT2, GPT_NEO, LLAMA)]
    if layout is not None and layout.defaults and kind in kinds and kind != layout.defaults:
        raise ModelFileError(
            f"{config.source} has model_type={shown(told)}, and the tensors are those of "
            f"{layout.name}: they must be of one model"
        )


def stated_by(config: Config) -> Stated:
    """What a configuration of any known kind says.

    Raises:
        ModelFileError: it is of no known kind, or asks for what is not supported.
    """
    if is_nano_config(config.values):
        return stated_by_nano(config.values, config.source)
    if is_lens_config(config.values):
        return stated_by_lens(config.values, config.source)
    if "model_type" in config.values:
        return stated_by_hugging_face(config.values, config.source)
    raise ModelFileError(
        f"{config.source} must be a configuration of TransformerLens (with n_layers and d_model) "
        "or of Hugging Face's transformers (with model_type)"
    )


def _usual(layout: Layout, tensors: Tensors, heads: int | None) -> Stated:
    """The settings that GPT-2's and Llama's configurations have unless they say otherwise.

    Raises:
        ModelFileError: the number of heads is not told, or the model has no usual settings.
    """
    if heads is None or layout not in _USUAL:
        raise ModelFileError(
            f"these are tensors of {layout.name}, which do not tell the number of heads and "
            "other settings: a config.json must lie beside them, or config={...} be given"
            + ", or num_heads=..."
            * (layout in _USUAL)
        )
    table = next(
        name for name in sorted(tensors.names) if name.endswith(("wte.weight", "tokens.weight"))
    )
    width = (tensors.shape(table) or (0,))[-1]
    count = 1 + max(
        (int(part) for name in tensors.names for part in name.split(".") if part.isdecimal()),
        default=0,
    )
    values: dict[str, Any]
    if layout is LLAMA:
        named = ("num_hidden_layers", "num_attention_heads", "hidden_size")
    else:
        named = ("n_layer", "n_head", "n_embd")
    values = dict(zip(named, (count, heads, width), strict=True))
    if layout is NANO_GPT:
        stated = stated_by_nano(values, "the tensors")
    else:
        stated = stated_by_hugging_face({"model_type": layout.defaults, **values}, "the tensors")
    note = f"settings that are usual for {layout.name} assumed: there is no configuration"
    tied = not any(name.endswith("lm_head.weight") for name in tensors.names)
    return replace(stated, sizes={}, tied=tied, notes=(note, *stated.notes))


_USUAL = (GPT2, NANO_GPT, LLAMA)
"""Layouts whose settings are usual where the number of heads is told."""
