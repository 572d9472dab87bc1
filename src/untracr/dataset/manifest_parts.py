"""The parts of a manifest, each checked: a stranger may have written it.

Every function raises a `ValueError` that names the rule, the value and the place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from untracr.bounds import MAX_MANIFEST_BYTES, MAX_MANIFEST_COUNT, MAX_MANIFEST_TOKENS
from untracr.dataset.settings import LARGEST_SEED, SPLITS, DatasetSettings
from untracr.shown_text import shown

COUNTED = (
    "lengths",
    "layers",
    "operations",
    "encodings",
    "tokens",
    "treatments",
    "domains",
    "parameters",
)
"""What is counted over all rows; see `untracr.dataset.shards.Counts`."""

_SHARD = re.compile(rf"data/(?:{'|'.join(SPLITS)})-[0-9]+-of-[0-9]+\.parquet")


def entry(found: Mapping[str, Any], name: str) -> Any:
    """An entry that must be there."""
    if name not in found:
        raise ValueError(f"there must be {name}")
    return found[name]


def an_object(value: object, place: str) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise ValueError(f"{place} must be an object, not {shown(value)}")
    return value


def a_list(value: object, place: str, most: int = MAX_MANIFEST_COUNT) -> list[Any]:
    """A list."""
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"{place} must be a list of at most {most:,}, not {shown(value)}")
    return value


def a_count(value: object, place: str, least: int = 0, most: int = MAX_MANIFEST_COUNT) -> int:
    """A whole number."""
    if type(value) is not int or not least <= value <= most:
        raise ValueError(
            f"{place} must be a whole number from {least:,} to {most:,}, not {shown(value)}"
        )
    return value


def a_share(value: object, place: str) -> float:
    """A number from 0 to 1."""
    if type(value) not in (int, float) or not 0 <= value <= 1:  # type: ignore[operator]
        raise ValueError(f"{place} must be a number from 0 to 1, not {shown(value)}")
    return float(value)  # type: ignore[arg-type]


def a_name(value: object, place: str) -> str:
    """A short text that can be printed."""
    if not isinstance(value, str) or len(value) > 200 or not value.isprintable():
        raise ValueError(f"{place} must be a text of one line, not {shown(value)}")
    return value


def texts(value: object, place: str) -> dict[str, str]:
    """Texts by name."""
    return {
        a_name(name, place): a_name(text, f"{place}.{name}")
        for name, text in an_object(value, place).items()
    }


def excluded(value: object) -> dict[str, Any]:
    """Names and digest of what was left out."""
    entries = an_object(value, "excluded")
    sets = a_list(entry(entries, "sets"), "excluded.sets", 1_000)
    return {
        "sets": [a_name(name, "excluded.sets") for name in sets],
        "digest": a_name(entry(entries, "digest"), "excluded.digest"),
    }


def rows_by_split(value: object) -> dict[str, int]:
    """How many rows each split has."""
    found = an_object(value, "drawing.rows")
    return {split: a_count(entry(found, split), f"drawing.rows.{split}") for split in SPLITS}


def statistics(value: object) -> dict[str, dict[str, int]]:
    """Counts by value, by what is counted."""
    found = an_object(value, "statistics")
    return {name: _counts(entry(found, name), f"statistics.{name}") for name in COUNTED}


def _counts(value: object, place: str) -> dict[str, int]:
    found = an_object(value, place)
    return {a_name(name, place): a_count(count, place) for name, count in found.items()}


def shard(value: object, number: int) -> tuple[str, int, int, str]:
    """Name, rows, bytes and digest of one shard."""
    place = f"shards[{number}]"
    entries = an_object(value, place)
    name = a_name(entry(entries, "name"), f"{place}.name")
    if not _SHARD.fullmatch(name):
        raise ValueError(f"a shard lies in data/ and is named by its split, not {shown(name)}")
    digest = entry(entries, "sha256")
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"{place}.sha256 must be 64 hexadecimal digits, not {shown(digest)}")
    rows = a_count(entry(entries, "rows"), f"{place}.rows")
    return (
        name,
        rows,
        a_count(entry(entries, "bytes"), f"{place}.bytes", most=MAX_MANIFEST_BYTES),
        digest,
    )


def settings(value: object) -> DatasetSettings:
    """What a data set is made of."""
    entries = an_object(value, "settings")
    a_count(entry(entries, "programs"), "settings.programs", 1)
    a_count(entry(entries, "seed"), "settings.seed", most=LARGEST_SEED)
    a_count(entry(entries, "shard_size"), "settings.shard_size", 1)
    vocab = a_list(entry(entries, "vocab"), "settings.vocab", MAX_MANIFEST_TOKENS)
    for token in vocab:
        a_count(token, "settings.vocab", -MAX_MANIFEST_COUNT, MAX_MANIFEST_COUNT)
    for name in ("max_seq_len", "min_length", "max_length"):
        a_count(entry(entries, name), f"settings.{name}", 1, MAX_MANIFEST_TOKENS)
    for name in ("max_tokens", "max_weights"):
        a_count(entry(entries, name), f"settings.{name}", 1)
    if entries["min_length"] > entries["max_length"]:
        raise ValueError("settings.min_length must be at most settings.max_length")
    _shares(entry(entries, "shares"))
    _other_domains(an_object(entry(entries, "other_domains"), "settings.other_domains"))
    _treatments(entry(entries, "treatments"))
    return DatasetSettings.from_dict(entries)


def _shares(value: object) -> None:
    if len(a_list(value, "settings.shares", len(SPLITS))) != len(SPLITS):
        raise ValueError(f"settings.shares must be {len(SPLITS)} numbers, not {shown(value)}")
    for share in a_list(value, "settings.shares"):
        a_share(share, "settings.shares")


def _other_domains(entries: Mapping[str, Any]) -> None:
    a_share(entry(entries, "share"), "settings.other_domains.share")
    for name in ("vocab_sizes", "max_seq_lens"):
        place = f"settings.other_domains.{name}"
        ends = a_list(entry(entries, name), place, 2)
        if len(ends) != 2:
            raise ValueError(f"{place} must be two numbers, not {shown(ends)}")
        for end in ends:
            a_count(end, place, 1, MAX_MANIFEST_TOKENS)


def _treatments(value: object) -> None:
    for pair in a_list(value, "settings.treatments", 100):
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise ValueError(f"settings.treatments must be pairs, not {shown(pair)}")
        a_name(pair[0], "settings.treatments")
        a_share(pair[1], "settings.treatments")
