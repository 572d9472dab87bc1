"""The first stage of a build: blocks of a stream's programs, drawn and told apart.

Block b holds what is drawn at the indices ``b * shard_size`` to
``(b + 1) * shard_size``, and is a pure function of settings, exclusions and b.
Programs that are left out are missing in it; repeated ones are not, since only
all blocks together show them.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from untracr.compile.canonical import paper_tokens
from untracr.dataset.excluded import NOTHING_EXCLUDED, Excluded
from untracr.dataset.settings import SPLITS, DatasetSettings
from untracr.errors import DatasetError
from untracr.rasp.domain import Domain
from untracr.rasp.program import Program
from untracr.sample.deduplication import program_key
from untracr.sample.fingerprint import fingerprint
from untracr.sample.sampler import sample_program

DRAWN_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("key", pa.binary(16)),
        ("behaviour", pa.binary(16)),
        ("split", pa.int8()),
        ("tokens", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True)
class DrawContext:
    """What all blocks have in common."""

    settings: DatasetSettings
    excluded: Excluded = NOTHING_EXCLUDED


@dataclass(frozen=True)
class Drawn:
    """A program of the stream.

    Attributes:
        index: where it was drawn.
        key: `program_key`.
        behaviour: its fingerprint on the data set's `behaviour_domain`.
        tokens: its canonical form.
    """

    index: int
    key: bytes
    behaviour: bytes
    tokens: list[str]


def drawn_program(settings: DatasetSettings, index: int) -> tuple[Program, Domain]:
    """The program that is drawn at an index, and the domain that it is for."""
    usual = settings.sampler.domain
    domain = settings.other_domains.draw(settings.seed, index) or usual
    sampler = replace(settings.sampler, domain=domain)
    return sample_program(settings.seed, index, sampler), domain


def draw_block(context: DrawContext, block: int) -> bytes:
    """One block as a Parquet file of the schema `DRAWN_SCHEMA`.

    Also left out are programs that fail on an input of the domain where behaviours are compared.
    """
    settings = context.settings
    programs: list[Drawn] = []
    for index in range(block * settings.shard_size, (block + 1) * settings.shard_size):
        program, _ = drawn_program(settings, index)
        behaviour = fingerprint(program, settings.behaviour_domain)
        if behaviour is not None and not context.excluded.holds(program):
            programs.append(Drawn(index, program_key(program), behaviour, paper_tokens(program)))
    splits = [SPLITS.index(settings.split_of(drawn.behaviour)) for drawn in programs]
    table = pa.table(
        {
            "index": [drawn.index for drawn in programs],
            "key": [drawn.key for drawn in programs],
            "behaviour": [drawn.behaviour for drawn in programs],
            "split": splits,
            "tokens": [drawn.tokens for drawn in programs],
        },
        schema=DRAWN_SCHEMA,
    )
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd", use_dictionary=["tokens.list.element"])
    return file.getvalue()


def read_block(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A block as it was written.

    Args:
        path: the file.
        columns: which to read; all by default.

    Raises:
        DatasetError: the file is missing or damaged.
    """
    try:
        wanted = None if columns is None else list(columns)
        return pq.read_table(path, columns=wanted, use_threads=False, memory_map=False)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(
            f"{path} cannot be read ({error}); delete it and give the same command again: "
            "its programs are drawn anew"
        ) from None


def read_drawn(path: Path, indices: Collection[int]) -> dict[int, Drawn]:
    """Some programs of a block, by index.

    Raises:
        DatasetError: the file is missing or damaged.
    """
    table = read_block(path)
    table = table.take(np.flatnonzero(np.isin(table["index"].to_numpy(), list(indices))))
    rows = zip(
        table["index"].to_pylist(),
        table["key"].to_pylist(),
        table["behaviour"].to_pylist(),
        table["tokens"].to_pylist(),
        strict=True,
    )
    return {index: Drawn(index, *rest) for index, *rest in rows}
