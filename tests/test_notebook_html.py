"""What values show in a notebook: HTML that is well-formed, escaped and of bounded size."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from random_networks import KINDS, network_of
from untracr.decompile.bundled import decompile_model
from untracr.diagnose.model import CompiledModel, compile_rasp_to_model
from untracr.explain import Explained, explain
from untracr.loading.loading import load_model
from untracr.network.tracing import trace
from untracr.notebook_html import MOST_LINES, code, table
from untracr.rasp.domain import Domain
from untracr.syntax.parsing import parse

TAGS = {"div", "p", "b", "pre", "code", "table", "thead", "tbody", "tr", "th", "td"}
TOKENS = ("<script>alert(1)</script>", "&amp;", "\x00\x1b[31m")


@pytest.fixture(scope="module")
def model() -> CompiledModel:
    """Of tokens with hostile names."""
    source = "same = Select(tokens, tokens, Comparison.EQ)\ncounts = SelectorWidth(same)\n"
    return compile_rasp_to_model(source, TOKENS, 3)


def text_of(html: str) -> str:
    """What a reader sees, after a check that it is what a notebook may be given."""
    root = ET.fromstring(html)
    assert {element.tag for element in root.iter()} <= TAGS
    assert "<script" not in html
    assert len(html) < 100_000
    return "".join(root.itertext())


def test_a_program_is_shown_as_its_text() -> None:
    """Signs of comparisons are escaped."""
    program = parse("small = Map(lambda x: x < 3, tokens)")
    assert text_of(program._repr_html_()) == str(program).rstrip("\n")


def test_a_compiled_model_tells_where_its_variables_are(model: CompiledModel) -> None:
    """Heads, neurons and dimensions of each."""
    text = text_of(model._repr_html_())
    parts = model.node_map[model.program.output]
    assert f"countslayer 0 head 0; layer 0 neurons {parts.neurons[0]}-{parts.neurons[-1]}" in text


def test_a_result_tells_verdict_lines_and_hook_points(model: CompiledModel) -> None:
    """What carries each line, as the command line tells it."""
    result = decompile_model(model)
    text = text_of(result._repr_html_())
    assert "identical" in text
    for line in result.lines:
        assert line.text in text
        assert line.place in text
        assert ", ".join(line.hooks) in text


def test_a_loaded_model_tells_its_task_and_labels(model: CompiledModel) -> None:
    """Labels are the file's."""
    loaded = load_model(model)
    assert list(loaded.residual_labels) == model.residual_labels
    assert loaded.variables["counts"] == model.node_map[model.program.output].dims
    assert "counts" in text_of(loaded._repr_html_())


def test_labels_that_do_not_fit_are_not_believed(model: CompiledModel) -> None:
    """A stranger's metadata may say anything."""
    for labels in (None, "abc", ["a"], [1] * model.transformer.d_model):
        loaded = load_model(model.transformer)
        loaded.metadata["residual_labels"] = labels
        assert loaded.residual_labels == ()
        assert loaded.variables == {}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_model_without_labels_is_shown_too(kind: str) -> None:
    """With what was assumed of it."""
    assert "LoadedModel" in text_of(load_model(network_of(KINDS[kind]))._repr_html_())


def test_a_model_that_says_nonsense_of_its_task_is_shown_too(model: CompiledModel) -> None:
    """The error stands in place of the task."""
    loaded = load_model(model.transformer)
    loaded.metadata["vocab"] = ["a", "a"]
    text_of(loaded._repr_html_())


def test_a_trace_lists_its_hook_points() -> None:
    """With the shapes of their values."""
    seen = trace(network_of(KINDS["gpt2"]), [[1, 2, 3]])
    assert "[1, 3, 3, 3]blocks.i.{attn.hook_attn_scores, attn.hook_pattern}" in text_of(
        seen._repr_html_()
    )


def test_an_explanation_is_a_picture(model: CompiledModel) -> None:
    """Of the tokens as they are, escaped."""
    domain = Domain(TOKENS, 3)
    (explained,) = explain(model.transformer, model.program, domain, [TOKENS])
    assert isinstance(explained, Explained)
    svg = explained._repr_svg_()
    assert svg is not None
    ET.fromstring(svg)
    assert "<script" not in svg
    assert "\x1b" not in str(explained)


def test_a_picture_that_nobody_could_look_at_is_not_drawn() -> None:
    """A notebook then shows the text."""
    model = compile_rasp_to_model(
        "first = Select(indices, indices, Comparison.LT)\nahead = SelectorWidth(first)\n",
        range(2),
        110,
        strict=False,
    )
    domain = Domain((0, 1), 110)
    (explained,) = explain(model.transformer, model.program, domain, [(0, 1) * 55])
    assert explained._repr_svg_() is None


def test_long_programs_and_tables_are_cut() -> None:
    """What is left out is counted."""
    source = "\n".join(f"line {number}" for number in range(MOST_LINES + 7))
    assert code(source).endswith("<p>and 7 more</p>")
    rows = [(number, "x" * 10_000) for number in range(MOST_LINES + 7)]
    assert len(table(("a", "b"), rows)) < 100_000
    assert "and 7 more" in table(("a", "b"), rows)
