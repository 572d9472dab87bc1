"""What a finished data set says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from untracr import __version__
from untracr.dataset.excluded import Excluded
from untracr.dataset.folder import DatasetFolder, read_json
from untracr.dataset.planning import Plan
from untracr.dataset.settings import SPLITS, DatasetSettings
from untracr.dataset.shards import Counts
from untracr.errors import DatasetError

FORMAT = 1


def beginning(settings: DatasetSettings, excluded: Excluded) -> dict[str, Any]:
    """All that decides on a data set's bytes, as plain JSON values."""
    return {
        "format": FORMAT,
        "settings": settings.as_dict(),
        "excluded": excluded.as_dict(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """What else the bytes rest on."""
    return {"untracr": __version__, "numpy": np.__version__, "pyarrow": pa.__version__}


def require_same(folder: DatasetFolder, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Checks that a build goes on with what it was begun with.

    Excluded sets may have got other names.

    Raises:
        DatasetError: something differs; the first few differences are told.
    """
    differences = []
    for part in wanted:
        old, new = found.get(part), wanted[part]
        if isinstance(old, dict) and isinstance(new, dict):
            differences += [
                f"{name}: {old.get(name)!r} there, {new[name]!r} now"
                for name in sorted(new)
                if old.get(name) != new[name] and (part, name) != ("excluded", "sets")
            ]
        elif old != new:
            differences.append(f"{part}: {old!r} there, {new!r} now")
    if differences:
        raise DatasetError(
            f"{folder.root} was begun otherwise ({'; '.join(differences[:3])}); "
            "give the same options again, or another folder"
        )


@dataclass(frozen=True)
class ShardNote:
    """A shard as its manifest has it.

    Attributes:
        name: its path in the data set's folder.
        rows: programs in it.
        bytes: its size.
        sha256: of its bytes, in hexadecimal.
    """

    name: str
    rows: int
    bytes: int
    sha256: str

    @property
    def split(self) -> str:
        """The split it belongs to."""
        return Path(self.name).name.partition("-")[0]


@dataclass(frozen=True)
class Manifest:
    """A finished data set.

    Attributes:
        settings: what it is made of.
        excluded: names and digest of what was left out.
        versions: what made it.
        plan: how it was drawn.
        shards: its files, in order.
        statistics: counts over all its programs; see `Counts`.
    """

    settings: DatasetSettings
    excluded: dict[str, Any]
    versions: dict[str, str]
    plan: Plan
    shards: tuple[ShardNote, ...]
    statistics: dict[str, dict[str, int]]

    @property
    def bytes(self) -> int:
        """The size of all shards."""
        return sum(shard.bytes for shard in self.shards)

    def of_split(self, split: str) -> tuple[ShardNote, ...]:
        """The shards of one split, in order."""
        return tuple(shard for shard in self.shards if shard.split == split)

    def other_counts(self) -> Iterator[tuple[str, int]]:
        """Each split whose shards hold more or fewer rows than the plan, and how many they hold."""
        for split in SPLITS:
            rows = sum(shard.rows for shard in self.of_split(split))
            if rows != self.plan.rows[split]:
                yield split, rows

    def as_dict(self) -> dict[str, Any]:
        """The manifest as plain JSON values."""
        return {
            "format": FORMAT,
            "settings": self.settings.as_dict(),
            "excluded": self.excluded,
            "versions": self.versions,
            "drawing": self.plan.as_dict(),
            "shards": [
                {"name": s.name, "rows": s.rows, "bytes": s.bytes, "sha256": s.sha256}
                for s in self.shards
            ],
            "statistics": self.statistics,
        }


def manifest_of(
    settings: DatasetSettings, excluded: Excluded, plan: Plan, notes: Iterable[dict[str, Any]]
) -> Manifest:
    """Puts the notes on all shards together; one at a time is in memory as it was written."""
    counts = Counts()
    found = []
    for note in notes:
        counts.add_counts(note["statistics"])
        found.append(_shard(note))
    return Manifest(
        settings,
        excluded.as_dict(),
        versions(),
        plan,
        tuple(found),
        counts.as_dict(),
    )


def require_complete(manifest: Manifest) -> None:
    """Checks that the shards hold what was planned.

    Raises:
        DatasetError: some hold more or fewer programs.
    """
    for split, rows in manifest.other_counts():
        planned = manifest.plan.rows[split]
        raise DatasetError(f"{planned:,} programs were planned for {split}, and {rows:,} made")


def read_manifest(root: Path) -> Manifest:
    """Reads a finished data set's manifest.

    Raises:
        DatasetError: there is none, or it is damaged or of another version.
    """
    folder = DatasetFolder(root)
    if not folder.manifest.exists():
        if folder.settings.exists():
            raise DatasetError(
                f"{root}: this data set is not finished; the command that began it goes on with it"
            )
        raise DatasetError(f"{root}: not a data set: there is no {folder.manifest.name}")
    found = read_json(folder.manifest)
    if found.get("format") != FORMAT:
        raise DatasetError(
            f"{folder.manifest}: format {FORMAT} is read; the file has {found.get('format')!r:.60}"
        )
    try:
        drawing = found["drawing"]
        return Manifest(
            settings=DatasetSettings.from_dict(found["settings"]),
            excluded=found["excluded"],
            versions=found["versions"],
            plan=Plan(
                {split: int(drawing["rows"][split]) for split in SPLITS},
                drawing["drawn"],
                drawing["repeated"],
                drawing["excluded"],
            ),
            shards=tuple(_shard(note) for note in found["shards"]),
            statistics=found["statistics"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{folder.manifest}: damaged: {error!r}") from None


def _shard(note: dict[str, Any]) -> ShardNote:
    name = str(note["name"])
    if not name.startswith("data/") or ".." in name:
        raise ValueError(f"a shard lies in data/, not at {name!r:.80}")
    return ShardNote(name, int(note["rows"]), int(note["bytes"]), str(note["sha256"]))
