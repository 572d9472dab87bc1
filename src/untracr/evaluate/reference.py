"""Programs with known tokens, to judge answers by."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from untracr.errors import InputError, ModelFileError
from untracr.rasp.domain import Domain


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


def read_references(folder: Path) -> list[Reference]:
    """Reads ``programs.jsonl`` of a folder.

    A line holds ``name``, ``tokens``, ``vocab``, ``max_seq_len``, and perhaps ``source``.

    Raises:
        ModelFileError: the file is missing, or a line is not as described.
    """
    path = folder / "programs.jsonl"
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from None
    return [_reference(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _reference(path: Path, number: int, line: str) -> Reference:
    try:
        entry = json.loads(line)
        domain = Domain(tuple(entry["vocab"]), int(entry["max_seq_len"]))
        source = str(entry.get("source") or "")
        return Reference(str(entry["name"]), tuple(map(str, entry["tokens"])), domain, source)
    except (ValueError, KeyError, TypeError, InputError) as error:
        raise ModelFileError(
            f"{path}:{number}: a line needs name, tokens, vocab and max_seq_len: {error!r}"
        ) from None
