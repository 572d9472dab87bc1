"""The plan of the house: which room may know of which, and how large a room may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src"

ROOMS = (
    "rasp",
    "syntax",
    "transformer",
    "network",
    "task",
    "loading",
    "compile",
    "diagnose",
    "sample",
    "dataset",
    "measure",
    "verify",
    "ambiguity",
    "certificate",
    "read",
    "metamodel",
    "train",
    "decompile",
    "explain",
    "evaluate",
    "hypothesis",
    "audit",
    "bench",
    "cli",
)
"""The rooms, each of which may know of those to its left."""

FINDERS = ("read", "metamodel", "train", "decompile", "explain", "evaluate", "audit", "cli")
"""Rooms that find programs, and those behind them."""

LARGEST_SHARE = 0.10
"""Of all lines, in one room."""

MOST_TRUSTED_LINES = 2_500
"""Of `verify`, which is to be read in an evening."""


def modules() -> dict[str, Path]:
    """All modules of the package by name."""
    found = {}
    for path in sorted((SOURCE / "untracr").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(module: str) -> set[str]:
    """The package's modules that a module imports, within functions as well."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return found - {module}


def room_of(module: str) -> str:
    """The room in which a module is; empty for those that stand in none."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else ""


def lines_of(room: str) -> int:
    """Lines of all files of a room."""
    files = (path for module, path in MODULES.items() if room_of(module) == room)
    return sum(len(path.read_text("utf-8").splitlines()) for path in files)


def test_all_folders_are_rooms() -> None:
    """No folder of code is left out of the plan."""
    paths = (path.relative_to(SOURCE / "untracr") for path in MODULES.values())
    folders = {str(path.parent) for path in paths} - {"."}
    assert folders == set(ROOMS)


def test_tests_mirror_the_rooms() -> None:
    """A room's tests stand in a folder of its name; those of several rooms in `tests`."""
    folders = {path.parent.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}
    assert folders - {"."} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_know_only_what_is_to_their_left(room: str) -> None:
    """Imports run one way."""
    allowed = {*ROOMS[: ROOMS.index(room) + 1], ""}
    wrong = [
        f"{module} imports {other}"
        for module in MODULES
        if room_of(module) == room
        for other in imports_of(module)
        if room_of(other) not in allowed
    ]
    assert wrong == []


def test_no_modules_form_a_circle() -> None:
    """Not within a room either."""
    graph = {module: imports_of(module) for module in MODULES if module != "untracr"}
    assert list(TopologicalSorter(graph).static_order())


def test_modules_go_past_front_doors() -> None:
    """A front door is for people: inside, what is used is named where it lives."""
    doors = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    wrong = [
        f"{module} goes through {other}"
        for module in MODULES
        if module not in doors
        for other in imports_of(module) & doors
    ]
    assert wrong == []


@pytest.mark.parametrize("room", ["measure", "verify", "ambiguity", "certificate"])
def test_what_is_trusted_loads_nothing_that_finds_programs(room: str) -> None:
    """A verdict owes nothing to the network, nor to how weights are read."""
    names = [f"untracr.{module.removeprefix('untracr.')}" for module in MODULES]
    own = [name for name in names if room_of(name) == room]
    script = f"import sys\nfor name in {own!r}: __import__(name)\nprint(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert f"untracr.{room}" in loaded
    assert [name for name in loaded if room_of(name) in FINDERS] == []


def test_no_room_is_too_large() -> None:
    """No room holds more than a tenth of the lines."""
    total = sum(len(path.read_text("utf-8").splitlines()) for path in MODULES.values())
    shares = {room: lines_of(room) / total for room in ROOMS}
    assert {room: share for room, share in shares.items() if share > LARGEST_SHARE} == {}


def test_the_trusted_part_is_small() -> None:
    """It can be read in an evening."""
    assert lines_of("verify") < MOST_TRUSTED_LINES
