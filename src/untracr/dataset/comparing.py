"""Rows of a data set, made again and compared bit by bit."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

from untracr.dataset.engine import Engine
from untracr.dataset.faults import FAULTS_OF_A_SHARD, Fault, in_a_line, other_count
from untracr.dataset.folder import DatasetFolder
from untracr.dataset.manifest import Manifest
from untracr.dataset.rows import COMPILED, Row, row_at
from untracr.dataset.settings import DatasetSettings
from untracr.dataset.shard_rows import ShardRows, read_group, row_groups
from untracr.errors import DatasetError
from untracr.transformer.transformer import Array

ROUNDED_SHARE_OF_WEIGHT = 1e-5
"""Of the largest weight: what two builds of LAPACK differ by in float32 stays below."""


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


def row_tasks(
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


def compare(
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
            yield (
                0,
                [Fault(tasks[0].name, None, f"its rows cannot be compared: {in_a_line(error)}")],
            )
            return
    for task in tasks:
        if task not in done:
            yield from compare(engine, settings, [task])


def compare_rows(settings: DatasetSettings, task: RowsTask) -> tuple[int, list[Fault]]:
    """Makes rows of one shard again and compares them; how many, and what is wrong.

    Whatever is wrong with the file is a fault: it raises no error.
    """
    compared, start = 0, 0
    faults: list[Fault] = []
    try:
        groups = row_groups(task.path, name=task.name)
    except Exception as error:
        return 0, [Fault(task.name, None, in_a_line(error, task.name))]
    for group, size in enumerate(groups):
        stop = start + max(size, 0)
        here = task.chosen[bisect_left(task.chosen, start) : bisect_left(task.chosen, stop)]
        for number, count, what in _compare_group(settings, task, group, start, here):
            compared += count
            if what is not None:
                faults.append(Fault(task.name, number, what))
            if len(faults) >= FAULTS_OF_A_SHARD:
                return compared, faults
        start = stop
    if start != task.rows:
        faults.append(other_count(task.name, start, task.rows))
    return compared, faults


def _compare_group(
    settings: DatasetSettings, task: RowsTask, group: int, start: int, chosen: Sequence[int]
) -> Iterator[tuple[int | None, int, str | None]]:
    """For each chosen row: its number, whether it could be compared, and what is wrong."""
    if not chosen:
        return
    try:
        rows = read_group(task.path, group, name=task.name, checked=False)
    except Exception as error:  # what pyarrow raises on damaged bytes is no closed list
        yield None, 0, in_a_line(error, task.name)
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
        return 0, in_a_line(error, task.name)
    try:
        if row["seed"] != settings.seed:
            return 0, f"its seed is {row['seed']}, and the data set's {settings.seed}"
        wanted = row_at(settings, row["index"])
    except Exception as error:  # a damaged index may be anything
        return 0, f"it cannot be made again: {in_a_line(error)}"
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
    first = int(differs[0])
    fault = (
        f"{len(differs):,} of {len(wanted):,} weights of treatment {treatment} differ, "
        f"the first at {first}: {have[first]:.9g}, and should be {wanted[first]:.9g}"
    )
    with np.errstate(all="ignore"):  # damaged weights may be anything
        apart = np.abs(have.astype(np.float64) - wanted).max() / np.abs(wanted).max()
    if "compressed" in treatment:
        return f"{fault}; processors of another kind compress otherwise"
    if treatment == COMPILED or not apart <= ROUNDED_SHARE_OF_WEIGHT:
        return fault
    return (
        f"{fault}; the greatest difference is {apart:.0e} of the largest weight: "
        "another processor or linear algebra library may round otherwise"
    )
