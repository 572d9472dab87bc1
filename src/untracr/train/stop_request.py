"""SIGINT and SIGTERM as a wish that is granted between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class StopRequest:
    """Whether this process was asked to stop.

    Attributes:
        signal: the number of the last such signal, 0 while there was none.
    """

    signal: int = 0


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Notes the signals instead of following them; the second one of a kind is followed.

    Signals reach the main thread only: in another one nothing is changed.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, _: FrameType | None) -> None:
        request.signal = number
        signal.signal(number, before[signal.Signals(number)])

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_stop_signals() -> None:
    """For a process that another one ends: signals to the whole group are not for it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
