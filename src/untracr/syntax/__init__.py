"""Text and live Tracr objects to programs, and back; programs that have names."""

from __future__ import annotations

from untracr.syntax.library import LIBRARY, NamedProgram, named_program
from untracr.syntax.parsing import parse
from untracr.syntax.tracr_objects import from_tracr, to_tracr

__all__ = [
    "LIBRARY",
    "NamedProgram",
    "from_tracr",
    "named_program",
    "parse",
    "to_tracr",
]
