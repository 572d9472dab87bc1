"""What one position of a SOp may hold, and what it may not.

Values are None, truth values, numbers, texts, and tuples of values (the usual
way round Tracr's limit of two arguments: pair two SOps, then map the pairs).
Tokens are never tuples. Sizes are bounded, so that no program or file can make a
value that takes long to print or to compare.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from untracr.bounds import MAX_NUMBER, MAX_PARTS, MAX_TEXT, MAX_VALUE_BITS
from untracr.errors import ProgramError

Value: TypeAlias = bool | int | float | str | tuple["Value", ...] | None
"""What one position of a SOp holds. None is RASP's "no value"."""

SCALARS = (bool, int, float, str)

TOO_MANY_PARTS = f"a tuple may hold at most {MAX_PARTS} values, those of tuples within counted"


def number_or(value: object, otherwise: float) -> float:
    """A value as a float; ``otherwise`` where it is not a number.

    An integer beyond all floats is infinite.
    """
    if not isinstance(value, (bool, int, float)):
        return otherwise
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def type_of(value: object) -> Any:
    """A value's type; of a tuple the types of its parts."""
    return type(value) if type(value) is not tuple else types_of(value)


def types_of(values: Iterable[object]) -> tuple[Any, ...]:
    """The types of values, which cache keys need beside them: (1,) and (True,) are equal."""
    return tuple(map(type_of, values))


def parts(value: object) -> int:
    """How many tuples and values a value is made of."""
    return 1 + sum(map(parts, value)) if isinstance(value, tuple) else 1


def plain_value(value: object) -> Value:
    """A value as Python's own type; NumPy's scalars and subclasses are unwrapped.

    Raises:
        ProgramError: it is of no type that a position may hold, or too large a tuple.
    """
    return _Plain().value(value)


class _Plain:
    """Unwraps one value, and counts its parts before they are looked at."""

    def __init__(self) -> None:
        self._left = MAX_PARTS

    def value(self, value: object) -> Value:
        self._left -= 1
        if self._left < 0:
            raise ProgramError(TOO_MANY_PARTS)
        if isinstance(value, tuple):
            return tuple(map(self.value, value))
        return _plain_scalar(value)


def _plain_scalar(value: object) -> Value:
    if value is None or type(value) in SCALARS:
        return value  # type: ignore[return-value]
    if type(value).__module__ == "numpy" and not hasattr(value, "__len__"):
        value = value.item()  # type: ignore[attr-defined]
    for kind, unwrap in ((bool, bool), (int, int), (float, float), (str, str.__str__)):
        if isinstance(value, kind):
            plain: Value = unwrap(value)
            return plain
    raise ProgramError(
        "a value must be None, bool, int, float, str or a tuple of these, "
        f"not {value!r:.60} ({type(value).__name__})"
    )


def value_fault(value: Value) -> str:
    """The rule that a value breaks which weights would hold; empty if none."""
    if isinstance(value, tuple):
        return next(filter(None, map(value_fault, value)), "")
    if isinstance(value, float) and not math.isfinite(value):
        return f"a number must be finite, not {value}"
    if isinstance(value, int) and value.bit_length() > MAX_VALUE_BITS:
        bits = value.bit_length()
        return f"a whole number may have at most {MAX_VALUE_BITS:,} bits, not {bits:,}"
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"a text may hold at most {MAX_TEXT:,} characters, not {len(value):,}"
    return ""


def token_fault(value: Value) -> str:
    """The rule that a value breaks as a token; empty if none."""
    if value is None or isinstance(value, tuple):
        return f"a token must be a bool, int, float or str, not {value!r:.60}"
    if isinstance(value, (int, float)) and not abs(value) <= MAX_NUMBER:
        return f"a token must be at most {MAX_NUMBER:.0e} in size, not {_shown(value)}"
    return value_fault(value)


def _shown(number: int | float) -> str:
    if isinstance(number, int) and number.bit_length() > MAX_VALUE_BITS:
        return f"a number of {number.bit_length():,} bits"
    return f"{number:.6g}"


def tracr_sorted(values: Sequence[Value]) -> tuple[Value, ...]:
    """Values in Tracr's order: by value, and as text where they cannot be compared."""
    try:
        return tuple(sorted(values))  # type: ignore[type-var]
    except TypeError:
        return tuple(sorted(values, key=_AsTracrCompares))


class _AsTracrCompares:
    def __init__(self, value: Value) -> None:
        self.value = value

    def __lt__(self, other: _AsTracrCompares) -> bool:
        try:
            return bool(self.value < other.value)  # type: ignore[operator]
        except TypeError:
            return str(self.value) < str(other.value)
