"""Reading a data set for training: shuffled, shared among readers, resumable at any row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from untracr.dataset.folder import DatasetFolder
from untracr.dataset.manifest import Manifest, read_manifest
from untracr.dataset.rows import Row
from untracr.dataset.settings import SPLITS
from untracr.dataset.shard_rows import ShardRows, read_group, read_shard, row_groups
from untracr.errors import DatasetError, UsageError


@dataclass(frozen=True, order=True)
class Place:
    """Where a run stands in a data set: the next row that none of its readers has taken.

    Attributes:
        epoch: how often all rows were read.
        position: rows of this epoch that were read, by all readers together.
    """

    epoch: int = 0
    position: int = 0


FIRST_PLACE = Place()

Indices = npt.NDArray[np.int64]


class DatasetReader:
    """Endless rows of one split, in another order each epoch.

    The order of an epoch is a pure function of seed and epoch: the shards in a
    random order, and within each its rows in a random order. (A shard's rows are
    independent draws, so nothing is lost by keeping them together.) Readers take
    turns: reader r of n takes the rows r, r + n, r + 2 n, ... from the place where
    all of them start. A run that goes on with another number of readers from
    the place where all of them were goes on with the same rows.

    One shard is in memory at a time.

    Args:
        root: the data set's folder.
        split: one of its splits.
        seed: of the order.
        rank, world_size: which reader this is, of how many.
        columns: what rows hold; all by default.
        shuffle: False keeps the order of the files.

    Raises:
        DatasetError: there is no finished data set, or nothing in the split.
        UsageError: there is no such split, or no such reader.
    """

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        *,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        columns: Sequence[str] | None = None,
        shuffle: bool = True,
    ) -> None:
        if split not in SPLITS:
            raise UsageError(f"a split is one of {', '.join(SPLITS)}, not {split!r}")
        if not 0 <= rank < world_size:
            raise UsageError(f"rank must be from 0 to world_size - 1: {rank=}, {world_size=}")
        self.manifest = read_manifest(Path(root))
        self._folder = DatasetFolder(Path(root))
        self._shards = self.manifest.of_split(split)
        self._sizes = np.array([shard.rows for shard in self._shards], dtype=np.int64)
        if not self._sizes.sum():
            raise DatasetError(f"{root}: there are no rows in {split}")
        self._seed, self._columns, self._shuffle = seed, columns, shuffle
        self._rank, self._world_size = rank, world_size
        self._loaded: tuple[int, ShardRows] | None = None

    def __repr__(self) -> str:
        return f"<DatasetReader {self._rank} of {self._world_size}: {len(self):,} rows an epoch>"

    def __len__(self) -> int:
        """Rows an epoch, those of all readers together."""
        return int(self._sizes.sum())

    def rows(self, start: Place = FIRST_PLACE) -> Iterator[tuple[Row, Place]]:
        """This reader's rows, endlessly.

        Args:
            start: the same for all readers.

        Yields:
            A row, and where the run stands once every reader has taken one more.
            To go on from there, all readers start there.

        Raises:
            DatasetError: a file is missing, damaged, or of another length.
        """
        first = start.epoch * len(self) + start.position
        order: _Order | None = None
        for taken in itertools.count(first, self._world_size):
            epoch, position = divmod(taken + self._rank, len(self))
            if order is None or order.epoch != epoch:
                order = _Order(self._sizes, self._seed, epoch, self._shuffle)
            shard, row = order.at(position)
            yield self._row(shard, row), Place(*divmod(taken + self._world_size, len(self)))

    def _row(self, shard: int, row: int) -> Row:
        if self._loaded is None or self._loaded[0] != shard:
            self._loaded = None  # its memory first
            note = self._shards[shard]
            table = read_shard(self._folder.shard(note.name), self._columns)
            if len(table) != note.rows:
                raise DatasetError(f"{note.name} has {len(table):,} rows, not {note.rows:,}")
            self._loaded = shard, table
        return self._loaded[1][row]


def row_of_split(root: Path, manifest: Manifest, split: str, number: int) -> Row:
    """One row of a split, in the order of its files.

    Raises:
        DatasetError: a file is missing, damaged, or of another length.
        IndexError: there is no such row.
    """
    for shard in manifest.of_split(split):
        if number >= shard.rows:
            number -= shard.rows
            continue
        path = DatasetFolder(root).shard(shard.name)
        for group, size in enumerate(row_groups(path, name=shard.name)):
            if number < size:
                return read_group(path, group, name=shard.name)[number]
            number -= size
        raise DatasetError(f"{shard.name} has fewer rows than the manifest tells")
    raise IndexError(number)


class _Order:
    """The order of one epoch; the rows' is found shard by shard."""

    def __init__(self, sizes: Indices, seed: int, epoch: int, shuffle: bool) -> None:
        self.epoch = epoch
        self._seed, self._shuffle = seed, shuffle
        count = len(sizes)
        self._shards = self._permutation(count, "shards") if shuffle else np.arange(count)
        self._sizes = sizes[self._shards]
        self._ends = np.cumsum(self._sizes)
        self._within: tuple[int, Indices] = -1, np.arange(0)

    def at(self, position: int) -> tuple[int, int]:
        """Shard and row of a position."""
        span = int(np.searchsorted(self._ends, position, side="right"))
        shard, size = int(self._shards[span]), int(self._sizes[span])
        row = position - int(self._ends[span]) + size
        if not self._shuffle:
            return shard, row
        if self._within[0] != shard:
            self._within = shard, self._permutation(size, f"rows of {shard}")
        return shard, int(self._within[1][row])

    def _permutation(self, count: int, what: str) -> Indices:
        rng = np.random.default_rng([self._seed, self.epoch, *what.encode()])
        return rng.permutation(count)
