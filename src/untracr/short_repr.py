"""The `repr` of values that may hold a lot: each field in a few letters, arrays by their shapes.

A dataclass takes it by ``__repr__ = short_repr`` among its fields.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Collection, Mapping, Set
from typing import TypeVar

_T = TypeVar("_T")

LONGEST_REPR = 300
"""Characters of a value's `repr`."""

LONGEST_FIELD = 60
"""Characters of a field in it."""

LONGEST_TEXT = 40
"""Characters of a text in it."""

FEW = 6
"""Items of a collection that are looked at."""


def short_repr(value: object) -> str:
    """``Name(field=..., ...)`` of a dataclass, `LONGEST_REPR` characters at most."""
    assert dataclasses.is_dataclass(value)
    texts = (
        f"{field.name}={_field(getattr(value, field.name))}"
        for field in dataclasses.fields(value)
        if field.repr
    )
    name = type(value).__name__
    return f"{name}({_cut(', '.join(texts), LONGEST_REPR - len(name) - 2)})"


def _field(value: object) -> str:
    return _cut(_shown(value), LONGEST_FIELD)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _shown(value: object) -> str:
    """A value in a few letters, of whose items no more than `FEW` are looked at."""
    if (dtype := getattr(value, "dtype", None)) is not None:  # NumPy need not be loaded for it
        return f"{dtype}{list(getattr(value, 'shape', ()))}"
    match value:
        case str() | bytes():
            return repr(value[:LONGEST_TEXT]) + "..." * (len(value) > LONGEST_TEXT)
        case int() if value.bit_length() > 4 * LONGEST_FIELD:
            return f"a whole number of {value.bit_length():,} bits"
        case list():
            return f"[{_items(value, _shown)}]"
        case tuple():
            return f"({_items(value, _shown)}{',' * (len(value) == 1)})"
        case Mapping():
            return f"{{{_items(value.items(), _pair)}}}"
        case Set():
            return f"{{{_items(value, _shown)}}}"
        case _ if dataclasses.is_dataclass(value) and _shows_all(value):
            return f"{type(value).__name__}(...)"
        case _:
            return repr(value)


def _shows_all(value: object) -> bool:
    """Whether a dataclass has the `repr` that is made for one, with everything it holds."""
    return hasattr(type(value).__repr__, "__wrapped__")  # by reprlib.recursive_repr


def _items(values: Collection[_T], show: Callable[[_T], str]) -> str:
    texts = [show(value) for value in itertools.islice(values, FEW)]
    return ", ".join(texts) + f", ... {len(values):,} in all" * (len(values) > FEW)


def _pair(pair: tuple[object, object]) -> str:
    return f"{_shown(pair[0])}: {_shown(pair[1])}"
