"""The log of a training run: one JSON a line, each step once."""

from __future__ import annotations

import json
from pathlib import Path

from untracr.atomic_write import write_atomically

LOG = "log.jsonl"


def cut_log(path: Path, step: int) -> None:
    """Takes away what a run that goes on from a checkpoint will write again.

    A run that broke down had logged steps after its last checkpoint, and the last
    line perhaps by half. The file is replaced as a whole or not at all.

    Args:
        path: of the log; nothing happens where there is none.
        step: the checkpoint's, 0 where there is none; lines up to it stay as they are.

    Raises:
        OSError: the file cannot be read or written.
    """
    if not path.exists():
        return
    data = path.read_bytes()
    kept = b"".join(line for line in data.splitlines(keepends=True) if _is_before(line, step))
    if kept != data:
        write_atomically(path, kept)


def _is_before(line: bytes, step: int) -> bool:
    """Whether a line is whole and of no later step."""
    try:
        return line.endswith(b"\n") and int(json.loads(line)["step"]) <= step
    except (ValueError, KeyError, TypeError):
        return False
