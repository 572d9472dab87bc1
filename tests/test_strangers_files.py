"""What a stranger's file asks for is bounded before it is spent, at every door."""

from __future__ import annotations

import io
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from untracr import file_tensors
from untracr.certificate.certificate import read_certificate
from untracr.cli import main
from untracr.cli.output import print_json
from untracr.dataset.hashing import HashTask, hash_shards
from untracr.dataset.manifest import ShardNote, read_manifest
from untracr.diagnose.model import compile_rasp_to_model
from untracr.errors import MOST_CHARACTERS, UntracrError
from untracr.evaluate.reference import read_references
from untracr.loading.compiled_file import save_model
from untracr.loading.loading import load_model
from untracr.metamodel.checkpoint_file import read_state
from untracr.metamodel.numpy_network import NumpyNetwork
from untracr.strict_json import parse_json

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pipes that have names")

Door = Callable[[Path], object]


def run_main(*arguments: str) -> Door:
    """A command; ``FILE`` among its arguments is the file's place."""

    def door(path: Path) -> object:
        return main([str(path) if a == "FILE" else a for a in arguments])

    return door


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model."""
    path = tmp_path_factory.mktemp("model") / "m.npz"
    compile_rasp_to_model("Map(lambda x: x + 1, tokens)", range(3), 3).save(path)
    return path


DOORS: dict[str, tuple[str, Door]] = {
    "model": ("m.npz", load_model),
    "certificate": ("m.json", read_certificate),
    "checkpoint": ("m.safetensors", NumpyNetwork.load),
    "manifest": ("manifest.json", lambda path: read_manifest(path.parent)),
    "references": ("programs.jsonl", lambda path: read_references(path.parent)),
}

COMMANDS: dict[str, Door] = {
    "check": run_main("check", "FILE"),
    "check --against": run_main("check", "sort", "--against", "FILE"),
    "check --model": run_main("check", "sort", "--model", "FILE"),
    "run": run_main("run", "FILE", "1,2"),
    "compile": run_main("compile", "FILE", "-o", os.devnull + ".npz"),
    "decompile": run_main("decompile", "FILE"),
    "decompile --checkpoint": run_main("decompile", "--example", "--checkpoint", "FILE"),
    "explain": run_main("explain", "FILE", "1"),
    "export": run_main("export", "FILE", "-o", "o.safetensors"),
}


@pytest.mark.parametrize("name", DOORS)
def test_pipes_are_not_waited_for(name: str, tmp_path: Path) -> None:
    """A named pipe without a writer would be waited for without an end."""
    file, door = DOORS[name]
    os.mkfifo(tmp_path / file)
    with pytest.raises(UntracrError, match="regular file"):
        door(tmp_path / file)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_commands_do_not_wait_for_pipes(name: str, tmp_path: Path) -> None:
    """Nor does any command, whatever it takes the pipe for."""
    os.mkfifo(tmp_path / "pipe")
    assert COMMANDS[name](tmp_path / "pipe") in (1, 2)


@pytest.mark.skipif(not Path("/proc/self/pagemap").exists(), reason="needs /proc")
@pytest.mark.parametrize("name", DOORS)
def test_what_the_system_makes_up_is_not_read(name: str, tmp_path: Path) -> None:
    """A file in /proc says that it has no bytes, and may have any number of them."""
    file, door = DOORS[name]
    (tmp_path / file).symlink_to("/proc/self/pagemap")
    with pytest.raises(UntracrError, match="empty"):
        door(tmp_path / file)


def npz_with(path: Path, model: Path, name: str, entry: bytes) -> Path:
    """A model's file with one more array, given as the bytes of its .npy file."""
    with zipfile.ZipFile(model) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            if info.filename != f"{name}.npy":
                new.writestr(info.filename, old.read(info))
        new.writestr(f"{name}.npy", entry)
    return path


def npy_header(descr: str, shape: tuple[int, ...]) -> bytes:
    """The beginning of a .npy file."""
    buffer = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


@pytest.mark.parametrize("descr", ["<U0", "|V0", "|S0"])
def test_values_without_bytes_are_not_counted_out(descr: str, tmp_path: Path, model: Path) -> None:
    """Two thousand million entries of nothing take no byte of a file, and all memory as a list."""
    path = npz_with(tmp_path / "m.npz", model, "output_values", npy_header(descr, (2 * 10**9,)))
    with pytest.raises(UntracrError, match="holds numbers or texts"):
        load_model(path)


def test_values_are_made_only_where_each_has_a_column(tmp_path: Path, model: Path) -> None:
    """A million zeros pack into a kilobyte; no value is made of them."""
    entry = npy_header("|b1", (10**6,)) + bytes(10**6)
    path = npz_with(tmp_path / "m.npz", model, "output_values", entry)
    with pytest.raises(UntracrError, match="1,000,000 values and 3 columns"):
        load_model(path)


