"""A data set's folder: what lies where, one builder at a time, files whole or not at all.

While it is built, the folder ``.build`` holds what is needed to go on:
``settings.json``, the drawn blocks, the plan, and a note on each finished shard.
A file is there only when it is complete, so that what is missing is all that is
left to do. ``manifest.json`` is written last.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from untracr import strict_json
from untracr.atomic_write import write_atomically
from untracr.bounds import MAX_DATASET_JSON
from untracr.errors import DatasetError
from untracr.shown_text import printable
from untracr.strangers_files import read_file

MANIFEST = "manifest.json"
CARD = "README.md"

_TEMPORARY = ".untracr-*.tmp"
"""What `write_atomically` calls files that it has not finished."""


@dataclass(frozen=True)
class DatasetFolder:
    """Paths inside a data set's folder.

    Attributes:
        root: the folder.
    """

    root: Path

    @property
    def manifest(self) -> Path:
        """The manifest of a finished data set."""
        return self.root / MANIFEST

    @property
    def work(self) -> Path:
        """What only a build needs."""
        return self.root / ".build"

    @property
    def settings(self) -> Path:
        """What an unfinished data set was begun with."""
        return self.work / "settings.json"

    @property
    def plan(self) -> Path:
        """Which drawn programs the data set holds; written when they are known."""
        return self.work / "plan.json"

    def planned(self, split: str) -> Path:
        """The indices of a split's programs, ascending, eight bytes each."""
        return self.work / "plan" / f"{split}.indices"

    def block(self, number: int) -> Path:
        """A block of drawn programs."""
        return self.work / "drawn" / f"{number:06}.parquet"

    def shard(self, name: str) -> Path:
        """A shard, by its name in the manifest."""
        return self.root / name

    def note(self, name: str) -> Path:
        """What the manifest will say of a finished shard."""
        return self.work / "notes" / f"{Path(name).name}.json"

    @property
    def data(self) -> Path:
        """Holds the shards, and nothing else."""
        return self.root / "data"

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders of a build, each after the one it lies in."""
        work = tuple(path.parent for path in (self.block(0), self.planned(""), self.note("")))
        return (self.root, self.data, self.work, *work)

    def stranger(self) -> Path | None:
        """Something that no build has left here which was killed before it wrote its settings."""
        for folder in self.folders:
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if path not in self.folders and not path.match(_TEMPORARY):
                    return path
        return None

    def create(self) -> None:
        """Makes the folders of a build, and removes what a killed build was writing."""
        for folder in self.folders:
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob(_TEMPORARY):
                left.unlink()

    def remove_work(self) -> None:
        """Removes what only a build needs."""
        shutil.rmtree(self.work, ignore_errors=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other builders out; the lock ends with this process, however it ends.

        Raises:
            DatasetError: another process builds in this folder, or it cannot be made.
        """
        import fcntl  # not on every system, and needed here only

        if self.root.exists() and not self.root.is_dir():
            raise DatasetError(f"{self.root}: a data set is a folder, and this is a file")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise DatasetError(f"{self.root}: {error.strerror}") from None
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DatasetError(
                    f"{self.root}: another process is building this data set; "
                    "one at a time may. Give this one more --workers instead"
                ) from None
            except OSError as error:
                raise DatasetError(
                    f"{self.root} cannot be locked ({error.strerror}): its file system has no "
                    "locks for folders, as some network file systems; build on a local disk, and "
                    "copy it"
                ) from None
            yield
        finally:
            os.close(handle)


def write_file(path: Path, data: bytes) -> None:
    """Writes a file that is complete and on the disk when it is there.

    Raises:
        DatasetError: it cannot be written.
    """
    try:
        write_atomically(path, data)
        sync_folder(path.parent)
    except OSError as error:
        raise not_written(path, error) from error


def sync_folder(path: Path) -> None:
    """Waits until the names in a folder are on the disk.

    Raises:
        OSError: they cannot be written.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def not_written(path: Path, error: OSError) -> DatasetError:
    """What is said when the disk refuses."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DatasetError(
            f"{path}: no space is left. Nothing that was finished is lost: "
            "make room and give the same command again, it goes on from here"
        )
    return DatasetError(f"{path} cannot be written: {error.strerror or error}")


def json_bytes(value: object) -> bytes:
    """JSON as it is written here: keys sorted, a line each, the same bytes for the same value."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        DatasetError: the file is missing or damaged.
    """
    place = printable(path)
    try:
        content = strict_json.parse_json(read_file(path, MAX_DATASET_JSON, "it", DatasetError))
    except DatasetError as error:
        raise DatasetError(f"{place}: {error}") from None
    except ValueError as error:
        raise DatasetError(f"{place}: not a file of a data set: {error}") from None
    if not isinstance(content, dict):
        raise DatasetError(f"{place}: must be a JSON object, not {type(content).__name__}")
    return content
