"""From programs to the weights that Tracr gives them."""

from __future__ import annotations

from untracr.compile.canonical import canonicalise, paper_tokens, program_from_paper_tokens
from untracr.compile.compiler import Compiled, NodeParts, compile_program
from untracr.compile.lowering import lower_selectors

__all__ = [
    "Compiled",
    "NodeParts",
    "canonicalise",
    "compile_program",
    "lower_selectors",
    "paper_tokens",
    "program_from_paper_tokens",
]
