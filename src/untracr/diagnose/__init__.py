"""What is wrong with a program, or with its weights; models that were compiled strictly.

Strict compiling, ``untracr check``, explanations and departures all ask
`untracr.diagnose.judging`, so that they cannot disagree.
"""

from __future__ import annotations

from untracr.diagnose.checks import check, static_problems
from untracr.diagnose.judging import Departures, Verification, departures, faults, verify
from untracr.diagnose.model import (
    CategoricalEncoder,
    CompiledModel,
    ModelConfig,
    ModelOutput,
    NumericalEncoder,
    compile_rasp_to_model,
)
from untracr.diagnose.weights_run import answers_differ

__all__ = [
    "CategoricalEncoder",
    "CompiledModel",
    "Departures",
    "ModelConfig",
    "ModelOutput",
    "NumericalEncoder",
    "Verification",
    "answers_differ",
    "check",
    "compile_rasp_to_model",
    "departures",
    "faults",
    "static_problems",
    "verify",
]
