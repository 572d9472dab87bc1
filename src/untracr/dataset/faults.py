"""What can be wrong with a data set."""

from __future__ import annotations

from dataclasses import dataclass

FAULTS_OF_A_SHARD = 20
"""Faults that are told of one shard; its other rows are then not compared."""


@dataclass(frozen=True)
class Fault:
    """Something that is not as it should be.

    Attributes:
        shard: the file.
        row: counted from 0 in it; None where it is not a matter of one row.
        what: a sentence.
    """

    shard: str
    row: int | None
    what: str

    def __str__(self) -> str:
        place = self.shard if self.row is None else f"{self.shard}, row {self.row}"
        return f"{place}: {self.what}"


def other_count(name: str, found: int, wanted: int) -> Fault:
    return Fault(name, None, f"has {found:,} rows, not {wanted:,}")


def in_a_line(error: Exception, name: str = "") -> str:
    """An error as the end of a line that has the name of the file already."""
    text = " ".join(str(error).split()).removeprefix(name).lstrip(":, ")
    return text[:300] or type(error).__name__
