"""Names for NumPy arrays of each kind, and how their shapes are written.

``Annotated[Floats, "D K"]`` is an array of floats with D rows and K columns: one letter is one
size within a signature or a class. To Python and type checkers it is ``Floats``; tests compare
the shapes as jaxtyping reads them (`tests/array_shapes.py`).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt

__all__ = [
    "Annotated",
    "Basis",
    "Bools",
    "Floats",
    "Ints",
    "Others",
    "Places",
    "Reals",
    "Square",
    "Vectors",
]

Floats = npt.NDArray[np.float64]
Reals = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Vectors = Annotated[Floats, "vectors D"]
"""Vectors of a residual stream."""

Others = Annotated[Floats, "others D"]
"""More vectors of the same stream, perhaps another number of them."""

Square = Annotated[Floats, "D D"]
"""What turns vectors of a residual stream into others of it."""

Basis = Annotated[Floats, "D R"]
"""A change of basis from a residual stream to another one, perhaps of another width."""

Places = tuple[Annotated[Ints, "_"], ...]
"""The numbers of some heads, or neurons, of each layer."""
