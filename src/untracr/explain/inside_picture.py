"""A picture of what a model computes: attention of every head, the stream, the logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from untracr.explain.drawing import MONO_WIDTH, RULE, Drawing, ink_on, shade
from untracr.explain.inside import Seen
from untracr.explain.inside_text import LONGEST_WORD, number_word, output_word, word
from untracr.explain.text import value_text
from untracr.network.network import Array
from untracr.shown_text import cut
from untracr.svg import FAINT, INK

LEFT = 28.0

CELL, SMALLEST_CELL = 18.0, 7.0
"""Sizes of a pattern's cells: of a short input, and of a long one."""

WIDEST_PATTERN = 280.0
"""Of a pattern; longer inputs have smaller cells."""

LETTERED = 12.0
"""Cells from this size on have tokens beside them."""

MOST_POSITIONS = 40
"""Positions of an input that are drawn."""

MOST_CELLS = 20_000
"""Cells of all patterns of a picture; heads beyond are counted."""

FAINTEST = 0.01
"""Attention below this is not drawn: it would be white."""

ROW, COLUMN, LABELS = 19.0, 62.0, 164.0
"""Height of a row of the stream or the logits, width of a position's column, and of their names."""

MOST_OUTPUTS = 12
"""Columns of the read-out that have a row."""

WIDTH = 1100.0
"""Heads stand beside each other up to this width."""


def inside_picture(seen: Sequence[Seen], title: str) -> str:
    """What a model computes on some inputs, below each other.

    Args:
        seen: of one model.
        title: what the model is.

    Returns:
        A whole SVG document that needs nothing else.
    """
    drawing = Drawing()
    drawing.words(LEFT, 38, cut(title, 120), 17, weight="bold")
    y, left = 62.0, MOST_CELLS
    for one in seen:
        y, left = _input(drawing, one, y, left)
    _legend(drawing, y)
    return drawing.as_svg(title)


def _input(drawing: Drawing, seen: Seen, y: float, cells: int) -> tuple[float, int]:
    """One input; where it ends, and how many cells may still be drawn."""
    shown = min(len(seen.tokens), MOST_POSITIONS)
    words = " ".join(map(value_text, seen.tokens))
    drawing.words(LEFT, y + 16, f"input {cut(words, 120)}", 14, weight="bold")
    y += 34
    if shown < len(seen.tokens):
        note = f"the first {shown} of {len(seen.tokens):,} positions"
        drawing.words(LEFT, y, note, 12, fill=FAINT)
        y += 18
    y, cells = _patterns(drawing, seen, shown, y, cells)
    y = _stream(drawing, seen, shown, y + 12)
    if seen.logits is not None:
        y = _logits(drawing, seen, shown, y + 14)
    return y + 34, cells


