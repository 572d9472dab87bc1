"""From weights back to programs, each with a verdict on what was shown about it."""

from __future__ import annotations

from untracr.decompile.bundled import (
    bundled_decompiler,
    decompile_model,
    decompile_models,
    example_file,
)
from untracr.decompile.carriers import Carrier, carriers
from untracr.decompile.certificate import (
    Certificate,
    certificate_of,
    read_certificate,
    write_certificate,
)
from untracr.decompile.checking import Check, check
from untracr.decompile.decompiler import Decompiler
from untracr.decompile.greedy import Decoded, decode_greedily
from untracr.decompile.replaying import Replay, replay, replay_file
from untracr.decompile.result import Result, Verdict
from untracr.decompile.sameness import Sameness, same_weights
from untracr.decompile.token_rows import in_standard_order
from untracr.decompile.weights_digest import weights_digest

__all__ = [
    "Carrier",
    "Certificate",
    "Check",
    "Decoded",
    "Decompiler",
    "Replay",
    "Result",
    "Sameness",
    "Verdict",
    "bundled_decompiler",
    "carriers",
    "certificate_of",
    "check",
    "decode_greedily",
    "decompile_model",
    "decompile_models",
    "example_file",
    "in_standard_order",
    "read_certificate",
    "replay",
    "replay_file",
    "same_weights",
    "weights_digest",
    "write_certificate",
]
