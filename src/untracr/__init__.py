"""untracr: RASP to transformer weights, and weights back to RASP.

The names below are found on first use, so that ``import untracr`` loads
nothing. `decompile_model` has its long name because ``untracr.decompile`` is
the package behind it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from untracr.version import __version__ as __version__

if TYPE_CHECKING:
    from untracr.decompile.bundled import decompile_model, decompile_models
    from untracr.decompile.decompiler import Decompiler
    from untracr.decompile.result import Result
    from untracr.diagnose.checks import check
    from untracr.diagnose.model import CompiledModel, compile_rasp_to_model
    from untracr.errors import (
        CheckFailed,
        EvaluationError,
        InputError,
        ModelFileError,
        Problem,
        ProgramError,
        RaspSyntaxError,
        UntracrError,
        UsageError,
    )
    from untracr.loading.compiled_file import save_model as save
    from untracr.loading.loading import load_model as load
    from untracr.loading.model import LoadedModel
    from untracr.rasp.domain import Domain
    from untracr.rasp.equivalence import decide_equivalence
    from untracr.rasp.interpreter import run
    from untracr.rasp.program import Program, print_program
    from untracr.sample.sampler import sample_program
    from untracr.syntax.library import named_program
    from untracr.syntax.parsing import parse
    from untracr.transformer.transformer import Transformer


__all__ = [
    "CheckFailed",
    "CompiledModel",
    "Decompiler",
    "Domain",
    "EvaluationError",
    "InputError",
    "LoadedModel",
    "ModelFileError",
    "Problem",
    "Program",
    "ProgramError",
    "RaspSyntaxError",
    "Result",
    "Transformer",
    "UntracrError",
    "UsageError",
    "__version__",
    "check",
    "compile_rasp_to_model",
    "decide_equivalence",
    "decompile_model",
    "decompile_models",
    "load",
    "named_program",
    "parse",
    "print_program",
    "run",
    "sample_program",
    "save",
]

_HOMES: dict[str, tuple[str, str]] = {
    "CheckFailed": ("untracr.errors", "CheckFailed"),
    "CompiledModel": ("untracr.diagnose.model", "CompiledModel"),
    "Decompiler": ("untracr.decompile.decompiler", "Decompiler"),
    "Domain": ("untracr.rasp.domain", "Domain"),
    "EvaluationError": ("untracr.errors", "EvaluationError"),
    "InputError": ("untracr.errors", "InputError"),
    "LoadedModel": ("untracr.loading.model", "LoadedModel"),
    "ModelFileError": ("untracr.errors", "ModelFileError"),
    "Problem": ("untracr.errors", "Problem"),
    "Program": ("untracr.rasp.program", "Program"),
    "ProgramError": ("untracr.errors", "ProgramError"),
    "RaspSyntaxError": ("untracr.errors", "RaspSyntaxError"),
    "Result": ("untracr.decompile.result", "Result"),
    "Transformer": ("untracr.transformer.transformer", "Transformer"),
    "UntracrError": ("untracr.errors", "UntracrError"),
    "UsageError": ("untracr.errors", "UsageError"),
    "check": ("untracr.diagnose.checks", "check"),
    "compile_rasp_to_model": ("untracr.diagnose.model", "compile_rasp_to_model"),
    "decide_equivalence": ("untracr.rasp.equivalence", "decide_equivalence"),
    "decompile_model": ("untracr.decompile.bundled", "decompile_model"),
    "decompile_models": ("untracr.decompile.bundled", "decompile_models"),
    "load": ("untracr.loading.loading", "load_model"),
    "named_program": ("untracr.syntax.library", "named_program"),
    "parse": ("untracr.syntax.parsing", "parse"),
    "print_program": ("untracr.rasp.program", "print_program"),
    "run": ("untracr.rasp.interpreter", "run"),
    "sample_program": ("untracr.sample.sampler", "sample_program"),
    "save": ("untracr.loading.compiled_file", "save_model"),
}
"""Where each public name lives."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'untracr' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value: object = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
