"""What was shown about a model, written down so that anybody can show it again."""

from __future__ import annotations

from untracr.certificate.certificate import (
    Certificate,
    certificate_of,
    read_certificate,
    write_certificate,
)
from untracr.certificate.replaying import Replay, replay, replay_file

__all__ = [
    "Certificate",
    "Replay",
    "certificate_of",
    "read_certificate",
    "replay",
    "replay_file",
    "write_certificate",
]
