"""Reading files that strangers made: a regular file, of a size that was checked before.

A named pipe would be waited for without an end, and what the system makes up
while it is read (``/proc``) has no size to check. Neither is read.
"""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from untracr.errors import UntracrError


def read_file(path: Path, most: int, kind: str, error: type[UntracrError]) -> bytes:
    """A whole file.

    Args:
        path: of the file.
        most: bytes that it may have.
        kind: what it should be, as errors call it: "a model".
        error: what is raised; the message does not name the path.

    Raises:
        UntracrError: of the kind ``error``: there is no such file, it cannot be read,
            it is no regular file, it is empty, or too large.
    """
    try:
        with open_regular(path, kind, error) as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise error(f"{kind} may have at most {most:,} bytes; the file has {size:,}")
            data = file.read(size)
    except (OSError, ValueError) as failure:
        raise error(f"the file cannot be read: {_reason(failure)}") from failure
    if not data:
        raise error("the file is empty (0 bytes)")
    return data


def beginning_of(path: Path, count: int) -> bytes:
    """The first bytes of a regular file; none where it cannot be read."""
    try:
        with open_regular(path, "this", UntracrError) as file:
            return file.read(min(count, os.fstat(file.fileno()).st_size))
    except (OSError, ValueError, UntracrError):
        return b""


def open_regular(path: Path, kind: str, error: type[UntracrError]) -> BufferedReader:
    """Opens a regular file for reading; nothing else is opened or waited for.

    Raises:
        UntracrError: of the kind ``error``: it is no regular file, or there is none.
        OSError, ValueError: it cannot be opened.
    """
    try:
        _require_regular(os.stat(path), kind, error)
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115
    except FileNotFoundError:
        raise error("there is no such file") from None
    try:
        _require_regular(os.fstat(file.fileno()), kind, error)  # it may have been exchanged
    except UntracrError:
        file.close()
        raise
    return file


def require_regular(path: Path, kind: str, error: type[UntracrError]) -> None:
    """Checks a file that another library will open.

    Raises:
        UntracrError: of the kind ``error``: it is no regular file, or cannot be looked at.
    """
    try:
        _require_regular(os.stat(path), kind, error)
    except FileNotFoundError:
        raise error("there is no such file") from None
    except (OSError, ValueError) as failure:
        raise error(f"the file cannot be read: {_reason(failure)}") from failure


def _require_regular(status: os.stat_result, kind: str, error: type[UntracrError]) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise error(f"{kind} is one file; this is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise error(f"{kind} is a regular file; this is a device or a pipe")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _reason(failure: Exception) -> str:
    return getattr(failure, "strerror", None) or str(failure)
