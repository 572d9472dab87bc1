"""The meta-model: a model's weights as components, the network that reads them, its training.

This front door needs NumPy only. What needs torch has doors of its own:
`untracr.metamodel.task` and `untracr.metamodel.baseline` (what is trained),
`untracr.metamodel.training` and `untracr.metamodel.release`.
"""

from __future__ import annotations

from untracr.metamodel.components import Component
from untracr.metamodel.examples import Example, example_of, training_example
from untracr.metamodel.features import Features, features
from untracr.metamodel.frame import Base, Variable
from untracr.metamodel.numpy_network import Decoding, NumpyNetwork, TokenPlace
from untracr.metamodel.reader import Reader
from untracr.metamodel.vocabulary import Operation, build_program, operation_of

__all__ = [
    "Base",
    "Component",
    "Decoding",
    "Example",
    "Features",
    "NumpyNetwork",
    "Operation",
    "Reader",
    "TokenPlace",
    "Variable",
    "build_program",
    "example_of",
    "features",
    "operation_of",
    "training_example",
]
