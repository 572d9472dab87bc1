"""Whether a data set is what its manifest says: its bytes, and its rows made again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from untracr.dataset.engine import Engine
from untracr.dataset.folder import DatasetFolder
from untracr.dataset.manifest import Manifest, ShardNote, read_manifest, versions
from untracr.dataset.rows import Row, row_at
from untracr.dataset.settings import SPLITS, DatasetSettings
from untracr.dataset.shard_rows import read_group, row_groups
from untracr.errors import DatasetError, UntracrError

MOST = 20
"""Faults that are told of one shard."""


@dataclass(frozen=True)
class Fault:
    """Something that is not as it should be.

    Attributes:
        shard: the file.
        row: counted from 0 in it; None where it is not a matter of one row.
        what: a sentence.
    """

    shard: str
    row: int | None
    what: str

    def __str__(self) -> str:
        place = self.shard if self.row is None else f"{self.shard}, row {self.row}"
        return f"{place}: {self.what}"


@dataclass(frozen=True)
class Verified:
    """The outcome of a check.

    Attributes:
        shards: files whose bytes were compared.
        rows: rows that were made again and compared bit by bit.
        faults: what was found.
    """

    shards: int
    rows: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class RowsTask:
    """Rows of one shard, to be made again.

    Attributes:
        path: the file.
        name: as the manifest has it.
        split: whose rows it holds.
        rows: how many it has.
        chosen: which of them; None for all.
    """

    path: Path
    name: str
    split: str
    rows: int
    chosen: tuple[int, ...] | None


def verify_dataset(
    root: Path,
    engine: Engine,
    sample: int,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Verified:
    """Compares all files with their digests, and a sample of the rows with fresh ones.

    All rows of a file with another digest are compared, to tell which are wrong.

    Args:
        root: the data set's folder.
        engine: who makes the rows again.
        sample: how many rows at least.
        seed: chooses them.
        progress: told of every finished file.

    Raises:
        DatasetError: it has no manifest, or a damaged one.
    """
    manifest = read_manifest(root)
    folder = DatasetFolder(root)
    faults: list[Fault] = []
    changed = set()
    for number, shard in enumerate(manifest.shards, 1):
        fault = _bytes_fault(folder, shard)
        if fault is not None:
            faults.append(fault)
            if folder.shard(shard.name).is_file():
                changed.add(shard.name)
        progress("hashing", number, len(manifest.shards))
    faults += _count_faults(manifest)
    missing = {fault.shard for fault in faults} - changed
    tasks = [t for t in _tasks(folder, manifest, sample, seed, changed) if t.name not in missing]
    compared = done = 0
    # A damaged file may bring down who reads it: each has a worker of its own.
    together = [[task for task in tasks if task.name not in changed]]
    for some in [*together, *([task] for task in tasks if task.name in changed)]:
        try:
            for _, (count, found) in engine.run(compare_rows, manifest.settings, some):
                compared += count
                faults += found
                done += 1
                progress("comparing", done, len(tasks))
        except DatasetError as error:
            faults.append(Fault(some[0].name, None, f"its rows cannot be compared: {error}"))
    made_with = [
        f"{name} {manifest.versions.get(name)} then, {now} now"
        for name, now in versions().items()
        if manifest.versions.get(name) != now
    ]
    if made_with and any(fault.row is not None for fault in faults):
        faults.append(Fault("manifest.json", None, f"made with others: {'; '.join(made_with)}"))
    order = {shard.name: place for place, shard in enumerate(manifest.shards)}
    faults.sort(key=lambda f: (order.get(f.shard, -1), -1 if f.row is None else f.row))
    return Verified(len(manifest.shards), compared, tuple(faults))


def _bytes_fault(folder: DatasetFolder, shard: ShardNote) -> Fault | None:
    try:
        with open(folder.shard(shard.name), "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return Fault(shard.name, None, f"cannot be read: {error.strerror or error}")
    if found == shard.sha256:
        return None
    return Fault(shard.name, None, f"SHA-256 is {found}, and the manifest has {shard.sha256}")


def _count_faults(manifest: Manifest) -> Iterator[Fault]:
    for split in SPLITS:
        rows = sum(shard.rows for shard in manifest.of_split(split))
        if rows != manifest.plan.rows[split]:
            what = f"{split} has {rows:,} rows in its shards, {manifest.plan.rows[split]:,} in all"
            yield Fault("manifest.json", None, what)


def _tasks(
    folder: DatasetFolder, manifest: Manifest, sample: int, seed: int, changed: set[str]
) -> list[RowsTask]:
    total = sum(shard.rows for shard in manifest.shards)
    numbers = sorted(Random(f"verify/{seed}").sample(range(total), min(sample, total)))
    tasks, start = [], 0
    for shard in manifest.shards:
        stop = start + shard.rows
        chosen = [number - start for number in numbers if start <= number < stop]
        numbers = numbers[len(chosen) :]
        is_changed = shard.name in changed
        if chosen or is_changed:
            which = None if is_changed else tuple(chosen)
            path = folder.shard(shard.name)
            tasks.append(RowsTask(path, shard.name, shard.split, shard.rows, which))
        start = stop
    return tasks


def compare_rows(settings: DatasetSettings, task: RowsTask) -> tuple[int, list[Fault]]:
    """Makes rows of one shard again and compares them; how many, and what is wrong."""
    wanted = None if task.chosen is None else set(task.chosen)
    compared, start = 0, 0
    faults: list[Fault] = []
    try:
        groups = row_groups(task.path, name=task.name)
        for group, size in enumerate(groups):
            here = [n for n in range(start, start + size) if wanted is None or n in wanted]
            rows = read_group(task.path, group, name=task.name) if here else ()
            for number in here:
                compared += 1
                what = row_fault(settings, rows[number - start], task.split)
                if what is not None:
                    faults.append(Fault(task.name, number, what))
                if len(faults) == MOST:
                    return compared, faults
            start += size
    except DatasetError as error:
        rest = f"rows {start} to {task.rows - 1} cannot be read: {error}"
        return compared, [*faults, Fault(task.name, None, rest)]
    if start != task.rows:
        faults.append(Fault(task.name, None, f"has {start:,} rows, not {task.rows:,}"))
    return compared, faults


def row_fault(settings: DatasetSettings, row: Row, split: str) -> str | None:
    """What is wrong with a row; None if it is, to the last bit, what its index makes it."""
    try:
        if row["seed"] != settings.seed:
            return f"its seed is {row['seed']}, and the data set's {settings.seed}"
        wanted = row_at(settings, row["index"])
    except (KeyError, TypeError, ValueError, UntracrError) as error:
        return f"it cannot be made again: {error}"
    for name, value in wanted.items():
        if name not in row:
            return f"there is no {name}"
        if name == "weights":
            fault = _weights_fault(row[name], value, row)
            if fault is not None:
                return fault
        elif row[name] != value:
            return f"{name} is {row[name]!r:.80}, and should be {value!r:.80}"
    if row["split"] != split:
        return f"it belongs to {row['split']}"
    return None


def _weights_fault(
    found: object, wanted: np.ndarray[tuple[int], np.dtype[np.float32]], row: Row
) -> str | None:
    have = np.asarray(found, dtype=np.float32)
    if have.shape != wanted.shape:
        return f"there are {have.size:,} weights, not {wanted.size:,}"
    differs = np.flatnonzero(have.view(np.uint32) != wanted.view(np.uint32))
    if not len(differs):
        return None
    place = int(differs[0])
    return (
        f"{len(differs):,} of {len(wanted):,} weights of treatment {row['treatment']} differ, "
        f"the first at {place}: {have[place]:.9g}, and should be {wanted[place]:.9g}"
    )
