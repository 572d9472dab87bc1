"""Whether a data set is what its manifest says: its bytes, and its rows made again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from untracr.dataset.building import Progress, silent
from untracr.dataset.comparing import RowsTask, compare, row_tasks
from untracr.dataset.counting import statistics_faults
from untracr.dataset.drawing import drawn_program
from untracr.dataset.engine import Engine
from untracr.dataset.faults import Fault
from untracr.dataset.folder import DatasetFolder
from untracr.dataset.hashing import hashed_shards
from untracr.dataset.index_order import index_faults
from untracr.dataset.manifest import Manifest, read_manifest, versions
from untracr.errors import UntracrError
from untracr.short_repr import short_repr


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

    __repr__ = short_repr


def verify_dataset(
    root: Path,
    engine: Engine,
    sample: int,
    seed: int = 0,
    progress: Progress = silent,
) -> Verified:
    """Compares all files with their digests, and a sample of the rows with fresh ones.

    All rows of a file with another digest are compared, to tell which are wrong.
    The indices of all other files must ascend, and none may be in two splits.
    In the folder of the shards there may be nothing else. Where nothing is wrong so far,
    the manifest's statistics are compared with counts of all rows.

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
    hashed = hashed_shards(manifest, root, engine, progress)
    unread = {one.name for one in hashed if not one.is_read}
    changed = {one.name for one in hashed if one.is_read and one.fault is not None}
    faults = [one.fault for one in hashed if one.fault is not None]
    faults += _count_faults(manifest)
    faults += _strangers(folder, manifest)
    faults += index_faults(folder, manifest, unread | changed, progress)
    if not faults:
        faults += statistics_faults(folder, manifest, progress)
    can_draw = _can_draw(manifest)
    if not can_draw:
        what = "no program can be drawn by its settings, so no row can be made again"
        faults.append(Fault("manifest.json", None, what))
    asked = row_tasks(folder, manifest, sample, seed, changed) if can_draw else []
    tasks = [task for task in asked if task.name not in unread]
    compared, of_rows = _compared(manifest, engine, tasks, changed, progress)
    if any(fault.row is not None for fault in of_rows):
        faults += _version_faults(manifest)
    order = {shard.name: place for place, shard in enumerate(manifest.shards)}
    told = sorted(
        dict.fromkeys([*faults, *of_rows]),
        key=lambda f: (order.get(f.shard, -1), f.shard, -1 if f.row is None else f.row),
    )
    wanted = sum(len(task.chosen) for task in asked)
    return Verified(len(hashed) - len(unread), wanted, compared, tuple(told))


def _compared(
    manifest: Manifest,
    engine: Engine,
    tasks: list[RowsTask],
    changed: set[str],
    progress: Progress,
) -> tuple[int, list[Fault]]:
    """How many rows were made again, and what is wrong with them.

    A damaged file may bring down who reads it: each changed one has a worker of its own.
    """
    together = [task for task in tasks if task.name not in changed]
    compared = done = 0
    faults: list[Fault] = []
    for some in [together, *([task] for task in tasks if task.name in changed)]:
        for count, found in compare(engine, manifest.settings, some):
            compared += count
            faults += found
            done += 1
            progress("comparing", done, len(tasks))
    return compared, faults


def _version_faults(manifest: Manifest) -> Iterator[Fault]:
    """Which versions are others than those that the rows were made with."""
    made_with = [
        f"{name} {manifest.versions.get(name)} then, {now} now"
        for name, now in versions().items()
        if manifest.versions.get(name) != now
    ]
    if made_with:
        yield Fault("manifest.json", None, f"made with others: {'; '.join(made_with)}")


def _can_draw(manifest: Manifest) -> bool:
    """Whether the settings leave any program; what asks for more than there is has no end."""
    try:
        drawn_program(manifest.settings, 0)
    except UntracrError:
        return False
    return True


def _count_faults(manifest: Manifest) -> Iterator[Fault]:
    for split, rows in manifest.other_counts():
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
