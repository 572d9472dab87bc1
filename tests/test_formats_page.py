"""The page on formats says what the code reads and writes, and its examples run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from compiled_models import model_of
from random_networks import KINDS, OUTPUTS, D, H, K, M, P, V, network_of
from untracr.loading.compiled_file import save_model
from untracr.loading.layouts import GPT2, GPT_NEO, LENS_4, LLAMA, Layout
from untracr.loading.network_file import SavedNetwork, network_file
from untracr.loading.safetensors_format import read_header

PAGE = (Path(__file__).parent.parent / "docs" / "formats.md").read_text("utf-8")

SIZES = {"V": V, "P": P, "D": D, "H": H, "K": K, "M": M, "O": OUTPUTS}


def section(title: str) -> str:
    """A section of the page, without those below it."""
    after = re.split(rf"^#+ {re.escape(title)}$", PAGE, maxsplit=1, flags=re.MULTILINE)[1]
    return re.split(r"^#+ ", after, maxsplit=1, flags=re.MULTILINE)[0]


def rows(title: str) -> dict[str, list[str]]:
    """The rows of a section's table: what stands behind each first cell."""
    lines = [line for line in section(title).splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first.strip(" `"): rest for first, *rest in cells}


def without_layer(name: str) -> str:
    """A tensor's name with `{layer}` for its layer's number."""
    return re.sub(r"(blocks\.|layer_)\d+", r"\1{layer}", name)


@pytest.mark.slow
def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, as a reader would."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) >= 6
    exec("\n".join(blocks), {})


def test_tensors_and_shapes_are_those_of_networks() -> None:
    found: dict[str, tuple[int, ...]] = {}
    for kind in KINDS.values():
        if kind.outputs == OUTPUTS and not kind.tied:
            arrays = network_of(kind).arrays()
            found |= {without_layer(name): array.shape for name, array in arrays}
    told = {
        name: tuple(SIZES[axis] for axis in cells[0].strip("[]").split(", "))
        for name, cells in rows("TransformerLens' names").items()
    }
    assert told == found


def test_entries_of_an_npz_file_are_those_that_are_written(tmp_path: Path) -> None:
    model = model_of("SelectorWidth(Select(tokens, tokens, Comparison.EQ))")
    save_model(tmp_path / "m.npz", model)
    with np.load(tmp_path / "m.npz") as entries:
        written = {without_layer(name) for name in entries.files}
    told = rows("Tracr's parameters (npz)")
    optional = {name for name, cells in told.items() if cells[1].startswith("optional")}
    assert told.keys() - optional == {name for name in written if "/" in name}
    assert {name for name in written if "/" not in name} <= optional
    sizes = {"V": len(model.W_E), "P": len(model.W_pos), "D": model.d_model, "M": model.d_mlp}
    sizes |= {"H K": model.n_heads * model.d_head}
    for name in told.keys() - optional:
        shape = np.load(tmp_path / "m.npz")[name.replace("{layer}", "0")].shape
        axes = told[name][0].strip("[]").split(", ")
        assert shape == tuple(sizes[axis] for axis in axes), name


def test_the_optional_entries_are_those_that_are_read(tmp_path: Path) -> None:
    from untracr.loading.loading import load_model

    model = model_of("Map(lambda x: x + 1, tokens)")
    save_model(tmp_path / "m.npz", model)
    entries = dict(np.load(tmp_path / "m.npz"))
    del entries["untracr"]
    entries |= {"num_heads": np.array(model.n_heads), "causal": np.array(True)}
    assert model.W_U is not None
    entries |= {"unembed": model.W_U, "output_values": np.arange(model.W_U.shape[1])}
    np.savez(tmp_path / "n.npz", **entries)
    loaded = load_model(tmp_path / "n.npz").transformer
    assert loaded.causal
    assert loaded.output_values == tuple(range(model.W_U.shape[1]))
    optional = rows("Tracr's parameters (npz)").keys() - {without_layer(name) for name in entries}
    assert optional == {"untracr"}


def test_keys_of_a_compiled_models_document(tmp_path: Path) -> None:
    save_model(tmp_path / "m.safetensors", model_of("Map(lambda x: x + 1, tokens)"))
    header = read_header((tmp_path / "m.safetensors").read_bytes())
    document = json.loads(header["__metadata__"]["untracr"])
    assert rows("The document of a compiled model").keys() == document.keys()
    tensors = safetensors.numpy.load_file(tmp_path / "m.safetensors")
    told = rows("TransformerLens' names").keys()
    assert {without_layer(name) for name in tensors} <= told


def test_keys_of_a_networks_document() -> None:
    told = rows("The document of a network")
    for kind in KINDS.values():
        header = read_header(network_file(SavedNetwork(network_of(kind), None, {})))
        document = json.loads(header["__metadata__"]["untracr"])
        inner = {f"architecture.{key}": value for key, value in document["architecture"].items()}
        assert told.keys() == document.keys() - {"architecture"} | inner.keys()
        for key, value in inner.items():
            keys = {word for one in _objects(value) for word in one}
            assert all(f"`{word}`" in told[key][0] for word in keys), key


def _objects(value: object) -> list[dict[str, object]]:
    """The objects within a value of JSON."""
    if isinstance(value, list):
        return [one for item in value for one in _objects(item)]
    return [value] if isinstance(value, dict) else []


@pytest.mark.parametrize(
    ("title", "layout"),
    [
        ("GPT-2", GPT2),
        ("GPT-Neo", GPT_NEO),
        ("Llama and Mistral", LLAMA),
        ("TransformerLens 4", LENS_4),
    ],
)
def test_names_of_other_libraries(title: str, layout: Layout) -> None:
    told = rows(title)
    assert told.keys() == layout.names.keys()
    for name, target in layout.names.items():
        said = told[name][1]
        match target:
            case None:
                assert said == "passed over"
            case str():
                ours = target.removesuffix(".T")
                refused = ours.endswith("b_gate")
                assert said.startswith("refused" if refused else f"`{ours}`"), name
                assert ("transposed" in said) == target.endswith(".T")
            case _:
                assert all(part.rsplit(".", 1)[1] in said for part in target)
