"""A certificate is a view of what decompiling found: nothing is compiled or put in order twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from certified_models import HIST, result_of, saved, without_read_out
from counted_calls import counted
from untracr.ambiguity.checking import check
from untracr.certificate.certificate import NothingShown, certificate_of
from untracr.cli.entry import main
from untracr.decompile.bundled import example_file
from untracr.loading.model import LoadedModel
from untracr.rasp.domain import Domain
from untracr.syntax.parsing import parse
from untracr.transformer.token_rows import in_standard_order


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often programs are compiled, weights aligned and token rows looked for."""
    return counted(monkeypatch)


ONCE = {"compile_program": 1, "align": 1, "find_special_rows": 1}


@pytest.mark.usefixtures("meta_model")
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_a_file_is_worked_out_once(form: list[str], tmp_path: Path, calls: Counter[str]) -> None:
    """Verdict, attribution, text and certificate come from one compilation of the answer."""
    file = str(example_file())
    assert main(["decompile", file, "--greedy", "--certificate", str(tmp_path), *form]) == 0
    assert calls == ONCE


def beside(loaded: LoadedModel, source: str) -> Any:
    """What decompiling gives, with the program laid beside the model."""
    model, vocab = in_standard_order(loaded)
    checked = check(model, parse(source), Domain(vocab, len(model.W_pos) - 1))
    return replace(result_of(loaded, parse(source)), beside=checked.beside)


def test_the_certificate_is_that_of_a_check_anew(hist: LoadedModel, calls: Counter[str]) -> None:
    """What is not worked out again would have come out the same."""
    bare = without_read_out(hist)
    result = beside(bare, HIST)
    anew = certificate_of(replace(result, beside=None), bare, bare.path.parent)
    calls.clear()
    assert certificate_of(result, bare, bare.path.parent) == anew
    assert calls["compile_program"] == calls["align"] == 0


def test_another_models_evidence_is_not_used(hist: LoadedModel, tmp_path: Path) -> None:
    """A result handed in with another model's weights is checked against these."""
    result = beside(hist, HIST)
    weights = hist.transformer.replace(W_E=hist.transformer.W_E * 2)
    changed = replace(hist, weights=weights)
    certificate = certificate_of(result, changed, tmp_path)
    assert certificate == certificate_of(replace(result, beside=None), changed, tmp_path)
    assert certificate.verdict != "identical"


def test_another_programs_evidence_is_not_used(hist: LoadedModel, tmp_path: Path) -> None:
    """The program that is printed is the one that is certified."""
    other = "Map(lambda x: x == 1, tokens)"
    result = replace(beside(hist, HIST), source=other, program=parse(other))
    with pytest.raises(NothingShown):
        certificate_of(result, hist, tmp_path)


def test_another_read_out_is_another_model(tmp_path: Path) -> None:
    """Two models of the same arrays whose outputs are called differently are not equal."""
    model = saved(tmp_path / "hist.safetensors", HIST).transformer
    assert model.equals(model.replace())
    assert model.output_values is not None
    assert model.W_U is not None
    called = tuple(map(str, model.output_values))
    assert not model.equals(model.replace(output_values=called))
    assert not model.equals(model.replace(W_U=None, output_values=None))
    assert not model.equals(model.replace(W_U=model.W_U * 2))
    assert not model.equals(model.replace(causal=not model.causal))
