"""Where special tokens stand in an input, in words: ``BOS x SEP y EOS PAD...``.

``x`` (or ``w``) is what is given, ``y`` the answer to it. Every other word is a token: its
name, in quotes where it is one of these words or has spaces in it, or the role of a special
one. A last word ``TOKEN...`` fills an input up to the longest length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from untracr.errors import TaskError
from untracr.shown_text import shown
from untracr.task.task import Layout
from untracr.task.told import Fill, LayoutWord, Slot, TokenName

_WORD = re.compile(r"""\s*(?:(?P<quote>['"])(?P<quoted>.+?)(?P=quote)|(?P<bare>\S+?))(?:\s+|$)""")
_SLOTS = {"x": Slot.INPUT, "w": Slot.INPUT, "y": Slot.ANSWER}

MOST_WORDS = 100
"""Of a layout."""


def read_layout(text: str) -> tuple[LayoutWord, ...]:
    """The words of a layout.

    Raises:
        TaskError: it is none.
    """
    words: list[LayoutWord] = []
    place = 0
    while place < len(text.rstrip()):
        match = _WORD.match(text, place)
        if match is None or len(words) == MOST_WORDS:
            raise TaskError(f"an input has up to {MOST_WORDS} words, quotes closed: {shown(text)}")
        words.append(match["quoted"] or _word(match["bare"]))
        place = match.end()
    require_slots(words, text)
    return tuple(words)


def _word(text: str) -> LayoutWord:
    if text.endswith("...") and len(text) > 3:
        return Fill(text.removesuffix("..."))
    return _SLOTS.get(text, text)


def require_slots(words: Sequence[LayoutWord], shown_as: object) -> None:
    """Checks that x, y and what fills up stand where they may.

    Raises:
        TaskError: one of them does not.
    """
    slots = [word for word in words if isinstance(word, Slot)]
    if slots not in ([Slot.INPUT], [Slot.INPUT, Slot.ANSWER]):
        rule = "an input has one x, and at most one y behind it, as in 'BOS x SEP y EOS'"
        raise TaskError(f"{rule}, not {shown(shown_as)}")
    if any(isinstance(word, Fill) for word in words[:-1]):
        raise TaskError(f"only an input's last word fills up: {shown(shown_as)}")
    if len(slots) == 2 and words.index(Slot.ANSWER) == words.index(Slot.INPUT) + 1:
        raise TaskError(f"a token must stand between x and y: {shown(shown_as)}")


def layout_of(words: Sequence[LayoutWord], token: Callable[[TokenName], int]) -> Layout:
    """A layout with its tokens' ids.

    Args:
        words: as `read_layout` gives them.
        token: the id of a token.

    Raises:
        TaskError: by ``token``, there is none.
    """
    fill = None
    parts: list[list[int]] = [[]]
    for word in words:
        match word:
            case Slot():
                parts.append([])
            case Fill(name):
                fill = token(name)
            case _:
                parts[-1].append(token(word))
    before, *rest = map(tuple, parts)
    between = rest[0] if len(rest) == 2 else None
    return Layout(before, between, rest[-1], fill)
