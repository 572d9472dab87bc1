"""The notebooks run from beginning to end, and each of their cells shows something worth a look."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.py"))
MOST_CPU_SECONDS = 60.0
"""Of one cell; each takes a few at most."""

PROBE = "import time as _time\nprint(_time.process_time())"
EXECUTE = "from nbclient.cli import main; main()"

Cell = dict[str, Any]


def run(*command: str, cwd: Path) -> str:
    """What a command prints; it must end well."""
    apart = {"IPYTHONDIR": str(cwd), "JUPYTER_DATA_DIR": str(cwd)}
    env = os.environ | apart
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=cwd, env=env, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> Path:
    """Each notebook, as text."""
    path: Path = request.param
    return path


@pytest.fixture(scope="module")
def cells(notebook: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Cell, float]]:
    """The code cells of a notebook that was run, and the CPU seconds that each took."""
    folder = tmp_path_factory.mktemp(notebook.stem)
    file = folder / "notebook.ipynb"
    run("-m", "jupytext", "--to", "ipynb", "--output", str(file), str(notebook), cwd=folder)
    document = json.loads(file.read_text("utf-8"))
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    document["cells"] = [
        probe(0),
        *(c for n, cell in enumerate(code) for c in (cell, probe(n + 1))),
    ]
    file.write_text(json.dumps(document), "utf-8")
    run("-c", EXECUTE, "--inplace", str(file), cwd=folder)
    ran = json.loads(file.read_text("utf-8"))["cells"]
    clock = [float("".join(cell["outputs"][0]["text"])) for cell in ran[::2]]
    return [(cell, clock[n + 1] - clock[n]) for n, cell in enumerate(ran[1::2])]


def probe(number: int) -> Cell:
    """A cell that prints how much CPU time the notebook has taken so far."""
    empty: Cell = {"execution_count": None, "metadata": {}, "outputs": []}
    return {"cell_type": "code", "id": f"probe-{number}", "source": PROBE, **empty}


def shown(cell: Cell) -> Iterator[tuple[str, str]]:
    """The kinds of what a cell shows, and what that is."""
    for output in cell["outputs"]:
        assert output["output_type"] != "error", output["traceback"]
        if output["output_type"] == "stream":
            assert output["name"] == "stdout", output["text"]
            yield "text/plain", "".join(output["text"])
        for kind, content in output.get("data", {}).items():
            yield kind, "".join(content)


def require_worth_looking_at(kind: str, content: str) -> None:
    """A picture has shapes and words, a table or text has words, and none is endless."""
    assert len(content) < 2_000_000
    match kind:
        case "image/svg+xml":
            tags = [element.tag.rpartition("}")[2] for element in ET.fromstring(content).iter()]
            assert tags.count("rect") > 10
            assert tags.count("text") > 10
        case "text/html":
            words = "".join(ET.fromstring(content).itertext())
            assert len(words.split()) > 3
        case "text/plain":
            assert content.strip(" \n'\"[](){}")
            assert " object at 0x" not in content
            assert len(content) < 5_000
        case _:
            raise AssertionError(f"a cell shows {kind}")


@pytest.mark.slow
def test_every_cell_shows_something_worth_looking_at(cells: list[tuple[Cell, float]]) -> None:
    """No step without an output, no error, no warning."""
    for cell, _ in cells:
        outputs = list(shown(cell))
        assert outputs, "".join(cell["source"])
        for kind, content in outputs:
            require_worth_looking_at(kind, content)


@pytest.mark.slow
def test_models_programs_and_results_are_shown_as_such(cells: list[tuple[Cell, float]]) -> None:
    """Pictures of attention and stream, tables of models and results, reports as text."""
    kinds = [{kind for kind, _ in shown(cell)} for cell, _ in cells]
    assert sum("image/svg+xml" in of_cell for of_cell in kinds) >= 3
    assert sum("text/html" in of_cell for of_cell in kinds) >= 5
    assert sum(of_cell == {"text/plain"} for of_cell in kinds) >= 5


@pytest.mark.slow
def test_no_cell_takes_long(cells: list[tuple[Cell, float]]) -> None:
    """In seconds of the processor, which other work on the machine does not lengthen much."""
    assert [seconds for _, seconds in cells if seconds > MOST_CPU_SECONDS] == []


@pytest.mark.slow
def test_what_the_notebook_says_of_its_models_is_so(cells: list[tuple[Cell, float]]) -> None:
    """The verdict, what a patch changes, and what training reached."""
    text = "\n".join(content for cell, _ in cells for _, content in shown(cell))
    assert "identical" in text
    assert "'attending to BOS': [[0, 0, 0]]" in text
    assert "'outputs': [['a', 'a', 'b', 'c'], ['d', 'd', 'd']]" in text
    assert "The program is equivalent to the network on all 1,364 inputs." in text


@pytest.mark.slow
def test_it_is_a_script_too(notebook: Path, tmp_path: Path) -> None:
    """Without Jupyter."""
    assert "equivalent" in run("-W", "error", str(notebook), cwd=tmp_path)


def test_there_is_a_notebook() -> None:
    """A test of none would pass."""
    assert NOTEBOOKS


def test_what_is_not_worth_looking_at_is_told() -> None:
    """The tests above can fail."""
    for kind, content in (
        ("text/plain", "<Thing object at 0x7f>"),
        ("text/plain", "[]"),
        ("text/html", "<div></div>"),
        ("image/svg+xml", "<svg/>"),
        ("image/png", "x"),
    ):
        with pytest.raises(AssertionError):
            require_worth_looking_at(kind, content)
