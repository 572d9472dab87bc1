"""Anything that a user brings, as one kind of model: files, folders, live models; and saved."""

from __future__ import annotations

from untracr.loading.compiled_file import save_model
from untracr.loading.haiku import HaikuParams, haiku_params, transformer_from_haiku
from untracr.loading.loading import load_model
from untracr.loading.model import LoadedModel

__all__ = [
    "HaikuParams",
    "LoadedModel",
    "haiku_params",
    "load_model",
    "save_model",
    "transformer_from_haiku",
]