def test_many_names_cost_no_more_than_a_few(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of sixty thousand wrong names five are told, and only these are compared with others."""
    compared: list[str] = []

    def hint(name: str, known: object) -> str:
        compared.append(name)
        return ""

    monkeypatch.setattr(file_tensors, "did_you_mean", hint)
    wrong = {f"name{i}" for i in range(60_000)}
    with pytest.raises(UntracrError, match="and 59,995 more"):
        file_tensors.require_names("ours", wrong, ["W"], set())
    assert len(compared) == 5
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        for name in sorted(wrong)[:20_001]:
            archive.writestr(f"{name}.npy", b"")
    with pytest.raises(UntracrError, match="at most 20,000 arrays"):
        load_model(tmp_path / "m.npz")


@pytest.mark.slow
def test_headers_of_many_axes_are_not_multiplied_out(tmp_path: Path) -> None:
    """The product of a million numbers takes longer than anybody waits."""
    entry = {"dtype": "F32", "shape": [9] * 10**6, "data_offsets": [0, 4]}
    header = json.dumps({"embed.W_E": entry, "pos_embed.W_pos": entry}).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(UntracrError):
        load_model(path)


def test_sparse_files_are_refused_by_their_size(tmp_path: Path) -> None:
    """A file of a terabyte may take no room on a disk; it is not read."""
    for file, door in DOORS.values():
        with open(tmp_path / file, "wb") as opened:
            opened.truncate(2**40)
        with pytest.raises(UntracrError, match="1,099,511,627,776"):
            door(tmp_path / file)


@pytest.mark.parametrize(
    "state",
    [
        "{}",
        "[]",
        "null",
        "{",
        '{"config": null}',
        '{"config": []}',
        '{"config": {"width": "128", "layers": 3, "heads": 4}}',
        '{"config": {"width": 128, "layers": 1000000000, "heads": 4}}',
        '{"config": {"width": 128, "layers": 3, "heads": 0}}',
        '{"config": {"width": 128.0, "layers": 3, "heads": 4}}',
        '{"config": {"width": -128, "layers": 3, "heads": 4}}',
        '{"config": {"width": 100, "layers": 3, "heads": 3}}',
    ],
)
def test_malformed_checkpoints_are_refused(state: str, tmp_path: Path) -> None:
    """The sizes of a network are checked before anything is made of them."""
    header = json.dumps({"__metadata__": {"untracr": state}}).encode()
    path = tmp_path / "c.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(UntracrError, match=r"c\.safetensors"):
        NumpyNetwork.load(path)


def test_the_state_of_a_checkpoint_is_json(tmp_path: Path) -> None:
    """Metadata may be anything that a header can hold."""
    for notes in ("[]", '{"untracr": 3}', "null", "7"):
        header = f'{{"__metadata__": {notes}}}'.encode()
        with pytest.raises(UntracrError):
            read_state(len(header).to_bytes(8, "little") + header, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[NaN]", "NaN is not JSON"),
        ("[-Infinity]", "is not JSON"),
        ("[1e999]", "must fit a float"),
        ("[-1e999]", "must fit a float"),
        ("1" * 400, "must fit a float"),
        ("9" * 5000, "must fit a float"),
        ('{"a": 1, "a": 2}', "is there twice"),
        ('["\\ud800"]', "must be Unicode"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_json_is_what_the_standard_has(text: str, message: str) -> None:
    """Python's reader accepts more, and what it accepts is trouble later."""
    with pytest.raises(ValueError, match=message):
        parse_json(text)
    with pytest.raises(ValueError, match=message):
        parse_json(text.encode())


def test_messages_are_short_whatever_a_file_holds(tmp_path: Path) -> None:
    """A message of megabytes hides what it says."""
    long = {"x" * 100_000 + str(i): {"data_offsets": [0, 0]} for i in range(20)}
    header = json.dumps(long).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(UntracrError) as caught:
        load_model(path)
    assert len(str(caught.value)) < 1_000
    assert len(str(UntracrError("x" * 10**6))) <= MOST_CHARACTERS + 40


def test_shards_that_the_system_makes_up_are_not_hashed(tmp_path: Path) -> None:
    """They say that they have no bytes, and have no end."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train-0.parquet").symlink_to("/proc/self/pagemap")
    note = ShardNote("data/train-0.parquet", 1, 10, "0" * 64)
    (found,) = hash_shards(None, HashTask(tmp_path, (note,)))
    assert found.fault is not None


def test_what_is_no_number_in_json_is_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has neither infinity nor NaN, and readers of JSON refuse both."""
    print_json({"a": [float("inf"), (1, float("-inf"))], "b": {"c": float("nan")}, "d": 0.5})
    assert parse_json(capsys.readouterr().out) == {
        "a": ["Infinity", [1, "-Infinity"]],
        "b": {"c": "NaN"},
        "d": 0.5,
    }


def test_a_name_puts_no_line_into_a_program(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What decompile prints is run as Python by people; a terminal obeys some characters."""
    path = tmp_path / "a\nimport os\x1b[2J.npz"
    path.write_bytes(model.read_bytes())
    main(["decompile", str(path), "--greedy"])
    shown = capsys.readouterr().out
    assert "\nimport os" not in shown
    assert "\x1b" not in shown
    assert "\\nimport os\\x1b[2J" in shown
    assert main(["run", str(tmp_path / "b\nc.npz"), "1"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_texts_of_a_read_out_are_not_obeyed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A value may be any text."""
    loaded = load_model(compiled_words(tmp_path / "w.npz"))
    values = ("\x1b[31m", "\n# x")
    model = loaded.transformer.replace(output_values=values)
    save_model(tmp_path / "v.npz", model, loaded.metadata)
    assert main(["run", str(tmp_path / "v.npz"), "0,1"]) == 0
    assert capsys.readouterr().out == "'\\x1b[31m','\\n# x'\n"


def compiled_words(path: Path) -> Path:
    """A model of two words."""
    compile_rasp_to_model("Map(lambda x: x, tokens)", (0, 1), 3).save(path)
    return path
