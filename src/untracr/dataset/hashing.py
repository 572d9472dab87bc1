"""Whether the files of a data set have the bytes that its manifest says."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from untracr.dataset.building import Progress
from untracr.dataset.engine import Engine
from untracr.dataset.faults import Fault
from untracr.dataset.folder import DatasetFolder
from untracr.dataset.manifest import Manifest, ShardNote
from untracr.errors import DatasetError
from untracr.strangers_files import open_regular

HASHED_TOGETHER = 2**28
"""Bytes that are hashed in one task: enough that starting a worker takes no longer."""


READ_TOGETHER = 2**20
"""Bytes that are in memory at a time."""

BYTES_READ_BEYOND = 2**24
"""Bytes that a changed file may have more than twice those of the manifest, to be read."""


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


def hashed_shards(
    manifest: Manifest, root: Path, engine: Engine, progress: Progress
) -> list[Hashed]:
    hashed: list[Hashed] = []
    for _, some in engine.run(hash_shards, None, _hash_tasks(manifest, root)):
        hashed += some
        progress("hashing", len(hashed), len(manifest.shards))
    return hashed


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


def _digest(file: BinaryIO, size: int) -> str:
    """The SHA-256 of a file's bytes, of no more than it says that it has."""
    digest = hashlib.sha256()
    while size > 0 and (part := file.read(min(size, READ_TOGETHER))):
        digest.update(part)
        size -= len(part)
    return digest.hexdigest()


def _hash(path: Path, shard: ShardNote) -> Hashed:
    try:
        with open_regular(path, "a shard", DatasetError) as file:
            size = os.fstat(file.fileno()).st_size
            if (
                size > 2 * shard.bytes + BYTES_READ_BEYOND
            ):  # not read to its end only to find that out
                what = f"has {size:,} bytes, and the manifest has {shard.bytes:,}"
                return Hashed(shard.name, False, Fault(shard.name, None, what))
            digest = _digest(file, size)
    except (OSError, ValueError, DatasetError) as error:  # a path with a zero byte is a ValueError
        why = getattr(error, "strerror", None) or error
        return Hashed(shard.name, False, Fault(shard.name, None, f"cannot be read: {why}"))
    if digest == shard.sha256:
        return Hashed(shard.name, True, None)
    what = f"SHA-256 is {digest}, and the manifest has {shard.sha256}"
    return Hashed(shard.name, True, Fault(shard.name, None, what))
