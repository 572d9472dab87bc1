"""A model and its program side by side: what is shown is what the interpreter and the model do."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compiled_models import bare, model_of
from untracr.cli import main
from untracr.compile.canonical import canonicalise
from untracr.explain import Explanation, explain
from untracr.explain.drawing import MONO_WIDTH, Drawing, shade
from untracr.explain.explanation_page import page
from untracr.explain.explanation_picture import picture
from untracr.explain.side_by_side import _wanted
from untracr.explain.text import explanation_text, value_text
from untracr.loading.compiled_file import save_model
from untracr.loading.loading import load_model
from untracr.rasp.domain import Domain
from untracr.rasp.interpreter import run
from untracr.rasp.program import Program, print_program
from untracr.svg import xml_text
from untracr.syntax.library import named_program
from untracr.syntax.parsing import parse
from untracr.transformer import treatments
from untracr.transformer.transformer import Transformer

DOMAIN = Domain((1, 2, 3, 4, 5), 5)
INPUT = (3, 1, 4, 1)
NUMBERS = """
same = Select(tokens, tokens, Comparison.EQ)
hist = SelectorWidth(same)
small = numerical(Map(lambda x: x < 3, hist))
ahead = Select(indices, indices, Comparison.LT)
share = numerical(Aggregate(ahead, small, default=0))
end = numerical(LinearSequenceMap(share, small, 2, 1))
"""


@pytest.fixture(scope="module")
def sort() -> Program:
    """The library's sort."""
    found = named_program("sort")
    return canonicalise(found if isinstance(found, Program) else found.program)


@pytest.fixture(scope="module")
def model(sort: Program) -> Transformer:
    """Its weights."""
    return model_of(sort, DOMAIN)


def one(model: Transformer, program: Program, tokens: tuple[int, ...] = INPUT) -> Explanation:
    """The explanation of one input."""
    (found,) = explain(model, program, DOMAIN, [tokens])
    return found


def upto(program: Program, ref: int) -> Program:
    """The program that ends in one of its lines."""
    return replace(program, output=ref)


def test_values_are_the_interpreter_s(sort: Program, model: Transformer) -> None:
    """Of every line, and the model holds them, clearly."""
    found = one(model, sort)
    assert [line.attribution.text for line in found.lines[2:]] == print_program(sort).splitlines()
    assert [line.name for line in found.lines[:2]] == ["tokens", "indices"]
    seen = 0
    for line in found.lines:
        if line.matrix is None:
            (wanted,) = run(upto(sort, line.attribution.ref), [INPUT])
            assert list(line.program) == wanted
            assert [held.value for held in line.held] == wanted
            assert min(held.clear for held in line.held) > 0.99
            seen += 1
    assert seen == 5
    assert found.agrees
    assert found.output is not None
    assert list(found.output.model) == sorted(INPUT)


def test_selectors_are_beside_their_attention(sort: Program, model: Transformer) -> None:
    """Matrix and attention agree on the keys; what remains is BOS's."""
    found = one(model, sort)
    compared = []
    for line in found.lines:
        if line.matrix is None:
            continue
        keys, queries = np.array(line.keys), np.array(line.queries)
        compare = np.less if "LT" in line.attribution.text else np.equal
        assert (line.matrix == compare(keys[None, :], queries[:, None])).all()
        (pattern,) = line.patterns
        assert (pattern.layer, pattern.head) == line.attribution.heads[0]
        assert pattern.attention.shape == (5, 5)
        np.testing.assert_allclose(pattern.attention.sum(axis=1), 1.0)
        assert (pattern.selected == line.matrix).all()
        compared.append(pattern.off)
    assert len(compared) == 2
    assert max(compared) < 0.02


def test_wanted_attention() -> None:
    """An Aggregate rests on BOS where nothing is selected, a SelectorWidth counts it always."""
    matrix = np.array([[True, True], [False, False]])
    assert _wanted(matrix, always_bos=False).tolist() == [[0, 0.5, 0.5], [1, 0, 0]]
    third = pytest.approx(1 / 3)
    assert _wanted(matrix, always_bos=True).tolist() == [[third, third, third], [1, 0, 0]]


