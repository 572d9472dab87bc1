"""Printing results, and progress on standard error."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from untracr.diagnose.judging import Verification

from untracr.shown_text import count as shown_count
from untracr.shown_text import printable_lines

MOST_BITS_AS_DIGITS = 14_000
"""Bits of a whole number that Python writes as digits."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class JsonOption:
    """What `add_json_option` adds."""

    json: bool


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Adds --json."""
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")


def print_json(value: object) -> None:
    """Prints one line of JSON at once, so that a reader sees it while work goes on.

    JSON has no number that is not finite: it stands there as a text, "Infinity",
    "-Infinity" or "NaN"; so does a whole number of too many digits to be written.
    """
    try:
        line = json.dumps(value, allow_nan=False)
    except ValueError:
        line = json.dumps(_finite(value), allow_nan=False)
    print(line, flush=True)


def _finite(value: object) -> object:
    match value:
        case float() if not math.isfinite(value):
            return json.dumps(value)
        case int() if value.bit_length() > MOST_BITS_AS_DIGITS:
            return shown_count(value) if value > 0 else f"-{shown_count(-value)}"
        case dict():
            return {name: _finite(part) for name, part in value.items()}
        case list() | tuple():
            return [_finite(part) for part in value]
        case _:
            return value


def say(text: object) -> None:
    """Prints a text that may hold what strangers wrote: a terminal obeys nothing in it."""
    print(printable_lines(str(text)), flush=True)


def complain(text: object) -> None:
    """Tells an error on standard error, likewise."""
    print(f"untracr: error: {printable_lines(str(text))}", file=sys.stderr)


def warn(text: object) -> None:
    """Tells on standard error what is done all the same, likewise."""
    print(f"untracr: warning: {printable_lines(str(text))}", file=sys.stderr)


def verification_json(verification: Verification | None) -> dict[str, object]:
    """Of how many inputs it was shown that weights do what their program says, as JSON values."""
    if verification is None:
        return {"inputs_checked": 0, "domain_size": None, "by_analysis": False}
    return {
        "inputs_checked": verification.inputs_checked,
        "domain_size": verification.domain_size,
        "by_analysis": verification.how == "analysis",
    }


def with_progress(items: Iterable[T], total: int, unit: str, *, show: bool = True) -> Iterator[T]:
    """Iterates with a bar on standard error.

    There is none where standard error is no terminal, and none where standard
    output is one: there the results themselves are the progress.
    """
    from tqdm import tqdm

    hidden = True if not show or sys.stdout.isatty() or total < 2 else None
    yield from tqdm(items, total=total, unit=unit, disable=hidden)
