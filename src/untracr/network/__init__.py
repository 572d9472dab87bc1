"""Transformers of other architectures: what they are, how they run, what they compute inside."""

from __future__ import annotations

from untracr.network.architecture import (
    Activation,
    Architecture,
    LayerNorm,
    PositionTable,
    RmsNorm,
    Rotary,
)
from untracr.network.compiled_form import compiled_form, network_of_compiled
from untracr.network.network import Attention, Layer, Mlp, Network, Norm

__all__ = [
    "Activation",
    "Architecture",
    "Attention",
    "Layer",
    "LayerNorm",
    "Mlp",
    "Network",
    "Norm",
    "PositionTable",
    "RmsNorm",
    "Rotary",
    "compiled_form",
    "network_of_compiled",
]
