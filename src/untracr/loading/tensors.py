"""Named tensors whose shapes are known before any of their numbers is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from untracr.bounds import MAX_AXES, MAX_TENSORS
from untracr.errors import ModelFileError
from untracr.file_tensors import float32
from untracr.shown_text import shown
from untracr.transformer.transformer import Array


@dataclass(frozen=True)
class Tensors:
    """Tensors as they lie in a file or in memory, or under other names.

    Attributes:
        names: of all of them.
        shape: that of one, by its name; nothing else of it is read.
        read: one of them, in any type of numbers.
        called: what errors call one of them: the name by which the user knows it.
        style: whose names the user knows.
        expected: the name there of one that need not be there.
    """

    names: frozenset[str]
    shape: Callable[[str], tuple[int, ...]]
    read: Callable[[str], npt.NDArray[Any]]
    called: Callable[[str], str] = shown
    style: str = "TransformerLens"
    expected: Callable[[str], str] = str

    def array(self, name: str) -> Array:
        """One of them in single precision.

        Raises:
            ModelFileError: it holds something else than finite floating-point numbers.
        """
        return np.require(float32(self.called(name), self.read(name)), requirements=["C", "A"])


def tensors_of_mapping(found: Mapping[Any, Any]) -> Tensors:
    """The tensors of a state dict in memory, of NumPy arrays or PyTorch's tensors.

    Raises:
        ModelFileError: there are too many of them.
    """
    if len(found) > MAX_TENSORS:
        raise ModelFileError(
            f"a model may have at most {MAX_TENSORS:,} tensors; this has {len(found):,}"
        )
    named = {str(name): tensor for name, tensor in found.items()}
    return Tensors(
        frozenset(named),
        lambda name: _shape(name, named[name]),
        lambda name: _in_numpy(name, named[name]),
        str,
    )


def _shape(name: str, tensor: Any) -> tuple[int, ...]:
    shape = getattr(tensor, "shape", None)
    if shape is None:
        shape = _in_numpy(name, tensor).shape
    if len(shape) > MAX_AXES:
        raise ModelFileError(f"a tensor has at most {MAX_AXES} axes; {name} has {len(shape)}")
    return tuple(map(int, shape))


def _in_numpy(name: str, tensor: Any) -> npt.NDArray[Any]:
    """A tensor as a NumPy array; bfloat16, which NumPy lacks, as float32."""
    kind = str(getattr(tensor, "dtype", ""))
    if kind.startswith("torch.q") or kind.startswith("torch.float8"):
        raise ModelFileError(f"quantised weights are not read; {name} is {kind}")
    try:
        if callable(getattr(tensor, "detach", None)):
            tensor = tensor.detach().cpu()
            tensor = tensor.float() if kind == "torch.bfloat16" else tensor
        return np.asarray(tensor)
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise ModelFileError(f"{name} must be an array of numbers: {error}") from None
