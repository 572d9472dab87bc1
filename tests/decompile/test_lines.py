"""`Result.lines`: what the command line knows of a program's lines, as values."""

from __future__ import annotations

import numpy as np
import pytest

from untracr.decompile.bundled import decompile_model
from untracr.decompile.result import Result
from untracr.diagnose.model import CompiledModel, compile_rasp_to_model
from untracr.network.compiled_form import network_of_compiled
from untracr.network.forward import forward
from untracr.network.network import Array
from untracr.transformer.treatments import rotate

PROGRAM = """
before = Select(indices, indices, Comparison.LEQ)
is_one = numerical(Map(lambda x: x == 1, tokens))
share = numerical(Aggregate(before, is_one, default=0))
same = Select(tokens, tokens, Comparison.EQ)
counts = SelectorWidth(same)
both = SequenceMap(lambda x, y: x * y, counts, tokens)
here = Select(counts, indices, Comparison.EQ)
moved = Aggregate(here, both)
"""
"""Each kind of line."""


class Seen:
    """Hooks that keep everything."""

    def __init__(self) -> None:
        self.values: dict[str, Array] = {}

    def wants(self, point: str) -> bool:
        return True

    def at(self, point: str, value: Array) -> Array:
        self.values[point] = value
        return value


@pytest.fixture(scope="module")
def model() -> CompiledModel:
    """Its weights."""
    return compile_rasp_to_model(PROGRAM, range(3), 4, strict=False)


@pytest.fixture(scope="module")
def result(model: CompiledModel) -> Result:
    """What is read off them."""
    return decompile_model(model)


@pytest.fixture(scope="module")
def seen(model: CompiledModel) -> dict[str, Array]:
    """All that they compute on one input."""
    hooks = Seen()
    forward(network_of_compiled(model.transformer), np.array([[3, 1, 1, 0, 2]]), hooks)
    return hooks.values


def test_there_is_one_line_for_each_of_the_program(result: Result) -> None:
    """In their order, each with its text."""
    assert [line.text for line in result.lines] == [line.text for line in result.attributions]
    assert len(result.lines) == len(result.source.splitlines())
    assert all(line.known for line in result.lines)


def test_hook_points_exist(result: Result, seen: dict[str, Array]) -> None:
    """Every name is one of the forward pass's."""
    hooks = {hook for line in result.lines for hook in line.hooks}
    assert hooks <= seen.keys()
    assert all(line.hooks for line in result.lines)


def test_a_selectors_pattern_is_its_heads(
    model: CompiledModel, result: Result, seen: dict[str, Array]
) -> None:
    """The hook point of a selector shows what it selects."""
    line = next(line for line in result.lines if "EQ" in line.text and "tokens, " in line.text)
    ((layer, head),) = line.heads
    assert line.hooks == tuple(f"blocks.{layer}.attn.hook_{p}" for p in ("attn_scores", "pattern"))
    pattern = seen[line.hooks[1]][0, head]
    ids = [1, 1, 0, 2]
    wanted = np.array([[key == query for key in ids] for query in ids])
    assert ((pattern[1:, 1:] > 0.2) == wanted).all()


def test_the_last_hook_point_holds_the_value(result: Result, seen: dict[str, Array]) -> None:
    """A categorical value stands there in its dimensions, and nowhere before."""
    line = next(line for line in result.lines if "SelectorWidth" in line.text)
    values = seen[line.hooks[-1]][0][1:, list(line.dims)]
    assert np.allclose(values.max(axis=1), 1, atol=1e-3)
    assert np.allclose(values.sum(axis=1), 1, atol=1e-3)
    assert not seen[f"blocks.{line.heads[0][0]}.hook_resid_pre"][0][:, list(line.dims)].any()


def test_a_rotation_leaves_heads_but_no_dimensions(model: CompiledModel) -> None:
    """What is not known is not told."""
    turned = rotate(model.transformer, np.random.default_rng(3))
    lines = decompile_model(turned, vocab=range(3)).lines
    assert lines
    assert all(line.known and not line.dims for line in lines)
    assert any(line.directions for line in lines)


def test_a_line_is_shown_as_the_command_line_shows_it(result: Result) -> None:
    """The line, then what carries it."""
    assert repr(result.lines[0]) == f"<{result.lines[0].text}  # {result.lines[0].place}>"
