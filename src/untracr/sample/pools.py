"""What the sampler draws from: operations, types, functions, predicates, factors.

Facts from the reference sampler; types decide which functions make sense.
``freq`` is the result of a numerical Aggregate, a float that maps differently.
"""

from __future__ import annotations

from typing import Literal

from untracr.rasp.functions import Comparison, Formula, formulas

Kind = Literal[
    "map",
    "sequence_map",
    "linear_sequence_map",
    "numerical_aggregate",
    "categorical_aggregate",
    "selector_width",
]
Type = Literal["categorical", "float", "bool", "freq"]

KINDS: tuple[tuple[Kind, float], ...] = (
    ("map", 1.0),
    ("sequence_map", 0.8),
    ("linear_sequence_map", 1.0),
    ("numerical_aggregate", 1.0),
    ("categorical_aggregate", 1.0),
    ("selector_width", 0.05),
)
"""Operations with their weights."""


_SCALE = ("x", "x + 0.5", "x + 1", "x * 2")

MAP_POOL: dict[tuple[Type, Type], tuple[Formula, ...]] = {
    ("categorical", "bool"): formulas(
        *("x == 0", "x == 1", "x == 2", "x == 3", "x != 2", "x != 3"),
        *("x > 2", "x > 3", "x < 2", "x < 3"),
    ),
    ("categorical", "float"): formulas(*_SCALE),
    ("categorical", "categorical"): formulas("x + 1", "x - 1"),
    ("float", "bool"): formulas("x > 3.5", "x < 3.5", "x == 0"),
    ("float", "float"): formulas(*_SCALE),
    ("float", "categorical"): formulas("x", "int(x)"),
    ("bool", "bool"): formulas("x", "not x"),
    ("bool", "float"): formulas("x", "not x"),
    ("bool", "categorical"): formulas("x", "not x"),
    ("freq", "bool"): formulas("x > 0.5"),
    ("freq", "float"): formulas(*_SCALE),
    ("freq", "categorical"): formulas("x", "int(x)"),
}
"""Functions of a Map, by (input type, output type)."""

SEQUENCE_MAP_POOL: tuple[Formula, ...] = formulas(
    "x * y", "x + y % 10", "x - y", "x or y", "x and y", arity=2
)

FACTORS: tuple[int, ...] = (-3, -2, -1, 1, 2, 3)

PREDICATES: tuple[Comparison, ...] = (
    Comparison.EQ,
    Comparison.TRUE,
    Comparison.GEQ,
    Comparison.GT,
    Comparison.LEQ,
    Comparison.LT,
    Comparison.NEQ,
)
