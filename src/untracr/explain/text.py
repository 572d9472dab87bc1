"""An explanation as lines of text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from untracr.explain.explanation import Explanation, Line, Mask
from untracr.rasp.functions import Value
from untracr.shown_text import printable

WIDEST = 76
"""Longer lines do not push the comments of the others to the right."""

WIDEST_MATRIX = 90
"""A selector's matrix is written out up to this many characters."""

CLEAR = 0.9
"""How clear a value is, is told below this."""

MOST_CHANGED = 4
"""Changed parts that are named; the rest is counted."""


def explanation_text(explanation: Explanation) -> str:
    """One input: each line with the program's values above the model's, then what came of it."""
    shown = [f"# input {', '.join(map(value_text, explanation.tokens))}"]
    texts = [line.attribution.text for line in explanation.lines]
    column = max((len(text) for text in texts if len(text) <= WIDEST), default=0)
    for line in explanation.lines:
        place = "input" if line.attribution.ref < 2 else line.attribution.place
        text = f"{line.attribution.text:<{column}}  # {place}"
        shown.append(line.attribution.text if explanation.unknown else text)
        shown += _selector(line) if line.matrix is not None else _values(line)
    if explanation.output is not None:
        shown.append("read-out")
        shown += _rows(
            explanation.output.program, explanation.output.model, explanation.output.differing
        )
    return "\n".join([*shown, *(f"# {line}" for line in summary(explanation))]) + "\n"


def summary(explanation: Explanation) -> list[str]:
    """What came of it, in a line or a few."""
    shown = []
    if explanation.unknown:
        shown.append(f"the model's stream is not read: {explanation.unknown}")
    if explanation.changed:
        parts = list(explanation.changed[:MOST_CHANGED])
        if len(explanation.changed) > MOST_CHANGED:
            parts.append(f"and {len(explanation.changed) - MOST_CHANGED} more")
        shown.append(f"not as the program compiles: {', '.join(parts)}")
    if explanation.agrees:
        shown.append("model and program agree on all that is shown")
    elif explanation.first_difference:
        shown.append(f"model and program differ, at first in {explanation.first_difference}")
    else:
        shown.append("nothing of the model could be compared")
    if explanation.as_compiled:
        shown.append(
            "the program's own weights do the same: Tracr's construction departs from RASP here"
        )
    shown += [f"the program's weights depart from RASP in {why}" for why in explanation.departures]
    return shown


def value_text(value: Value) -> str:
    """A value as short as it can be read; numbers to four digits."""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) >= 5e-4 else "0"
    return value if isinstance(value, str) and value.isprintable() else printable(value)


def _values(line: Line) -> list[str]:
    if not line.is_known:
        return [f"    program  {'  '.join(map(value_text, line.program))}"]
    rows = _rows(line.program, [held.value for held in line.held], line.differing)
    least = min(held.clear for held in line.held)
    if least < CLEAR:
        rows[1] += f"   (clear by {least:.2f} at least)"
    return rows


def _rows(program: Sequence[Value], model: Sequence[Value], wrong: Sequence[int]) -> list[str]:
    """The values of both, one above the other; ``!`` marks those that differ."""
    marks = ["!" if place in wrong else "" for place in range(len(program))]
    theirs = [mark + value_text(value) for mark, value in zip(marks, model, strict=True)]
    mine = [value_text(value) for value in program]
    widths = [max(len(a), len(b)) for a, b in zip(mine, theirs, strict=True)]
    rows = []
    for name, values in (("program", mine), ("model", theirs)):
        cells = (f"{value:>{width}}" for value, width in zip(values, widths, strict=True))
        rows.append(f"    {name:<7}  {'  '.join(cells)}".rstrip())
    return rows


def _selector(line: Line) -> list[str]:
    """The matrix, a group of signs for each query: ``#`` where a key is selected."""
    assert line.matrix is not None
    rows = [f"    program  {_matrix(line.matrix)}"]
    for pattern in line.patterns:
        wrong = np.flatnonzero(~pattern.agrees).tolist()
        text = _matrix(pattern.selected, wrong)
        if wrong:
            text += f"   (attention off by {pattern.off:.2f})"
        if len(line.patterns) > 1:
            text += f"   layer {pattern.layer} head {pattern.head}"
        rows.append(f"    model    {text}")
    return rows


def _matrix(matrix: Mask, wrong: Sequence[int] = ()) -> str:
    groups = ["".join("#" if selected else "." for selected in row) for row in matrix]
    text = " ".join(("!" if i in wrong else "") + group for i, group in enumerate(groups))
    if len(text) <= WIDEST_MATRIX:
        return text
    text = f"{int(matrix.sum())} of {matrix.size} pairs selected"
    return f"{text}, queries that differ: {', '.join(map(str, wrong))}" if wrong else text
