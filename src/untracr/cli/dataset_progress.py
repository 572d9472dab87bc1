"""Progress of work on data sets, and how many processors there are for it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tqdm import tqdm


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Bars:
    """Progress on standard error, a bar for each kind of work; none where it is no terminal."""

    def __init__(self) -> None:
        self._bars: dict[str, tqdm[NoReturn]] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        if not sys.stderr.isatty():
            return
        if what not in self._bars:
            from tqdm import tqdm

            self.close()
            self._bars[what] = tqdm(desc=what, unit=" files")
        bar = self._bars[what]
        bar.total = total
        bar.update(done - bar.n)

    def close(self) -> None:
        """Ends the bars, so that what is printed next has a line of its own."""
        for bar in self._bars.values():
            bar.close()
