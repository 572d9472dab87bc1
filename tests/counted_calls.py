"""How often what is dear is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from untracr.transformer import token_rows
from untracr.verify import recompiling, verdict


def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts from now on how often programs are compiled in order to be compared with weights,
    weights are aligned, and token rows are looked for."""
    calls: Counter[str] = Counter()

    def counting(module: object, name: str) -> None:
        original: Callable[..., Any] = getattr(module, name)

        def call(*args: Any, **settings: Any) -> Any:
            calls[name] += 1
            return original(*args, **settings)

        monkeypatch.setattr(module, name, call)

    counting(recompiling, "compile_program")
    counting(verdict, "align")
    counting(token_rows, "find_special_rows")
    return calls
