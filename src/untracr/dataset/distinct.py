"""The first of each among very many keys, in memory that does not grow with them.

Records are spread over files by their keys' first bytes, so that equal keys meet
in one file, and each file is sorted by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("place", "<i8")])
"""A key of 16 bytes, and where it stands."""

Records = npt.NDArray[np.void]

SORTED_AT_ONCE = 2**16
"""Records that one file holds, on average."""

SPREAD_AT_ONCE, FOR_EACH_FILE = 2**17, 16
"""Records that are spread over the files at a time, at least so many in all, and for each file:
each time all files are opened."""


def records(keys: bytes, places: npt.NDArray[np.int64]) -> Records:
    """Records of keys, 16 bytes each, one after the other.

    Args:
        keys: all of them.
        places: [n], where each stands.
    """
    kept = np.empty(len(places), dtype=RECORD)
    halves = np.frombuffer(keys, dtype=">u8").reshape(-1, 2)
    kept["high"], kept["low"], kept["place"] = halves[:, 0], halves[:, 1], places
    return kept


def mark_first_of_each(
    batches: Iterable[Records], total: int, folder: Path, marks: npt.NDArray[np.uint8]
) -> None:
    """Marks the first place of each key.

    Args:
        batches: all records, in any order, a few at a time.
        total: how many there are, about.
        folder: an empty one, for files that may be deleted afterwards.
        marks: [places], all 0; becomes 1 where a key stands that stands nowhere before.
    """
    n_files = 1 + total // SORTED_AT_ONCE
    for batch in _joined(batches, max(SPREAD_AT_ONCE, FOR_EACH_FILE * n_files)):
        number = (batch["high"] >> np.uint64(16)) % np.uint64(n_files)
        order = np.argsort(number, kind="stable")
        starts = np.searchsorted(number[order], np.arange(n_files + 1))
        for file_number in np.unique(number).tolist():
            part = batch[order[starts[file_number] : starts[file_number + 1]]]
            with open(folder / str(file_number), "ab") as file:
                file.write(part.tobytes())
    for path in folder.iterdir():
        part = np.fromfile(path, dtype=RECORD)
        order = np.lexsort((part["place"], part["low"], part["high"]))
        part = part[order]
        is_first = np.ones(len(part), dtype=np.bool_)
        is_first[1:] = (part["high"][1:] != part["high"][:-1]) | (
            part["low"][1:] != part["low"][:-1]
        )
        marks[part["place"][is_first]] = 1
        path.unlink()


def _joined(batches: Iterable[Records], size: int) -> Iterator[Records]:
    """The same records in batches of about ``size``."""
    waiting: list[Records] = []
    count = 0
    for batch in batches:
        if not len(batch):
            continue
        waiting.append(batch)
        count += len(batch)
        if count >= size:
            yield np.concatenate(waiting)
            waiting, count = [], 0
    if waiting:
        yield np.concatenate(waiting)
