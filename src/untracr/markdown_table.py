"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table, without a line break at its end.

    Args:
        head: names of the columns.
        rows: as many cells each; what a cell says may hold ``|``.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"|{'|'.join(map(_cell, line))}|" for line in lines)


def _cell(value: object) -> str:
    text = str(value).replace("|", "\\|")
    return f" {text} " if text else " "