Change = Callable[[Transformer, np.random.Generator], Transformer]
CHANGES: dict[str, Change] = {
    "rotated": treatments.rotate,
    "axes": treatments.permute_residual,
    "heads": treatments.permute_heads,
    "neurons": treatments.permute_neurons,
    "compressed": lambda m, rng: (
        treatments.rotate_and_compress(m, rng, 0.97, include_bos=True).model
    ),
    "noisy": lambda m, rng: treatments.add_noise(m, rng, 0.00005),
}


@pytest.mark.parametrize("name", CHANGES)
def test_any_basis_is_read(name: str) -> None:
    """The change of basis is undone: the same values are found."""
    program = canonicalise(parse(NUMBERS))
    plain = model_of(program, DOMAIN)
    found = one(CHANGES[name](plain, np.random.default_rng(3)), program)
    wanted = one(plain, program)
    assert wanted.agrees
    assert found.agrees, explanation_text(found)
    for line, same in zip(found.lines, wanted.lines, strict=True):
        assert line.is_known
        for held, other in zip(line.held, same.held, strict=True):
            assert held.value == pytest.approx(other.value, abs=0.1)


def test_numbers_are_read_as_numbers() -> None:
    """A numerical variable has one direction, and its coefficient is the number."""
    program = canonicalise(parse(NUMBERS))
    found = one(model_of(program, DOMAIN), program)
    last = found.lines[-1]
    assert (last.values, last.coefficients is not None) == ((), True)
    for held, wanted in zip(last.held, run(program, [INPUT])[0], strict=True):
        assert isinstance(wanted, (bool, int, float))
        assert held.value == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("is_rotated", [False, True])
@pytest.mark.parametrize("place", range(3))
def test_a_changed_weight_shows_at_its_line(
    sort: Program, model: Transformer, place: int, is_rotated: bool
) -> None:
    """Lines before it agree, the first that differs is the one it belongs to; it is named."""
    plain = one(model, sort)
    lines = [line for line in plain.lines if line.attribution.known and line.matrix is None]
    attribution = lines[place].attribution
    arrays = {name: array.copy() for name, array in model.arrays().items()}
    if attribution.neurons:
        assert attribution.layer is not None
        stream = model.forward([(5, *(token - 1 for token in INPUT))]).residuals[
            2 * attribution.layer
        ]
        neurons = list(attribution.neurons)
        active = (stream[0, 1:] @ model.W_in[attribution.layer][:, neurons]).max(axis=0)
        arrays["W_out"][attribution.layer, neurons[int(active.argmax())]] *= -1
    else:
        layer, head = attribution.heads[0]
        arrays["W_O"][layer, head] *= 0.1
    changed = model.replace(**arrays)
    if is_rotated:
        changed = treatments.rotate(changed, np.random.default_rng(0))
    found = one(changed, sort)
    if found.unknown:  # most of a small model's vectors are those of the one line
        pytest.fail(found.unknown)
    assert not found.agrees
    assert found.first_difference == lines[place].name
    assert not found.as_compiled
    named = {name for name in found.changed if name.startswith("layer")}
    layers = {f"layer {attribution.layer} neuron {n}" for n in attribution.neurons}
    layers |= {f"layer {layer} head {head}" for layer, head in attribution.heads}
    assert named
    assert named <= layers


def test_weak_attention_is_seen_at_the_selector(sort: Program, model: Transformer) -> None:
    """Queries made small select everything; rows are marked where they should not."""
    W_Q = model.W_Q.copy()
    W_Q[1] *= 0.05
    found = one(model.replace(W_Q=W_Q), sort)
    select = next(line for line in found.lines if line.matrix is not None)
    assert found.first_difference == select.name
    assert select.differing == tuple(np.flatnonzero(~select.patterns[0].agrees))
    assert found.changed == ("layer 1 head 0",)
    assert "!" in explanation_text(found)


