"""What the ``model_args`` of a checkpoint of nanoGPT say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from untracr.loading.config_values import ConfigValues
from untracr.loading.stated import Scale, Stated, Told
from untracr.network.architecture import Activation, LayerNorm, PositionTable


def is_nano_config(values: Mapping[str, Any]) -> bool:
    """Whether these are nanoGPT's settings."""
    return {"n_layer", "n_head", "n_embd", "block_size"} <= values.keys()


def stated_by_nano(values: Mapping[str, Any], source: str) -> Stated:
    """What the settings say; the activation is the one of nanoGPT since 2023.

    Raises:
        ModelFileError: they hold values of another kind.
    """
    config = ConfigValues(values, source)
    layers = config.layers("n_layer") or 1
    return Stated(
        norm=Told(LayerNorm(1e-5)),
        activation=Activation.GELU,
        positions=Told(PositionTable()),
        causal=True,
        scale=Scale(),
        heads=config.whole("n_head"),
        tied=True,
        sizes={
            "layers": (layers, f"n_layer of {source}"),
            **config.sizes({"n_embd": "d_model", "block_size": "positions"}),
        },
        notes=("activation gelu assumed, as nanoGPT has it since 2023",),
    )
