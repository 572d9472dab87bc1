"""Where the 100 real models lie, see ``tests/real/README.md``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REAL = Path(__file__).parent / "real"


def real_records() -> list[dict[str, Any]]:
    """The lines of ``programs.jsonl``."""
    lines = (REAL / "programs.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
