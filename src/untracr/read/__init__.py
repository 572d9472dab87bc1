"""Weights as components: the variables, directions, heads and MLPs that they are made of."""

from __future__ import annotations

from untracr.read.components import Component
from untracr.read.frame import Base, Variable
from untracr.read.operations import Operation, build_program, operation_of
from untracr.read.reader import Reader

__all__ = [
    "Base",
    "Component",
    "Operation",
    "Reader",
    "Variable",
    "build_program",
    "operation_of",
]
