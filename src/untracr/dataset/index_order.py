"""Whether the rows of a data set stand where they should, each once."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np

from untracr.dataset.building import Progress
from untracr.dataset.faults import FAULTS_OF_A_SHARD, Fault, in_a_line, other_count
from untracr.dataset.folder import DatasetFolder
from untracr.dataset.manifest import Manifest, ShardNote
from untracr.dataset.shard_rows import read_indices
from untracr.errors import DatasetError


def index_faults(
    folder: DatasetFolder,
    manifest: Manifest,
    skipped: set[str],
    progress: Progress,
) -> list[Fault]:
    """Whether indices ascend in each split, and none is in two.

    The splits are read side by side, a shard of each at a time. Where one does
    not ascend, which is told, an index that is in another split too may be missed.
    """
    shards = [shard for shard in manifest.shards if shard.name not in skipped]
    faults: list[Fault] = []
    read = 0

    def indices(split: str) -> Iterator[tuple[int, str, str, int]]:
        nonlocal read
        before: int | None = None
        for shard in shards:
            if shard.split != split:
                continue
            try:
                in_shard = read_indices(folder.shard(shard.name), name=shard.name)
            except DatasetError as error:
                faults.append(Fault(shard.name, None, in_a_line(error, shard.name)))
                in_shard = np.arange(0)
            else:
                faults.extend(_not_ascending(shard, before, in_shard))
            read += 1
            progress("reading indices", read, len(shards))
            yield from (
                (index, split, shard.name, row) for row, index in enumerate(in_shard.tolist())
            )
            before = int(in_shard[-1]) if len(in_shard) else before

    last: tuple[int, str, str, int] | None = None
    doubles: dict[str, list[Fault]] = {}
    splits = sorted({shard.split for shard in shards})
    for indexed in heapq.merge(*map(indices, splits)):
        index, split, name, row = indexed
        if last is not None and index == last[0] and split != last[1]:
            told = doubles.setdefault(name, [])
            if len(told) < FAULTS_OF_A_SHARD:
                what = f"its index, {index}, is also that of {last[2]}, row {last[3]}"
                told.append(Fault(name, row, what))
        last = indexed
    return [*faults, *(fault for told in doubles.values() for fault in told)]


def _not_ascending(
    shard: ShardNote, before: int | None, indices: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Iterator[Fault]:
    if len(indices) != shard.rows:
        yield other_count(shard.name, len(indices), shard.rows)
    if before is not None and len(indices) and indices[0] <= before:
        what = f"its index, {indices[0]}, comes after {before} in the shard before: it must ascend"
        yield Fault(shard.name, 0, what)
    for row in (1 + np.flatnonzero(indices[1:] <= indices[:-1]))[:FAULTS_OF_A_SHARD].tolist():
        what = f"its index, {indices[row]}, comes after {indices[row - 1]}: it must ascend"
        yield Fault(shard.name, row, what)
