"""Every package has one front door: a sorted, exact list of names, and nothing heavy behind it."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import untracr
from test_house import ROOMS

PACKAGES = tuple(room for room in ROOMS if room != "cli")
ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "jax", "tracr", "haiku")

WITHOUT_HEAVY = """
import contextlib, io, sys
{work}
print([name for name in {names!r} if name in sys.modules])
"""


def sorted_names(names: list[str]) -> list[str]:
    """Constants first, then classes, then functions, each in order, as the linter has it."""

    def key(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[:1].isupper() else 2), name

    return sorted(names, key=key)


def imported_names(module: str) -> list[str]:
    """The public names that a package's ``__init__.py`` imports."""
    path = importlib.import_module(module).__file__
    assert path is not None
    body = ast.parse(Path(path).read_text("utf-8")).body
    return [
        alias.asname or alias.name
        for statement in body
        if isinstance(statement, ast.ImportFrom) and statement.module != "__future__"
        for alias in statement.names
    ]


def loaded_after(work: str, names: tuple[str, ...]) -> str:
    """Which modules a fresh interpreter has loaded after some work."""
    script = WITHOUT_HEAVY.format(work=work, names=names)
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


@pytest.mark.parametrize("package", PACKAGES)
def test_the_list_of_names_is_exact_and_sorted(package: str) -> None:
    """__all__ is what the front door imports, in order."""
    module = importlib.import_module(f"untracr.{package}")
    assert module.__doc__
    assert module.__all__ == sorted_names(module.__all__)
    assert sorted(module.__all__) == sorted(imported_names(f"untracr.{package}"))


def test_the_top_list_is_exact_and_sorted() -> None:
    """The top package offers exactly the names it knows a home for, and its version."""
    assert untracr.__all__ == sorted_names(untracr.__all__)
    assert set(untracr.__all__) == {*untracr._HOMES, "__version__"}


@pytest.mark.parametrize("name", untracr.__all__)
def test_every_top_name_is_there(name: str) -> None:
    """Every name is found, and is the same object each time."""
    assert getattr(untracr, name) is getattr(untracr, name)
    assert name in dir(untracr)


def test_unknown_names_are_attribute_errors() -> None:
    """A name that is not offered behaves as on any module."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        untracr.nothing  # noqa: B018


def test_the_version_is_the_package_s() -> None:
    """The version is written twice; both are the same."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == untracr.__version__


@pytest.mark.parametrize(
    "work",
    [
        "import untracr",
        "from untracr.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()): assert main(['--help']) == 0",
    ],
    ids=["import", "help"],
)
def test_starting_loads_nothing(work: str) -> None:
    """Importing the package and asking for help are quick: not even NumPy is loaded."""
    assert loaded_after(work, (*HEAVY, "numpy", "tqdm")) == "[]"


def test_using_every_front_door_loads_no_framework() -> None:
    """All that needs NumPy only works without torch and Tracr."""
    work = "\n".join(f"import untracr.{package}" for package in PACKAGES)
    names = "import untracr\nfor name in untracr.__all__: getattr(untracr, name)"
    assert loaded_after(f"{work}\n{names}", HEAVY) == "[]"
