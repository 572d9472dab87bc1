"""What most commands are run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line import HIST, Run
from untracr.compile.canonical import canonicalise
from untracr.decompile.greedy import Decoded
from untracr.syntax.parsing import parse


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command: ``run("sample", "--programs", 2)``."""
    return Run(capsys)


@pytest.fixture
def hist(tmp_path: Path) -> Path:
    """A program file."""
    path = tmp_path / "hist.py"
    path.write_text(HIST)
    return path


@pytest.fixture
def model(run: Run, hist: Path, tmp_path: Path) -> Path:
    """A model file."""
    path = tmp_path / "hist.safetensors"
    assert run("compile", hist, "-o", path).code == 0
    return path


@pytest.fixture
def writes_hist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding gives the histogram, whatever the weights: a meta-model that knows the answer."""
    decoded = Decoded(canonicalise(parse(HIST)), 0.0, 1)
    monkeypatch.setattr(
        "untracr.decompile.decompiler.decode_greedily", lambda *args, **kwargs: decoded
    )
