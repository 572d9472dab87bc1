"""Files replaced as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Writes beside the file, flushes to disk, then renames.

    Whatever goes wrong leaves the old file as it was, and no other. A symbolic
    link is kept; what it points at is replaced.

    Raises:
        OSError: the file cannot be written (disk full, no folder, no permission).
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".untracr-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
