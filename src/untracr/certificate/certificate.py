"""What was shown about a model, in a file from which anybody can show it again.

A certificate is one JSON object (UTF-8). It names a model by the digest of its
weights, and holds a program and what a check of the two found. The meta-model
has no part in it: `untracr.certificate.replaying` repeats the check from the program
and the weights alone. Nothing that it says is taken on trust, and nothing in it
is executed.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, cast, get_args

from untracr import strict_json
from untracr.ambiguity.checking import check
from untracr.atomic_write import write_atomically
from untracr.bounds import (
    MAX_CERTIFICATE_BYTES,
    MAX_CERTIFICATE_OTHERS,
    MAX_CERTIFICATE_POSITIONS,
    MAX_CERTIFICATE_TOKENS,
    MAX_CERTIFICATE_WORDS,
    MAX_NUMBER,
    MAX_SOURCE,
)
from untracr.certificate.program_cost import require_affordable
from untracr.errors import CertificateError, InputError, ProgramError
from untracr.loading.model import LoadedModel
from untracr.measure.exactness import find_exactness
from untracr.rasp.domain import Domain
from untracr.rasp.functions import Value
from untracr.rasp.program import Program, print_program
from untracr.short_repr import short_repr
from untracr.shown_text import MOST_CHARACTERS, cut, printable, shown
from untracr.strangers_files import read_file
from untracr.syntax.parsing import parse
from untracr.transformer.token_rows import Naming, TokenRows, token_rows
from untracr.transformer.weights_digest import weights_digest
from untracr.verify.evidence import Evidence, ReadOutRelation, Verdict, WeightRelation
from untracr.verify.outputs import cannot_compare
from untracr.verify.verdict import Beside
from untracr.version import __version__

CERTIFICATE_FORMAT = "untracr certificate"
CERTIFICATE_VERSION = 2
"""Version 1 took a read-out's outputs for compared that were tried on a sample, and did not
say which rows of W_E are which."""

CERTIFIED_VERDICTS: tuple[Verdict, ...] = ("tested", "equivalent", "identical")
"""Verdicts that a certificate may claim, the weakest first."""

_KEYS = (
    "format",
    "format_version",
    "untracr_version",
    "model",
    "vocab",
    "token_rows",
    "mlp_exactness",
    "max_seq_len",
    "causal",
    "program",
    "verdict",
    "inputs_checked",
    "detail",
    "evidence",
    "other_programs",
)


@dataclass(frozen=True)
class CertifiedRows:
    """The rows of W_E that a claim is about.

    Attributes:
        tokens: the row of each token of the vocabulary.
        bos, pad: rows.
    """

    tokens: tuple[int, ...]
    bos: int
    pad: int

    @property
    def order(self) -> tuple[int, ...]:
        """All rows, those of the tokens first, then BOS and PAD."""
        return (*self.tokens, self.bos, self.pad)

    def as_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        return {"tokens": list(self.tokens), "bos": self.bos, "pad": self.pad}


@dataclass(frozen=True)
class Certificate:
    """A claim about a model.

    Attributes:
        model_file: the model's file relative to the certificate's folder, with ``/``.
        sha256: `weights_digest` of its weights.
        vocab: the values of the token rows, BOS and PAD not among them.
        max_seq_len: the longest input.
        causal: whether attention is masked to earlier positions.
        program: RASP in Tracr's syntax.
        verdict: `identical`, `equivalent` or `tested`; see `Result`.
        inputs_checked: different inputs on which outputs were compared.
        detail: one sentence on the verdict, for people; nothing rests on it.
        evidence: what was compared, and how closely.
        other_programs: see `Result.other_programs`.
        rows: which rows of W_E are which.
        mlp_exactness: see `Result`.
        untracr_version: what wrote it.
    """

    model_file: str
    sha256: str
    vocab: tuple[Value, ...]
    max_seq_len: int
    causal: bool
    program: str
    verdict: Verdict
    inputs_checked: int
    detail: str
    evidence: Evidence
    rows: CertifiedRows
    mlp_exactness: float | None = None
    other_programs: tuple[str, ...] = ()
    untracr_version: str = __version__

    __repr__ = short_repr

    @property
    def domain(self) -> Domain:
        """The inputs that the claim is about."""
        return Domain(self.vocab, self.max_seq_len)

    def as_dict(self) -> dict[str, object]:
        """The file's content as plain JSON values."""
        return {
            "format": CERTIFICATE_FORMAT,
            "format_version": CERTIFICATE_VERSION,
            "untracr_version": self.untracr_version,
            "model": {"file": self.model_file, "sha256": self.sha256},
            "vocab": list(self.vocab),
            "token_rows": self.rows.as_dict(),
            "mlp_exactness": self.mlp_exactness,
            "max_seq_len": self.max_seq_len,
            "causal": self.causal,
            "program": self.program,
            "verdict": self.verdict,
            "inputs_checked": self.inputs_checked,
            "detail": self.detail,
            "evidence": plain_evidence(self.evidence),
            "other_programs": list(self.other_programs),
        }

    def to_json(self) -> str:
        """The file's text; the same certificate gives the same text."""
        return json.dumps(self.as_dict(), indent=1, allow_nan=False) + "\n"


