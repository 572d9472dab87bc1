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
from untracr.network.patches import (
    Add,
    FromInputs,
    MeanOf,
    Patch,
    Place,
    Replace,
    Resampled,
    Source,
    Values,
)
from untracr.network.patching import Patched, patched, run_each
from untracr.network.points import HookPoint, hook_points
from untracr.network.tracing import Trace, trace

__all__ = [
    "Activation",
    "Add",
    "Architecture",
    "Attention",
    "FromInputs",
    "HookPoint",
    "Layer",
    "LayerNorm",
    "MeanOf",
    "Mlp",
    "Network",
    "Norm",
    "Patch",
    "Patched",
    "Place",
    "PositionTable",
    "Replace",
    "Resampled",
    "RmsNorm",
    "Rotary",
    "Source",
    "Trace",
    "Values",
    "compiled_form",
    "hook_points",
    "network_of_compiled",
    "patched",
    "run_each",
    "trace",
]
