"""What a finished data set says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from untracr.dataset import manifest_parts as parts
from untracr.dataset.excluded import Excluded
from untracr.dataset.folder import DatasetFolder, read_json
from untracr.dataset.planning import Plan
from untracr.dataset.settings import SPLITS, DatasetSettings
from untracr.dataset.shards import Counts
from untracr.errors import DatasetError, InputError
from untracr.short_repr import short_repr
from untracr.shown_text import printable, shown
from untracr.version import __version__

MANIFEST_FORMAT = 1


def beginning(settings: DatasetSettings, excluded: Excluded) -> dict[str, Any]:
    """All that decides on a data set's bytes, as plain JSON values."""
    return {
        "format": MANIFEST_FORMAT,
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

    __repr__ = short_repr

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
            "format": MANIFEST_FORMAT,
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
    shard_notes: list[ShardNote] = []
    for note in notes:
        counts.add_counts(note["statistics"])
        shard_notes.append(ShardNote(*parts.shard(note, len(shard_notes))))
    return Manifest(
        settings,
        excluded.as_dict(),
        versions(),
        plan,
        tuple(shard_notes),
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
    content = read_json(folder.manifest)
    if content.get("format") != MANIFEST_FORMAT or type(content["format"]) is not int:
        raise DatasetError(
            f"{folder.manifest}: format {MANIFEST_FORMAT} is read; "
            f"the file has {shown(content.get('format'))}"
        )
    try:
        return _manifest(content)
    except (ValueError, InputError) as error:
        raise DatasetError(f"{printable(folder.manifest)}: damaged: {error}") from None


def _manifest(content: dict[str, Any]) -> Manifest:
    """A manifest of which every part was checked.

    Raises:
        ValueError, InputError: some part is not as it should be.
    """
    drawing = parts.an_object(parts.entry(content, "drawing"), "drawing")
    rows = parts.rows_by_split(parts.entry(drawing, "rows"))
    counts = [
        parts.a_count(parts.entry(drawing, name), f"drawing.{name}")
        for name in ("drawn", "repeated", "excluded")
    ]
    plan = Plan(rows, *counts)
    if not 1 <= sum(rows.values()) <= plan.drawn - plan.repeated - plan.excluded:
        raise ValueError(
            "drawing.drawn must be what is repeated, excluded and in some split, not "
            f"{plan.drawn:,} of {plan.repeated:,}, {plan.excluded:,} and {sum(rows.values()):,}"
        )
    shards = parts.a_list(parts.entry(content, "shards"), "shards")
    notes = tuple(ShardNote(*parts.shard(note, n)) for n, note in enumerate(shards))
    if len({note.name for note in notes}) < len(notes):
        raise ValueError("a shard must be there once; one is there twice")
    return Manifest(
        settings=parts.settings(parts.entry(content, "settings")),
        excluded=parts.excluded(parts.entry(content, "excluded")),
        versions=parts.texts(parts.entry(content, "versions"), "versions"),
        plan=plan,
        shards=notes,
        statistics=parts.statistics(parts.entry(content, "statistics")),
    )
