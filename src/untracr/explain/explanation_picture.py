"""A picture of explanations: selectors beside attention, values beside the residual stream."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np

from untracr.explain.drawing import (
    HATCH,
    MONO_WIDTH,
    NEUTRAL,
    RIGHT,
    RULE,
    WRONG,
    Drawing,
    ink_on,
    shade,
)
from untracr.explain.explanation import Explanation, Line, Pattern
from untracr.explain.text import summary, value_text
from untracr.rasp.functions import Value
from untracr.svg import BACKGROUND, FAINT, INK

LEFT = 28.0
CODE, CODE_COLUMNS, CODE_LINES, INDENT = 12.0, 56, 5, 4
"""Size of the program's letters, how many of them in how many lines, and before continued ones."""

GRID, CHIP, BAND = 19.0, 24.0, 17.0
"""Heights of a cell of a matrix, of a value and of a coefficient."""

NOTE = 10.0
"""Size of the letters below a stream."""

GAP, SPACE = 56.0, 14.0
"""Between columns, and above and below a line."""

LONGEST_VALUE = 9
"""Letters of a value that are shown."""

MOST_VALUES = 14
"""Values of a variable that have a row."""

WEAK = 0.1
"""A value whose coefficients are all below this has no row, unless the program has it."""

BOS_LABEL = "BOS"

DIMMED = "#ffffffb0"
"""Laid over the attention of BOS, of which a program says nothing."""


def picture(found: Sequence[Explanation], title: str) -> str:
    """All explanations below each other.

    Args:
        found: of one model.
        title: what the model and the program are.

    Returns:
        A whole SVG document that needs nothing else.
    """
    drawing = Drawing()
    drawing.words(LEFT, 38, title, 17, weight="bold")
    y = 62.0
    for explanation in found:
        y = _panel(drawing, explanation, y) + 30
    _legend(drawing, y)
    return drawing.as_svg(title)


def _panel(drawing: Drawing, explanation: Explanation, y: float) -> float:
    """One input; returns where it ends."""
    program = LEFT + MONO_WIDTH * CODE * CODE_COLUMNS + 40
    chip, labels = _chip_width(explanation), _label_width(explanation)
    grid = GRID * (len(explanation.tokens) + 1)
    model = program + labels + max(chip * len(explanation.tokens), grid) + GAP
    heads = max((len(line.patterns) for line in explanation.lines), default=1)
    step = labels + grid + GAP / 2
    stream = max(
        chip * len(explanation.tokens), max(map(_note_width, explanation.lines), default=0.0)
    )
    right = model + max(labels + stream, heads * step)
    tokens = ", ".join(map(value_text, explanation.tokens))
    drawing.words(LEFT, y + 16, f"input {tokens}", 14, weight="bold")
    for row, text in enumerate(summary(explanation)):
        drawing.words(LEFT, y + 36 + 16 * row, text, 12, fill=FAINT)
    y += 46 + 16 * len(summary(explanation))
    for x, text in (
        (LEFT, "line"),
        (program + labels, "the program"),
        (model + labels, "the model"),
    ):
        drawing.words(x, y, text, 11, fill=FAINT, weight="bold")
    y += 8
    for line in explanation.lines:
        end = max(_code(drawing, line, y), y)
        if line.matrix is not None:
            end = max(end, _matrices(drawing, line, program, model, labels, step, y + SPACE))
        else:
            end = max(end, _chips(drawing, line.program, (), program + labels, y + SPACE, chip))
            end = max(end, _stream(drawing, line, model + labels, chip, y + SPACE))
        end += SPACE
        colour = NEUTRAL if not line.is_known else WRONG if line.differing else RIGHT
        drawing.box(LEFT - 12, y + 6, 4, end - y - 12, colour, radius=2)
        drawing.box(LEFT - 12, y, right - LEFT + 12, 1, RULE)
        y = end
    drawing.box(LEFT - 12, y, right - LEFT + 12, 1, RULE)
    if explanation.output is not None:
        drawing.words(LEFT, y + SPACE + 16, "read-out", CODE, mono=True, weight="bold")
        output, top = explanation.output, y + SPACE
        _chips(drawing, output.program, (), program + labels, top, chip)
        end = _chips(drawing, output.model, output.differing, model + labels, top, chip)
        end += SPACE
        colour = WRONG if explanation.output.differing else RIGHT
        drawing.box(LEFT - 12, y + 6, 4, end - y - 12, colour, radius=2)
        y = end
    return y


def _code(drawing: Drawing, line: Line, y: float) -> float:
    """The line's text, and below it what carries it."""
    lines = textwrap.wrap(line.attribution.text, CODE_COLUMNS - INDENT) or [""]
    if len(lines) > CODE_LINES:
        lines = [*lines[: CODE_LINES - 1], "…"]
    y += SPACE + 16
    for number, text in enumerate(lines):
        x = LEFT + (MONO_WIDTH * CODE * INDENT if number else 0.0)
        drawing.words(x, y, text, CODE, mono=True, title=line.attribution.text)
        y += 16
    place = "input" if line.attribution.ref < 2 else line.attribution.place
    for text in textwrap.wrap(place, CODE_COLUMNS + 6):
        drawing.words(LEFT, y + 1, text, 11, fill=FAINT)
        y += 14
    return y - 8


