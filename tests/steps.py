"""Bounds on work that do not depend on how busy a machine is: calls of functions are counted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooManySteps(BaseException):
    """More steps than were allowed; no `Exception`, so that nothing goes on after it."""


@contextmanager
def at_most(steps: int) -> Iterator[None]:
    """Fails where more functions are called, Python's own and built-in ones.

    Args:
        steps: calls; a second is a few million of them.
    """
    count = 0

    def seen(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1
            if count > steps:
                raise TooManySteps(f"more than {steps:,} calls of functions")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        yield
    finally:
        sys.setprofile(before)
