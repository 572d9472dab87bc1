"""Printing results, and progress on standard error."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Adds --json."""
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")


def print_json(value: object) -> None:
    """Prints one line of JSON at once, so that a reader sees it while work goes on."""
    print(json.dumps(value), flush=True)


def with_progress(items: Iterable[T], total: int, unit: str, *, show: bool = True) -> Iterator[T]:
    """Iterates with a bar on standard error.

    There is none where standard error is no terminal, and none where standard
    output is one: there the results themselves are the progress.
    """
    from tqdm import tqdm

    hidden = True if not show or sys.stdout.isatty() or total < 2 else None
    yield from tqdm(items, total=total, unit=unit, disable=hidden)
