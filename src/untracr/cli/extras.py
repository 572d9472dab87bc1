"""Commands that need a package which is not always installed say so in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from untracr.errors import UntracrError


def training_extra() -> AbstractContextManager[None]:
    """Around imports that need torch.

    Raises:
        UntracrError: torch is not installed.
    """
    return _extra("train", "torch", "PyTorch")


def dataset_extra() -> AbstractContextManager[None]:
    """Around imports that need pyarrow.

    Raises:
        UntracrError: pyarrow is not installed.
    """
    return _extra("dataset", "pyarrow", "pyarrow")


@contextmanager
def _extra(extra: str, module: str, called: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise UntracrError(
            f"this needs {called}, which is not installed: pip install 'untracr[{extra}]'"
        ) from None