def plain_evidence(evidence: Evidence) -> dict[str, object]:
    """Evidence as JSON values; what is not finite is None."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(evidence).items()
    }


class NothingShown(CertificateError):
    """A result that there is no certificate of."""


class Decompiled(Protocol):
    """What is certified of a `Result`: everything else is found again."""

    @property
    def name(self) -> str:
        """What the model was called by."""

    @property
    def program(self) -> Program | None:
        """The program, if one could be read."""

    @property
    def source(self) -> str:
        """The program as printed."""

    @property
    def vocab(self) -> tuple[Value, ...]:
        """The tokens' values."""

    @property
    def max_seq_len(self) -> int:
        """The longest input."""

    @property
    def token_rows(self) -> TokenRows | None:
        """Which rows of W_E are which."""

    @property
    def beside(self) -> Beside | None:
        """The program laid beside the model, where that was done."""


def certificate_of(result: Decompiled, loaded: LoadedModel, folder: Path) -> Certificate:
    """Certifies a result by checking its program, as printed.

    What is claimed is what this check finds, so that it can be found again; the
    result's own verdict is not copied. Its recompiled model and how the weights
    correspond are, once program, domain and weights are seen to be the same.

    Args:
        result: of decompiling the model.
        loaded: the model's file.
        folder: where the certificate will lie; the model is named from there.

    Raises:
        NothingShown: there is no program, or nothing about it that can be certified.
        ModelFileError: the file names other token rows than it has.
    """
    if result.program is None:
        raise NothingShown(f"{result.name}: no certificate, no program could be read")
    rows = (
        result.token_rows
        if result.token_rows is not None
        else token_rows(loaded, Naming(result.vocab))
    )
    model = rows.applied(loaded.transformer)
    domain = Domain(result.vocab, result.max_seq_len)
    program = parse(result.source)
    try:
        require_affordable(program, domain, causal=model.causal, outputs=not cannot_compare(model))
    except ProgramError as error:
        raise NothingShown(f"{result.name}: no certificate, {error}") from None
    checked = check(model, program, domain, settle=False, earlier=result.beside)
    if checked.verdict not in CERTIFIED_VERDICTS:
        raise NothingShown(f"{result.name}: no certificate, nothing is shown: {checked.detail}")
    return Certificate(
        model_file=name_from(folder, loaded.path),
        sha256=weights_digest(model),
        vocab=domain.vocab,
        max_seq_len=domain.max_seq_len,
        causal=model.causal,
        program=result.source,
        verdict=checked.verdict,
        inputs_checked=checked.inputs_checked,
        detail=f"{checked.detail}; {rows.assumed}" if rows.assumed else checked.detail,
        evidence=checked.evidence,
        other_programs=tuple(print_program(other) for other in checked.others),
        rows=CertifiedRows(rows.tokens, rows.bos, rows.pad),
        mlp_exactness=find_exactness(model).value,
    )


def name_from(folder: Path, file: Path) -> str:
    """How a certificate in a folder names a file; its bare name if it is on another drive."""
    place = os.path.join(os.path.realpath(file.parent), file.name)
    try:
        name = Path(os.path.relpath(place, os.path.realpath(folder))).as_posix()
    except ValueError:
        name = file.name
    return f"./{name}" if _ABSOLUTE.match(name) else name


def write_certificate(path: Path, certificate: Certificate) -> None:
    """Writes a certificate; one of the same model is replaced, as a whole.

    Raises:
        CertificateError: there is another file, or a certificate of another model; or
            it cannot be written, or not read again.
    """
    data = certificate.to_json().encode()
    parse_certificate(data)
    _require_same_model(path, certificate)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise CertificateError(f"{path} cannot be written: {error.strerror or error}") from error


def _require_same_model(path: Path, certificate: Certificate) -> None:
    if not os.path.lexists(path):
        return
    rule = "a certificate replaces only one of the same model"
    try:
        earlier = read_certificate(path)
    except CertificateError:
        raise CertificateError(f"{rule}; {path} is something else; give another folder") from None
    if certificate.model_file != earlier.model_file and certificate.sha256 != earlier.sha256:
        raise CertificateError(
            f"{rule}; {path} is of {earlier.model_file!r}, not of {certificate.model_file!r}; "
            "give another folder"
        )


