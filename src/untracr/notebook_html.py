"""Parts of pages for notebooks: bounded, escaped, and in the notebook's own colours."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

from untracr.shown_text import cut, printable
from untracr.svg import xml_text

MOST_LINES = 100
"""Lines of a program, and rows of a table."""

MOST_OF_A_CELL = 400
"""Characters of a line, and of a cell."""

_CELL = "text-align:left;padding:2px 10px 2px 0;vertical-align:top"


def block(*parts: str) -> str:
    """Parts below each other."""
    return f"<div>{''.join(parts)}</div>"


def heading(text: str) -> str:
    """A line of its own, in bold letters."""
    return f"<p><b>{_escaped(text)}</b></p>"


def remark(text: str) -> str:
    """A line of its own."""
    return f"<p>{_escaped(text)}</p>"


def code(source: str) -> str:
    """A program's text, `MOST_LINES` lines of it."""
    lines = source.splitlines()
    shown = "\n".join(map(_escaped, lines[:MOST_LINES]))
    return f"<pre>{shown}</pre>{_more(len(lines))}"


def table(header: Sequence[str], rows: Collection[Sequence[object]]) -> str:
    """A table whose first column is code, `MOST_LINES` rows of it."""
    shown = "".join(map(_row, itertools.islice(rows, MOST_LINES)))
    head = "".join(f'<th style="{_CELL}">{_escaped(name)}</th>' for name in header)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{shown}</tbody></table>{_more(len(rows))}"


def _row(cells: Sequence[object]) -> str:
    texts = [_escaped(cell) for cell in cells]
    texts[0] = f"<code>{texts[0]}</code>"
    return "<tr>" + "".join(f'<td style="{_CELL}">{text}</td>' for text in texts) + "</tr>"


def _more(count: int) -> str:
    return f"<p>and {count - MOST_LINES:,} more</p>" if count > MOST_LINES else ""


def _escaped(text: object) -> str:
    return xml_text(cut(printable(text), MOST_OF_A_CELL))
