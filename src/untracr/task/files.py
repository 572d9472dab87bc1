"""Task files: ``task.json`` or ``task.toml`` beside a model, or one that is named."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from untracr import strict_json
from untracr.bounds import MAX_TASK_BYTES
from untracr.errors import TaskError
from untracr.shown_text import printable
from untracr.strangers_files import read_file
from untracr.task.documents import told_of
from untracr.task.told import Told

NAMES = ("task.json", "task.toml")


def task_beside(folder: Path) -> Told | None:
    """What the task file of a folder says; None where there is none.

    Raises:
        TaskError: there are two, or the file is damaged, too large or says what no task has.
    """
    paths = [folder / name for name in NAMES if (folder / name).exists()]
    if len(paths) > 1:
        raise TaskError(
            f"{printable(folder)}: a folder has one task file, not {' and '.join(NAMES)}"
        )
    return task_file(paths[0]) if paths else None


def task_file(path: Path) -> Told:
    """What a task file says.

    Args:
        path: ends in ``.json`` or ``.toml``, which decides how it is read.

    Raises:
        TaskError: it is missing, damaged, too large, or says what no task has.
    """
    place = str(printable(path))
    try:
        data = read_file(path, MAX_TASK_BYTES, "a task", TaskError)
        document = _parsed(path, data)
    except TaskError as error:
        raise TaskError(f"{place}: {error}") from None
    return told_of(document, place)


def _parsed(path: Path, data: bytes) -> Mapping[str, object]:
    try:
        match path.suffix.lower():
            case ".json":
                document = strict_json.parse_json(data)
            case ".toml":
                document = tomllib.loads(data.decode("utf-8-sig"))
            case other:
                raise TaskError(f"a task file must be named .json or .toml, not {other!r}")
    except RecursionError:
        raise TaskError("it is nested too deeply") from None
    except ValueError as error:  # what is no text, no JSON, no TOML, and numbers of many digits
        raise TaskError(f"it cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise TaskError("a task file holds one object of names and values")
    return document
