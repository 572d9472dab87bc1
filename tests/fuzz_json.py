"""JSON documents changed as a stranger would change them: in structure, not in bytes."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

Json = Any
"""Whatever JSON can say."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 10**6, 2**31, 2**63, -(2**63), 10**18, 10**300),
    *(0.5, -0.0, 1e308, 5e-324, 1e-9, "", "x", "../x", "/etc/passwd", "\0", "\n", "\x1b[31m"),
    *("a" * 5_000, "\u202e", "1", "nan", "tokens", "data/../../x", "data/train-9.parquet"),
    *([], {}, [[]], [None], {"": 0}, [0] * 1_000, ["x"] * 50, [1, 2], [-1, 4], [3, 3]),
)

RAW = ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5_000, '"\\ud800"', "[" * 3_000, "{}{}", "01")
"""What Python's reader accepts and the standard does not, and what neither does."""


def mutated(rng: random.Random, document: Json) -> Json:
    """A copy with one to four changes."""
    changed = json.loads(json.dumps(document))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        changed = _changed(rng, changed)
    return changed


def text_of(rng: random.Random, document: Json) -> bytes:
    """The document's text, now and then with something in it that is no JSON."""
    text = json.dumps(document)
    if rng.random() < 0.1:
        place = rng.choice([i for i, c in enumerate(text) if c in "0123456789[{"] or [0])
        text = text[:place] + rng.choice(RAW) + text[place + 1 :]
    if rng.random() < 0.05:
        text = text[: rng.randrange(len(text) + 1)]
    return text.encode()


def _new(rng: random.Random) -> Json:
    """One of `VALUES`, to be changed further: a copy."""
    return copy.deepcopy(rng.choice(VALUES))


def _changed(rng: random.Random, value: Json) -> Json:
    """One change somewhere below, or here."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        value[name] = _changed(rng, value[name])
        return value
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        value[place] = _changed(rng, value[place])
        return value
    return _another(rng, value)


def _another(rng: random.Random, value: Json) -> Json:
    match value:
        case dict() if value:
            name = rng.choice(list(value))
            kind = rng.randrange(4)
            if kind == 0:
                del value[name]
            elif kind == 1:
                value[rng.choice(("x", "\n", "__proto__", name + "0"))] = value[name]
            elif kind == 2:
                value[name] = _new(rng)
            else:
                return _new(rng)
            return value
        case list() if value:
            return rng.choice((value * 2, value[1:], value[::-1], [*value, _new(rng)]))
        case int() | float() if rng.random() < 0.5:
            return rng.choice((value + 1, value - 1, -value, value * 10**6, value / 2))
        case str() if value and rng.random() < 0.5:
            return rng.choice((value[:-1], value + "x", value * 3, value.upper()))
        case _:
            return _new(rng)
