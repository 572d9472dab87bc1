"""From weights back to programs, each with a verdict on what was shown about it."""

from __future__ import annotations

from untracr.decompile.bundled import (
    bundled_decompiler,
    decompile_model,
    decompile_models,
    example_file,
)
from untracr.decompile.carriers import Carrier, carriers
from untracr.decompile.checking import Check, check
from untracr.decompile.decompiler import Decompiler
from untracr.decompile.greedy import Decoded, decode_greedily
from untracr.decompile.result import Result, Verdict
from untracr.decompile.sameness import Sameness, same_weights
from untracr.decompile.token_rows import in_standard_order

__all__ = [
    "Carrier",
    "Check",
    "Decoded",
    "Decompiler",
    "Result",
    "Sameness",
    "Verdict",
    "bundled_decompiler",
    "carriers",
    "check",
    "decode_greedily",
    "decompile_model",
    "decompile_models",
    "example_file",
    "in_standard_order",
    "same_weights",
]