def _patterns(drawing: Drawing, seen: Seen, shown: int, y: float, cells: int) -> tuple[float, int]:
    """Every head's pattern, a layer below the other."""
    size = min(CELL, max(SMALLEST_CELL, WIDEST_PATTERN / shown))
    labels = [_key(token) for token in map(word, seen.tokens[:shown])]
    margin = _margin(seen, shown) if size >= LETTERED else 0.0
    step = margin + size * shown + 22
    fit = max(1, int((WIDTH - LEFT) / step))
    hidden = 0
    for layer, patterns in enumerate(seen.patterns):
        drawn = min(len(patterns), cells // shown**2)
        cells -= drawn * shown**2
        hidden += len(patterns) - drawn
        for head in range(drawn):
            x = LEFT + (head % fit) * step + margin
            top = y + (head // fit) * (size * shown + 44)
            pattern = patterns[head][:shown, :shown]
            name = f"layer {layer} head {head}"
            _pattern(drawing, pattern, labels, seen, x, top, size, name)
        y += -(-drawn // fit) * (size * shown + 44)
    if hidden:
        note = f"{hidden:,} more heads are not drawn"
        drawing.words(LEFT, y + 12, note, 12, fill=FAINT)
        y += 18
    return y, cells


def _margin(seen: Seen, shown: int) -> float:
    """Width of the tokens beside a pattern's rows."""
    return 10 + MONO_WIDTH * 9 * max(len(word(token)) for token in seen.tokens[:shown])


def _key(text: str) -> str:
    """A token above a column, which is narrow."""
    return text if len(text) <= 2 else f"{text[:1]}…"


def _pattern(
    drawing: Drawing,
    pattern: Array,
    keys: Sequence[str],
    seen: Seen,
    x: float,
    y: float,
    size: float,
    name: str,
) -> None:
    """One head: queries are rows, keys are columns."""
    drawing.words(x, y + 10, name, 10.5, fill=FAINT)
    top, width = y + 28, size * len(pattern)
    drawing.box(x - 0.5, top - 0.5, width + 1, width + 1, "#ffffff", stroke=RULE)
    if size >= LETTERED:
        for place, key in enumerate(keys):
            centre = x + (place + 0.5) * size
            drawing.words(centre, top - 4, key, 9, anchor="middle", mono=True, fill=FAINT)
            row = top + (place + 0.5) * size + 3
            text = word(seen.tokens[place])
            drawing.words(x - 5, row, text, 9, anchor="end", mono=True, fill=FAINT)
    for query, column in np.argwhere(pattern >= FAINTEST).tolist():
        share = float(pattern[query, column])
        title = f"{name}: {_at(seen, query)} attends to {_at(seen, column)}: {share:.3f}"
        left, upper = x + column * size, top + query * size
        drawing.box(left, upper, size - 1, size - 1, shade(share), title=title)
        if size >= CELL and 0.05 < share < 0.95:
            text, middle = f"{share:.2f}"[1:], left + size / 2 - 0.5
            drawing.words(middle, upper + 12, text, 8, anchor="middle", fill=ink_on(share))


def _at(seen: Seen, place: int) -> str:
    return f"position {place} ({word(seen.tokens[place])})"


def _stream(drawing: Drawing, seen: Seen, shown: int, y: float) -> float:
    """The length of what each part adds, and of the stream behind all of them."""
    rows = [(part.name, part.hook, part.norms) for part in seen.added]
    rows.append(("stream at the end", "hook_resid_post", seen.added[-1].after))
    drawing.words(LEFT, y + 12, "length of what is added", 11, fill=FAINT, weight="bold")
    _tokens(drawing, seen, shown, y)
    largest = max(float(norms[:shown].max()) for _, _, norms in rows) or 1.0
    y += 18
    for name, hook, norms in rows:
        drawing.words(LEFT, y + 13, name, 11, title=hook)
        for place, norm in enumerate(norms[:shown].tolist()):
            title = f"{name}, {_at(seen, place)}: {norm:.4g}"
            _number(drawing, place, y, norm, 0.85 * norm / largest, title)
        y += ROW
    return y


def _tokens(drawing: Drawing, seen: Seen, shown: int, y: float) -> None:
    """The tokens above the columns of a table."""
    for place, token in enumerate(seen.tokens[:shown]):
        text = _narrow(word(token))
        drawing.words(_middle(place), y + 12, text, 11, anchor="middle", mono=True)


def _narrow(text: str) -> str:
    return text if len(text) <= LONGEST_WORD - 4 else f"{text[: LONGEST_WORD - 5]}…"


def _middle(place: int) -> float:
    return LEFT + LABELS + (place + 0.5) * COLUMN - 1


def _number(
    drawing: Drawing, place: int, y: float, number: float, share: float, title: str
) -> None:
    """A number in its box, shaded by how large it is."""
    left = LEFT + LABELS + place * COLUMN
    drawing.box(left, y, COLUMN - 2, ROW - 2, shade(share), stroke=RULE, title=title)
    drawing.words(
        _middle(place), y + 12.5, number_word(number), 10, anchor="middle", fill=ink_on(share)
    )


def _logits(drawing: Drawing, seen: Seen, shown: int, y: float) -> float:
    """The logits of some columns at each position, the largest framed, and the outputs."""
    assert seen.logits is not None
    logits = seen.logits[:shown].astype(np.float64)
    columns = _largest_columns(logits)
    drawing.words(LEFT, y + 12, "logits", 11, fill=FAINT, weight="bold")
    _tokens(drawing, seen, shown, y)
    most = float(np.abs(logits[:, columns]).max()) or 1.0
    y += 18
    for column in columns:
        name = word(seen.columns[column])
        drawing.words(LEFT, y + 13, name, 11, mono=True)
        for place, logit in enumerate(logits[:, column].tolist()):
            title = f"{name}, {_at(seen, place)}: {logit:.4g}"
            _number(drawing, place, y, logit, 0.85 * logit / most, title)
            if logits.shape[1] > 1 and column == int(logits[place].argmax()):
                left = LEFT + LABELS + place * COLUMN
                drawing.box(left, y, COLUMN - 2, ROW - 2, "none", stroke=INK, stroke_width=1.5)
        y += ROW
    if (hidden := logits.shape[1] - len(columns)) > 0:
        note = f"{hidden:,} more columns of the read-out are not drawn"
        drawing.words(LEFT, y + 12, note, 10, fill=FAINT)
        y += 18
    return _outputs(drawing, seen, shown, y) if seen.outputs else y


def _largest_columns(logits: Array) -> list[int]:
    """Columns that are the largest somewhere, then those that come nearest to it; in order."""
    ranks = np.argsort(np.argsort(-logits, axis=1, kind="stable"), axis=1).min(axis=0)
    chosen = np.lexsort((-logits.max(axis=0), ranks))[:MOST_OUTPUTS]
    return sorted(int(column) for column in chosen)


def _outputs(drawing: Drawing, seen: Seen, shown: int, y: float) -> float:
    """The output at each position that counts."""
    drawing.words(LEFT, y + 13, "output", 11, weight="bold")
    for place, output in zip(seen.counted, seen.outputs, strict=True):
        if place < shown:
            text = _narrow(output_word(output))
            drawing.words(_middle(place), y + 13, text, 11, anchor="middle", mono=True)
    return y + ROW


def _legend(drawing: Drawing, y: float) -> None:
    """What the colours mean."""
    for step in range(6):
        drawing.box(LEFT + step * 14, y, 14, 12, shade(step / 5), stroke=RULE, stroke_width=0.5)
    text = (
        "attention of a query (row) to a key (column), 0 to 1; lengths and logits: 0 to the largest"
    )
    drawing.words(LEFT + 92, y + 10, f"{text} (below 0: brown)", 11)
    drawing.box(LEFT, y + 20, 22, 12, "none", stroke=INK, stroke_width=1.5)
    drawing.words(LEFT + 92, y + 30, "the largest logit of a position", 11)
