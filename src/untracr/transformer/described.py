"""A model with what its file says of it, as far as reading its token rows asks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from untracr.transformer.transformer import Transformer


class Described(Protocol):
    """Weights in the form of compiled ones, and what came with them."""

    @property
    def transformer(self) -> Transformer:
        """The weights."""

    @property
    def metadata(self) -> Mapping[str, object]:
        """What the file says, such as its tokens' names."""

    @property
    def path(self) -> Path:
        """Where it was read, for error messages."""
