"""What the sampler draws from besides functions: operations and predicates.

Facts from the reference sampler.
"""

from __future__ import annotations

from typing import Literal

from untracr.rasp.functions import Comparison

Kind = Literal[
    "map",
    "sequence_map",
    "linear_sequence_map",
    "numerical_aggregate",
    "categorical_aggregate",
    "selector_width",
]


KIND_SHARES: tuple[tuple[Kind, float], ...] = (
    ("map", 1.0),
    ("sequence_map", 0.8),
    ("linear_sequence_map", 1.0),
    ("numerical_aggregate", 1.0),
    ("categorical_aggregate", 1.0),
    ("selector_width", 0.05),
)
"""Operations with their weights."""


PREDICATES_DRAWN: tuple[Comparison, ...] = (
    Comparison.EQ,
    Comparison.TRUE,
    Comparison.GEQ,
    Comparison.GT,
    Comparison.LEQ,
    Comparison.LT,
    Comparison.NEQ,
)
