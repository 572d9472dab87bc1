"""The way of a file through the rooms, as `untracr decompile` goes it."""

from __future__ import annotations

import sys
from collections import Counter
from itertools import groupby
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import untracr
from untracr.ambiguity.checking import check
from untracr.cli.entry import main
from untracr.decompile.result import Result

SOURCE = Path(untracr.__file__).parent

LEADING = ("cli", "decompile")
"""Rooms that take the file from one room to the next. What those do among themselves is their
own matter: that a program is compiled in order to be verified, say."""

OF_VALUES = ("rasp", "syntax")
"""Rooms of what is carried along, which are everywhere."""

WRITING = ("read", "metamodel")
"""They take turns, an operation at a time, and count as one."""

FILES = [Path(__file__).parent / "real" / f"101-00{number}.npz" for number in ("02", "32", "65")]


class Way:
    """The rooms that functions stand in which leading rooms call, in order.

    Asking a value something, by a method of its, enters no room; making one does.
    """

    def __init__(self) -> None:
        self.entered: list[str] = []
        self._inside = ["cli"]

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """What `sys.setprofile` calls."""
        if event == "call":
            before = self._inside[-1]
            here = room_of(frame.f_code) or before
            if here != before and before in LEADING and not is_method(frame.f_code):
                self.entered.append(here)
            self._inside.append(here)
        elif event == "return" and len(self._inside) > 1:
            self._inside.pop()

    @property
    def rooms(self) -> list[str]:
        """Each as often as it was entered anew."""
        named = ("writing" if room in WRITING else room for room in self.entered)
        return [room for room, _ in groupby(room for room in named if room not in OF_VALUES)]


def room_of(code: CodeType) -> str:
    """Empty for what stands in none."""
    path = Path(code.co_filename)
    if not path.is_relative_to(SOURCE):
        return ""
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else ""


def is_method(code: CodeType) -> bool:
    """Whether it is asked of a value that exists already."""
    first = code.co_varnames[: min(1, code.co_argcount)]
    return first in (("self",), ("cls",)) and code.co_name != "__init__"


def way_of(file: Path, certificates: Path) -> list[str]:
    """The rooms a file is taken through, all of them loaded before."""
    command = ["decompile", str(file), "--greedy", "--certificate", str(certificates)]
    assert main(command) == 0
    way = Way()
    before = sys.getprofile()
    sys.setprofile(way)
    try:
        assert main(command) == 0
    finally:
        sys.setprofile(before)
    return way.rooms


EVERY_ROOM = {
    "decompile",
    "loading",
    "transformer",
    "measure",
    "writing",
    "compile",
    "ambiguity",
    "verify",
    "certificate",
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_room_is_entered_once_or_twice(file: Path, tmp_path: Path) -> None:
    """A file goes forward; only what was measured is asked for twice, before and after."""
    rooms = way_of(file, tmp_path)
    assert rooms[:2] == ["decompile", "loading"]
    assert set(rooms) == EVERY_ROOM
    assert {room: times for room, times in Counter(rooms).items() if times > 1} == {"measure": 2}


def test_a_way_back_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict that was drawn once more for the headline would be counted."""
    headline = Result.headline.fget  # type: ignore[attr-defined]

    def checked_again(result: Result) -> str:
        assert result.beside is not None
        assert result.beside.given is not None
        model, domain = result.beside.given
        assert check(model, result.beside.program, domain).verdict == result.verdict
        return str(headline(result))

    monkeypatch.setattr(Result, "headline", property(checked_again))
    rooms = way_of(FILES[0], tmp_path)
    assert Counter(rooms)["ambiguity"] == 2
