"""Transformers as arrays: forward pass, token rows, treatments."""

from __future__ import annotations

from untracr.transformer.token_rows import in_standard_order
from untracr.transformer.transformer import Trace, Transformer
from untracr.transformer.treatments import (
    Compression,
    add_noise,
    compress,
    permute_heads,
    permute_neurons,
    permute_residual,
    random_orthogonal,
    rotate,
    rotate_and_compress,
)
from untracr.transformer.weights_digest import weights_digest

__all__ = [
    "Compression",
    "Trace",
    "Transformer",
    "add_noise",
    "compress",
    "in_standard_order",
    "permute_heads",
    "permute_neurons",
    "permute_residual",
    "random_orthogonal",
    "rotate",
    "rotate_and_compress",
    "weights_digest",
]