def _chips(
    drawing: Drawing,
    values: Sequence[Value],
    wrong: Sequence[int],
    x: float,
    y: float,
    width: float,
) -> float:
    """A row of values; those at the positions ``wrong`` are framed."""
    for position, value in enumerate(values):
        left = x + position * width
        is_wrong = position in wrong
        drawing.box(
            left + 2,
            y,
            width - 4,
            CHIP,
            "#fdeee4" if is_wrong else "#f1f4f7",
            stroke=WRONG if is_wrong else RULE,
            stroke_width=2.0 if is_wrong else 1.0,
            radius=4,
            title=f"position {position}: {value!r}",
        )
        fill = FAINT if value is None else INK
        text = "–" if value is None else _short(value)
        drawing.words(left + width / 2, y + 16.5, text, 12, anchor="middle", fill=fill, mono=True)
    return y + CHIP


def _stream(drawing: Drawing, line: Line, left: float, width: float, y: float) -> float:
    """What the residual stream holds: a number, or a coefficient for each value."""
    if not line.is_known or line.coefficients is None:
        drawing.words(left, y + 16, "unknown", 12, fill=FAINT)
        return y + CHIP
    if not line.values:
        held = [held.value for held in line.held]
        return _chips(drawing, held, line.differing, left, y, width)
    rows = _shown_values(line)
    for row, number in enumerate(rows):
        top = y + row * BAND
        drawing.words(
            left - 8, top + 12.5, _short(line.values[number]), 11, anchor="end", mono=True
        )
        for position, share in enumerate(line.coefficients[:, number].tolist()):
            drawing.box(
                left + position * width + 2,
                top,
                width - 4,
                BAND - 2,
                shade(share),
                stroke=RULE,
                stroke_width=0.5,
                title=f"position {position}, {line.values[number]!r}: {share:.4f}",
            )
            if 0.05 < abs(share) < 0.95 or abs(share) > 1.05:
                drawing.words(
                    left + (position + 0.5) * width,
                    top + 11.5,
                    f"{share:.2f}",
                    9,
                    anchor="middle",
                    fill=ink_on(share),
                )
    for position, value in enumerate(line.program):
        for row, number in enumerate(rows):
            same = type(line.values[number]) is type(value) or not isinstance(value, str)
            if same and line.values[number] == value:
                drawing.box(
                    left + position * width + 1,
                    y + row * BAND - 1,
                    width - 2,
                    BAND,
                    "none",
                    stroke=INK,
                    stroke_width=1.5,
                    radius=2,
                )
    bottom = y + len(rows) * BAND
    for position in line.differing:
        drawing.box(
            left + position * width - 1,
            y - 4,
            width + 2,
            bottom - y + 6,
            "none",
            stroke=WRONG,
            stroke_width=2.0,
            radius=4,
        )
    if note := _note(line, rows):
        drawing.words(left, bottom + 11, note, NOTE, fill=FAINT)
        bottom += 14
    return bottom


def _note(line: Line, rows: Sequence[int]) -> str:
    """How many values have no row, and how strong they are; empty if all have one."""
    hidden = len(line.values) - len(rows)
    if not hidden:
        return ""
    strength = "not shown" if _hides(line, rows) else f"all below {WEAK:g}"
    return f"{hidden} more value{'s'[: hidden != 1]}, {strength}"


def _note_width(line: Line) -> float:
    """How wide the note below a line's stream is."""
    if not line.is_known or line.coefficients is None or not line.values:
        return 0.0
    return MONO_WIDTH * NOTE * len(_note(line, _shown_values(line)))


def _shown_values(line: Line) -> list[int]:
    """Places of the values that have a row: the program's, and what the stream holds of others."""
    assert line.coefficients is not None
    strongest = np.abs(line.coefficients).max(axis=0)
    mine = np.array([value in line.program for value in line.values])
    if len(line.values) <= MOST_VALUES // 2:
        return list(range(len(line.values)))
    wanted = np.flatnonzero(mine | (strongest >= WEAK))
    if len(wanted) > MOST_VALUES:
        order = np.argsort(-(strongest[wanted] + 2 * mine[wanted]), kind="stable")
        wanted = np.sort(wanted[order[:MOST_VALUES]])
    return [int(place) for place in wanted]


def _hides(line: Line, rows: Sequence[int]) -> bool:
    """Whether a value without a row is strong."""
    assert line.coefficients is not None
    hidden = [place for place in range(len(line.values)) if place not in rows]
    return bool(np.abs(line.coefficients[:, hidden]).max(initial=0.0) >= WEAK)


