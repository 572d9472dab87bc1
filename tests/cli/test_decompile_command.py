"""`untracr decompile`: what users see, also of files that are none."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import untracr
from command_line import Run
from foreign_tensors import folder_of, lens_arrays
from untracr.decompile.decompiler import Decompiler
from untracr.loading.compiled_file import save_model
from untracr.loading.loading import load_model


def bad_files(folder: Path, model: Path) -> dict[str, Path]:
    """Files that are no models, by what is wrong with them."""
    data = model.read_bytes()
    contents = {
        "text": b"not a model at all, just text",
        "empty": b"",
        "truncated": data[: len(data) // 2],
        "pickle": pickle.dumps({"W_E": [1.0]}),
    }
    paths = {name: folder / f"{name}.safetensors" for name in (*contents, "missing", "nan")}
    for name, content in contents.items():
        paths[name].write_bytes(content)
    paths["nan"] = folder / "nan.npz"
    with np.load(folder / "hist.npz") as found:
        arrays = dict(found)
    arrays["token_embed"] = arrays["token_embed/embeddings"] * np.nan
    arrays["token_embed/embeddings"] = arrays.pop("token_embed")
    np.savez(paths["nan"], **arrays)
    paths["directory"] = folder
    return paths


@pytest.fixture
def bad(run: Run, model: Path, hist: Path) -> dict[str, Path]:
    """Files that are no models."""
    assert run("compile", hist, "-o", model.with_suffix(".npz")).code == 0
    return bad_files(model.parent, model)


@pytest.mark.slow
@pytest.mark.usefixtures("writes_hist")
def test_decompile_proves(run: Run, model: Path, untrained: Path) -> None:
    """A program that recompiles to the weights is identical: exit code 0."""
    found = run("decompile", model, "--checkpoint", untrained)
    assert (found.code, found.err) == (0, "")
    lines = found.out.splitlines()
    assert lines[0] == f"# {model}"
    assert lines[2].startswith("sop_00 = rasp.SelectorWidth(select_2) ")
    assert lines[3].startswith("# identical: ")


@pytest.mark.usefixtures("writes_hist")
def test_decompile_does_not_prove(run: Run, model: Path, tmp_path: Path, untrained: Path) -> None:
    """One verdict that is not proved among others makes it exit code 3."""
    wrong = tmp_path / "length.npz"
    assert run("compile", "length", "-o", wrong, "--vocab", "0,1,2,3,4").code == 0
    found = run("decompile", model, wrong, "--checkpoint", untrained, "--json", "--greedy")
    assert (found.code, found.err) == (3, "")
    assert [(o["file"], o["verdict"]) for o in found.objects] == [
        (str(model), "identical"),
        (str(wrong), "unverified"),
    ]
    for key in ("file", "program", "verdict", "inputs_checked", "seconds"):
        assert all(key in shown for shown in found.objects)


def test_decompile_with_any_network(run: Run, untrained: Path) -> None:
    """A network that knows nothing still writes a program, and nothing is claimed of it."""
    arguments = ("decompile", "--example", "--no-progress", "--checkpoint", untrained)
    found = run(*arguments, "--greedy")
    assert (found.code, found.err) == (3, "")
    assert "# unverified: " in found.out
    for what_else in ("untracr run", "untracr explain", "untracr test"):
        assert what_else in found.out


@pytest.mark.parametrize("neurons", [True, False])
def test_a_trained_network_of_compiled_form_is_told_what_else_can_be_done(
    run: Run, tmp_path: Path, untrained: Path, neurons: bool
) -> None:
    """With a program that is a guess, and with none that could be read."""
    arrays = lens_arrays(norm=False, mlp=neurons)
    del arrays["unembed.b_U"]
    weights = folder_of(tmp_path / "m", arrays)
    found = run("decompile", weights, "--no-progress", "--checkpoint", untrained)
    assert found.code == 3
    assert "# unverified: " in found.out
    assert "if these weights were trained, not compiled: untracr run" in found.out


def test_a_search_needs_no_network(run: Run, untrained: Path) -> None:
    """What a network that knows nothing gets wrong is found by comparing with the weights."""
    found = run("decompile", "--example", "--no-progress", "--checkpoint", untrained)
    assert (found.code, found.err) == (0, "")
    assert "# identical: " in found.out
    assert "trained" not in found.out


@pytest.mark.usefixtures("writes_hist")
def test_bad_files_do_not_stop_the_others(
    run: Run, model: Path, bad: dict[str, Path], untrained: Path
) -> None:
    """Each bad file has its line, the good ones their results; exit code 1."""
    files = [model, *bad.values(), model]
    found = run("decompile", *files, "--checkpoint", untrained)
    assert found.code == 1
    assert found.out.count("# identical: ") == 2
    errors = found.err.splitlines()
    assert len(errors) == len(bad)
    for line, path in zip(errors, bad.values(), strict=True):
        assert line.startswith(f"untracr: error: {path}: ")
    found = run("decompile", *files, "--checkpoint", untrained, "--json")
    assert (found.code, found.err) == (1, "")
    assert [shown["file"] for shown in found.objects] == [str(file) for file in files]
    assert ["error" in shown for shown in found.objects] == [False, *[True] * len(bad), False]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", "this is text"),
        ("empty", "empty"),
        ("truncated", ""),
        ("pickle", "a pickle is never loaded"),
        ("missing", "there is no such file"),
        ("nan", "finite"),
        ("directory", "a folder must hold one model"),
    ],
)
def test_bad_files(
    run: Run, bad: dict[str, Path], untrained: Path, kind: str, message: str
) -> None:
    """Each kind of bad file is told by what is wrong with it, by decompile and by run."""
    error = run.fails(1, "decompile", bad[kind], "--checkpoint", untrained)
    assert message in error
    assert "\n" not in error
    if bad[kind].suffix:
        assert message in run.fails(1, "run", bad[kind], "1")


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "missing", "model"])
def test_bad_checkpoints(run: Run, bad: dict[str, Path], model: Path, kind: str) -> None:
    """A checkpoint that is none is told before any model is read."""
    path = model if kind == "model" else bad[kind]
    error = run.fails(1, "decompile", model, "--checkpoint", path)
    assert str(path) in error
    assert "\n" not in error


def test_vocabularies_must_fit(run: Run, model: Path, untrained: Path) -> None:
    """--vocab names every token row."""
    arguments = ["decompile", model, "--checkpoint", untrained, "--vocab", "a,b"]
    assert "a vocabulary must name all rows of W_E but BOS and PAD, 5 of 7" in run.fails(
        1, *arguments
    )
    assert "a vocabulary must name all" in run.fails(1, "run", model, "a", "--vocab", "a,b")


@pytest.mark.usefixtures("writes_hist")
def test_special_tokens_may_be_any_rows(run: Run, tmp_path: Path, untrained: Path) -> None:
    """Tracr sorts BOS and PAD in among the tokens; a file that names its rows is understood."""
    path = tmp_path / "m.npz"
    assert run("compile", "hist", "-o", path, "--vocab", "d,z,a").code == 0
    assert load_model(path).metadata["token_values"] == [
        *("a", "compiler_bos", "compiler_pad", "d", "z")
    ]
    assert run("run", path, "z,a,z").out == "2,1,2\n"
    (shown,) = run("decompile", path, "--checkpoint", untrained, "--json").objects
    assert (shown["verdict"], shown["vocab"]) == ("identical", ["a", "d", "z"])


def test_rows_that_are_named_wrongly(run: Run, model: Path, untrained: Path) -> None:
    """A file that names other rows than it has is refused."""
    loaded = load_model(model)
    for names in (["a"], [0, 1, 2, 3, 4, 5, 6]):
        save_model(model, loaded.transformer, {**loaded.metadata, "token_values": names})
        for command in (["run", model, "1"], ["decompile", model, "--checkpoint", untrained]):
            assert "must name each of the 7 rows" in run.fails(1, *command)


def test_models_without_a_read_out_cannot_run(run: Run) -> None:
    """A model that never says what its outputs mean is not run."""
    from untracr.decompile.bundled import example_file

    assert "no read-out" in run.fails(1, "run", example_file(), "1,2")


def test_outputs_that_overflow_are_no_answer(run: Run, model: Path) -> None:
    """Weights near the limit of float32 are finite in the file and not in use."""
    transformer = load_model(model).transformer
    save_model(model, transformer.replace(W_E=np.full_like(transformer.W_E, 3e38)))
    error = run.fails(1, "run", model, "1,2")
    assert "outputs must be finite numbers" in error
    assert "\n" not in error


def test_the_network_is_loaded_once(
    run: Run, model: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many files are read with one network."""
    made = []

    class Counting(Decompiler):
        def __init__(self, path: Path | None = None) -> None:
            made.append(path)
            super().__init__(path)

    monkeypatch.setattr("untracr.decompile.decompiler.Decompiler", Counting)
    assert len(run("decompile", *[model] * 3, "--checkpoint", untrained, "--json").objects) == 3
    assert made == [untrained]


@pytest.mark.usefixtures("writes_hist")
def test_decompiling_in_python(
    model: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The functions behind the command take files and weights alike."""
    decompiler = Decompiler(untrained)
    monkeypatch.setattr("untracr.decompile.bundled.bundled_decompiler", lambda: decompiler)
    assert untracr.decompile_model(model).verdict == "identical"
    found = untracr.decompile_models([str(model), untracr.load(model).transformer])
    assert [(result.name, result.verdict) for result in found] == [
        (str(model), "identical"),
        ("", "identical"),
    ]