def read_certificate(path: Path) -> Certificate:
    """Reads a certificate with suspicion.

    Raises:
        CertificateError: the file cannot be read, or is no certificate; the message
            says where in it.
    """
    try:
        data = read_file(path, MAX_CERTIFICATE_BYTES, "a certificate", CertificateError)
        return parse_certificate(data)
    except CertificateError as error:
        raise CertificateError(f"{printable(path)}: {error}") from None


def parse_certificate(data: bytes) -> Certificate:
    """Reads a certificate's bytes.

    Raises:
        CertificateError: they are none.
    """
    content = _object(_json(data), "a certificate")
    if content.get("format") != CERTIFICATE_FORMAT:
        raise CertificateError(
            f"this is JSON, but no certificate: its format must be {CERTIFICATE_FORMAT!r}, "
            f"not {_shown(content.get('format'))}"
        )
    version = content.get("format_version")
    if version != CERTIFICATE_VERSION or type(version) is not int:
        remedy = "decompile the model again" if version == 1 else "a newer untracr may read it"
        raise CertificateError(
            f"format_version {CERTIFICATE_VERSION} is read; this is {_shown(version)}; {remedy}"
        )
    _require_keys(content, _KEYS, "a certificate")
    model = _object(content["model"], "model")
    _require_keys(model, ("file", "sha256"), "model")
    vocab = tuple(_token(v, f"vocab[{i}]") for i, v in enumerate(_list(content["vocab"], "vocab")))
    others = _list(content["other_programs"], "other_programs")
    if len(vocab) > MAX_CERTIFICATE_TOKENS or len(others) > MAX_CERTIFICATE_OTHERS:
        raise CertificateError(
            f"a certificate may have at most {MAX_CERTIFICATE_TOKENS:,} tokens and "
            f"{MAX_CERTIFICATE_OTHERS} other programs, not {len(vocab):,} and {len(others):,}"
        )
    certificate = Certificate(
        model_file=_file(model["file"]),
        sha256=_digest(model["sha256"]),
        vocab=vocab,
        max_seq_len=_count(
            content["max_seq_len"], "max_seq_len", least=1, most=MAX_CERTIFICATE_POSITIONS
        ),
        causal=_flag(content["causal"], "causal"),
        program=_text(content["program"], "program", MAX_SOURCE),
        verdict=cast(Verdict, _one_of(content["verdict"], "verdict", CERTIFIED_VERDICTS)),
        inputs_checked=_count(content["inputs_checked"], "inputs_checked"),
        detail=_text(content["detail"], "detail"),
        evidence=_evidence(_object(content["evidence"], "evidence")),
        other_programs=tuple(
            _text(text, f"other_programs[{i}]", MAX_SOURCE) for i, text in enumerate(others)
        ),
        rows=_rows(content["token_rows"]),
        mlp_exactness=_exactness(content["mlp_exactness"]),
        untracr_version=_text(content["untracr_version"], "untracr_version"),
    )
    _require_consistent(certificate)
    return certificate


def _require_consistent(certificate: Certificate) -> None:
    evidence = certificate.evidence
    if evidence.inputs_agree > evidence.inputs_checked:
        raise CertificateError(
            "evidence.inputs_agree must be at most evidence.inputs_checked, "
            f"not {evidence.inputs_agree} of {evidence.inputs_checked}"
        )
    if certificate.other_programs and certificate.verdict != "identical":
        raise CertificateError(
            "other_programs may be listed where the verdict is 'identical' only, "
            f"not {certificate.verdict!r}"
        )
    try:
        _ = certificate.domain
    except InputError as error:
        raise CertificateError(f"vocab: {error}") from None
    count = len(certificate.vocab) + 2
    if sorted(certificate.rows.order) != list(range(count)):
        raise CertificateError(
            f"token_rows must give each of the rows 0 to {count - 1} once: a row for each of "
            f"{count - 2} tokens, BOS and PAD"
        )


def _json(data: bytes) -> object:
    try:
        return strict_json.parse_json(data)
    except ValueError as error:
        raise CertificateError(f"a certificate must be JSON: {error}") from None


def _require_keys(content: dict[str, Any], wanted: Sequence[str], place: str) -> None:
    for name in wanted:
        if name not in content:
            raise CertificateError(f"{place} must have the key {name!r}")
    unknown = sorted(content.keys() - set(wanted))
    if unknown:
        raise CertificateError(f"{place} has an unknown key {_shown(unknown[0])}")


