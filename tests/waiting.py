"""Waiting for other processes: no test says how long they take, only that they do not hang."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 300.0
"""Seconds until something counts as hanging, on however busy a machine."""


def wait_until(holds: Callable[[], bool], *, step: float = 0.005) -> bool:
    """Whether it holds before patience ends; asked every `step` seconds."""
    until = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(step)
    return True
