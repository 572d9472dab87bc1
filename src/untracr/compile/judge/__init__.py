"""Whether compiled weights do what their program says.

Strict compiling, ``untracr check``, explanations and departures all ask here, so that
they cannot disagree.
"""

from __future__ import annotations

from untracr.compile.judge.blur import AS_COMPILED, UNIT, Blur
from untracr.compile.judge.judging import (
    Departures,
    Verification,
    departures,
    faults,
    verify,
)
from untracr.compile.judge.rounded import Rounded
from untracr.compile.judge.weights_run import answers_differ

__all__ = [
    "AS_COMPILED",
    "UNIT",
    "Blur",
    "Departures",
    "Rounded",
    "Verification",
    "answers_differ",
    "departures",
    "faults",
    "verify",
]
