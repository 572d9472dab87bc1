"""What decompiling a model gives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from untracr.rasp.functions import Value
from untracr.rasp.program import Program

Verdict = Literal["identical", "equivalent", "unverified"]


@dataclass(frozen=True)
class Result:
    """A program read off a model's weights, and what was checked about it.

    Attributes:
        name: what the model was called by, such as its file.
        program: the program, or None when none could be written.
        source: the program as Python for Tracr, empty without a program.
        verdict: ``identical``: the program recompiles to these very weights, up
            to rotation of the residual stream and the order of axes, heads and
            neurons. ``equivalent``: the model's outputs equal the program's on
            every input of the domain. ``unverified``: neither was shown.
        inputs_checked: inputs on which outputs were compared.
        detail: one sentence on the verdict.
        seconds: reading and checking this model.
        vocab: the tokens' values as assumed or given.
        max_seq_len: the model's longest input.
        log_probability: of the program under the meta-model.
        alternatives: for ``identical``, how many other programs, each with one
            function of the closed list replaced, have these very weights too
            and yet other outputs (``x + 1`` and ``x - 1`` differ in the names
            of their results alone). 0 where a read-out shows which one it is.
    """

    name: str
    program: Program | None
    source: str
    verdict: Verdict
    inputs_checked: int
    detail: str
    seconds: float
    vocab: tuple[Value, ...]
    max_seq_len: int
    log_probability: float
    alternatives: int = 0

    def as_dict(self) -> dict[str, object]:
        """The result as plain JSON values."""
        return {
            "file": self.name,
            "program": self.source,
            "verdict": self.verdict,
            "inputs_checked": self.inputs_checked,
            "detail": self.detail,
            "seconds": round(self.seconds, 6),
            "vocab": list(self.vocab),
            "max_seq_len": self.max_seq_len,
            "log_probability": round(self.log_probability, 6),
            "alternatives": self.alternatives,
        }

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.as_dict())
