"""Training the meta-model: examples need NumPy only, the rest torch (``untracr[train]``)."""

from __future__ import annotations

from untracr.metamodel.examples import Example, example_of, training_example
from untracr.train.stop_request import StopRequest

__all__ = [
    "Example",
    "StopRequest",
    "example_of",
    "training_example",
]
