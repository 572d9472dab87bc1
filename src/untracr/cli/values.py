"""Values as typed on a command line: ``3,1,4`` or ``a,b,c``."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TypeAlias

from untracr.errors import UsageError

Value: TypeAlias = bool | int | float | str | tuple["Value", ...] | None
"""As `untracr.rasp.values.Value`, which takes longer to load."""

_WORDS: dict[str, Value] = {"True": True, "False": False, "None": None}


def parse_values(text: str) -> tuple[Value, ...]:
    """Reads comma-separated values; quotes make a string of anything: ``'"3",3'``.

    Raises:
        ArgumentTypeError: there is nothing between two commas.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise argparse.ArgumentTypeError(
            f"values must be separated by single commas, as in 3,1,4 or a,b,c, not {text!r}"
        )
    return tuple(parse_value(part) for part in parts)


def values_of_input(text: str, command: str) -> tuple[Value, ...]:
    """The tokens of an input of a program or of a compiled model.

    Raises:
        UsageError: there is nothing between two commas.
    """
    try:
        return parse_values(text)
    except argparse.ArgumentTypeError as error:
        message = f"argument INPUT: {error} (untracr {command} --help shows how)"
        raise UsageError(message) from None


def parse_value(text: str) -> Value:
    """Reads one value: a number if it looks like one, True, False, None, else a string."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    if text[0] not in "+-.0123456789":
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def show_values(values: Iterable[Value]) -> str:
    """Prints values as `parse_values` reads them; floats to six digits."""
    return ",".join(_show(value) for value in values)


def _show(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str) and (
        not value or not value.isprintable() or parse_value(value) != value
    ):
        return repr(value)
    return str(value)


def positive(text: str) -> int:
    """An integer from 1 up."""
    number = _whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def not_negative(text: str) -> int:
    """An integer from 0 up."""
    number = _whole(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, not {number}")
    return number


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None


def positive_number(text: str) -> float:
    """A number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, not {text}")
    return number
