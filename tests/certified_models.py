"""Model files with certificates, honest ones and changed ones."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from untracr.ambiguity.checking import check
from untracr.certificate.certificate import Certificate, parse_certificate
from untracr.certificate.replaying import Replay
from untracr.decompile.result import Result
from untracr.diagnose.model import compile_rasp_to_model
from untracr.loading.compiled_file import save_model
from untracr.loading.loading import load_model
from untracr.loading.model import LoadedModel
from untracr.rasp.domain import Domain
from untracr.rasp.functions import Value
from untracr.rasp.program import Program, print_program
from untracr.transformer.token_rows import in_standard_order

HIST = "same = Select(tokens, tokens, Comparison.EQ)\nhist = SelectorWidth(same)\n"
"""A program that most of these models have."""


def result_of(loaded: LoadedModel, program: Program, vocab: tuple[Value, ...] = ()) -> Result:
    """What decompiling gives if the meta-model writes this program."""
    model, named = in_standard_order(loaded)
    domain = Domain(vocab or named, len(model.W_pos) - 1)
    found = check(model, program, domain)
    assert found.program is not None
    return Result(
        name=str(loaded.path),
        program=found.program,
        source=print_program(found.program),
        verdict=found.verdict,
        inputs_checked=found.inputs_checked,
        detail=found.detail,
        seconds=0.0,
        vocab=domain.vocab,
        max_seq_len=domain.max_seq_len,
        log_probability=0.0,
        other_programs=tuple(map(print_program, found.others)),
        evidence=found.evidence,
    )


def saved(
    path: Path,
    source: str | Program,
    vocab: tuple[Value, ...] = (0, 1, 2),
    length: int = 3,
    *,
    causal: bool = False,
) -> LoadedModel:
    """A model file with a read-out and the names of its tokens."""
    compile_rasp_to_model(source, vocab, length, causal=causal, strict=False).save(path)
    return load_model(path)


def without_read_out(loaded: LoadedModel) -> LoadedModel:
    """The same file, weights alone."""
    changed = loaded.transformer.replace(W_U=None, output_values=None)
    save_model(loaded.path, changed, loaded.metadata)
    return load_model(loaded.path)


def failing(found: Replay) -> list[str]:
    """The steps of a replay that do not hold; none of it is confirmed then."""
    names = [step.name for step in found.steps if not step.holds]
    assert found.is_confirmed == (not names)
    assert found.is_proved <= found.is_confirmed
    assert found.conclusion.startswith("not confirmed: " if names else "confirmed: ")
    return names


def again(certificate: Certificate) -> Certificate:
    """Written and read."""
    return parse_certificate(certificate.to_json().encode())


def edited(certificate: Certificate, **changes: object) -> bytes:
    """A certificate's bytes with entries replaced; `model__file` is an inner one."""
    content: dict[str, Any] = copy.deepcopy(certificate.as_dict())
    for name, value in changes.items():
        outer, _, inner = name.partition("__")
        if inner:
            content[outer][inner] = value
        else:
            content[outer] = value
    return json.dumps(content).encode()
