"""Anything that a user brings, as one kind of model: files, folders and models in memory."""

from __future__ import annotations

from untracr.loading.loading import load_model
from untracr.loading.model import LoadedModel

__all__ = ["LoadedModel", "load_model"]
