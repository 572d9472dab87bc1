"""What a model computes on an input, as lines of text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from untracr.explain.inside import Seen
from untracr.explain.text import value_text
from untracr.network.network import Array
from untracr.rasp.values import Value
from untracr.shown_text import cut
from untracr.task.outputs import Output

MOST_POSITIONS = 24
"""Positions that have a column."""

MOST_HEADS = 200
"""Heads that have a line."""

LONGEST_WORD = 12
"""Letters of a token in a column."""

LARGEST = 2
"""Logits of each position that are shown, the largest ones."""

ATTENDED = "attends most to the position before the colon, with the share after it"


def seen_text(seen: Seen) -> str:
    """A table with a column for each position: stream, heads, logits and outputs."""
    shown = min(len(seen.tokens), MOST_POSITIONS)
    rows = [("position", list(map(str, range(shown))))]
    rows.append(("token", [word(token) for token in seen.tokens[:shown]]))
    rows += _stream(seen, shown)
    rows += _heads(seen, shown)
    rows += _logits(seen, shown)
    if seen.outputs:
        outputs = dict(zip(seen.counted, seen.outputs, strict=True))
        texts = [output_word(outputs[at]) if at in outputs else "-" for at in range(shown)]
        rows.append(("output", texts))
    lines = [f"# input {cut(' '.join(map(value_text, seen.tokens)), 200)}", *_table(rows)]
    lines.append("# embedding, heads and neurons of a layer: the length of what each adds")
    lines.append(f"# a head {ATTENDED}")
    return "\n".join([*lines, *_left_out(seen, shown)]) + "\n"


def _left_out(seen: Seen, shown: int) -> Iterator[str]:
    if shown < len(seen.tokens):
        yield f"# {len(seen.tokens) - shown:,} more positions are not shown; --json has all"
    heads = sum(map(len, seen.patterns))
    if heads > MOST_HEADS:
        yield f"# {heads - MOST_HEADS:,} more heads are not shown; --json has all"


def _table(rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Lines with a name and cells below each other."""
    names = max(len(name) for name, _ in rows)
    widths = [max(map(len, column)) for column in zip(*(cells for _, cells in rows), strict=True)]
    return [
        f"{name:<{names}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        for name, cells in rows
    ]


def _stream(seen: Seen, shown: int) -> list[tuple[str, list[str]]]:
    rows = [(part.name, _numbers(part.norms[:shown])) for part in seen.added]
    return [*rows, ("stream at the end", _numbers(seen.added[-1].after[:shown]))]


def _heads(seen: Seen, shown: int) -> Iterator[tuple[str, list[str]]]:
    for number, (layer, head, pattern) in enumerate(seen.heads):
        if number == MOST_HEADS:
            return
        keys = pattern[:shown].argmax(axis=1).tolist()
        cells = [f"{key}:{pattern[at, key]:.2f}" for at, key in enumerate(keys)]
        yield f"layer {layer} head {head}", cells


def _logits(seen: Seen, shown: int) -> Iterator[tuple[str, list[str]]]:
    """The largest logits at each position, each with the name of its column."""
    if seen.logits is None:
        return
    logits = seen.logits[:shown]
    order = np.argsort(-logits, axis=1, kind="stable")
    for rank in range(min(LARGEST, logits.shape[1])):
        columns = order[:, rank].tolist()
        cells = [
            f"{word(seen.columns[column])} {number_word(float(logits[at, column]))}"
            for at, column in enumerate(columns)
        ]
        yield ("largest logit" if not rank else "next logit"), cells


def _numbers(numbers: Array) -> list[str]:
    return list(map(number_word, numbers.tolist()))


def number_word(number: float) -> str:
    """A number to three digits, or to two decimals where these are more."""
    return f"{number:.2f}" if number == 0 or 1 <= abs(number) < 1e4 else f"{number:.3g}"


def word(value: Value) -> str:
    """A token's name, cut short."""
    text = value_text(value)
    return text if len(text) <= LONGEST_WORD else f"{text[: LONGEST_WORD - 1]}…"


def output_word(output: Output) -> str:
    """An output, cut short; of a set of tokens its names in braces."""
    if not isinstance(output, tuple):
        return word(output)
    text = "{" + " ".join(map(value_text, output)) + "}"
    return text if len(text) <= LONGEST_WORD else f"{len(output)} tokens"
