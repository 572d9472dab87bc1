"""From programs to the weights that Tracr gives them, and all that may go wrong on the way."""

from __future__ import annotations

from untracr.compile.canonical import canonicalise, paper_tokens, program_from_paper_tokens
from untracr.compile.checks import check, static_problems
from untracr.compile.compiler import Compiled, NodeParts, compile_program
from untracr.compile.judge import Departures, Verification, departures, verify
from untracr.compile.lowering import lower_selectors
from untracr.compile.model import (
    CategoricalEncoder,
    CompiledModel,
    ModelConfig,
    ModelOutput,
    NumericalEncoder,
    compile_rasp_to_model,
)

__all__ = [
    "CategoricalEncoder",
    "Compiled",
    "CompiledModel",
    "Departures",
    "ModelConfig",
    "ModelOutput",
    "NodeParts",
    "NumericalEncoder",
    "Verification",
    "canonicalise",
    "check",
    "compile_program",
    "compile_rasp_to_model",
    "departures",
    "lower_selectors",
    "paper_tokens",
    "program_from_paper_tokens",
    "static_problems",
    "verify",
]
