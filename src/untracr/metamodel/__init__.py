"""The meta-model: components as features, the target language, the network in torch and NumPy."""

from __future__ import annotations

from untracr.metamodel.features import Features, features
from untracr.metamodel.numpy_network import Decoding, NumpyNetwork, TokenPlace

__all__ = [
    "Decoding",
    "Features",
    "NumpyNetwork",
    "TokenPlace",
    "features",
]
