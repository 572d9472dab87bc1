"""From weights back to programs, each with a verdict on what was shown about it."""

from __future__ import annotations

from untracr.decompile.bundled import (
    bundled_decompiler,
    decompile_model,
    decompile_models,
    example_file,
)
from untracr.decompile.decompiler import Decompiler
from untracr.decompile.greedy import Decoded, decode_greedily
from untracr.decompile.lines import ProgramLine
from untracr.decompile.result import Result, Search

__all__ = [
    "Decoded",
    "Decompiler",
    "ProgramLine",
    "Result",
    "Search",
    "bundled_decompiler",
    "decode_greedily",
    "decompile_model",
    "decompile_models",
    "example_file",
]
