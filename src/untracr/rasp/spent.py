"""What running and compiling a program may cost: counted before it is spent.

A program of a few lines may ask for any number of values, pairs of values or
cells of a selector. So each step's cost is told from what it reads and added up
before the step is taken. Three things are counted: calls of functions, cells of
arrays, and the size of new values.
"""

from __future__ import annotations

from dataclasses import dataclass

from untracr.bounds import MAX_CALLED_FUNCTION, MAX_FILLED_CELLS, MAX_FUNCTION_CALLS, MAX_NEW_VALUES
from untracr.errors import ProgramError
from untracr.rasp.functions import Function, Predicate, length_of

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
        if length > MAX_CALLED_FUNCTION:
            raise TooCostly(
                f"{label}: a function may have at most {MAX_CALLED_FUNCTION:,} characters, "
                f"not {length:,}"
            )
        self.calls += times * (1 + length // SHORT)
        if self.calls > MAX_FUNCTION_CALLS:
            raise TooCostly(
                f"{label}: a program may call its functions at most {MAX_FUNCTION_CALLS:,} times, "
                f"long ones counted as several; with this, called {times:,} times, it is "
                f"{self.calls:,}"
            )

    def fill(self, cells: int, label: str = "it") -> None:
        """Adds cells of arrays.

        Raises:
            TooCostly: they are too many.
        """
        self.cells += cells
        if self.cells > MAX_FILLED_CELLS:
            raise TooCostly(
                f"{label}: a program may fill at most {MAX_FILLED_CELLS:,} cells, inputs times "
                f"queries times keys; with this it is {self.cells:,}"
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
            if self._size > MAX_NEW_VALUES:
                raise TooCostly(
                    f"new values of one step may have at most {MAX_NEW_VALUES:,} characters "
                    "together"
                )


def size_of(value: object) -> int:
    """The characters and parts of a value."""
    if isinstance(value, tuple):
        return 1 + sum(map(size_of, value))
    return len(value) if isinstance(value, str) else 1
