"""Weights as components: the variables, directions, heads and MLPs that they are made of."""

from __future__ import annotations

from untracr.read.components import Component
from untracr.read.frame import Base, Variable
from untracr.read.reader import Reader

__all__ = [
    "Base",
    "Component",
    "Reader",
    "Variable",
]
