"""Programs with known tokens, to judge answers by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from untracr import strict_json
from untracr.bounds import MAX_REFERENCES_BYTES
from untracr.errors import InputError, ModelFileError
from untracr.rasp.domain import Domain
from untracr.short_repr import short_repr
from untracr.shown_text import printable
from untracr.strangers_files import read_file


@dataclass(frozen=True)
class Reference:
    """A model's true program.

    Attributes:
        name: of the model; its weights are ``name.npz``.
        tokens: the reference's canonical token list.
        domain: vocabulary and longest input.
        source: the program in Tracr's syntax, with the names that it was compiled
            with; empty if the line has none.
    """

    name: str
    tokens: tuple[str, ...]
    domain: Domain
    source: str = ""

    __repr__ = short_repr


def read_references(folder: Path) -> list[Reference]:
    """Reads ``programs.jsonl`` of a folder.

    A line holds ``name``, ``tokens``, ``vocab``, ``max_seq_len``, and perhaps ``source``.

    Raises:
        ModelFileError: the file is missing, or a line is not as described.
    """
    path = folder / "programs.jsonl"
    try:
        lines = read_file(
            path, MAX_REFERENCES_BYTES, "a list of programs", ModelFileError
        ).splitlines()
    except ModelFileError as error:
        raise ModelFileError(f"{printable(path)} cannot be read: {error}") from None
    return [_reference(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _reference(path: Path, number: int, line: bytes) -> Reference:
    try:
        entry: Any = strict_json.parse_json(line)
        domain = Domain(tuple(entry["vocab"]), int(entry["max_seq_len"]))
        source = str(entry.get("source") or "")
        return Reference(str(entry["name"]), tuple(map(str, entry["tokens"])), domain, source)
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        raise ModelFileError(
            f"{path}:{number}: a line needs name, tokens, vocab and max_seq_len: {error!r}"
        ) from None
