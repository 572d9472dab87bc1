"""Certificates on the command line: written by decompile, replayed by check."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from untracr.cli.check_options import CheckOptions
from untracr.cli.command import FAILED, NO, OK
from untracr.cli.output import complain, print_json
from untracr.errors import CertificateError, UntracrError, UsageError
from untracr.shown_text import printable
from untracr.strangers_files import beginning_of

if TYPE_CHECKING:
    from untracr.certificate.replaying import Replay
    from untracr.decompile.result import Result
    from untracr.loading.model import LoadedModel


@dataclass(frozen=True, kw_only=True)
class CertificateOption:
    """What `add_certificate_option` adds."""

    certificate: Path | None


def add_certificate_option(parser: argparse.ArgumentParser) -> None:
    """Adds --certificate, for `write_certificate_into`."""
    parser.add_argument(
        "--certificate",
        type=Path,
        metavar="DIR",
        help="write what was shown into this folder, a file a model, for untracr check",
    )


def write_certificate_into(folder: Path, loaded: LoadedModel, result: Result) -> Path | None:
    """Writes the certificate of a result, named after the model's file.

    Returns:
        Where it is; None where nothing was shown, which is told on standard error.

    Raises:
        CertificateError: it cannot be written, or something else is in its place.
    """
    from untracr.certificate.certificate import NothingShown, certificate_of, write_certificate

    if folder.exists() and not folder.is_dir():
        raise CertificateError(f"--certificate needs a folder; {folder} is a file")
    path = folder / f"{loaded.path.name}.json"
    try:
        certificate = certificate_of(result, loaded, folder)
    except NothingShown as error:
        print(f"untracr: {printable(error)}", file=sys.stderr)
        return None
    write_certificate(path, certificate)
    if certificate.verdict != result.verdict:  # a check from the file alone shows another one
        print(f"untracr: {printable(path)} claims {certificate.verdict} only", file=sys.stderr)
    return path


def is_json(argument: str) -> bool:
    """Whether an argument is a file that begins as JSON does, and as no program."""
    first = beginning_of(Path(argument), 512)
    return first.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def check_certificates(options: CheckOptions) -> int:
    """Replays certificates; of several, a bad one is told and does not stop the others.

    Raises:
        UsageError: the options are those for programs.
        UntracrError: the only certificate, or its model, cannot be read.
    """
    for name, given in (
        ("against", options.against),
        ("max-seq-len", options.max_seq_len),
        ("causal", options.causal),
    ):
        if given is not None:
            raise UsageError(f"--{name} is for programs; a certificate says that itself")
    if len(options.programs) > 1 and options.model is not None and not options.model.is_dir():
        raise UsageError("--model must be a folder where there are several certificates")
    codes = {_check(Path(file), options) for file in options.programs}
    return next((code for code in (FAILED, NO) if code in codes), OK)


def _check(path: Path, options: CheckOptions) -> int:
    from untracr.certificate.replaying import replay_file

    try:
        replayed = replay_file(path, options.model, vocab=options.vocab)
    except UntracrError as error:
        if len(options.programs) == 1:
            raise
        if options.json:
            print_json({"file": str(path), "error": str(error)})
        else:
            complain(error)
        return FAILED
    if options.json:
        print_json({"file": str(path), **replayed.as_dict()})
    else:
        _print_replay(path, replayed, blank=len(options.programs) > 1)
    return OK if replayed.is_proved else NO


def _print_replay(path: Path, replayed: Replay, *, blank: bool) -> None:
    lines = [f"# {path}: a certificate of {replayed.certificate.model_file}"]
    lines += [f"{step.name}: {step.text}" for step in replayed.steps]
    shown = [printable(line) for line in (*lines, replayed.conclusion)]
    print("\n".join([*shown, ""] if blank else shown), flush=True)
