"""An honest certificate, and no network behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from certified_models import HIST, result_of, saved
from untracr.certificate.certificate import (
    Certificate,
    certificate_of,
    write_certificate,
)
from untracr.loading.model import LoadedModel
from untracr.metamodel.numpy_network import NumpyNetwork
from untracr.syntax.parsing import parse


@pytest.fixture
def hist(tmp_path: Path) -> LoadedModel:
    """The model of a histogram."""
    return saved(tmp_path / "hist.safetensors", HIST)


@pytest.fixture
def certificate(hist: LoadedModel) -> Certificate:
    """An honest certificate of it."""
    return certificate_of(result_of(hist, parse(HIST)), hist, hist.path.parent)


@pytest.fixture
def meta_model() -> None:
    """Asked for by the tests that decompile."""


@pytest.fixture(autouse=True)
def no_meta_model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may load the meta-model, but what says that it decompiles."""
    if "meta_model" in request.fixturenames:
        return

    def load(*args: object) -> None:
        raise AssertionError("the meta-model was loaded")

    monkeypatch.setattr(NumpyNetwork, "load", load)


@pytest.fixture
def file(hist: LoadedModel, certificate: Certificate) -> Path:
    """The honest certificate beside its model."""
    path = hist.path.with_name("hist.safetensors.json")
    write_certificate(path, certificate)
    return path
