"""Reading a shard back: rows by number, weights as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from untracr.bounds import MAX_SHARD_BYTES, MAX_SHARD_ROWS
from untracr.dataset.rows import Row
from untracr.dataset.shards import SCHEMA
from untracr.errors import DatasetError
from untracr.strangers_files import require_regular

WEIGHTS_COLUMN = "weights"

MAY_BE_NULL = ("treatment_size", "output_values")
"""Columns that not every row has a value in."""

_DAMAGED = (OSError, pa.ArrowException, ValueError, LookupError, OverflowError, MemoryError)
"""What reading a damaged file may raise; text that is no UTF-8 is a ValueError."""


class ShardRows:
    """Rows of a shard that are in memory; each is made a dictionary when it is asked for.

    Args:
        table: as read.
        name: how errors call the file.

    Raises:
        DatasetError: the weights are no lists of float32; or, when a row is asked
            for, that it is damaged.
    """

    def __init__(self, table: pa.Table, name: str) -> None:
        self._name = name
        self._columns = {c: table[c] for c in table.column_names if c != WEIGHTS_COLUMN}
        self._count = int(table.num_rows)
        self._flat = self._starts = None
        if WEIGHTS_COLUMN in table.column_names:
            if table.schema.field(WEIGHTS_COLUMN).type != pa.large_list(pa.float32()):
                raise DatasetError(f"{name}: weights must be lists of float32")
            together = table[WEIGHTS_COLUMN].combine_chunks()
            self._flat, self._starts = together.values.to_numpy(), together.offsets.to_numpy()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Row:
        if not 0 <= number < self._count:
            raise IndexError(number)
        try:
            row = {name: column[number].as_py() for name, column in self._columns.items()}
        except _DAMAGED as error:
            raise DatasetError(f"{self._name}: a row cannot be read: {error}") from None
        if self._flat is not None and self._starts is not None:
            start, stop = self._starts[number : number + 2]
            row[WEIGHTS_COLUMN] = self._flat[start:stop]
        return row

    def __iter__(self) -> Iterator[Row]:
        return (self[number] for number in range(self._count))


def read_shard(path: Path, columns: Sequence[str] | None = None, *, name: str = "") -> ShardRows:
    """All rows of a shard.

    Args:
        path: the file.
        columns: which to read; all by default.
        name: how errors call the file; its path by default.

    Raises:
        DatasetError: the file is missing or damaged.
    """
    with _opened(path, name) as file:
        wanted = SCHEMA.names if columns is None else list(columns)
        table = file.read(columns=wanted, use_threads=False)
        _require_columns(table, wanted)
        return ShardRows(table, name or str(path))


def read_indices(path: Path, *, name: str = "") -> npt.NDArray[np.int64]:
    """The indices of a shard's rows; no other column is read.

    Returns:
        [rows]

    Raises:
        DatasetError: the file is missing or damaged, or some row has no index.
    """
    shown = name or str(path)
    with _opened(path, name) as file:
        table = file.read(columns=["index"], use_threads=False)
        if table.column_names != ["index"] or table["index"].type != pa.int64():
            raise DatasetError(f"{shown}: there must be a column index, of int64")
        if table["index"].null_count:
            raise DatasetError(f"{shown}: each row must have an index")
        return np.asarray(table["index"].to_numpy(), dtype=np.int64)


def read_columns(path: Path, columns: Sequence[str], *, name: str = "") -> pa.Table:
    """Some columns of a shard.

    Raises:
        DatasetError: the file is missing or damaged, or a column is another one.
    """
    with _opened(path, name) as file:
        table = file.read(columns=list(columns), use_threads=False)
        _require_columns(table, columns)
        return table


def row_groups(path: Path, *, name: str = "") -> list[int]:
    """How many rows each group of rows of a shard has.

    Raises:
        DatasetError: the file is missing or damaged.
    """
    with _opened(path, name) as file:
        groups = range(file.num_row_groups)
        return [int(file.metadata.row_group(group).num_rows) for group in groups]


def read_group(path: Path, group: int, *, name: str = "", checked: bool = True) -> ShardRows:
    """One group of rows of a shard.

    Args:
        path: the file.
        group: its number.
        name: how errors call the file; its path by default.
        checked: False lets columns be missing or of other types.

    Raises:
        DatasetError: the file is missing or damaged there.
    """
    with _opened(path, name, f", group of rows {group},") as file:
        table = file.read_row_group(group, use_threads=False)
        if checked:
            _require_columns(table, SCHEMA.names)
        return ShardRows(table, name or str(path))


def _require_columns(table: pa.Table, wanted: Sequence[str]) -> None:
    """Checks that columns are there, of their types and without gaps."""
    for column in wanted:
        kind = SCHEMA.field(column).type if column in SCHEMA.names else None
        if table.column_names.count(column) != 1 or table.schema.field(column).type != kind:
            raise DatasetError(f"there must be a column {column}, of {kind}")
        if table[column].null_count and column not in MAY_BE_NULL:
            raise DatasetError(f"each row must have a {column}")


@contextmanager
def _opened(path: Path, name: str, part: str = "") -> Iterator[pq.ParquetFile]:
    """A shard, checked for what it would take unpacked; errors name it and the part read."""
    shown = name or str(path)
    try:
        require_regular(path, "a shard", DatasetError)
        with pq.ParquetFile(path) as file:
            _require_sizes(file.metadata)
            yield file
    except DatasetError as error:
        text = str(error)
        raise DatasetError(text if text.startswith(shown) else f"{shown}: {text}") from None
    except _DAMAGED as error:
        raise DatasetError(f"{shown}{part} cannot be read: {error}") from None


def _require_sizes(metadata: pq.FileMetaData) -> None:
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    size = sum(max(0, group.total_byte_size) for group in groups)
    rows = sum(max(0, group.num_rows) for group in groups)
    if size > MAX_SHARD_BYTES or rows > MAX_SHARD_ROWS or any(g.num_rows < 0 for g in groups):
        raise DatasetError(
            f"a shard may have at most {MAX_SHARD_ROWS:,} rows and {MAX_SHARD_BYTES:,} bytes "
            f"unpacked; it declares {rows:,} and {size:,}"
        )
