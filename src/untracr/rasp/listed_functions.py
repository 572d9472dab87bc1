"""The closed lists of functions: those of the paper's sampler, and further common ones.

The sampler draws functions by the types of what they read and give; ``freq`` is the
result of a numerical Aggregate, a float that maps differently. The further ones give names
to tables that are read off weights.
"""

from __future__ import annotations

from typing import Literal

from untracr.rasp.functions import Comparison, Formula, Predicate, formulas

Type = Literal["categorical", "float", "bool", "freq"]


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

UNARY: tuple[Formula, ...] = tuple(dict.fromkeys(f for pool in MAP_POOL.values() for f in pool))
BINARY: tuple[Formula, ...] = SEQUENCE_MAP_POOL
PREDICATES: tuple[Comparison, ...] = tuple(Comparison)

_SMALL = range(10)


def _formulas(arity: int, *sources: str) -> tuple[Formula, ...]:
    return tuple(dict.fromkeys(formulas(*sources, arity=arity)))


MORE_UNARY: tuple[Formula, ...] = _formulas(
    1,
    *(f"x % {k}" for k in range(2, 6)),
    *(f"x // {k}" for k in range(2, 6)),
    *("-x", "abs(x)", "x * x", "round(x)"),
    *(f"x {sign} {k}" for sign in ("==", "!=", ">", "<", ">=", "<=") for k in _SMALL),
    *(f"x {sign} {k}" for sign in ("+", "-", "*") for k in _SMALL[2:]),
    *(f"{k} - x" for k in _SMALL[1:]),
    *(f"x / {k}" for k in range(2, 6)),
    *(f"abs(x - {k})" for k in range(1, 5)),
    *(f"{word}(x, {k})" for word in ("min", "max") for k in range(1, 6)),
    *(f"x % {k} == {j}" for k in (2, 3) for j in range(k)),
    *(f"(x + {k}) % {m}" for m in range(2, 7) for k in range(1, m)),
    *(f"x * {k} % {m}" for m in range(3, 8) for k in range(2, m)),
)
"""Further functions of one argument that give names to tables."""

MORE_BINARY: tuple[Formula, ...] = _formulas(
    2,
    *("x + y", "y - x", "max(x, y)", "min(x, y)", "abs(x - y)"),
    *(f"x {sign} y" for sign in ("==", "!=", "<", "<=", ">", ">=")),
    *(f"(x {sign} y) % {k}" for sign in ("+", "-", "*") for k in range(2, 11)),
    *(f"x + {k} * y" for k in range(2, 11)),
    *(f"{k} * x + y" for k in range(2, 11)),
    *(f"x == y {sign} {k}" for sign in "+-" for k in (1, 2)),
    *(f"x + y == {k}" for k in _SMALL[1:]),
    *("x * x + y * y", "(x + 1) * (y + 1)", "x and not y", "not x and y", "not (x or y)"),
)
"""Further functions of two arguments."""

MORE_PREDICATES: tuple[Formula, ...] = _formulas(
    2,
    *(f"x == y {sign} {k}" for k in range(1, 4) for sign in "+-"),
    *(f"x != y {sign} {k}" for k in range(1, 4) for sign in "+-"),
    *(f"x {than} y {sign} {k}" for than in "<>" for k in range(1, 4) for sign in "+-"),
    *(f"{name} {sign} {k}" for name in "xy" for sign in ("==", "!=", "<", ">") for k in _SMALL),
    *(f"x + y {sign} {k}" for sign in ("==", "!=", "<", ">") for k in _SMALL),
    *(f"x % {k} == y % {k}" for k in (2, 3)),
    *(f"x % {k} != y % {k}" for k in (2, 3)),
    *(f"abs(x - y) {sign} {k}" for sign in ("==", "<", ">") for k in range(1, 4)),
    *("x == 2 * y", "2 * x == y", "x == y * y", "x * x == y"),
)
"""Further predicates, of a key ``x`` and a query ``y``."""

LISTED: frozenset[Predicate] = frozenset((*UNARY, *BINARY, *PREDICATES))
"""What the network can write by name."""
