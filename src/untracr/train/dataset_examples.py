"""Training examples out of a data set, in another order each time through.

The n-th example of a run is a pure function of the data set, the run's seed and
n, so a run goes on at any n, with any number of processes. Its weights are those
on the disk; its program is compiled again, for what the weights alone do not
say: which of them are which operation's. That is wrong where the program has
other weights, so the two are compared.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from untracr.compile.compiler import Compiled, compile_program
from untracr.dataset.folder import DatasetFolder, json_bytes
from untracr.dataset.manifest import Manifest
from untracr.dataset.reading import DatasetReader, Place
from untracr.dataset.rows import COMPILED, Row, domain_of, flat_weights, program_of, transformer_of
from untracr.dataset.shard_rows import read_shard
from untracr.errors import DatasetError
from untracr.metamodel.examples import AXIS_SIGNS_SHARE, Example, example_of, shuffle_slots
from untracr.sample.treatment_shares import TreatmentShares
from untracr.train.batching import collate_arrays
from untracr.train.stream import Arrays
from untracr.transformer.named_treatments import Treated

COLUMNS_READ = (
    "seed",
    "index",
    "tokens",
    "treatment",
    "vocab",
    "max_seq_len",
    "causal",
    "output_values",
    "layout",
    "weights",
)

ROUNDED_TREATMENT = 1e-3
"""How far treated weights may lie from those that this machine makes, absolutely and relatively."""


def identity_of(manifest: Manifest) -> dict[str, Any]:
    """What a checkpoint records of its data set: plain JSON values, others for other contents."""
    return {
        "settings": manifest.settings.as_dict(),
        "excluded": manifest.excluded,
        "digest": hashlib.sha256(json_bytes(manifest.as_dict())).hexdigest(),
    }


def make_dataset_batch(
    seed: int, start: int, count: int, root: Path, split: str = "train"
) -> Arrays:
    """Arrays of examples ``start`` to ``start + count`` of a run.

    Args:
        seed: of the order, and of the examples' names.
        start: how many examples come before, in all times through the split.
        count: of examples.
        root: the data set's folder.
        split: which rows.

    Raises:
        DatasetError: a file is missing or damaged, or a row's weights are not its program's.
    """
    reader = _reader(root, split, seed)
    rows = reader.rows(Place(*divmod(start, len(reader))))
    treatments = reader.manifest.settings.treatments
    examples = []
    for number, (row, _) in enumerate(itertools.islice(rows, count), start):
        try:
            examples.append(_example(row, treatments, Random(f"row/{seed}/{number}")))
        except DatasetError as error:
            place = _place_of(root, reader.manifest, split, row["index"])
            raise DatasetError(f"{place}: {error}") from None
    return collate_arrays(examples)


def _place_of(root: Path, manifest: Manifest, split: str, index: int) -> str:
    """Which row of which file has an index; all are searched, so for errors only."""
    for shard in manifest.of_split(split):
        path = DatasetFolder(root).shard(shard.name)
        for number, row in enumerate(read_shard(path, ["index"])):
            if row["index"] == index:
                return f"{path}, row {number}"
    return str(root)


@functools.lru_cache(maxsize=2)
def _reader(root: Path, split: str, seed: int) -> DatasetReader:
    """The reader of this process: it keeps the shard that it has read."""
    return DatasetReader(root, split, seed=seed, columns=COLUMNS_READ)


def _example(row: Row, treatments: TreatmentShares, rng: Random) -> Example:
    axis_signs = rng.random() < AXIS_SIGNS_SHARE
    return shuffle_slots(example_of_row(row, treatments, axis_signs=axis_signs), rng)


def example_of_row(row: Row, treatments: TreatmentShares, *, axis_signs: bool = True) -> Example:
    """Makes the example of a data set's row.

    Args:
        row: with the columns `COLUMNS_READ`.
        treatments: those of the data set.
        axis_signs: see `Reader`.

    Raises:
        DatasetError: the row's weights are not its program's: not equal where it is as
            compiled, further off than `ROUNDED_TREATMENT` where it is treated.
    """
    program, domain = program_of(row["tokens"]), domain_of(row)
    compiled = compile_program(program, domain.vocab, domain.max_seq_len)
    if row["treatment"] == COMPILED:
        basis = None
        _require_compiled(row, compiled)
    else:
        treated = treatments.treat(compiled.transformer, row["seed"], row["index"])
        basis = treated.basis
        _require_treated(row, treated)
    return example_of(program, compiled, Treated(transformer_of(row), basis), axis_signs=axis_signs)


def _require_compiled(row: Row, compiled: Compiled) -> None:
    """Compiling needs no linear algebra: every machine gets the same bits."""
    made, stored = flat_weights(compiled.transformer), row["weights"]
    told = "the weights must be those that its program is compiled to"
    if made.shape != stored.shape:
        raise DatasetError(f"{told}: there are {len(stored):,}, not {len(made):,}")
    differs = np.flatnonzero(made != stored)
    if len(differs):
        first = int(differs[0])
        raise DatasetError(
            f"{told}: {len(differs):,} of {len(made):,} differ, the first at {first}: "
            f"{stored[first]:.9g}, not {made[first]:.9g}; the file was changed, or made by another "
            "version of untracr: see `untracr dataset verify`"
        )


def _require_treated(row: Row, treated: Treated) -> None:
    made = flat_weights(treated.model)
    if made.shape != row["weights"].shape or not np.allclose(
        made, row["weights"], ROUNDED_TREATMENT, ROUNDED_TREATMENT
    ):
        raise DatasetError(
            f"the weights of index {row['index']}, treated by {row['treatment']}, are not "
            "those that this machine makes: NumPy's linear algebra must be of the same build"
        )