def _matrices(
    drawing: Drawing, line: Line, program: float, model: float, labels: float, step: float, y: float
) -> float:
    """The selector's matrix, and beside it the attention of each head that implements it."""
    assert line.matrix is not None
    padded = np.zeros((len(line.matrix) + 1,) * 2)
    padded[1:, 1:] = line.matrix
    end = _grid(drawing, line, padded, program + labels, y + 14, "", hatched=True)
    if not line.patterns:
        drawing.words(model + labels, y + 30, "unknown", 12, fill=FAINT)
    for number, pattern in enumerate(line.patterns):
        x = model + labels + number * step
        title = f"layer {pattern.layer} head {pattern.head}"
        end = max(end, _grid(drawing, line, pattern.attention, x, y + 14, title, pattern=pattern))
    return end


def _grid(
    drawing: Drawing,
    line: Line,
    shares: np.ndarray,
    left: float,
    y: float,
    title: str,
    *,
    hatched: bool = False,
    pattern: Pattern | None = None,
) -> float:
    """A matrix of queries (rows) and keys (columns), BOS first; its labels are the values read."""
    keys = [BOS_LABEL, *(str(k)[0] if isinstance(k, bool) else _short(k) for k in line.keys)]
    queries = [BOS_LABEL, *map(_short, line.queries)]
    top = y + 12
    if title:
        drawing.words(left, y - 5, title, 10.5, fill=FAINT)
    for place, key in enumerate(keys):
        centre = left + (place + 0.5) * GRID
        if len(key) <= 3:
            drawing.words(centre, top - 4, key, 9, anchor="middle", mono=True, fill=FAINT)
        else:
            drawing.words(centre, top - 4, f"{key[:2]}…", 9, anchor="middle", fill=FAINT, title=key)
    for row, query in enumerate(queries):
        line_y = top + row * GRID
        drawing.words(left - 5, line_y + 13, query, 9, anchor="end", mono=True, fill=FAINT)
        for column, key in enumerate(keys):
            share = float(shares[row, column])
            is_bos = row == 0 or column == 0
            fill = HATCH if hatched and is_bos else shade(share)
            told = "no position of the program" if hatched and is_bos else f"{share:.3f}"
            drawing.box(
                left + column * GRID,
                line_y,
                GRID - 1,
                GRID - 1,
                fill,
                stroke=RULE,
                stroke_width=0.5,
                title=f"query {query}, key {key}: {told}",
            )
            if pattern is not None and row == 0:
                drawing.box(
                    left + column * GRID,
                    line_y,
                    GRID - 1,
                    GRID - 1,
                    DIMMED,
                    title=f"query {query}, key {key}: {share:.3f}, not compared",
                )
            elif pattern is not None and 0.05 < share < 0.95:
                drawing.words(
                    left + (column + 0.5) * GRID - 0.5,
                    line_y + 12,
                    f"{share:.2f}"[1:],
                    8,
                    anchor="middle",
                    fill=ink_on(share),
                )
    if pattern is not None:
        for row in np.flatnonzero(~pattern.agrees).tolist():
            drawing.box(
                left - 2,
                top + (row + 1) * GRID - 1.5,
                GRID * len(keys) + 3,
                GRID + 2,
                "none",
                stroke=WRONG,
                stroke_width=2.0,
                radius=3,
            )
    return top + GRID * len(queries)


def _legend(drawing: Drawing, y: float) -> None:
    """What the colours mean."""
    for step in range(6):
        drawing.box(LEFT + step * 14, y, 14, 12, shade(step / 5), stroke=RULE, stroke_width=0.5)
    text = "0 to 1 (below 0: brown): attention of a query (row) to a key, or share of a value held"
    drawing.words(LEFT + 92, y + 10, text, 11)
    x, y = LEFT, y + 24
    drawing.box(x, y, 22, 12, "none", stroke=INK, stroke_width=1.5, radius=2)
    drawing.words(x + 30, y + 10, "the program's value", 11)
    x += 180
    drawing.box(x, y, 22, 12, BACKGROUND, stroke=WRONG, stroke_width=2.0, radius=3)
    drawing.words(x + 30, y + 10, "model and program differ", 11)
    x += 210
    drawing.box(x, y, 22, 12, HATCH, stroke=RULE)
    drawing.words(x + 30, y + 10, "BOS, which programs do not see", 11)
    x, y = LEFT, y + 24
    drawing.box(x, y, 22, 12, shade(1.0), stroke=RULE, stroke_width=0.5)
    drawing.box(x, y, 22, 12, DIMMED)
    text = "pale: what BOS attends to (a head's first row), which is not compared"
    drawing.words(x + 30, y + 10, text, 11)


def _short(value: Value) -> str:
    text = value_text(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _chip_width(found: Explanation) -> float:
    values = [v for line in found.lines for v in (*line.program, *(h.value for h in line.held))]
    longest = max((len(_short(value)) for value in (*values, *found.tokens)), default=1)
    return max(34.0, MONO_WIDTH * 12 * longest + 14)


def _label_width(found: Explanation) -> float:
    """Of the labels of rows: queries of matrices, and values in the stream."""
    shown = [BOS_LABEL]
    for line in found.lines:
        shown += [_short(value) for value in line.queries]
        if line.values and line.is_known:
            shown += [_short(line.values[number]) for number in _shown_values(line)]
    return 14 + MONO_WIDTH * 11 * max(map(len, shown))