def test_what_tracr_gets_wrong_is_said(model: Transformer) -> None:
    """ReLU cuts a negative sum: the program's own weights do it too, so the model is no other."""
    program = canonicalise(
        parse("a = numerical(Map(lambda x: x - 3, tokens))\nb = LinearSequenceMap(a, a, 1, 1)")
    )
    found = one(model_of(program, DOMAIN), program)
    assert found.first_difference == found.lines[1].name
    assert [place for place, token in enumerate(INPUT) if token < 3] == list(
        found.lines[1].differing
    )
    assert found.as_compiled
    assert "Tracr's construction" in explanation_text(found)


def test_other_programs_are_not_read_into_a_model(model: Transformer) -> None:
    """Where nothing corresponds, only the program and the read-out are shown."""
    program = canonicalise(
        parse("same = Select(tokens, tokens, Comparison.EQ)\nSelectorWidth(same)")
    )
    found = one(model, program)
    assert found.unknown
    assert not any(line.is_known for line in found.lines)
    assert not found.agrees
    assert found.first_difference == "the output"
    assert found.output is not None
    assert list(found.output.program) == [1, 2, 1, 2]
    silent = one(bare(model), program)
    assert not silent.agrees
    assert "nothing of the model could be compared" in explanation_text(silent)


def test_the_text_marks_what_differs(sort: Program, model: Transformer) -> None:
    """Values stand below each other; ``!`` stands before those that differ."""
    found = one(model, sort, (3, 1, 5))
    text = explanation_text(found)
    assert "    program  .#. ... ##.\n    model    .#. ... ##.\n" in text
    assert "read-out\n    program  1  3  5\n    model    1  3  5\n" in text
    assert "# layer 1 head 0, neurons 0-" in text
    assert "!" not in text
    output = found.output
    assert output is not None
    wrong = replace(found, output=replace(output, model=(1, 2, 5), differing=(1,)))
    assert "    program  1   3  5\n    model    1  !2  5\n" in explanation_text(wrong)
    assert "differ, at first in the output" in explanation_text(wrong)


def svg_of(text: str) -> ET.Element:
    """An SVG document as a tree."""
    return ET.fromstring(text)


