"""Whether a data set is what its manifest says: its bytes, and its rows made again."""

from __future__ import annotations

import hashlib
import heapq
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from untracr.dataset.engine import Engine
from untracr.dataset.folder import DatasetFolder
from untracr.dataset.manifest import Manifest, ShardNote, read_manifest, versions
from untracr.dataset.rows import COMPILED, Row, row_at
from untracr.dataset.settings import SPLITS, DatasetSettings
from untracr.dataset.shard_rows import ShardRows, read_group, read_indices, row_groups
from untracr.errors import DatasetError
from untracr.transformer.transformer import Array

MOST = 20
"""Faults that are told of one shard; its other rows are then not compared."""

HASHED_TOGETHER = 2**28
"""Bytes that are hashed in one task: enough that starting a worker takes no longer."""

ROUNDING = 1e-5
"""Of the largest weight: what two builds of LAPACK differ by in float32 stays below."""


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
        asked: rows that were to be compared: the sample, and all of every changed file.
        rows: rows that were made again and compared bit by bit; fewer than that only
            where there are faults.
        faults: what was found.
    """

    shards: int
    asked: int
    rows: int
    faults: tuple[Fault, ...]


@dataclass(frozen=True)
class HashTask:
    """Shards to be hashed by one worker.

    Attributes:
        root: the data set's folder.
        shards: as the manifest has them.
    """

    root: Path
    shards: tuple[ShardNote, ...]


@dataclass(frozen=True)
class Hashed:
    """The bytes of a shard.

    Attributes:
        name: of the shard.
        is_read: whether there are any.
        fault: what is wrong with them.
    """

    name: str
    is_read: bool
    fault: Fault | None


@dataclass(frozen=True)
class RowsTask:
    """Rows of one shard, to be made again.

    Attributes:
        path: the file.
        name: as the manifest has it.
        split: whose rows it holds.
        rows: how many it has.
        chosen: which of them, ascending.
    """

    path: Path
    name: str
    split: str
    rows: int
    chosen: Sequence[int]


def verify_dataset(
    root: Path,
    engine: Engine,
    sample: int,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Verified:
    """Compares all files with their digests, and a sample of the rows with fresh ones.

    All rows of a file with another digest are compared, to tell which are wrong.
    The indices of all other files must ascend, and none may be in two splits.
    In the folder of the shards there may be nothing else.

    Args:
        root: the data set's folder.
        engine: who hashes the files and makes the rows again.
        sample: how many rows at least.
        seed: chooses them.
        progress: told of every finished file.

    Raises:
        DatasetError: it has no manifest, or a damaged one; or workers are lost again
            and again while they hash.
    """
    manifest = read_manifest(root)
    folder = DatasetFolder(root)
    hashed = _hashed(manifest, root, engine, progress)
    unread = {one.name for one in hashed if not one.is_read}
    changed = {one.name for one in hashed if one.is_read and one.fault is not None}
    faults = [one.fault for one in hashed if one.fault is not None]
    faults += _count_faults(manifest)
    faults += _strangers(folder, manifest)
    faults += _index_faults(folder, manifest, unread | changed, progress)
    asked = _tasks(folder, manifest, sample, seed, changed)
    tasks = [task for task in asked if task.name not in unread]
    # A damaged file may bring down who reads it: each has a worker of its own.
    together = [[task for task in tasks if task.name not in changed]]
    compared = done = 0
    of_rows: list[Fault] = []
    for some in [*together, *([task] for task in tasks if task.name in changed)]:
        for count, found in _compared(engine, manifest.settings, some):
            compared += count
            of_rows += found
            done += 1
            progress("comparing", done, len(tasks))
    made_with = [
        f"{name} {manifest.versions.get(name)} then, {now} now"
        for name, now in versions().items()
        if manifest.versions.get(name) != now
    ]
    if made_with and any(fault.row is not None for fault in of_rows):
        faults.append(Fault("manifest.json", None, f"made with others: {'; '.join(made_with)}"))
    order = {shard.name: place for place, shard in enumerate(manifest.shards)}
    told = sorted(
        dict.fromkeys([*faults, *of_rows]),
        key=lambda f: (order.get(f.shard, -1), f.shard, -1 if f.row is None else f.row),
    )
    wanted = sum(len(task.chosen) for task in asked)
    return Verified(len(hashed) - len(unread), wanted, compared, tuple(told))


def _hashed(
    manifest: Manifest, root: Path, engine: Engine, progress: Callable[[str, int, int], None]
) -> list[Hashed]:
    found: list[Hashed] = []
    for _, some in engine.run(hash_shards, None, _hash_tasks(manifest, root)):
        found += some
        progress("hashing", len(found), len(manifest.shards))
    return found


def _hash_tasks(manifest: Manifest, root: Path) -> Iterator[HashTask]:
    some: list[ShardNote] = []
    size = 0
    for shard in manifest.shards:
        some.append(shard)
        size += shard.bytes
        if size >= HASHED_TOGETHER:
            yield HashTask(root, tuple(some))
            some, size = [], 0
    if some:
        yield HashTask(root, tuple(some))


def hash_shards(shared: None, task: HashTask) -> list[Hashed]:
    """Compares some shards with their digests."""
    return [_hash(DatasetFolder(task.root).shard(shard.name), shard) for shard in task.shards]


def _hash(path: Path, shard: ShardNote) -> Hashed:
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
        why = getattr(error, "strerror", None) or error
        return Hashed(shard.name, False, Fault(shard.name, None, f"cannot be read: {why}"))
    if found == shard.sha256:
        return Hashed(shard.name, True, None)
    what = f"SHA-256 is {found}, and the manifest has {shard.sha256}"
    return Hashed(shard.name, True, Fault(shard.name, None, what))


def _count_faults(manifest: Manifest) -> Iterator[Fault]:
    for split in SPLITS:
        rows = sum(shard.rows for shard in manifest.of_split(split))
        if rows != manifest.plan.rows[split]:
            what = f"{split} has {rows:,} rows in its shards, {manifest.plan.rows[split]:,} in all"
            yield Fault("manifest.json", None, what)


def _strangers(folder: DatasetFolder, manifest: Manifest) -> Iterator[Fault]:
    named = {folder.shard(shard.name) for shard in manifest.shards}
    for path in sorted(folder.data.rglob("*")):
        if path in named or (path.is_dir() and not path.is_symlink()):
            continue
        # Names need not be text here; what cannot be printed is told by its bytes.
        name = os.fsencode(path.relative_to(folder.root)).decode("utf-8", "backslashreplace")
        what = "the manifest names no such file; tools that read the folder may take its rows too"
        yield Fault(name, None, what)


def _index_faults(
    folder: DatasetFolder,
    manifest: Manifest,
    skipped: set[str],
    progress: Callable[[str, int, int], None],
) -> list[Fault]:
    """Whether indices ascend in each split, and none is in two.

    The splits are read side by side, a shard of each at a time. Where one does
    not ascend, which is told, an index that is in another split too may be missed.
    """
    shards = [shard for shard in manifest.shards if shard.name not in skipped]
    faults: list[Fault] = []
    read = 0

    def indices(split: str) -> Iterator[tuple[int, str, int]]:
        nonlocal read
        before: int | None = None
        for shard in shards:
            if shard.split != split:
                continue
            try:
                found = read_indices(folder.shard(shard.name), name=shard.name)
            except DatasetError as error:
                faults.append(Fault(shard.name, None, _line(error, shard.name)))
                found = np.arange(0)
            else:
                faults.extend(_not_ascending(shard, before, found))
            read += 1
            progress("reading indices", read, len(shards))
            yield from ((index, shard.name, row) for row, index in enumerate(found.tolist()))
            before = int(found[-1]) if len(found) else before

    last: tuple[int, str, int] | None = None
    doubles: dict[str, list[Fault]] = {}
    splits = sorted({shard.split for shard in shards})
    for place in heapq.merge(*map(indices, splits)):
        if last is not None and place[0] == last[0] and _split(place[1]) != _split(last[1]):
            index, name, row = place
            told = doubles.setdefault(name, [])
            if len(told) < MOST:
                what = f"its index, {index}, is also that of {last[1]}, row {last[2]}"
                told.append(Fault(name, row, what))
        last = place
    return [*faults, *(fault for told in doubles.values() for fault in told)]


def _split(name: str) -> str:
    return Path(name).name.partition("-")[0]


def _not_ascending(
    shard: ShardNote, before: int | None, found: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Iterator[Fault]:
    if len(found) != shard.rows:
        yield _other_count(shard.name, len(found), shard.rows)
    if before is not None and len(found) and found[0] <= before:
        what = f"its index, {found[0]}, comes after {before} in the shard before: it must ascend"
        yield Fault(shard.name, 0, what)
    for row in (1 + np.flatnonzero(found[1:] <= found[:-1]))[:MOST].tolist():
        what = f"its index, {found[row]}, comes after {found[row - 1]}: it must ascend"
        yield Fault(shard.name, row, what)


def _other_count(name: str, found: int, wanted: int) -> Fault:
    return Fault(name, None, f"has {found:,} rows, not {wanted:,}")


def _tasks(
    folder: DatasetFolder, manifest: Manifest, sample: int, seed: int, changed: set[str]
) -> list[RowsTask]:
    total = sum(shard.rows for shard in manifest.shards)
    numbers = sorted(Random(f"verify/{seed}").sample(range(total), min(sample, max(total, 0))))
    tasks, start, first = [], 0, 0
    for shard in manifest.shards:
        stop = start + shard.rows
        last = bisect_left(numbers, stop, first)
        chosen: Sequence[int] = tuple(number - start for number in numbers[first:last])
        if shard.name in changed:
            chosen = range(shard.rows)
        if chosen:
            path = folder.shard(shard.name)
            tasks.append(RowsTask(path, shard.name, shard.split, shard.rows, chosen))
        start, first = stop, last
    return tasks


def _compared(
    engine: Engine, settings: DatasetSettings, tasks: list[RowsTask]
) -> Iterator[tuple[int, list[Fault]]]:
    """What `compare_rows` gives for each task; a task that no worker survives has a fault."""
    done = set()
    try:
        for task, found in engine.run(compare_rows, settings, tasks):
            done.add(task)
            yield found
        return
    except DatasetError as error:
        if len(tasks) == 1:
            yield 0, [Fault(tasks[0].name, None, f"its rows cannot be compared: {_line(error)}")]
            return
    for task in tasks:
        if task not in done:
            yield from _compared(engine, settings, [task])


def compare_rows(settings: DatasetSettings, task: RowsTask) -> tuple[int, list[Fault]]:
    """Makes rows of one shard again and compares them; how many, and what is wrong.

    Whatever is wrong with the file is a fault: it raises no error.
    """
    compared, start = 0, 0
    faults: list[Fault] = []
    try:
        groups = row_groups(task.path, name=task.name)
    except Exception as error:
        return 0, [Fault(task.name, None, _line(error, task.name))]
    for group, size in enumerate(groups):
        stop = start + max(size, 0)
        here = task.chosen[bisect_left(task.chosen, start) : bisect_left(task.chosen, stop)]
        for number, count, what in _compare_group(settings, task, group, start, here):
            compared += count
            if what is not None:
                faults.append(Fault(task.name, number, what))
            if len(faults) >= MOST:
                return compared, faults
        start = stop
    if start != task.rows:
        faults.append(_other_count(task.name, start, task.rows))
    return compared, faults


def _compare_group(
    settings: DatasetSettings, task: RowsTask, group: int, start: int, chosen: Sequence[int]
) -> Iterator[tuple[int | None, int, str | None]]:
    """For each chosen row: its number, whether it could be compared, and what is wrong."""
    if not chosen:
        return
    try:
        rows = read_group(task.path, group, name=task.name)
    except Exception as error:  # what pyarrow raises on damaged bytes is no closed list
        yield None, 0, _line(error, task.name)
        return
    for number in chosen:
        yield number, *_compare_row(settings, rows, number - start, task)


def _compare_row(
    settings: DatasetSettings, rows: ShardRows, number: int, task: RowsTask
) -> tuple[int, str | None]:
    """Whether a row could be compared, as 0 or 1, and what is wrong with it."""
    try:
        row = rows[number]
    except Exception as error:  # as above
        return 0, _line(error, task.name)
    try:
        if row["seed"] != settings.seed:
            return 0, f"its seed is {row['seed']}, and the data set's {settings.seed}"
        wanted = row_at(settings, row["index"])
    except Exception as error:  # a damaged index may be anything
        return 0, f"it cannot be made again: {_line(error)}"
    return 1, row_fault(row, wanted, task.split)


def row_fault(row: Row, wanted: Row, split: str) -> str | None:
    """What is wrong with a row; None if it is, to the last bit, what its index makes it.

    Args:
        row: as read.
        wanted: made from its index.
        split: whose shard it is in.
    """
    for name, value in wanted.items():
        if name not in row:
            return f"there is no {name}"
        if name == "weights":
            fault = _weights_fault(row[name], value, wanted["treatment"])
            if fault is not None:
                return fault
        elif row[name] != value:
            return f"{name} is {row[name]!r:.80}, and should be {value!r:.80}"
    if row["split"] != split:
        return f"it belongs to {row['split']}"
    return None


def _weights_fault(found: object, wanted: Array, treatment: str) -> str | None:
    have = np.asarray(found, dtype=np.float32)
    if have.shape != wanted.shape:
        return f"there are {have.size:,} weights, not {wanted.size:,}"
    differs = np.flatnonzero(have.view(np.uint32) != wanted.view(np.uint32))
    if not len(differs):
        return None
    place = int(differs[0])
    fault = (
        f"{len(differs):,} of {len(wanted):,} weights of treatment {treatment} differ, "
        f"the first at {place}: {have[place]:.9g}, and should be {wanted[place]:.9g}"
    )
    with np.errstate(all="ignore"):  # damaged weights may be anything
        apart = np.abs(have.astype(np.float64) - wanted).max() / np.abs(wanted).max()
    if treatment == COMPILED or not apart <= ROUNDING:
        return fault
    return (
        f"{fault}; the greatest difference is {apart:.0e} of the largest weight: "
        "another processor or linear algebra library may round otherwise"
    )


def _line(error: Exception, name: str = "") -> str:
    """An error as the end of a line that has the name of the file already."""
    text = " ".join(str(error).split()).removeprefix(name).lstrip(":, ")
    return text[:300] or type(error).__name__
