"""The last stage of a build: a shard as the bytes of a Parquet file."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from untracr.dataset.drawing import Drawn
from untracr.dataset.rows import Row, program_of, row_of
from untracr.dataset.settings import DatasetSettings
from untracr.rasp.program import Program
from untracr.sample.statistics import statistics

SCHEMA = pa.schema(
    [
        ("seed", pa.int64()),
        ("index", pa.int64()),
        ("split", pa.string()),
        ("program", pa.string()),
        ("tokens", pa.list_(pa.string())),
        ("length", pa.int32()),
        ("n_layers", pa.int32()),
        ("n_parameters", pa.int32()),
        ("treatment", pa.string()),
        ("treatment_size", pa.float64()),
        ("vocab", pa.list_(pa.int64())),
        ("max_seq_len", pa.int32()),
        ("causal", pa.bool_()),
        ("output_values", pa.string()),
        ("key", pa.string()),
        ("behaviour", pa.string()),
        ("compiler_version", pa.string()),
        ("layout", pa.list_(pa.struct([("name", pa.string()), ("shape", pa.list_(pa.int32()))]))),
        ("weights", pa.large_list(pa.float32())),
    ]
)

ROW_GROUP = 250
"""Rows that are in memory at a time, when written and when read."""

ONCE_EACH = ("program", "key", "behaviour")
"""Columns where a dictionary would be of no use. Weights have none either: treated ones are all
different, and compiled ones become small anyway."""


@dataclass(frozen=True)
class ShardTask:
    """One shard to be made.

    Attributes:
        name: of the file, in the data set's folder.
        drawn: its programs.
    """

    name: str
    drawn: tuple[Drawn, ...]


@dataclass(frozen=True)
class MadeShard:
    """A shard that was made.

    Attributes:
        data: the file.
        note: what the manifest says of it.
    """

    data: bytes
    note: dict[str, Any]


def make_shard(settings: DatasetSettings, task: ShardTask) -> MadeShard:
    """Compiles and treats the programs of a shard.

    A pure function of its arguments: the same bytes from any process, with the
    same versions of pyarrow and NumPy.
    """
    file = io.BytesIO()
    counts = Counts()
    with pq.ParquetWriter(
        file,
        SCHEMA,
        compression="zstd",
        compression_level=3,
        use_dictionary=[
            name for name in _leaves() if name not in ONCE_EACH and not name.startswith("weights")
        ],
    ) as writer:
        for start in range(0, len(task.drawn), ROW_GROUP):
            drawn = task.drawn[start : start + ROW_GROUP]
            programs = [program_of(one.tokens) for one in drawn]
            group = [row_of(settings, *both) for both in zip(drawn, programs, strict=True)]
            counts.add(group, programs)
            writer.write_table(_table(group), row_group_size=ROW_GROUP)
    data = file.getvalue()
    note = {
        "name": task.name,
        "rows": len(task.drawn),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "statistics": counts.as_dict(),
    }
    return MadeShard(data, note)


def _leaves() -> list[str]:
    """The names of Parquet's own columns."""
    return [
        "seed", "index", "split", "length", "n_layers", "n_parameters", "treatment",
        "treatment_size", "max_seq_len", "output_values", "compiler_version",
        "tokens.list.element", "vocab.list.element", "layout.list.element.name",
        "layout.list.element.shape.list.element",
    ]  # fmt: skip


def _table(rows: Sequence[Row]) -> pa.Table:
    columns: list[pa.Array] = []
    for field in SCHEMA:
        values = [row[field.name] for row in rows]
        if field.name == "weights":
            offsets = np.cumsum([0, *map(len, values)])
            flat = pa.array(np.concatenate(values), pa.float32())
            columns.append(pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), flat))
        else:
            columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=SCHEMA)


class Counts:
    """What rows are made of, as counts that add up over shards."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def add(self, rows: Sequence[Row], programs: Sequence[Program]) -> None:
        """Counts some rows and their programs."""
        found = statistics(programs)
        for name in ("lengths", "layers", "operations", "encodings", "tokens"):
            self._counted(name).update(getattr(found, name))
        for row in rows:
            self._counted("treatments")[row["treatment"]] += 1
            self._counted("domains")[f"{len(row['vocab'])}x{row['max_seq_len']}"] += 1
            self._counted("parameters")[str(1 << int(row["n_parameters"]).bit_length())] += 1

    def add_counts(self, found: dict[str, dict[str, int]]) -> None:
        """Adds what `as_dict` of another one gave."""
        for name, counts in found.items():
            self._counted(name).update(counts)

    def as_dict(self) -> dict[str, dict[str, int]]:
        """Counts by value, by what is counted.

        ``parameters`` counts models by the least power of two above their number
        of parameters, ``domains`` by tokens and longest input.
        """
        return {name: dict(sorted(counts.items())) for name, counts in self._counts.items()}

    def _counted(self, name: str) -> Counter[str]:
        return self._counts.setdefault(name, Counter())
