"""Random programs of live ``tracr.rasp`` objects, as people write them, not as our sampler does.

Functions are Python's, NumPy's, partials, methods and objects; values are numbers,
truths, texts, tuples and None; many programs are wrong, as drawn things are.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from importlib import import_module
from random import Random
from typing import Any

import numpy as np

rasp: Any = import_module("tracr.rasp.rasp")

VOCABULARIES: tuple[tuple[Any, ...], ...] = (
    (0, 1, 2),
    ("a", "b", "c"),
    ("x", "y", "z"),
    (0.5, 1, -2),
    (True, False),
    ("1", "2"),
    (1, "a"),
    (10, 11, 12),
    ("w", "compiler_a", "z"),
    ("", "a"),
)


class Paired:
    """A callable object with a method."""

    def __init__(self, other: object) -> None:
        self.other = other

    def __call__(self, x: object) -> object:
        return (x, self.other)

    def or_text(self, x: object) -> object:
        return self.other if isinstance(x, str) else x


def _unary(rng: Random) -> Callable[[Any], Any]:
    other: Any = rng.choice([0, 1, 2, 3, -1, 0.5, "a", "b", True, None, (0, 1)])
    kinds: list[Callable[[Any], Any]] = [
        lambda x: x,
        lambda x: x == other,
        lambda x: (x, other),
        lambda x: x if x != other else None,
        functools.partial(lambda x, given: given, given=other),
        lambda x: not x,
        lambda x: x * 2,
        lambda x: x + 1,
        lambda x: 6 / x,
        lambda x: x % 2,
        lambda x: x > 1,
        lambda x: -x,
        lambda x: x[0],
        lambda x: x**2,
        lambda x: min(x, 2),
        lambda x: len(str(x)),
        {0: 1, 1: 2, 2: 3, "a": "q", "b": 2.5}.get,
        functools.partial(operator.eq, other),
        Paired(other),
        Paired(other).or_text,
        np.tanh,
        np.sign,
        *(bool, str, abs, float, int, repr),
    ]
    return rng.choice(kinds)


def _binary(rng: Random) -> Callable[..., Any]:
    kinds: list[Callable[..., Any]] = [
        lambda x, y: (x, y),
        lambda x, y: x,
        lambda x, y: x == y,
        lambda x, y: x + y,
        lambda x, y: x * y,
        lambda x, y: x and y,
        lambda x, y: x or y,
        lambda x, y: x if y else None,
        lambda x, y: str(x) + str(y),
        lambda x, y: x / y,
        lambda x, y: (*x, y) if isinstance(x, tuple) else (x, y),
        lambda *both: both,
        operator.ne,
        np.logical_and,
    ]
    return rng.choice(kinds)


def _predicate(rng: Random) -> Any:
    kinds: list[Any] = [
        *(rasp.Comparison.EQ, rasp.Comparison.NEQ, rasp.Comparison.TRUE, rasp.Comparison.LT),
        lambda key, query: key == query,
        lambda key, query: str(key) < str(query),
        lambda key, query: key != query and query != 0,
        lambda key, query: key,
        lambda key, query: 1 if key == query else 0,
        lambda key, query: 2 * (key == query),
        lambda key, query: (key == query) - 0.5 * (key != query),
        lambda key, query: np.bool_(key == query),
        operator.eq,
    ]
    return rng.choice(kinds)


def _operators(rng: Random, fst: Any, snd: Any) -> Any:
    ways: list[Callable[[Any, Any], Any]] = [
        *(operator.add, operator.sub, operator.mul, operator.and_, operator.or_),
        lambda a, b: a == 1,
        lambda a, b: 1 - a,
        lambda a, b: a < 2,
        lambda a, b: ~a,
        lambda a, b: 1 & a,
        lambda a, b: "x" + a,
    ]
    return rng.choice(ways)(fst, snd)


def _number(rng: Random, sop: Any) -> Any:
    kinds: list[Callable[[Any], Any]] = [
        lambda x: x == 1,
        lambda x: 1 if x else 0,
        lambda x: 0.5,
        lambda x: 1e39 if x == 2 else 0,
        bool,
    ]
    return rasp.numerical(rasp.Map(rng.choice(kinds), sop))


def _selecting(rng: Random, sops: list[Any], selectors: list[Any]) -> Any:
    made = rasp.Select(rng.choice(sops), rng.choice(sops), _predicate(rng))
    if selectors and rng.random() < 0.4:
        other = rng.choice(selectors)
        made = rng.choice([made & other, made | other, ~made])
    selectors.append(made)
    if rng.random() < 0.5:
        return rasp.SelectorWidth(made)
    return rasp.Aggregate(made, rng.choice(sops))


def _of_numbers(rng: Random, sops: list[Any], selectors: list[Any]) -> Any:
    numbers = [sop for sop in sops if rasp.is_numerical(sop)] or [_number(rng, sops[0])]
    if selectors and rng.random() < 0.5:
        chosen = rng.choice(selectors), rng.choice(numbers)
        return rasp.numerical(rasp.Aggregate(*chosen, default=0))
    factors = rng.choice([1, -1, 2, 0.5]), rng.choice([1, -1, 0])
    pair = rng.choice(numbers), rng.choice(numbers)
    return rasp.numerical(rasp.LinearSequenceMap(*pair, *factors))


def random_live(rng: Random) -> Any:
    """A live SOp, which may well be no program at all."""
    sops, selectors = [rasp.tokens, rasp.indices], list[Any]()
    for _ in range(rng.randint(1, 6)):
        share = rng.random()
        if share < 0.3:
            made = rasp.Map(_unary(rng), rng.choice(sops), simplify=rng.random() < 0.6)
        elif share < 0.45:
            made = rasp.SequenceMap(_binary(rng), rng.choice(sops), rng.choice(sops))
        elif share < 0.55:
            made = _operators(rng, rng.choice(sops), rng.choice(sops))
        elif share < 0.75:
            made = _selecting(rng, sops, selectors)
        elif share < 0.85:
            made = _number(rng, rng.choice(sops))
        else:
            made = _of_numbers(rng, sops, selectors)
        if rng.random() < 0.2:
            made = made.named(rng.choice(["foo", "x y", "map", "tokens", "select"]))
        sops.append(made)
    return sops[-1]