def _evidence(content: dict[str, Any]) -> Evidence:
    _require_keys(content, tuple(field.name for field in fields(Evidence)), "evidence")
    weights = _one_of(content["weights"], "evidence.weights", get_args(WeightRelation))
    read_out = _one_of(content["read_out"], "evidence.read_out", get_args(ReadOutRelation))
    return Evidence(
        weights=cast(WeightRelation, weights),
        weights_off=_number(content["weights_off"], "evidence.weights_off"),
        inputs_checked=_count(content["inputs_checked"], "evidence.inputs_checked"),
        inputs_agree=_count(content["inputs_agree"], "evidence.inputs_agree"),
        output_tolerance=_number(content["output_tolerance"], "evidence.output_tolerance"),
        read_out=cast(ReadOutRelation, read_out),
    )


def _rows(value: object) -> CertifiedRows:
    content = _object(value, "token_rows")
    _require_keys(content, ("tokens", "bos", "pad"), "token_rows")
    most = MAX_CERTIFICATE_TOKENS + 2
    listed = _list(content["tokens"], "token_rows.tokens")[:most]
    return CertifiedRows(
        tuple(_count(row, f"token_rows.tokens[{i}]", most=most) for i, row in enumerate(listed)),
        _count(content["bos"], "token_rows.bos", most=most),
        _count(content["pad"], "token_rows.pad", most=most),
    )


def _exactness(value: object) -> float | None:
    if value is None:
        return None
    number = _number(value, "mlp_exactness")
    if not 0 < number < math.inf:
        raise CertificateError(f"mlp_exactness must be above 0, or null, not {_shown(value)}")
    return number


_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:")
"""How a path begins that names a place of its own, here or on Windows."""


def _file(value: object) -> str:
    """A path that the certificate's folder is the beginning of.

    It may lead out of that folder by ``..``: models often lie in the folder next
    to it, and nothing but a model of the right digest is made use of.
    """
    name = _text(value, "model.file")
    if not name or _ABSOLUTE.match(name) or "\0" in name or PurePosixPath(name).name == "":
        raise CertificateError(
            "model.file must be a path relative to the certificate's folder, as in "
            f"'../models/a.npz', not {_shown(name)}; give another file by --model"
        )
    return name


def _digest(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise CertificateError(
            f"model.sha256 must be 64 lower-case hexadecimal digits, not {_shown(value)}"
        )
    return value


def _token(value: object, place: str) -> Value:
    if isinstance(value, (int, float)) and not abs(value) <= MAX_NUMBER:
        raise CertificateError(
            f"{place} must be at most {MAX_NUMBER:.0e} in size, not {_shown(value)}"
        )
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise CertificateError(
            f"{place} must be null, true, false, a number or a text, not {_shown(value)}"
        )
    return value


def _object(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CertificateError(f"{place} must be a JSON object, not {_shown(value)}")
    return value


def _list(value: object, place: str) -> list[object]:
    if not isinstance(value, list):
        raise CertificateError(f"{place} must be a list, not {_shown(value)}")
    return value


def _text(value: object, place: str, most: int = MAX_CERTIFICATE_WORDS) -> str:
    if not isinstance(value, str):
        raise CertificateError(f"{place} must be a text, not {_shown(value)}")
    if len(value) > most:
        raise CertificateError(f"{place} may have at most {most:,} characters, not {len(value):,}")
    return value


def _one_of(value: object, place: str, known: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in known:
        raise CertificateError(f"{place} must be one of {', '.join(known)}, not {_shown(value)}")
    return value


def _flag(value: object, place: str) -> bool:
    if not isinstance(value, bool):
        raise CertificateError(f"{place} must be true or false, not {_shown(value)}")
    return value


def _count(value: object, place: str, *, least: int = 0, most: int = 10**12) -> int:
    if type(value) is not int or not least <= value <= most:
        raise CertificateError(
            f"{place} must be a whole number from {least} to {most:,}, not {_shown(value)}"
        )
    return value


def _number(value: object, place: str) -> float:
    """A number from 0 up; null stands for one without an end."""
    if value is None:
        return math.inf
    if type(value) not in (int, float) or not 0 <= cast(float, value) <= 1e300:
        raise CertificateError(f"{place} must be a number from 0 up, or null, not {_shown(value)}")
    return float(cast(float, value))


def _shown(value: object) -> str:
    """Any JSON value, as JSON, cut short."""
    return shown(value) if isinstance(value, str) else cut(json.dumps(value), MOST_CHARACTERS)
