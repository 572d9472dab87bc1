"""An explanation takes what reading the program laid beside the model: nothing is done twice."""

from __future__ import annotations

from collections import Counter

import pytest

from compiled_models import model_of
from counted_calls import counted
from untracr.ambiguity.checking import check
from untracr.cli.entry import main
from untracr.decompile.bundled import example_file
from untracr.explain.explained import Explained
from untracr.explain.side_by_side import explain
from untracr.rasp.domain import Domain
from untracr.rasp.program import Program
from untracr.syntax.parsing import parse
from untracr.transformer.transformer import Transformer
from untracr.verify.verdict import Beside

DOMAIN = Domain((0, 1, 2), 4)
HIST = parse("SelectorWidth(Select(tokens, tokens, Comparison.EQ))")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """See `counted`."""
    return counted(monkeypatch)


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_explaining_adds_nothing_to_reading(form: list[str], calls: Counter[str]) -> None:
    """The program is compiled and aligned as often as `untracr decompile` does it, no more."""
    assert main(["decompile", str(example_file())]) == 0
    reading = Counter(calls)
    calls.clear()
    assert main(["explain", str(example_file()), *form]) == 0
    assert calls == reading
    assert reading["compile_program"] >= 1


def changed(model: Transformer) -> Transformer:
    """With one neuron that is not the program's."""
    W_out = model.W_out.copy()
    W_out[0, 1] *= 3
    return model.replace(W_out=W_out)


def explained(
    model: Transformer, earlier: Beside | None = None, program: Program = HIST
) -> Explained:
    """On one input."""
    (of_input,) = explain(model, program, DOMAIN, [(0, 1, 1, 0)], earlier=earlier)
    return of_input


@pytest.mark.parametrize("is_changed", [False, True], ids=["compiled", "changed"])
def test_the_explanation_is_that_made_anew(is_changed: bool, calls: Counter[str]) -> None:
    """What is not worked out again would have come out the same, also where a part is changed."""
    compiled = model_of(HIST, DOMAIN)
    model = changed(compiled) if is_changed else compiled
    anew = explained(model)
    assert bool(anew.changed) == is_changed
    beside = check(model, HIST, DOMAIN, settle=False).beside
    calls.clear()
    assert explained(model, beside).as_dict() == anew.as_dict()
    assert calls["compile_program"] == calls["align"] == 0


def test_what_is_of_another_model_or_program_is_not_used(calls: Counter[str]) -> None:
    """The explanation is of the weights that are given."""
    model = model_of(HIST, DOMAIN)
    beside = check(model, HIST, DOMAIN, settle=False).beside
    anew = explained(changed(model))
    calls.clear()
    assert explained(changed(model), beside).as_dict() == anew.as_dict()
    assert calls["align"] == 1
    other = parse("SelectorWidth(Select(tokens, tokens, Comparison.LT))")
    assert explained(model, beside, other).as_dict() == explained(model, None, other).as_dict()
