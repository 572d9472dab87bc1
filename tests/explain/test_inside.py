"""What any model computes, shown: as the forward pass computes it, bounded, nothing unescaped."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from random_networks import KINDS, network_of
from untracr.diagnose.model import compile_rasp_to_model
from untracr.errors import InputError, ModelFileError
from untracr.explain.inside import Seen, seen_inside
from untracr.explain.inside_picture import MOST_CELLS, MOST_POSITIONS, inside_picture
from untracr.explain.inside_text import number_word, seen_text
from untracr.explain.look import look_inside
from untracr.explain.sampled_inputs import sampled_inputs
from untracr.loading.loading import load_model
from untracr.loading.model import LoadedModel
from untracr.loading.tasks import told_by
from untracr.network.architecture import Architecture, LayerNorm
from untracr.network.forward import forward
from untracr.network.network import Attention, Layer, Network
from untracr.rasp.values import Value
from untracr.task.task import AtToken, Label, Layout, Lengths, Specials, Task
from untracr.task.told import Told

HOSTILE = ("<script>alert(1)</script>", "&amp;", "\x00\x1b[31m", '"quote', "a" * 500, "b", "🙂")
SVG = "{http://www.w3.org/2000/svg}"


def inside(model: LoadedModel, inputs: Sequence[Sequence[Value]]) -> tuple[Seen, ...]:
    """What a model computes on inputs in its own words."""
    return seen_inside(model.network, model.task, inputs)


def loaded(kind: str) -> LoadedModel:
    """A network of random weights."""
    return load_model(network_of(KINDS[kind]))


def large(layers: int, heads: int, positions: int) -> Network:
    """Attention only, of two dimensions a head."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    def attention() -> Attention:
        weights = [draw(heads, 4, 2) for _ in range(3)]
        zero = np.zeros((heads, 2), np.float32)
        outputs = draw(heads, 2, 4), np.zeros(4, np.float32)
        return Attention(weights[0], zero, weights[1], zero, weights[2], zero, *outputs, 1.0)

    architecture = Architecture(LayerNorm(), causal=True)
    stack = tuple(Layer(attention()) for _ in range(layers))
    return Network(architecture, draw(5, 4), draw(positions, 4), stack, W_U=draw(4, 5))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_shown_is_what_the_forward_pass_computes(kind: str) -> None:
    """Logits are its logits; patterns are shares; lengths add up as the stream does."""
    model = loaded(kind)
    (seen,) = inside(model, [(3, 1, 4, 1)])
    logits = forward(model.network, np.array([[3, 1, 4, 1]]))[0]
    assert (seen.logits is None) == (model.network.W_U is None)
    if seen.logits is not None:
        assert np.array_equal(seen.logits, logits)
    heads = [layer.attention.W_Q.shape[0] for layer in model.network.layers]
    assert [len(patterns) for patterns in seen.patterns] == heads
    for _, _, pattern in seen.heads:
        assert pattern.shape == (4, 4)
        assert np.allclose(pattern.sum(axis=1), 1, atol=1e-5)
    halves = sum(1 if layer.mlp is None else 2 for layer in model.network.layers)
    assert len(seen.added) == halves + 1
    for before, after in zip(seen.added, seen.added[1:], strict=False):
        assert (after.after <= before.after + after.norms + 1e-4).all()


def test_lengths_are_those_of_the_hook_points() -> None:
    """Compared with vectors that are added up here."""
    model = loaded("uneven")
    network, ids = model.network, np.array([[3, 1, 4]])
    (seen,) = inside(model, [(3, 1, 4)])
    assert network.W_pos is not None
    stream = network.W_E[ids[0]] + network.W_pos[:3]
    assert np.allclose(seen.added[0].norms, np.linalg.norm(stream, axis=1), rtol=1e-5)
    assert [part.hook for part in seen.added[1:]] == [
        *("blocks.0.hook_attn_out", "blocks.0.hook_mlp_out", "blocks.1.hook_attn_out"),
        *("blocks.2.hook_attn_out", "blocks.2.hook_mlp_out"),
    ]


def test_outputs_are_in_the_tasks_words() -> None:
    """At the positions that count, as `LoadedModel.answers` gives them."""
    model = compile_rasp_to_model("sop = Map(lambda x: x + 1, tokens)", range(3), 4)
    (seen,) = look_inside(model, [(0, 2, 1)]).seen
    assert seen.tokens == ("compiler_bos", 0, 2, 1)
    assert seen.counted == (1, 2, 3)
    assert seen.outputs == (1, 3, 2)
    assert seen_text(seen).splitlines()[-3].split() == ["output", "-", "1", "3", "2"]


@pytest.fixture(scope="module")
def hostile() -> Seen:
    """What a model of strangers' names computes."""
    model = loaded("gpt2")
    (seen,) = inside(model.with_task(told(HOSTILE)), [HOSTILE[:5]])
    return seen


def told(tokens: tuple[str, ...]) -> Told:
    """A task with names, as what is told of it."""
    return told_by({"tokens": list(tokens)})


def test_names_of_strangers_are_escaped_and_cut(hostile: Seen) -> None:
    """In the picture as in the text: valid XML, no tags, nothing that a terminal obeys."""
    svg = inside_picture([hostile], "<b>&\x00" + "long " * 200)
    root = ET.fromstring(svg)
    assert {element.tag for element in root.iter()} <= {
        SVG + tag for tag in ("svg", "title", "defs", "pattern", "line", "rect", "text")
    }
    assert "<script" not in svg
    assert "\x1b" not in svg + seen_text(hostile)
    assert max(map(len, seen_text(hostile).splitlines())) < 250


