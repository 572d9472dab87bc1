"""A report's folder: written as a whole or not at all, and never over anything else."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from untracr import strict_json
from untracr.bounds import MAX_REPORT_BYTES
from untracr.errors import UsageError
from untracr.evaluate.full_report import REPORT_FORMAT
from untracr.evaluate.markdown import report_markdown
from untracr.evaluate.pictures import draw_pictures
from untracr.strangers_files import read_file

JSON_NAME = "report.json"
MARKDOWN_NAME = "report.md"


def require_writable(folder: Path) -> None:
    """Checks that a report may be put into a folder; called before hours of work, too.

    It may where there is nothing yet, an empty folder, or an earlier report and
    nothing else, which is then replaced.

    Raises:
        UsageError: there is something else.
    """
    rule = "--report needs a new or empty folder, or one that holds an earlier report and no more"
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise UsageError(f"{rule}; {folder} is a file")
    here = {path.name for path in folder.iterdir()}
    foreign = sorted(here - _earlier_files(folder))
    if foreign:
        raise UsageError(f"{rule}; {folder} holds {foreign[0]}; give another one")


def _earlier_files(folder: Path) -> set[str]:
    """The files of an earlier report; none if there is none."""
    try:
        data = read_file(folder / JSON_NAME, MAX_REPORT_BYTES, "a report", UsageError)
        earlier: Any = strict_json.parse_json(data)
        if earlier["format"] != REPORT_FORMAT:
            return set()
        return {JSON_NAME, *map(str, earlier["files"])}
    except (UsageError, ValueError, KeyError, TypeError):
        return set()


def write_report(folder: Path, report: dict[str, Any]) -> tuple[Path, ...]:
    """Writes ``report.json``, ``report.md`` and the pictures.

    Everything is written beside the folder first, which then takes its place at
    once; when that fails, what was there is there again.

    Args:
        folder: its parents are made if need be.
        report: `FullReport.as_dict`.

    Returns:
        The files.

    Raises:
        UsageError: the folder holds something else than an earlier report.
        UntracrError: matplotlib is not installed.
        OSError: it cannot be written.
    """
    require_writable(folder)
    pictures = draw_pictures(report)
    names = [JSON_NAME, MARKDOWN_NAME, *pictures]
    text = json.dumps({**report, "files": names}, indent=1, allow_nan=False) + "\n"
    contents = {
        JSON_NAME: text.encode(),
        MARKDOWN_NAME: report_markdown(report, pictures).encode(),
        **pictures,
    }
    target = Path(os.path.realpath(folder))
    target.parent.mkdir(parents=True, exist_ok=True)
    _replace(target, contents)
    return tuple(folder / name for name in names)


def _replace(target: Path, contents: Mapping[str, bytes]) -> None:
    stamp = secrets.token_hex(8)
    new, old = (target.with_name(f".untracr-{stamp}.{end}") for end in ("new", "old"))
    try:
        new.mkdir()
        for name, data in contents.items():
            with (new / name).open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        require_writable(target)
        if target.exists():
            os.rename(target, old)
        os.rename(new, target)
    except BaseException:
        if old.exists() and not target.exists():
            os.rename(old, target)
        shutil.rmtree(new, ignore_errors=True)
        raise
    with contextlib.suppress(OSError):
        if old.exists():
            shutil.rmtree(old)
