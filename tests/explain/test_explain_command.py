"""``untracr explain`` of models that no program is read off: what they compute inside."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from random_networks import KINDS, network_of
from untracr.cli import main
from untracr.diagnose.model import compile_rasp_to_model
from untracr.loading.compiled_file import save_model
from untracr.loading.loading import load_model
from untracr.network.forward import forward


@pytest.fixture
def normed(tmp_path: Path) -> Path:
    """A layer-normed network in a file."""
    path = tmp_path / "gpt2.safetensors"
    load_model(network_of(KINDS["gpt2"])).save(path)
    return path


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was printed."""
    return capsys.readouterr().out.splitlines()


def test_a_layer_normed_model_is_shown_inside(
    normed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every head has a line, every half-layer another, and it is said why there is no program."""
    assert main(["explain", str(normed), "3,1,4"]) == 0
    shown = lines(capsys)
    assert any(line.startswith("# no program is shown: ") and "norm" in line for line in shown)
    starts = [line.split("  ")[0] for line in shown]
    for layer in range(2):
        assert f"layer {layer} heads" in starts
        assert f"layer {layer} neurons" in starts
        for head in range(3):
            assert f"layer {layer} head {head}" in starts


def test_json_has_every_pattern(normed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One object an input, with the logits of the forward pass."""
    assert main(["explain", str(normed), "3,1,4", "5", "--json"]) == 0
    documents = list(map(json.loads, lines(capsys)))
    assert [document["input"] for document in documents] == [[3, 1, 4], [5]]
    logits = forward(load_model(normed).network, np.array([[3, 1, 4]]))[0]
    assert np.allclose(documents[0]["logits"], logits, atol=1e-6)
    assert len(documents[0]["heads"]) == 6
    assert "norm" in documents[0]["reason"]


@pytest.mark.parametrize("ending", [".svg", ".html"])
def test_pictures_are_drawn(
    normed: Path, tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A document of its own."""
    picture = tmp_path / f"inside{ending}"
    assert main(["explain", str(normed), "3,1,4", "--picture", str(picture)]) == 0
    text = picture.read_text("utf-8")
    svg = text[text.index("<svg") : text.index("</svg>") + len("</svg>")]
    assert ET.fromstring(svg).tag.endswith("svg")
    assert text.startswith("<!DOCTYPE html>" if ending == ".html" else "<svg")
    assert text.count("layer 1 head 2") > 3
    assert f"wrote {picture}" in lines(capsys)


def test_inputs_are_drawn_where_none_are_given(
    normed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three, the same each time, of a compiled model too."""
    assert main(["explain", str(normed)]) == 0
    first = lines(capsys)
    assert "# 3 inputs are drawn, for none is given" in first
    assert main(["explain", str(normed)]) == 0
    assert lines(capsys) == first
    compiled = tmp_path / "compiled.npz"
    compile_rasp_to_model("a = Map(lambda x: x + 1, tokens)", range(3), 4).save(compiled)
    assert main(["explain", str(compiled)]) == 0
    assert sum(line.startswith("# input") for line in lines(capsys)) == 3


def test_weights_of_no_program_are_shown_inside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the compiled form, but trained, or drawn: the guess is not shown, and not believed."""
    path = tmp_path / "drawn.npz"
    save_model(path, load_model(network_of(KINDS["compiled"])).transformer)
    assert main(["explain", str(path), "1,2", "--vocab", "0,1,2,3,4"]) == 0
    shown = lines(capsys)
    (reason,) = [line for line in shown if line.startswith("# no program is shown: ")]
    assert "not verified" in reason or "no program" in reason
    assert any(line.startswith("layer 1 head 2") for line in shown)


def test_inside_is_shown_of_compiled_models_when_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the outputs in the program's words."""
    path = tmp_path / "compiled.npz"
    compile_rasp_to_model("a = Map(lambda x: x + 1, tokens)", range(3), 4).save(path)
    assert main(["explain", str(path), "0,2,1", "--inside"]) == 0
    (output,) = [line.split() for line in lines(capsys) if line.startswith("output")]
    assert output == ["output", "-", "1", "3", "2"]


def test_tasks_may_be_told(normed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of tokens and of what comes out."""
    given = ["--rows", "a,b,c,d,e,f,g", "--outputs", "next token"]
    assert main(["explain", str(normed), "a b c", *given]) == 0
    assert any(line.split() == ["token", "a", "b", "c"] for line in lines(capsys))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["x"], 1, "token 'x' at position 0 is none of the task's 7 tokens"),
        (["1,1,1,1,1,1,1,1,1,1,1,1"], 1, "an input may have 1 to 11 tokens"),
        (["1", "--program", "sort"], 1, "not the form that a compiler writes"),
        (["1", "--vocab", "1,2"], 2, "--rows names all tokens of a model"),
        (["1", "--picture", "a.png"], 2, "--picture must end in .svg or .html"),
    ],
)
def test_mistakes_are_one_line(
    normed: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    """Each is told by what is wrong."""
    assert main(["explain", str(normed), *arguments]) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
