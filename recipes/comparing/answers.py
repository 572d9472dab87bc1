"""Answers of two versions, and the first place where they part."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

TIMED = re.compile(r"(^|_)(seconds|ms|per_second|elapsed|speed)$")
"""Names of what JSON says of time: no two runs have it the same."""

A_TIME = "(a time)"

CUT_OFF = "(a search that its budget ended)"
"""Stands for an answer that hung on the clock."""

NOTHING = "(nothing)"

Answers = Mapping[str, object]
"""What a version answered, by what it was asked: bytes, text, or values of JSON."""


@dataclass(frozen=True)
class Difference:
    """Where two versions part.

    Attributes:
        what: the name of the answer.
        where: the place in it.
        old, new: what they say there.
    """

    what: str
    where: str
    old: str
    new: str


@dataclass(frozen=True)
class Comparison:
    """All answers of a kind, compared.

    Attributes:
        total: how many were compared.
        cut_off: how many were left out, since in both versions a search ended with its budget.
        differences: the first one of each answer that differs.
    """

    total: int
    cut_off: int
    differences: tuple[Difference, ...]


def compare(old: Answers, new: Answers) -> Comparison:
    """Compares answers of the same names."""
    names = list(dict.fromkeys((*old, *new)))
    cut_off = [name for name in names if old.get(name) == new.get(name) == CUT_OFF]
    compared = [name for name in names if name not in set(cut_off)]
    found = []
    for name in compared:
        place = first_difference(old.get(name, NOTHING), new.get(name, NOTHING))
        if place is not None:
            found.append(Difference(name, *place))
    return Comparison(len(compared), len(cut_off), tuple(found))


def first_difference(old: object, new: object, where: str = "") -> tuple[str, str, str] | None:
    """The first place where two values part, and what they hold there; None if nowhere."""
    match old, new:
        case dict(), dict():
            parts = [
                (f"{where}.{key}".lstrip("."), old.get(key, NOTHING), new.get(key, NOTHING))
                for key in dict.fromkeys((*old, *new))
            ]
        case list(), list() if len(old) == len(new):
            parts = [(f"{where}[{n}]", a, b) for n, (a, b) in enumerate(zip(old, new, strict=True))]
        case str(), str() if "\n" in old or "\n" in new:
            return _first_line(old, new, where)
        case bytes(), bytes():
            return _first_byte(old, new)
        case _:  # by how they are written: 1 is not 1.0, nor 0.0 the same as -0.0
            return None if repr(old) == repr(new) else (where, repr(old), repr(new))
    differences = (first_difference(a, b, name) for name, a, b in parts)
    return next((found for found in differences if found is not None), None)


def _first_line(old: str, new: str, where: str) -> tuple[str, str, str] | None:
    if old == new:
        return None
    lines, others = old.splitlines(keepends=True), new.splitlines(keepends=True)
    same = sum(1 for _ in _common(lines, others))
    shown = [repr(text[same]) if same < len(text) else NOTHING for text in (lines, others)]
    return f"{where} line {same + 1}".strip(), shown[0], shown[1]


def _first_byte(old: bytes, new: bytes) -> tuple[str, str, str] | None:
    if old == new:
        return None
    same = sum(1 for _ in _common(old, new))
    shown = [f"{data[same : same + 8].hex(' ')} ({len(data):,} bytes)" for data in (old, new)]
    return f"byte {same:,}", shown[0], shown[1]


def _common(old: list[str] | bytes, new: list[str] | bytes) -> list[object]:
    """What two sequences begin with alike."""
    same = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), None)
    return list(old[: min(len(old), len(new)) if same is None else same])


def json_lines(text: str) -> list[object]:
    """The values of lines of JSON."""
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def timeless(value: object) -> object:
    """A value of JSON with a mark in place of every time that was measured."""
    match value:
        case dict():
            return {
                key: A_TIME if TIMED.search(str(key)) else timeless(part)
                for key, part in value.items()
            }
        case list():
            return [timeless(part) for part in value]
        case _:
            return value


def timeless_text(text: str) -> str:
    """A text likewise: times in seconds, and a report's section on speed."""
    text = re.sub(r"\b\d+(\.\d+)? s\b", A_TIME, text)
    return re.sub(r"(?ms)^## Speed$.*?(?=^## |\Z)", "", text)


def renamed(value: object, names: Mapping[str, str]) -> object:
    """A value of JSON with other names of fields."""
    match value:
        case dict():
            return {names.get(str(key), key): renamed(part, names) for key, part in value.items()}
        case list():
            return [renamed(part, names) for part in value]
        case _:
            return value


def is_cut_off(searched: object, budget: float) -> bool:
    """Whether a search may have ended with its budget, which the clock decides.

    The first of several readings of embeddings gets half of the budget.

    Args:
        searched: what says ``seconds`` of the search.
        budget: in seconds.
    """
    return isinstance(searched, dict) and float(searched.get("seconds", 0)) >= budget / 2
