"""Commands take models of every format, and say what they need that a model has not."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from command_line import Run
from foreign_tensors import GPT2_CONFIG, folder_of, gpt2_arrays
from untracr.loading.loading import load_model


@pytest.fixture
def forms(model: Path, tmp_path: Path) -> list[Path]:
    """The weights of a compiled model as a file of PyTorch, and in a folder."""
    arrays = load_model(model).state_dict()
    torch.save({name: torch.tensor(array) for name, array in arrays.items()}, tmp_path / "m.pt")
    return [tmp_path / "m.pt", folder_of(tmp_path / "folder", arrays)]


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    """A folder of a GPT-2."""
    return folder_of(tmp_path / "gpt2", gpt2_arrays(), GPT2_CONFIG)


@pytest.mark.usefixtures("writes_hist")
def test_compiled_weights_are_read_in_every_form(
    run: Run, forms: list[Path], hist: Path, untrained: Path, tmp_path: Path
) -> None:
    """They are decompiled, certified and explained as the file of our own is."""
    for number, path in enumerate(forms):
        shown = tmp_path / f"shown{number}"
        found = run("decompile", path, "--checkpoint", untrained, "--certificate", shown)
        assert (found.code, found.err) == (0, "")
        assert "# identical: " in found.out
        assert run("check", *shown.glob("*.json")).code == 0
        assert run("explain", path, "1,2", "--program", hist).code == 0


@pytest.mark.parametrize(
    "command",
    [
        ("decompile", "MODEL"),
        ("explain", "MODEL", "1,2", "--program", "hist"),
        ("check", "MODEL", "--against", "hist"),
        ("check", "hist", "--against", "MODEL"),
    ],
)
def test_what_only_compiled_models_have_is_named(
    run: Run, gpt2: Path, command: tuple[str, ...]
) -> None:
    """Which part stands in the way, and what can be done with the model all the same."""
    arguments = [str(gpt2) if word == "MODEL" else word for word in command]
    error = run.fails(1, *arguments)
    assert error.startswith(f"{gpt2}: not the form that a compiler writes: ")
    assert "normalised (LayerNorm)" in error
    for what_else in ("untracr run", "untracr explain", "untracr test"):
        assert what_else in error


def test_a_folder_is_run(run: Run, gpt2: Path) -> None:
    """By ids where nothing names tokens; what was assumed is said on standard error."""
    found = run("run", gpt2, "1,2")
    assert found.code == 0
    assert found.out.strip()
    assert "tokens have no names" in found.err


@pytest.mark.parametrize("name", ["model.ckpt", "weights", "model.py"])
@pytest.mark.parametrize("form", ["safetensors", "pt"])
def test_a_file_is_told_by_what_it_holds_whatever_its_name(
    run: Run, gpt2: Path, name: str, form: str
) -> None:
    """As documented: where a program may stand as well, too."""
    weights = gpt2 / "model.safetensors"
    if form == "pt":
        torch.save({n: torch.tensor(a) for n, a in gpt2_arrays().items()}, weights)
    wanted = run("run", gpt2, "1,2").out
    found = run("run", weights.rename(gpt2 / name), "1,2")
    assert (found.code, found.out) == (0, wanted)


def test_a_pickle_of_any_name_is_never_loaded(run: Run, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"w": [1.0]}))
    assert "a pickle is never loaded" in run.fails(1, "run", tmp_path / "model.pkl", "1")
