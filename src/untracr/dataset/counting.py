"""What a data set's rows are made of, counted again from a few of their columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from untracr.dataset.building import Progress
from untracr.dataset.faults import Fault, in_a_line
from untracr.dataset.folder import DatasetFolder
from untracr.dataset.manifest import Manifest
from untracr.dataset.manifest_parts import COUNTED
from untracr.dataset.shard_rows import read_columns
from untracr.errors import DatasetError
from untracr.shown_text import shown

COLUMNS_COUNTED = (
    "tokens",
    "length",
    "n_layers",
    "n_parameters",
    "treatment",
    "vocab",
    "max_seq_len",
)
"""What is read of each row."""

_KINDS = {
    "Map": "map",
    "SequenceMap": "sequence_map",
    "LinearSequenceMap": "linear_sequence_map",
    "SelectorWidth": "selector_width",
    "SelectAggregate": "{}_aggregate",
}
"""What operations are called in statistics, by their word in a row's tokens."""

Counts = dict[str, Counter[str]]


def statistics_faults(
    folder: DatasetFolder, manifest: Manifest, progress: Progress
) -> Iterator[Fault]:
    """Whether the manifest's statistics are those of the rows, all of which are read."""
    counted: Counts = {name: Counter() for name in COUNTED}
    for number, shard in enumerate(manifest.shards, start=1):
        try:
            for name, counts in _counted(folder, shard.name).items():
                counted[name].update(counts)
        except DatasetError as error:
            yield Fault(shard.name, None, in_a_line(error, shard.name))
            return
        progress("counting", number, len(manifest.shards))
    for name in COUNTED:
        yield from _difference(name, manifest.statistics[name], counted[name])


def _difference(name: str, told: dict[str, int], counted: Counter[str]) -> Iterator[Fault]:
    for value in sorted({*told, *counted}):
        if told.get(value, 0) != counted[value]:
            what = (
                f"statistics.{name} tells {told.get(value, 0):,} of {shown(value)}; "
                f"the rows have {counted[value]:,}"
            )
            yield Fault("manifest.json", None, what)
            return


def _counted(folder: DatasetFolder, name: str) -> Counts:
    """The counts of one shard."""
    table = read_columns(folder.shard(name), COLUMNS_COUNTED, name=name)
    numbers = {
        column: table[column].to_pylist() for column in COLUMNS_COUNTED if column != "tokens"
    }
    sizes, operations, encodings = _words(table["tokens"])
    domains = zip(numbers["vocab"], numbers["max_seq_len"], strict=True)
    return {
        "lengths": _texts(numbers["length"]),
        "layers": _texts(numbers["n_layers"]),
        "operations": operations,
        "encodings": encodings,
        "tokens": _texts(sizes),
        "treatments": _texts(numbers["treatment"]),
        "domains": Counter(f"{len(vocab)}x{length}" for vocab, length in domains),
        "parameters": _texts(1 << size.bit_length() for size in numbers["n_parameters"]),
    }


def _texts(values: Iterable[object]) -> Counter[str]:
    return Counter(map(str, values))


def _words(tokens: pa.ChunkedArray) -> tuple[list[int], Counter[str], Counter[str]]:
    """The number of tokens of each row, and all operations by kind and by encoding.

    An operation's word stands behind that of its encoding.
    """
    rows = tokens.combine_chunks()
    sizes = np.diff(rows.offsets.to_numpy()).tolist()
    coded = rows.flatten().dictionary_encode()
    words, codes = coded.dictionary.to_pylist(), coded.indices.to_numpy(zero_copy_only=False)
    pairs, counts = np.unique(codes[:-1] * len(words) + codes[1:], return_counts=True)
    operations: Counter[str] = Counter()
    encodings: Counter[str] = Counter()
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        before, word = words[pair // len(words)], words[pair % len(words)]
        if word in _KINDS and before in ("categorical", "numerical"):
            operations[_KINDS[word].format(before)] += count
            encodings[before] += count
    return sizes, operations, encodings
