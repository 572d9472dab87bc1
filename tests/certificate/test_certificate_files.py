"""Certificates as files: bad entries are named, and paths lead where they say."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from certified_models import HIST, edited, result_of
from untracr.certificate.certificate import (
    Certificate,
    certificate_of,
    parse_certificate,
    read_certificate,
    write_certificate,
)
from untracr.certificate.replaying import model_path, replay_file
from untracr.errors import CertificateError, ModelFileError
from untracr.loading.model import LoadedModel
from untracr.syntax.parsing import parse

BAD: dict[str, tuple[dict[str, object], str]] = {
    "format": ({"format": "other"}, "no certificate: its format must be"),
    "version": ({"format_version": 3}, "format_version 2 is read; this is 3; a newer"),
    "earlier version": ({"format_version": 1}, "this is 1; decompile the model again"),
    "version true": ({"format_version": True}, "this is true"),
    "no model": ({"model": None}, "model must be a JSON object, not null"),
    "verdict": ({"verdict": "proved"}, "verdict must be one of tested, equivalent, identical"),
    "unverified": ({"verdict": "unverified"}, "not 'unverified'"),
    "verdict list": ({"verdict": ["identical"]}, "verdict must be one of"),
    "digest": ({"model__sha256": "ABC"}, "model.sha256 must be 64 lower-case"),
    "absolute": ({"model__file": "/etc/passwd"}, "relative to the certificate's folder"),
    "windows": ({"model__file": "C:\\a.npz"}, "relative to the certificate's folder"),
    "share": ({"model__file": "\\\\host\\a.npz"}, "relative to the certificate's folder"),
    "null in file": ({"model__file": "a\0b"}, "relative to the certificate's folder"),
    "no file": ({"model__file": ""}, "relative to the certificate's folder"),
    "long file": ({"model__file": "a" * 5000}, "at most 4,000 characters, not 5,000"),
    "no tokens": ({"vocab": []}, "vocab: a vocabulary must hold at least one token"),
    "twice": ({"vocab": [1, True]}, "must not repeat a token"),
    "huge token": ({"vocab": [10**13]}, r"vocab\[0\] must be at most 1e\+12"),
    "infinite token": ({"vocab": [0, float("inf")]}, "Infinity is not JSON"),
    "list token": ({"vocab": [[1]]}, r"vocab\[0\] must be null, true"),
    "many tokens": ({"vocab": list(range(1001))}, "at most 1,000 tokens"),
    "vocab": ({"vocab": "abc"}, "vocab must be a list, not 'abc'"),
    "length": ({"max_seq_len": 0}, "max_seq_len must be a whole number from 1 to 1,000, not 0"),
    "huge length": ({"max_seq_len": 10**9}, "from 1 to 1,000, not 1000000000"),
    "float length": ({"max_seq_len": 3.0}, "not 3.0"),
    "causal": ({"causal": 1}, "causal must be true or false, not 1"),
    "program": ({"program": ["tokens"]}, "program must be a text"),
    "long program": ({"program": "#" * 1_000_001}, "program may have at most 1,000,000"),
    "others": ({"other_programs": [3]}, r"other_programs\[0\] must be a text, not 3"),
    "many others": ({"other_programs": ["tokens"] * 201}, "200 other programs, not"),
    "others of equivalent": (
        {"verdict": "equivalent", "other_programs": ["tokens"]},
        "where the verdict is 'identical' only",
    ),
    "inputs": ({"inputs_checked": -1}, "inputs_checked must be a whole number"),
    "agree": (
        {"evidence__inputs_agree": 9, "evidence__inputs_checked": 8},
        "inputs_agree must be at most",
    ),
    "weights": ({"evidence__weights": "equal"}, "evidence.weights must be one of not compared"),
    "off": ({"evidence__weights_off": -1.0}, "evidence.weights_off must be a number from 0 up"),
    "tolerance": ({"evidence__output_tolerance": "0"}, "evidence.output_tolerance"),
    "unknown": ({"proof": "yes"}, "a certificate has an unknown key 'proof'"),
    "unknown inner": ({"model__url": "http://x"}, "model has an unknown key 'url'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_entries_are_named(name: str, certificate: Certificate) -> None:
    """One clear error: the rule, the value and the place."""
    changes, message = BAD[name]
    with pytest.raises(CertificateError, match=message) as error:
        parse_certificate(edited(certificate, **changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["format", "model", "program", "evidence", "verdict", "vocab"])
def test_missing_entries_are_named(key: str, certificate: Certificate) -> None:
    """Every key must be there."""
    content = certificate.as_dict()
    del content[key]
    with pytest.raises(CertificateError, match=key):
        parse_certificate(json.dumps(content).encode())


def test_damaged_files_are_refused(certificate: Certificate, tmp_path: Path) -> None:
    """Cut short anywhere, not UTF-8, not JSON, nested deeply, of huge numbers, or two-faced."""
    data = certificate.to_json().encode()
    for end in range(0, len(data) - 2, 37):
        with pytest.raises(CertificateError, match="must be JSON"):
            parse_certificate(data[:end])
    for bad, message in (
        (data.replace(b"certificate", b"certific\xff", 1), "must be UTF-8 text; byte 30 is not"),
        (certificate.to_json().encode("utf-16"), "must be UTF-8"),
        (b"[" * 200_000, "must be JSON"),
        (b"[1, 2]", "a certificate must be a JSON object"),
        (b"{}", "no certificate: its format must be"),
        (data.replace(b'"max_seq_len": 3', b'"max_seq_len": ' + b"9" * 5000), "must be JSON"),
        (data.replace(b'"max_seq_len": 3', b'"max_seq_len": 1e999'), "must fit a float"),
        (data.replace(b'"weights_off": 0.0', b'"weights_off": 1e999'), "must fit a float"),
        (data.replace(b'"weights_off": 0.0', b'"weights_off": NaN'), "NaN is not JSON"),
        (
            data.replace(b'"causal"', b'"verdict": "tested", "causal"'),
            "the key 'verdict' is there twice",
        ),
    ):
        assert bad != data
        with pytest.raises(CertificateError, match=message):
            parse_certificate(bad)
    assert parse_certificate(b"\xef\xbb\xbf" + data) == certificate
    for path, message in (
        (tmp_path / "missing.json", "there is no such file"),
        (tmp_path, "a certificate is one file; this is a directory"),
    ):
        with pytest.raises(CertificateError, match=message):
            read_certificate(path)
    with (tmp_path / "big.json").open("wb") as file:
        file.truncate(17 * 2**20)
    with pytest.raises(CertificateError, match="at most 8,388,608 bytes"):
        read_certificate(tmp_path / "big.json")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    """A certificate that is a pipe is refused, not read forever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CertificateError, match="is a regular file"):
        read_certificate(tmp_path / "pipe")


