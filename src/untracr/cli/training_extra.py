"""Commands that need PyTorch say so in one line where it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from untracr.errors import UntracrError


@contextmanager
def training_extra() -> Iterator[None]:
    """Around imports that need torch.

    Raises:
        UntracrError: torch is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UntracrError(
            "this needs PyTorch, which is not installed: pip install 'untracr[train]'"
        ) from None
