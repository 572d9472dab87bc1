"""The second stage of a build: which drawn programs the data set holds.

They are the first distinct programs of the stream, by index. That depends on
nothing but the stream: neither on how many were drawn in advance nor on who
drew them.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from untracr.dataset.distinct import Records, mark_first_of_each, records
from untracr.dataset.drawing import read_block
from untracr.dataset.folder import (
    DatasetFolder,
    json_bytes,
    not_written,
    read_json,
    sync_folder,
    write_file,
)
from untracr.dataset.settings import SPLITS, DatasetSettings
from untracr.errors import DatasetError

DRAWN_IN_ADVANCE = 1.1
"""How many more are drawn than seem to be needed."""

LATEST_DRAWS, NEW_WHERE_EXHAUSTED = 5000, 0.001
"""A stream has run dry where fewer than that share of so many draws, the latest, are new."""


_ZEROS = 2**20


@dataclass(frozen=True)
class Plan:
    """Which of the drawn programs are kept.

    Attributes:
        rows: programs a split.
        drawn: indices up to that of the last kept program.
        repeated: programs drawn among them that an earlier one is written like.
        excluded: programs drawn among them that are left out for what they do.
    """

    rows: dict[str, int]
    drawn: int
    repeated: int
    excluded: int

    def as_dict(self) -> dict[str, object]:
        """The plan as plain JSON values."""
        return {
            "rows": self.rows,
            "drawn": self.drawn,
            "repeated": self.repeated,
            "excluded": self.excluded,
        }


@dataclass(frozen=True)
class Shard:
    """One file of the data set.

    Attributes:
        split: whose programs it holds.
        number: among the split's shards.
        name: its path in the data set's folder.
        start, stop: which of the split's programs it holds.
    """

    split: str
    number: int
    name: str
    start: int
    stop: int


def shards(plan: Plan, shard_size: int) -> list[Shard]:
    """All files of a data set, in order."""
    planned = []
    for split in SPLITS:
        rows = plan.rows[split]
        count = -(-rows // shard_size)
        for number in range(count):
            start = number * shard_size
            digits = max(5, len(str(count)))
            name = f"data/{split}-{number:0{digits}}-of-{count:0{digits}}.parquet"
            planned.append(Shard(split, number, name, start, min(rows, start + shard_size)))
    return planned


def read_plan(folder: DatasetFolder) -> Plan | None:
    """The plan of a build; None before there is one.

    Raises:
        DatasetError: it is damaged.
    """
    if not folder.plan.exists():
        return None
    content = read_json(folder.plan)
    try:
        return Plan(content["rows"], content["drawn"], content["repeated"], content["excluded"])
    except KeyError as error:
        raise _damaged(folder, folder.plan, f"has no {error}") from None


def planned_indices(folder: DatasetFolder, shard: Shard) -> list[int]:
    """Where a shard's programs were drawn.

    Raises:
        DatasetError: the plan is damaged.
    """
    path, count = folder.planned(shard.split), shard.stop - shard.start
    try:
        indices = np.fromfile(path, dtype="<i8", count=count, offset=8 * shard.start)
    except OSError as error:
        raise _damaged(folder, path, str(error.strerror or error)) from None
    if len(indices) != count or (np.diff(indices) <= 0).any():
        raise _damaged(folder, path, f"has no {count} ascending numbers from number {shard.start}")
    found: list[int] = indices.tolist()
    return found


def _damaged(folder: DatasetFolder, path: Path, why: str) -> DatasetError:
    return DatasetError(
        f"{path}: damaged: it {why}; delete {folder.plan} and give the same command again, "
        "it plans anew"
    )


def make_plan(folder: DatasetFolder, settings: DatasetSettings, blocks: int) -> int:
    """Finds the first distinct programs among the drawn blocks, and writes the plan.

    Args:
        folder: holds the blocks.
        settings: of the data set.
        blocks: how many were drawn.

    Returns:
        ``blocks`` if they are enough; else nothing is written, and it is how many
        should be drawn.

    Raises:
        DatasetError: there are not so many different programs, or the disk is full.
    """
    scratch = folder.work / "distinct"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        (scratch / "keys").mkdir(parents=True)
        found = _make_plan(folder, settings, blocks, scratch)
    except OSError as error:
        raise not_written(scratch, error) from error
    shutil.rmtree(scratch, ignore_errors=True)
    return found


def _make_plan(folder: DatasetFolder, settings: DatasetSettings, blocks: int, scratch: Path) -> int:
    drawn = blocks * settings.shard_size
    with open(scratch / "marks", "wb") as file:  # written, so that a full disk is noticed here
        for start in range(0, drawn, _ZEROS):
            file.write(bytes(min(_ZEROS, drawn - start)))
    marks = np.memmap(scratch / "marks", dtype=np.uint8, mode="r+", shape=(drawn,))
    batches = (_block_records(folder, block) for block in range(blocks))
    mark_first_of_each(batches, drawn, scratch / "keys", marks)
    kept = int(np.count_nonzero(marks))
    if kept < settings.programs:
        return blocks + _more_blocks(settings, marks, kept)
    write_file(folder.plan, json_bytes(_choose(folder, settings, marks).as_dict()))
    return blocks


def _block_records(folder: DatasetFolder, block: int) -> Records:
    table = read_block(folder.block(block), ["index", "key"])
    return records(b"".join(table["key"].to_pylist()), table["index"].to_numpy())


def _more_blocks(settings: DatasetSettings, marks: npt.NDArray[np.uint8], kept: int) -> int:
    """How many more to draw, if new programs come as they came last."""
    new = float(np.mean(marks[-max(LATEST_DRAWS, len(marks) // 10) :]))
    if new < NEW_WHERE_EXHAUSTED and len(marks) >= LATEST_DRAWS:
        raise DatasetError(
            f"the sampler has run dry: {len(marks):,} draws gave {kept:,} different programs that "
            f"are not excluded, and {settings.programs:,} are wanted; ask for fewer, for longer "
            "ones, or for another seed than that of a set that is excluded"
        )
    have = len(marks) // settings.shard_size
    wanted = (
        DRAWN_IN_ADVANCE
        * (settings.programs - kept)
        / (max(new, NEW_WHERE_EXHAUSTED) * settings.shard_size)
    )
    return 1 + int(min(wanted, 3 * have))


def _choose(folder: DatasetFolder, settings: DatasetSettings, marks: npt.NDArray[np.uint8]) -> Plan:
    """Writes the indices of each split's programs; they are on the disk before the plan is."""
    rows = dict.fromkeys(SPLITS, 0)
    missing, repeated, excluded, drawn = settings.programs, 0, 0, 0
    parts = {split: folder.planned(split).with_suffix(".part") for split in SPLITS}
    files = {split: open(parts[split], "wb") for split in SPLITS}  # noqa: SIM115
    try:
        for block in range(len(marks) // settings.shard_size):
            table = read_block(folder.block(block), ["index", "split"])
            index, split = table["index"].to_numpy(), table["split"].to_numpy()
            is_kept = marks[index] == 1
            end = (block + 1) * settings.shard_size
            if np.count_nonzero(is_kept) >= missing:
                last = np.flatnonzero(is_kept)[missing - 1]
                end = int(index[last]) + 1
                index, split, is_kept = index[: last + 1], split[: last + 1], is_kept[: last + 1]
            for number, name in enumerate(SPLITS):
                chosen = index[is_kept & (split == number)]
                files[name].write(chosen.astype("<i8").tobytes())
                rows[name] += len(chosen)
            repeated += int(np.count_nonzero(~is_kept))
            excluded += end - drawn - len(index)
            missing -= int(np.count_nonzero(is_kept))
            drawn = end
            if not missing:
                break
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    finally:
        for file in files.values():
            file.close()
    for split in SPLITS:
        os.replace(parts[split], folder.planned(split))
    sync_folder(folder.planned("").parent)
    return Plan(rows, drawn, repeated, excluded)