def test_models_are_found_from_the_certificate(
    hist: LoadedModel, certificate: Certificate, tmp_path: Path
) -> None:
    """Beside it, in a folder next to it, in a folder that is given; else one error says where."""
    folder = tmp_path / "certificates"
    loaded = replace(hist, path=hist.path)
    beside = certificate_of(result_of(loaded, parse(HIST)), loaded, folder)
    assert beside.model_file == "../hist.safetensors"
    path = folder / "hist.json"
    write_certificate(path, beside)
    assert replay_file(path).is_proved
    moved = tmp_path / "moved"
    moved.mkdir()
    hist.path.rename(moved / hist.path.name)
    with pytest.raises(CertificateError, match=r"'\.\./hist\.safetensors' from here.*--model"):
        replay_file(path)
    assert replay_file(path, moved).is_proved
    assert model_path(path, beside, moved) == moved / "hist.safetensors"
    assert replay_file(path, moved / hist.path.name).is_proved
    with pytest.raises(ModelFileError, match="no such file"):
        replay_file(path, tmp_path / "nothing.npz")


def test_a_path_that_leads_elsewhere_shows_nothing(
    certificate: Certificate, tmp_path: Path
) -> None:
    """Of a file that is no model nothing is told but that it is none."""
    secret = tmp_path / "secret"
    secret.write_text("the password is swordfish")
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.json"
    path.write_bytes(edited(certificate, model__file="../secret"))
    with pytest.raises(ModelFileError, match="this is text") as error:
        replay_file(path)
    assert "swordfish" not in str(error.value)


def test_other_files_are_not_overwritten(
    hist: LoadedModel, certificate: Certificate, tmp_path: Path
) -> None:
    """The same model's certificate is replaced; another's, and any other file, is kept."""
    path = tmp_path / "a.json"
    write_certificate(path, certificate)
    write_certificate(path, replace(certificate, detail="again"))
    assert read_certificate(path).detail == "again"
    write_certificate(path, replace(certificate, sha256="0" * 64))  # trained anew, the same file
    other = replace(certificate, sha256="1" * 64, model_file="other.npz")
    before = path.read_bytes()
    with pytest.raises(CertificateError, match=r"only one of the same model.*other\.npz"):
        write_certificate(path, other)
    assert path.read_bytes() == before
    path.write_text('{"my": "notes"}')
    with pytest.raises(CertificateError, match="something else"):
        write_certificate(path, certificate)
    assert path.read_text() == '{"my": "notes"}'
    with pytest.raises(CertificateError, match="cannot be written"):
        write_certificate(path / "b.json", certificate)
    with pytest.raises(CertificateError, match="program may have at most"):
        write_certificate(tmp_path / "c.json", replace(certificate, program="#" * 3_000_000))
    assert not (tmp_path / "c.json").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