def boxes(svg: str) -> Iterator[tuple[float, float, float, float]]:
    """Left, top, right and bottom of each line of text, a letter as wide as in the picture."""
    for text in ET.fromstring(svg).iter(SVG + "text"):
        size = float(text.attrib["font-size"])
        width = 0.602 * size * len("".join([text.text or "", *(t.tail or "" for t in text)]))
        x = float(text.attrib["x"])
        x -= {"start": 0.0, "middle": 0.5, "end": 1.0}[text.attrib["text-anchor"]] * width
        y = float(text.attrib["y"])
        yield x, y - 0.7 * size, x + width, y


@pytest.mark.parametrize("length", [1, 4, 10])
@pytest.mark.parametrize("kind", ["gpt2", "no read-out", "one number"])
def test_no_words_lie_on_others_or_outside(kind: str, length: int) -> None:
    """Whatever is drawn has a place of its own, also with long names."""
    model = loaded(kind)
    names = ("a", "<bos>", "a_long_name_of_a_token", "d", "eee", "ffffffff", "g")
    named = model.with_task(told(names))
    rng = np.random.default_rng(length)
    free = [name for name in names if name != "<bos>"]
    inputs = [("a",) * length, tuple(free[i] for i in rng.integers(len(free), size=length))]
    svg = inside_picture(inside(named, inputs), "a model")
    width, height = (float(ET.fromstring(svg).attrib[name]) for name in ("width", "height"))
    placed = list(boxes(svg))
    assert all(x >= 0 and right <= width + 1 and bottom <= height for x, _, right, bottom in placed)
    overlaps = [
        (one, other)
        for number, one in enumerate(placed)
        for other in placed[:number]
        if min(one[2], other[2]) - max(one[0], other[0]) > 1
        and min(one[3], other[3]) - max(one[1], other[1]) > 1
    ]
    assert overlaps == []


def test_a_picture_is_bounded() -> None:
    """Many heads and long inputs: what is left out is counted."""
    model = load_model(large(6, 8, 120))
    seen = inside(model, [tuple(np.arange(100) % 5)])
    svg = inside_picture(seen, "large")
    assert svg.count("<rect") < MOST_CELLS + 6 * 8 + 60 * MOST_POSITIONS
    assert "more heads are not drawn" in svg
    assert f"the first {MOST_POSITIONS} of 100 positions" in svg
    text = seen_text(seen[0])
    assert "76 more positions are not shown" in text
    assert len(text.splitlines()) < 80


def test_too_much_is_refused_before_it_is_computed() -> None:
    """The numbers that would be shown are counted first."""
    model = load_model(large(6, 8, 1000))
    with pytest.raises(InputError, match=r"48 heads .* at most 4,194,304 are shown"):
        inside(model, [tuple(np.arange(1000) % 5)])


def test_weights_that_overflow_are_refused() -> None:
    """Nothing infinite is drawn."""
    network = network_of(KINDS["compiled"])
    huge = network.replace(W_E=network.W_E * np.float32(1e30))
    with pytest.raises(ModelFileError, match="finite numbers"):
        look_inside(huge, [(1, 2)])


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.0, "0.00"), (1.5, "1.50"), (123.456, "123.46"), (0.0123456, "0.0123"), (-2e6, "-2e+06")],
)
def test_numbers_are_as_short_as_they_tell_something(number: float, text: str) -> None:
    """Small ones are no zeros."""
    assert number_word(number) == text


def test_json_holds_all_of_it() -> None:
    """Patterns of every head, lengths and logits, as numbers that JSON can hold."""
    (seen,) = inside(loaded("gpt2"), [(3, 1, 4)])
    document = json.loads(json.dumps(seen.as_dict(), allow_nan=False))
    assert document["input"] == [3, 1, 4]
    assert [(h["layer"], h["head"]) for h in document["heads"]] == [
        (layer, head) for layer in range(2) for head in range(3)
    ]
    assert seen.logits is not None
    assert np.allclose(document["logits"], seen.logits, atol=1e-6)


def test_drawn_inputs_are_of_the_task_and_the_same_for_a_seed() -> None:
    """Of its lengths, of its tokens, never special ones."""
    task = Task(
        (*"abcd", "<bos>", "<pad>"),
        Specials(bos=4, pad=5),
        Layout(before=(4,)),
        Lengths(2, 5),
        counted=AtToken(4),
        meaning=Label(("no", "yes")),
    )
    drawn = sampled_inputs(task, 200, np.random.default_rng(0))
    assert {len(tokens) for tokens in drawn} == {2, 3, 4, 5}
    assert {token for tokens in drawn for token in tokens} == set("abcd")
    assert drawn == sampled_inputs(task, 200, np.random.default_rng(0))


def test_a_notebook_shows_a_picture_and_print_a_text() -> None:
    """Of drawn inputs where none are given."""
    looked = look_inside(network_of(KINDS["gpt2"]))
    assert len(looked.seen) == 3
    assert ET.fromstring(looked._repr_svg_()).tag == f"{SVG}svg"
    assert str(looked).count("# input") == 3
    assert re.fullmatch("<Inside of Network: 3 inputs, 6 heads>", repr(looked))
