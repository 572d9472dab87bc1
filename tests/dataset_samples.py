"""Small data sets that several test files use."""

from __future__ import annotations

from pathlib import Path

from untracr.dataset import DatasetSettings, Excluded, LocalEngine, read_manifest
from untracr.dataset.folder import json_bytes
from untracr.dataset.manifest import beginning
from untracr.dataset.rows import Row
from untracr.dataset.shard_rows import read_shard
from untracr.sample.treatment_shares import SHARED, TreatmentShares

ALL_TREATED = TreatmentShares(tuple((name, 0.125) for name in SHARED))
SETTINGS = DatasetSettings(
    programs=240, seed=11, treatments=ALL_TREATED, shares=(0.7, 0.1, 0.2), shard_size=40
)
TINY = DatasetSettings(programs=12, seed=3, shard_size=4)
HERE = LocalEngine(0)


def contents(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def rows_of(root: Path) -> list[Row]:
    """All rows of a data set, in order."""
    shards = read_manifest(root).shards
    return [row for shard in shards for row in read_shard(root / shard.name)]


def begun(settings: DatasetSettings) -> bytes:
    """What a build of a data set writes first."""
    return json_bytes(beginning(settings, Excluded()))