def test_the_picture_holds_patterns_and_values(sort: Program, model: Transformer) -> None:
    """Valid XML; a cell for every pair with its attention, and one for each shown coefficient."""
    found = one(model, sort)
    drawn = picture([found], "a <title> & more")
    root = svg_of(drawn)
    titles = [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "a <title> & more" in titles
    for line in found.lines:
        if line.matrix is not None:
            attention = line.patterns[0].attention
            for row, query in enumerate(line.queries):
                for column, key in enumerate(line.keys):
                    share = attention[row + 1, column + 1]
                    assert (
                        f"query {value_text(query)}, key {value_text(key)}: {share:.3f}" in titles
                    )
                    wanted = float(line.matrix[row, column])
                    assert (
                        f"query {value_text(query)}, key {value_text(key)}: {wanted:.3f}" in titles
                    )
        else:
            for place, held in enumerate(line.held):
                pattern = rf"position {place}, {held.value!r}: (1\.00|0\.99)\d+"
                assert any(re.fullmatch(pattern, title) for title in titles)
    words = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "layer 1 head 0" in words
    assert "href" not in drawn
    assert "<script" not in drawn
    assert picture([found], "a <title> & more") == drawn


def test_the_picture_frames_what_differs(sort: Program, model: Transformer) -> None:
    """No frame where all agrees, but the legend's; some where it does not."""
    W_Q = model.W_Q.copy()
    W_Q[1] *= 0.05
    good = picture([one(model, sort)], "m").count('stroke="#d55e00"')
    bad = picture([one(model.replace(W_Q=W_Q), sort)], "m").count('stroke="#d55e00"')
    assert good == 1
    assert bad > 3


def test_the_page_is_whole(sort: Program, model: Transformer) -> None:
    """One file, the picture in it, everything escaped."""
    text = page([one(model, sort)], "x < y")
    assert text.startswith("<!DOCTYPE html>")
    start, end = text.index("<svg"), text.index("</svg>") + 6
    svg_of(text[start:end])
    assert "<title>x &lt; y</title>" in text
    assert text.count("<tr>") == 1 + 5 + 2 + 1
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_odd_tokens_are_escaped() -> None:
    """Tokens may hold anything; the picture is XML none the less."""
    domain = Domain(("<&>", "\x00\ud800", '"'), 3)
    program = canonicalise(
        parse("same = Select(tokens, tokens, Comparison.EQ)\nSelectorWidth(same)")
    )
    (found,) = explain(model_of(program, domain), program, domain, [domain.vocab])
    assert found.agrees
    drawn = picture([found], "m")
    svg_of(drawn)
    drawn.encode("utf-8")
    assert "&lt;&amp;&gt;" in drawn


def test_drawing() -> None:
    """Shades run from white to full; sizes grow with what is drawn."""
    assert shade(0.0) == "#ffffff"
    assert shade(1.0) == shade(7.0) == "#004a86"
    assert shade(-1.0) == "#963c00"
    assert xml_text("a\x01<") == "a\ufffd&lt;"
    drawing = Drawing()
    drawing.box(10, 20, 30, 40, "none")
    assert (drawing.width, drawing.height) == (40, 60)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0000001, "2"),
        (1e-9, "0"),
        (0.33333, "0.3333"),
        (True, "True"),
        (None, "None"),
        ("a", "a"),
    ],
)
def test_values_are_short(value: float | str | None, text: str) -> None:
    """Numbers to four digits."""
    assert value_text(value) == text


