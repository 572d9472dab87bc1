"""Keeping a data set apart from those that exist."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from untracr.dataset.excluded import Excluded, prefixes
from untracr.dataset.folder import DatasetFolder
from untracr.dataset.manifest import read_manifest
from untracr.dataset.shard_rows import read_shard


def excluding(root: Path) -> Excluded:
    """Leaves out all programs of a data set, whatever their split, and what behaves like them.

    Raises:
        DatasetError: it is not finished, or a file is damaged.
    """
    manifest = read_manifest(root)
    behaviours = []
    for shard in manifest.shards:
        rows = read_shard(DatasetFolder(root).shard(shard.name), ["behaviour"])
        behaviours.append(prefixes(bytes.fromhex(row["behaviour"]) for row in rows))
    domain = manifest.settings.behaviour_domain
    return Excluded((root.resolve().name,), ((domain, np.unique(np.concatenate(behaviours))),))
