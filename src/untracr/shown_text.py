"""Strangers' values and texts as they are shown: cut short, and nothing a terminal obeys."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Set

MOST_CHARACTERS = 80
"""Characters of one value in a message."""

MOST_ITEMS = 12
"""Items of a list in a message."""


def cut(text: str, most: int) -> str:
    """A text of at most about ``most`` characters; one that is cut says how long it was."""
    if len(text) <= most:
        return text
    return f"{text[: most - 20]}... ({len(text):,} characters)"


def shown(value: object, most: int = MOST_CHARACTERS) -> str:
    """A value as ``repr`` shows it, cut short where it is long; no more of it is looked at."""
    match value:
        case str() | bytes():
            return repr(value) if len(value) <= most else f"{value[: most - 3]!r}..."
        case int() if value.bit_length() > 4 * most:
            return f"a whole number of {value.bit_length():,} bits"
        case list():
            return f"[{_items(value, most)}]"
        case tuple():
            return f"({_items(value, most)}{',' * (len(value) == 1)})"
        case Mapping() | Set():
            return f"{{{_items(value, most)}}}"
        case _:
            return cut(repr(value), 2 * most)


def _items(values: Collection[object], most: int) -> str:
    """The first values and how many there are."""
    text = ", ".join(shown(value, most) for value in itertools.islice(values, MOST_ITEMS))
    more = f", ... ({len(values):,} in all)" if len(values) > MOST_ITEMS else ""
    return cut(text, MOST_ITEMS * most) + more


def count(number: int) -> str:
    """How many there are; no more than the magnitude of numbers that nobody reads."""
    return f"{number:,}" if number < 10**15 else f"some 10^{int(math.log10(number))}"


def printable(text: object) -> str:
    """A text on one line: line ends and what a terminal would obey are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def printable_lines(text: str) -> str:
    """A text of several lines, each `printable`."""
    return "\n".join(map(printable, text.split("\n")))