# The command


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A saved model."""
    path = tmp_path / "sort.safetensors"
    assert main(["compile", "sort", "-o", str(path), "--json"]) == 0
    return path


def test_the_command_agrees(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reads the program off the model, and exits with 0 where all agrees."""
    capsys.readouterr()
    assert main(["explain", str(file), "--", "3,1,4", "5,5"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith(f"# {file}, program read off: identical\n")
    assert shown.out.count("# model and program agree on all that is shown") == 2


def test_the_command_s_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object an input, with attributions, values, attention and the read-out."""
    capsys.readouterr()
    assert main(["explain", str(file), "3,1", "--program", "sort", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["input"], shown["agrees"], shown["changed"]) == ([3, 1], True, [])
    assert shown["output"] == {"program": [1, 3], "model": [1, 3], "differing": []}
    names = [line["name"] for line in shown["lines"]]
    assert names == ["tokens", "indices", "keys", "smaller", "target_pos", "from_target", "sort"]
    last = shown["lines"][-1]
    assert (last["program"], last["model"], last["heads"]) == ([1, 3], [1, 3], [[2, 0]])
    assert np.shape(shown["lines"][3]["model"][0]["attention"]) == (3, 3)


def test_the_command_differs(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that is not the program's exits with 3."""
    loaded = load_model(file)
    transformer = loaded.transformer
    save_model(file, transformer.replace(W_out=transformer.W_out * -1), loaded.metadata)
    capsys.readouterr()
    assert main(["explain", str(file), "3,1,4", "--program", "sort"]) == 3
    assert "differ" in capsys.readouterr().out


def test_tokens_that_a_file_does_not_name_are_asked_for(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of bare weights calls its tokens by numbers; letters are told how to be known."""
    save_model(file, load_model(file).transformer)
    capsys.readouterr()
    assert main(["explain", str(file), "a,b"]) == 1
    assert capsys.readouterr().err == (
        "untracr: error: the file does not name its tokens, which are called 0 to 4, and 'a' is "
        "none of these; name them by --vocab\n"
    )
    named = ["explain", str(file), "a,b", "--vocab", "a,b,c,d,e"]
    assert main(named) == 3  # its read-out gives numbers


@pytest.mark.parametrize("suffix", [".svg", ".HTML"])
def test_the_command_draws(file: Path, tmp_path: Path, suffix: str) -> None:
    """The format is the suffix's; an old file is replaced, as by compile."""
    path = tmp_path / f"picture{suffix}"
    path.write_text("old")
    assert main(["explain", str(file), "3,1,4", "--picture", str(path)]) == 0
    text = path.read_text("utf-8")
    assert text.startswith("<svg" if suffix == ".svg" else "<!DOCTYPE html>")
    assert "sort.safetensors, program read off: identical" in text


def test_notes_stay_within_their_panel_and_pale_rows_are_explained(tmp_path: Path) -> None:
    """What is said of values without a row is within the rules; BOS's row says why it is pale."""
    program = tmp_path / "p.py"
    program.write_text(
        "a = SequenceMap(lambda x, y: x * 10 + y, tokens, indices)\n"
        "n = SelectorWidth(Select(a, tokens, Comparison.EQ))\n"
    )
    path, drawn = tmp_path / "m.npz", tmp_path / "m.svg"
    assert main(["compile", str(program), "-o", str(path)]) == 0
    assert (
        main(["explain", str(path), "1", "--program", str(program), "--picture", str(drawn)]) == 0
    )
    text = drawn.read_text("utf-8")
    note = re.search(r'<text x="([\d.]+)"[^>]*font-size="10"[^>]*>([^<]* more values[^<]*)<', text)
    assert note is not None
    ends = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="1"', text)
    right = max(float(x) + float(width) for x, width in ends)
    assert float(note[1]) + 10 * MONO_WIDTH * len(note[2]) <= right + 0.1
    assert "pale: what BOS attends to" in text
    assert "query BOS, key BOS: 1.000, not compared" in text


def test_composite_selectors_are_lowered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program with a selector that has no weights of its own is explained by one that has."""
    program = tmp_path / "p.py"
    program.write_text(
        "same = Select(tokens, tokens, Comparison.EQ)\nother = SelectorNot(same)\n"
        "n = SelectorWidth(other)\n"
    )
    path = tmp_path / "m.npz"
    assert main(["compile", str(program), "-o", str(path)]) == 0
    assert main(["explain", str(path), "0,1,1", "--program", str(program)]) == 0
    assert "lambda x, y: not x == y" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["9,1"], 1, "token 9 at position 0 is outside the vocabulary"),
        (["1,1,1,1,1,1"], 1, "at most max_seq_len=5"),
        (["1,2", "--picture", "a.png"], 2, "--picture must end in .svg or .html, not 'a.png'"),
        (["1,2", "--picture", "no/such/folder/a.svg"], 1, "No such file"),
        (["1,2", "--program", "nothing"], 1, "no program of that name"),
        (["1,2", "--program", "sort", "--vocab", "a,b"], 1, "a vocabulary must name all"),
        (["1,2", "--vocab", "a,b"], 1, "a vocabulary must name all"),
        (["1,2", "--program", "sort", "--checkpoint", "x"], 2, "--checkpoint reads"),
        (["1,,2"], 2, "values must be separated by single commas"),
        (["1,2", "--program", "sort", "--inside"], 2, "--inside shows a model without a program"),
    ],
)
def test_mistakes_are_one_line(
    file: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    """Each is told by what is wrong, and nothing is drawn."""
    capsys.readouterr()
    assert main(["explain", str(file), *arguments]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_file_that_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As for the other commands."""
    path = tmp_path / "x.npz"
    path.write_text("no model")
    assert main(["explain", str(path), "1"]) == 1
    assert "untracr: error: " in capsys.readouterr().err


def test_overflow_is_an_error(sort: Program, model: Transformer) -> None:
    """Weights that are finite only as long as they are not used."""
    from untracr.errors import ModelFileError

    with pytest.raises(ModelFileError, match="must hold finite numbers"):
        one(model.replace(W_out=np.full_like(model.W_out, 3e38)), sort)
