"""A page of explanations: the picture, and below it the same as tables."""

from __future__ import annotations

from collections.abc import Sequence

from untracr.explain.drawing import RULE, WRONG
from untracr.explain.explanation import Explanation, Line
from untracr.explain.explanation_picture import picture
from untracr.explain.text import summary, value_text
from untracr.rasp.functions import Value
from untracr.svg import FAINT, INK, xml_text

STYLE = f"""
body {{ font: 14px system-ui, sans-serif; color: {INK}; margin: 24px; background: #fff; }}
svg {{ max-width: 100%; height: auto; }}
table {{ border-collapse: collapse; margin: 8px 0 28px; }}
th, td {{ padding: 4px 10px; text-align: left; border-bottom: 1px solid {RULE}; }}
th {{ font-weight: 600; color: {FAINT}; }}
td.code {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 12px; }}
.differs {{ color: {WRONG}; font-weight: 600; }}
"""


def page(explanations: Sequence[Explanation], title: str) -> str:
    """A whole HTML document that needs nothing else: the picture, then tables."""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        f'<head><meta charset="utf-8"><title>{xml_text(title)}</title>'
        f"<style>{STYLE}</style></head>",
        "<body>",
        picture(explanations, title),
        *(_table(explanation) for explanation in explanations),
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _table(explanation: Explanation) -> str:
    tokens = ", ".join(map(value_text, explanation.tokens))
    rows = [
        f"<h2>input {xml_text(tokens)}</h2>",
        *(f"<p>{xml_text(text)}</p>" for text in summary(explanation)),
        "<table><tr><th>line</th><th>carried by</th><th>the program</th><th>the model</th></tr>",
        *(_row(line) for line in explanation.lines),
    ]
    if explanation.output is not None:
        mine, theirs = _cells(explanation.output.program), _cells(explanation.output.model)
        rows.append(_cells_row("read-out", "", mine, theirs, bool(explanation.output.differing)))
    return "\n".join([*rows, "</table>"])


def _row(line: Line) -> str:
    place = "input" if line.attribution.ref < 2 else line.attribution.place
    if line.matrix is not None:
        mine = f"{int(line.matrix.sum())} of {line.matrix.size} pairs selected"
        off = (f"layer {p.layer} head {p.head}: off by {p.off:.2f}" for p in line.patterns)
        theirs = "; ".join(off) or "unknown"
    else:
        mine = _cells(line.program)
        theirs = _cells([held.value for held in line.held]) if line.is_known else "unknown"
    return _cells_row(line.attribution.text, place, mine, theirs, bool(line.differing))


def _cells(values: Sequence[Value]) -> str:
    return ", ".join(map(value_text, values))


def _cells_row(text: str, place: str, mine: str, theirs: str, differs: bool) -> str:
    mark = ' class="differs"' if differs else ""
    return (
        f'<tr><td class="code">{xml_text(text)}</td><td>{xml_text(place)}</td>'
        f"<td>{xml_text(mine)}</td><td{mark}>{xml_text(theirs)}</td></tr>"
    )
