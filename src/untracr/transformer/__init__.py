"""Transformers as arrays: forward pass, weights files, token rows, treatments, Tracr's names."""

from __future__ import annotations

from untracr.transformer.files import save_model
from untracr.transformer.haiku import HaikuParams, haiku_params, transformer_from_haiku
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
    "HaikuParams",
    "Trace",
    "Transformer",
    "add_noise",
    "compress",
    "haiku_params",
    "in_standard_order",
    "permute_heads",
    "permute_neurons",
    "permute_residual",
    "random_orthogonal",
    "rotate",
    "rotate_and_compress",
    "save_model",
    "transformer_from_haiku",
    "weights_digest",
]
