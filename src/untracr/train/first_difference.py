"""Where two JSON values differ first, told in few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from untracr.shown_text import cut

CHARACTERS_SHOWN = 60
"""Characters of a value that are shown at most."""


@dataclass(frozen=True)
class Difference:
    """One value of JSON that is another one elsewhere.

    Attributes:
        place: such as ``config.dataset.settings.treatments[2]``.
        found: what is there, shortened.
        wanted: what should be there, shortened.
    """

    place: str
    found: str
    wanted: str


def first_difference(place: str, given: Any, wanted: Any) -> Difference | None:
    """The first entry that differs; None where none does.

    What is missing counts as None, and its entries too: a part that only one side has
    is told by the first entry of it.

    Args:
        place: what both values are called.
        given: a JSON value.
        wanted: another.
    """
    if given == wanted:
        return None
    ours, theirs = _entries(given), _entries(wanted)
    if ours is not None and theirs is not None:
        for key in ours | theirs:
            inner = first_difference(place + key, ours.get(key), theirs.get(key))
            if inner is not None:
                return inner
    return Difference(place, _shown(given), _shown(wanted))


def _entries(value: Any) -> dict[str, Any] | None:
    """Entries by what their place is called; None for a value that has none."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return {f".{name}": entry for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return {f"[{number}]": entry for number, entry in enumerate(value)}
    return None


def _shown(value: Any) -> str:
    return "nothing" if value is None else cut(str(value), CHARACTERS_SHOWN)
