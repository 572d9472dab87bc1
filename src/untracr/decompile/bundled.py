"""Decompiling with the meta-model that comes with the package, loaded once."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from untracr.compile.model import CompiledModel
from untracr.decompile.decompiler import BUDGET, Decompiler
from untracr.decompile.result import Result
from untracr.rasp.functions import Value
from untracr.transformer.files import LoadedModel, load_model
from untracr.transformer.transformer import Transformer

EXAMPLE = "examples/real-101-0000.npz"


Source = str | os.PathLike[str] | Transformer | LoadedModel | CompiledModel
"""A weights file, the weights themselves, or a compiled or loaded model."""


@functools.cache
def bundled_decompiler() -> Decompiler:
    """The decompiler with the package's own meta-model.

    Raises:
        ModelFileError: its file is missing or damaged.
    """
    return Decompiler()


def decompile_model(
    model: Source, *, vocab: Sequence[Value] | None = None, budget: float = BUDGET
) -> Result:
    """Reads the program of one model.

    Args:
        model: a weights file, a `Transformer`, or a compiled or loaded model.
        vocab: the values of the token rows; what the file says, or else 0, 1,
            2, ..., if not given.
        budget: seconds after which the search for a better program ends.

    Raises:
        ModelFileError: it is no model, or outside what can be read.
    """
    if isinstance(model, Transformer):
        return bundled_decompiler().decompile(model, vocab=vocab, budget=budget)
    if isinstance(model, CompiledModel):
        model = LoadedModel(model.transformer, model.description(), Path("compiled model"))
    loaded = model if isinstance(model, LoadedModel) else load_model(model)
    return bundled_decompiler().decompile_loaded(loaded, vocab=vocab, budget=budget)


def decompile_models(models: Iterable[Source]) -> Iterator[Result]:
    """Reads many models, one result each, in order.

    Raises:
        ModelFileError: one of them is no model, or outside what can be read.
    """
    return map(decompile_model, models)


def example_file() -> Path:
    """A model that comes with the package: a random program, compiled by Tracr itself."""
    return Path(str(files("untracr") / EXAMPLE))
