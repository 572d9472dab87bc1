"""Data sets of programs and their weights as Parquet files; needs ``untracr[dataset]``."""

from __future__ import annotations

from untracr.dataset.building import build_dataset
from untracr.dataset.engine import Engine
from untracr.dataset.excluded import Excluded
from untracr.dataset.local_engine import LocalEngine
from untracr.dataset.manifest import Manifest, read_manifest
from untracr.dataset.other_sets import excluding
from untracr.dataset.ray_engine import RayEngine
from untracr.dataset.reading import DatasetReader, Place
from untracr.dataset.rows import cut_weights, domain_of, program_of, transformer_of
from untracr.dataset.settings import DatasetSettings
from untracr.dataset.verifying import Verified, verify_dataset

__all__ = [
    "DatasetReader",
    "DatasetSettings",
    "Engine",
    "Excluded",
    "LocalEngine",
    "Manifest",
    "Place",
    "RayEngine",
    "Verified",
    "build_dataset",
    "cut_weights",
    "domain_of",
    "excluding",
    "program_of",
    "read_manifest",
    "transformer_of",
    "verify_dataset",
]
