"""What running and compiling a program may cost: counted before it is spent.

A program of a few lines may ask for any number of values, pairs of values or
cells of a selector. So each step's cost is told from what it reads and added up
before the step is taken. Three things are counted: calls of functions, cells of
arrays, and the size of new values.
"""

from __future__ import annotations

from dataclasses import dataclass

from untracr.errors import ProgramError
from untracr.rasp.functions import Function, Predicate, length_of

MAX_FUNCTION = 4_000
"""Characters of a function that is called."""

MAX_CALLS = 3_000_000
"""Calls of functions, long ones counted as several: some seconds."""

MAX_CELLS = 500_000_000
"""Cells of all arrays of one run, [input, query, key] or [input, position]: some seconds."""

MAX_HELD = 100_000_000
"""Characters and parts of all new values of one step."""

SHORT = 16
"""Characters of a function that count as one call: some two operations."""


class TooCostly(ProgramError):
    """A program that asks for more than is spent on one."""


@dataclass
class Spent:
    """What a program has cost so far.

    Attributes:
        calls: of functions.
        cells: of arrays.
    """

    calls: int = 0
    cells: int = 0

    def call(self, function: Function | Predicate | None, times: int, label: str = "it") -> None:
        """Adds calls of one function.

        Raises:
            TooCostly: they are too many.
        """
        length = length_of(function)
        if length > MAX_FUNCTION:
            raise TooCostly(
                f"{label}: a function may have at most {MAX_FUNCTION:,} characters, not {length:,}"
            )
        self.calls += times * (1 + length // SHORT)
        if self.calls > MAX_CALLS:
            raise TooCostly(
                f"{label}: a program may call its functions at most {MAX_CALLS:,} times, long "
                f"ones counted as several; with this, called {times:,} times, it is "
                f"{self.calls:,}"
            )

    def fill(self, cells: int, label: str = "it") -> None:
        """Adds cells of arrays.

        Raises:
            TooCostly: they are too many.
        """
        self.cells += cells
        if self.cells > MAX_CELLS:
            raise TooCostly(
                f"{label}: a program may fill at most {MAX_CELLS:,} cells, inputs times queries "
                f"times keys; with this it is {self.cells:,}"
            )


class Held:
    """Counts the size of new values while they are made; most have none."""

    def __init__(self) -> None:
        self._size = 0

    def add(self, value: object) -> None:
        """Adds a value.

        Raises:
            TooCostly: all of them are too large.
        """
        if isinstance(value, (str, tuple)):
            self._size += size_of(value)
            if self._size > MAX_HELD:
                raise TooCostly(
                    f"new values of one step may have at most {MAX_HELD:,} characters together"
                )


def size_of(value: object) -> int:
    """The characters and parts of a value."""
    if isinstance(value, tuple):
        return 1 + sum(map(size_of, value))
    return len(value) if isinstance(value, str) else 1
