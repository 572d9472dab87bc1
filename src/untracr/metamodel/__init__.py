"""The meta-model: components as features, the target language, the network in torch and NumPy."""

from __future__ import annotations

from untracr.metamodel.examples import Example, example_of, training_example
from untracr.metamodel.features import Features, features
from untracr.metamodel.numpy_network import Decoding, NumpyNetwork, TokenPlace
from untracr.read.operations import (
    Operation,
    build_program,
    operation_of,
)

__all__ = [
    "Decoding",
    "Example",
    "Features",
    "NumpyNetwork",
    "Operation",
    "TokenPlace",
    "build_program",
    "example_of",
    "features",
    "operation_of",
    "training_example",
]
