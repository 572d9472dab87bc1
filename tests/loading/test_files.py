"""Weights files: what is saved comes back bit by bit, and a bad file gives one clear error."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import re
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from real_models import REAL
from untracr.compile.compiler import compile_program
from untracr.errors import ModelFileError, UsageError
from untracr.loading import files
from untracr.loading.compiled_file import save_model
from untracr.loading.loading import load_model
from untracr.network.compiled_form import compiled_form
from untracr.rasp.functions import Comparison, formula
from untracr.rasp.nodes import INDICES, NUMERICAL, TOKENS, Aggregate, Map, Select, SelectorWidth
from untracr.rasp.program import Builder
from untracr.transformer.transformer import ARRAY_NAMES, Transformer

SUFFIXES = (".safetensors", ".npz")
Arrays = dict[str, npt.NDArray[Any]]


def histogram() -> Transformer:
    """How often each token occurs; a categorical read-out."""
    b = Builder()
    same = b.add(Select(TOKENS, TOKENS, Comparison.EQ))
    return compile_program(b.build(b.add(SelectorWidth(same))), ["a", "b", "c"], 4).transformer


def fraction() -> Transformer:
    """The share of a token so far; two layers, causal, a numerical read-out."""
    b = Builder()
    before = b.add(Select(INDICES, INDICES, Comparison.LEQ))
    is_one = b.add(Map(formula("x == 1"), TOKENS, NUMERICAL))
    program = b.build(b.add(Aggregate(before, is_one, 0, NUMERICAL)))
    return compile_program(program, [0, 1, 2], 5, causal=True).transformer


def assert_same(found: Transformer, wanted: Transformer) -> None:
    """Same bits, read-out and flags."""
    for name in ARRAY_NAMES:
        assert getattr(found, name).dtype == np.float32
        assert getattr(found, name).shape == getattr(wanted, name).shape
        assert getattr(found, name).tobytes() == getattr(wanted, name).tobytes(), name
    assert (found.W_U is None) == (wanted.W_U is None)
    if found.W_U is not None and wanted.W_U is not None:
        assert found.W_U.tobytes() == wanted.W_U.tobytes()
    assert found.causal is wanted.causal
    assert found.output_values == wanted.output_values


def noisy(model: Transformer) -> Transformer:
    """Every weight a number with bits to lose, among them -0.0 and a subnormal."""
    rng = np.random.default_rng(0)
    arrays = {n: rng.normal(size=a.shape).astype(np.float32) for n, a in model.arrays().items()}
    arrays["W_E"][0, :2] = -0.0, 1e-40
    return model.replace(**arrays)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("make", [histogram, fraction])
def test_a_saved_model_comes_back_bit_by_bit(
    tmp_path: Path, suffix: str, make: Callable[[], Transformer]
) -> None:
    """Saving must lose nothing: weights, read-out, causality or metadata."""
    model = noisy(make())
    metadata: dict[str, object] = {"vocab": [0, "a", None, True], "source": "é\n", "x": {"y": 1.5}}
    save_model(tmp_path / f"m{suffix}", model, metadata)
    loaded = load_model(str(tmp_path / f"m{suffix}"))
    assert_same(loaded.transformer, model)
    assert loaded.metadata == metadata
    assert loaded.path == tmp_path / f"m{suffix}"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_output_values_keep_their_types(tmp_path: Path, suffix: str) -> None:
    """1, 1.0, True, "1" and None are different outputs, so a file must tell them apart."""
    model = histogram()
    values = (1, 1.0, True, "1", None)
    unembed = np.ones((model.d_model, 5), np.float32)
    save_model(tmp_path / f"m{suffix}", model.replace(W_U=unembed, output_values=values))
    found = load_model(tmp_path / f"m{suffix}").transformer.output_values
    assert found is not None
    assert [(type(v), v) for v in found] == [(type(v), v) for v in values]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_saving_is_deterministic_and_the_name_is_not_the_format(
    tmp_path: Path, suffix: str
) -> None:
    """Equal models give equal bytes, and content alone decides how a file is read."""
    model = fraction()
    save_model(tmp_path / f"a{suffix}", model, {"b": 1, "a": 2})
    save_model(tmp_path / f"b{suffix}", model, {"a": 2, "b": 1})
    data = (tmp_path / f"a{suffix}").read_bytes()
    assert data == (tmp_path / f"b{suffix}").read_bytes()
    (tmp_path / "model.txt").write_bytes(data)
    assert_same(load_model(tmp_path / "model.txt").transformer, model)


def test_files_compiled_by_tracr_survive_both_formats(tmp_path: Path) -> None:
    """A stranger's npz must load, and both our formats must keep it exactly."""
    paths = sorted(REAL.glob("*.npz"))[::7]
    assert paths
    for path in paths:
        loaded = load_model(path)
        assert loaded.metadata == {}
        with np.load(path) as entries:
            assert loaded.transformer.n_heads == entries["num_heads"]
            assert np.array_equal(loaded.transformer.W_E, entries["token_embed/embeddings"])
        for suffix in SUFFIXES:
            save_model(tmp_path / f"m{suffix}", loaded.transformer)
            assert_same(load_model(tmp_path / f"m{suffix}").transformer, loaded.transformer)


# Making bad files


def safetensors_file(path: Path, tensors: Arrays, notes: dict[str, str] | None = None) -> Path:
    """Writes safetensors by hand, so that anything at all can be declared."""
    kinds = {"float16": "F16", "float32": "F32", "float64": "F64", "int32": "I32", "uint16": "BF16"}
    header: dict[str, Any] = {"__metadata__": notes} if notes else {}
    body = b""
    for name, array in tensors.items():
        raw = array.tobytes()
        offsets = [len(body), len(body) + len(raw)]
        kind = kinds.get(str(array.dtype), str(array.dtype))
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": offsets}
        body += raw
    return raw_safetensors(path, header, body)


def raw_safetensors(path: Path, header: object, body: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def lens_arrays(tmp_path: Path) -> Arrays:
    """The tensors of a small model under TransformerLens names."""
    import safetensors.numpy

    save_model(tmp_path / "source.safetensors", fraction())
    return safetensors.numpy.load_file(tmp_path / "source.safetensors")


def tracr_arrays(tmp_path: Path) -> Arrays:
    """The arrays of a small model under Tracr's names, without our own entries."""
    save_model(tmp_path / "source.npz", fraction())
    with np.load(tmp_path / "source.npz") as entries:
        return {name: entries[name] for name in entries if name != "untracr"}


def npz_file(path: Path, arrays: Arrays) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def refuses(path: Path, *parts: str) -> None:
    """Loading must fail with one message that has the path and all parts."""
    with pytest.raises(ModelFileError) as caught:
        load_model(path)
    for part in (str(path), *parts):
        assert part in str(caught.value)


# Not a model file


class Bomb:
    """A pickle of it runs code when loaded."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, ("/nonexistent/pickle-was-loaded",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_is_named_and_never_loaded(tmp_path: Path, protocol: int) -> None:
    """A pickle can run code, so every protocol must be refused unread."""
    for content in (Bomb(), {"w": 1}, {}, [1, 2]):
        (tmp_path / "m.pt").write_bytes(pickle.dumps(content, protocol))
        refuses(tmp_path / "m.pt", "a pickle is never loaded: it can run code")


def test_a_pytorch_zip_is_named_and_never_loaded(tmp_path: Path) -> None:
    """torch.save's zip holds a pickle, whatever the file is called."""
    for name in ("m.pt", "m.npz"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(Bomb()))
            archive.writestr("archive/version", "3")
        refuses(tmp_path / name, "PyTorch", "a pickle is never loaded")


def test_an_object_array_is_refused(tmp_path: Path) -> None:
    """An object array in an npz is a pickle, too."""
    arrays = tracr_arrays(tmp_path)
    arrays["output_values"] = np.array([Bomb(), None], dtype=object)
    refuses(npz_file(tmp_path / "m.npz", arrays), "output_values", "a pickle is never loaded")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty (0 bytes)"),
        (b"abc", "only 3 bytes"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5"),
        (b'{"W_E": [[1.0]]}', "JSON"),
        (b"[[1,2],[{}]]", "JSON"),
        (b"\x93NUMPY" + bytes(99), ".npy"),
        (b"PK\x05\x06" + bytes(18), "empty zip"),
        (b"\x1f\x8b\x08" + bytes(99), "gzip"),
        (b"hello, this is a text", "this is text"),
        (b"\xffhello, this is none", "ff 68 65 6c 6c 6f 2c 20"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"PK\x03\x04" + bytes(99), "cut short or damaged"),
        (b"\xff" * 8 + b'{"a": 1}', "cut short"),
        (struct.pack("<Q", 5) + b"{oops", "must be JSON"),
        (struct.pack("<Q", 4) + b"{  }", "missing: 'embed.W_E'"),
        (struct.pack("<Q", 14) + b'{"a": [1, NaN}', "must be JSON"),
        (struct.pack("<Q", 60000) + b'{"a":' * 12000, "must be JSON"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, content: bytes, what: str) -> None:
    """The message must say what the file is, not merely that it is wrong."""
    (tmp_path / "m.safetensors").write_bytes(content)
    refuses(tmp_path / "m.safetensors", what)


def test_only_transformers_are_saved(tmp_path: Path) -> None:
    """What has a transformer is not one; the message says where it is."""
    save_model(tmp_path / "m.npz", histogram())
    loaded: Any = load_model(tmp_path / "m.npz")
    old = (tmp_path / "m.npz").read_bytes()
    with pytest.raises(UsageError, match=r"not LoadedModel; .* which \.save\(path\) writes"):
        save_model(tmp_path / "m.npz", loaded)
    assert (tmp_path / "m.npz").read_bytes() == old


def test_what_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    """A directory, a missing file or a pipe must not hang or crash the reader."""
    refuses(tmp_path, "folder must hold its weights", "nothing")
    refuses(tmp_path / "missing.npz", "no such file")
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_model("a\0b")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        refuses(tmp_path / "pipe", "pipe")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, suffix: str) -> None:
    """No prefix of a file may pass for a model or escape as another exception."""
    path = tmp_path / f"m{suffix}"
    save_model(path, histogram())
    data = path.read_bytes()
    for length in (*range(0, len(data), max(1, len(data) // 80)), len(data) - 1):
        path.write_bytes(data[:length])
        refuses(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_file_is_refused_or_still_a_model(tmp_path: Path, suffix: str) -> None:
    """A flipped byte may change a weight, but must never escape as another exception."""
    path = tmp_path / f"m{suffix}"
    save_model(path, histogram())
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, min(len(data), 4000), size=150):
        damaged = data.copy()
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            load_model(path)
        except ModelFileError:
            refused += 1
    assert refused > 0


def test_an_archive_with_wrong_offsets_is_refused(tmp_path: Path) -> None:
    """Found by fuzzing: a directory placed too late makes `zipfile` seek to before the file."""
    path = npz_file(tmp_path / "m.npz", tracr_arrays(tmp_path))
    data = path.read_bytes()
    place = struct.unpack("<I", data[-6:-2])[0]
    path.write_bytes(data[:-6] + struct.pack("<I", place + 50_000) + data[-2:])
    refuses(path, "cut short or damaged")


# Sizes


def test_sizes_are_checked_before_memory_is_taken(tmp_path: Path) -> None:
    """A header of a few bytes may not make us set aside terabytes."""
    huge = {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}
    refuses(raw_safetensors(tmp_path / "a", {"embed.W_E": huge}, b""), "4000000000000 bytes")
    lying = {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4]}
    arrays = lens_arrays(tmp_path)
    path = safetensors_file(tmp_path / "b", arrays)
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length]) | {"embed.W_E": lying}
    refuses(raw_safetensors(path, header, data[8 + length :]), "embed.W_E", "4000000000000 bytes")
    entry = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        entry, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6)}
    )
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("token_embed/embeddings.npy", entry.getvalue() + b"1234")
    refuses(tmp_path / "c.npz", "token_embed/embeddings", "[1000000, 1000000]")


def test_a_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros pack a thousandfold; the declared unpacked size must be within the stated limit."""
    monkeypatch.setattr(files, "MAX_MODEL_BYTES", 100_000)
    with zipfile.ZipFile(tmp_path / "m.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(200_000))
    assert (tmp_path / "m.npz").stat().st_size < 1000
    refuses(tmp_path / "m.npz", "unpacked", "100,000", "200,000")
    monkeypatch.setattr(files, "MAX_NETWORK_BYTES", 100_000)
    (tmp_path / "big").write_bytes(bytes(100_001))
    refuses(tmp_path / "big", "100,001")


def test_filling_up_uneven_layers_has_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers are stored as large as the largest: a small file may stand for a huge model."""
    arrays = lens_arrays(tmp_path)
    width = arrays["embed.W_E"].shape[1]
    arrays["blocks.0.mlp.W_in"] = np.zeros((width, 500), np.float32)
    arrays["blocks.0.mlp.b_in"] = np.zeros(500, np.float32)
    arrays["blocks.0.mlp.W_out"] = np.zeros((500, width), np.float32)
    for name in [name for name in arrays if name.startswith("blocks.0.")]:
        for layer in range(2, 9):
            shape = arrays[name.replace(".0.", ".1.")]
            arrays[name.replace(".0.", f".{layer}.")] = shape
    path = safetensors_file(tmp_path / "m", arrays)
    module = sys.modules[compiled_form.__module__]
    monkeypatch.setattr(module, "MAX_MODEL_BYTES", 2 * path.stat().st_size)
    with pytest.raises(ModelFileError, match="as large as the largest"):
        load_model(path).transformer  # noqa: B018


@pytest.mark.parametrize("compress_type", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_packing_is_refused(tmp_path: Path, compress_type: int) -> None:
    """Packings whose unpacked size cannot be bounded while reading are not read."""
    with zipfile.ZipFile(tmp_path / "m.npz", "w", compress_type) as archive:
        archive.writestr("a.npy", b"x")
    refuses(tmp_path / "m.npz", "a.npy", "packed in another way")


def test_a_zip_of_something_else_or_of_twins_is_refused(tmp_path: Path) -> None:
    """A stranger's zip is named; of two arrays of one name neither is the right one."""
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("word/document.xml", b"x")
    refuses(tmp_path / "m.npz", "word/document.xml")
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("a.npy", b"x")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", b"y")
    refuses(tmp_path / "m.npz", "twice", "a.npy")


# Tensors

Change = Callable[[Arrays], object]

BAD_LENS: list[tuple[Change, tuple[str, ...]]] = [
    (
        lambda a: a.update({"blocks.0.attn.W_q": a.pop("blocks.0.attn.W_Q")}),
        ("unknown: 'blocks.0.attn.W_q' Did you mean 'blocks.0.attn.W_Q'?", "missing"),
    ),
    (lambda a: a.pop("embed.W_E"), ("missing: 'embed.W_E'",)),
    (
        lambda a: a.update({"blocks.0.ln1.w": np.ones(3, "f4")}),
        ("same parts; blocks.0.ln1.w is there and ln_final.w is missing",),
    ),
    (lambda a: a.update({"blocks.0.ln3.w": np.ones(3, "f4")}), ("unknown: 'blocks.0.ln3.w'",)),
    (lambda a: a.update({"blocks.7.attn.W_Q": a["blocks.0.attn.W_Q"]}), ("without a gap",)),
    (lambda a: a["blocks.1.mlp.W_out"].__setitem__((0, 2), np.nan), ("mlp.W_out[0, 2] is nan",)),
    (lambda a: a["embed.W_E"].__setitem__((1, 0), -np.inf), ("embed.W_E[1, 0] is -inf",)),
    (
        lambda a: a.update({"embed.W_E": a["embed.W_E"].astype("f8") + 1e300}),
        ("must fit float32", "embed.W_E[0, 0] is 1e+300"),
    ),
    (
        lambda a: a.update({"embed.W_E": a["embed.W_E"].astype("i4")}),
        ("floating-point", "embed.W_E", "int32"),
    ),
    (
        lambda a: a.update({"embed.W_E": a["embed.W_E"].ravel()}),
        ("embed.W_E must have shape [tokens, d_model]",),
    ),
    (
        lambda a: a.update({"blocks.1.attn.W_K": a["blocks.1.attn.W_K"][:, :-1]}),
        ("d_model must be", "as embed.W_E has it; blocks.1.attn.W_K of shape [1, "),
    ),
    (
        lambda a: a.update({"blocks.1.attn.W_Q": np.ones((1, a["embed.W_E"].shape[1], 99), "f4")}),
        ("d_head must be", "blocks.1.attn.W_Q", "99"),
    ),
    (lambda a: a.update({"embed.W_E": a["embed.W_E"][:0]}), ("must not be empty", "embed.W_E")),
    (lambda a: a.update({"unembed.W_U": np.ones((3, 2), "f4")}), ("unembed.W_U", "[3, 2]")),
    (lambda a: a.update({"unembed.b_U": np.ones(7, "f4")}), ("outputs must be 1", "unembed.b_U")),
]


@pytest.mark.parametrize("case", range(len(BAD_LENS)))
def test_bad_safetensors_are_refused_by_rule_value_and_place(tmp_path: Path, case: int) -> None:
    """Each broken tensor must be named, with what was wanted and what was found."""
    change, parts = BAD_LENS[case]
    arrays = lens_arrays(tmp_path)
    change(arrays)
    refuses(safetensors_file(tmp_path / "bad.safetensors", arrays), *parts)


QUERY = "transformer/layer_0/attn/query/w"

BAD_NPZ: list[tuple[Change, tuple[str, ...]]] = [
    (
        lambda a: a.update({"transformer/layer_0/attn/querry/w": a.pop(QUERY)}),
        (f"querry/w' Did you mean '{QUERY}'?", "missing"),
    ),
    (lambda a: a.pop("token_embed/embeddings"), ("missing: 'token_embed/embeddings'",)),
    (lambda a: a.update({"transformer/layer_9/attn/query/w": a[QUERY]}), ("without a gap",)),
    (lambda a: a[QUERY].__setitem__((3, 0), np.nan), (f"{QUERY}[3, 0] is nan",)),
    (lambda a: a.update({QUERY: a[QUERY] + 1e300}), ("must fit float32", QUERY)),
    (lambda a: a.update({QUERY: a[QUERY].astype("i8")}), ("floating-point", QUERY, "int64")),
    (lambda a: a.update({QUERY: a[QUERY].astype("c8")}), ("floating-point", QUERY, "complex64")),
    (lambda a: a.update({QUERY: a[QUERY][None]}), (f"{QUERY} must have shape [d_model=",)),
    (lambda a: a.update({QUERY: a[QUERY][:, :-1]}), ("must have shape", QUERY[:20])),
    (lambda a: a.update({"pos_embed/embeddings": a["pos_embed/embeddings"][:0]}), ("empty",)),
    (lambda a: a.update({"num_heads": np.array(997)}), ("num_heads must divide", "it is 997")),
    (lambda a: a.update({"num_heads": np.array(0)}), ("num_heads must divide", "it is 0")),
    (lambda a: a.update({"num_heads": np.array(1.5)}), ("num_heads must be one integer",)),
    (lambda a: a.update({"causal": np.array(2)}), ("causal must be 0 or 1, not 2",)),
    (lambda a: a.update({"unembed": np.ones((2, 2), "f4")}), ("unembed", "[2, 2]")),
    (lambda a: a.update({"output_values": np.array([[1.0]])}), ("output_values", "[1, 1]")),
    (lambda a: a.update({"output_values": np.arange(3)}), ("output_values", "W_U")),
    (lambda a: a.update({"untracr": np.array(3)}), ("'untracr' must be one string",)),
]


@pytest.mark.parametrize("case", range(len(BAD_NPZ)))
def test_bad_npz_are_refused_by_rule_value_and_place(tmp_path: Path, case: int) -> None:
    """Each broken array must be named, with what was wanted and what was found."""
    change, parts = BAD_NPZ[case]
    arrays = tracr_arrays(tmp_path)
    arrays[QUERY] = arrays[QUERY].astype(np.float64)
    change(arrays)
    refuses(npz_file(tmp_path / "bad.npz", arrays), *parts)


def test_floats_of_any_width_become_float32(tmp_path: Path) -> None:
    """Half, bfloat16 and double are weights as good as any; big-endian ones too."""
    lens, tracr = lens_arrays(tmp_path), tracr_arrays(tmp_path)
    wanted = fraction()
    lens["embed.W_E"] = lens["embed.W_E"].astype(np.float16)
    lens["pos_embed.W_pos"] = lens["pos_embed.W_pos"].astype(np.float64)
    lens["blocks.0.attn.W_O"] = (lens["blocks.0.attn.W_O"].view(np.uint32) >> 16).astype(np.uint16)
    loaded = load_model(safetensors_file(tmp_path / "m", lens)).transformer
    for name in ("W_E", "W_pos", "W_O"):
        assert (getattr(loaded, name) == getattr(wanted, name)).all()
        assert getattr(loaded, name).dtype == np.float32
    tracr[QUERY] = np.asfortranarray(tracr[QUERY].astype(">f8"))
    tracr["pos_embed/embeddings"] = tracr["pos_embed/embeddings"].astype(np.float16)
    assert_same(load_model(npz_file(tmp_path / "m.npz", tracr)).transformer, wanted)


def test_a_strangers_npz_needs_no_extras(tmp_path: Path) -> None:
    """Plain Tracr parameters load with one head; the optional entries are understood."""
    arrays = tracr_arrays(tmp_path)
    for name in ("num_heads", "causal", "unembed"):
        arrays.pop(name)
    loaded = load_model(npz_file(tmp_path / "m.npz", arrays)).transformer
    assert loaded.n_heads == 1
    assert not loaded.causal
    assert loaded.W_U is None
    columns = arrays[QUERY].shape[1]
    extras = {"num_heads": np.array([columns]), "causal": np.array(True)}
    extras["unembed"] = np.ones((loaded.d_model, 2), np.float64)
    extras["output_values"] = np.array(["no", "yes"])
    full = load_model(npz_file(tmp_path / "m.npz", arrays | extras)).transformer
    assert (full.n_heads, full.d_head, full.causal) == (columns, 1, True)
    assert full.output_values == ("no", "yes")


def test_layers_of_different_sizes_are_filled_up(tmp_path: Path) -> None:
    """A layer with fewer neurons or heads computes the same with zeros in their place."""
    lens, tracr = lens_arrays(tmp_path), tracr_arrays(tmp_path)
    heads = ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V")
    for name in heads:
        extra = np.ones_like(lens[f"blocks.0.attn.{name}"])
        lens[f"blocks.0.attn.{name}"] = np.concatenate([lens[f"blocks.0.attn.{name}"], extra])
    width = lens["embed.W_E"].shape[1]
    for arrays, names in (
        (lens, [f"blocks.1.mlp.{n}" for n in ("W_in", "b_in", "W_out")]),
        (tracr, [f"transformer/layer_1/mlp/linear_{n}" for n in ("1/w", "1/b", "2/w")]),
    ):
        shapes = ((width, 40), (40,), (40, width))
        arrays.update({n: np.ones(s, np.float32) for n, s in zip(names, shapes, strict=True)})
    from_lens = load_model(safetensors_file(tmp_path / "m", lens)).transformer
    from_tracr = load_model(npz_file(tmp_path / "m.npz", tracr)).transformer
    assert (from_lens.n_heads, from_lens.d_mlp, from_tracr.d_mlp) == (2, 40, 40)
    small = fraction()
    for padded in (from_lens, from_tracr):
        assert (padded.W_in[0, :, : small.d_mlp] == small.W_in[0]).all()
        assert not padded.W_in[0, :, small.d_mlp :].any()
        assert not padded.W_out[0, small.d_mlp :].any()
    assert not from_lens.W_O[1, 1].any()


def test_buffers_of_transformer_lens_are_passed_over(tmp_path: Path) -> None:
    """A state dict of TransformerLens holds constants that are not weights."""
    arrays = lens_arrays(tmp_path)
    arrays["blocks.0.attn.mask"] = np.ones((6, 6), np.int32)
    arrays["blocks.0.attn.IGNORE"] = np.array(-np.inf, np.float32)
    arrays["unembed.b_U"] = np.zeros(1, np.float32)
    loaded = load_model(safetensors_file(tmp_path / "m", arrays)).transformer
    assert_same(loaded, fraction().replace(causal=False))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "must be JSON"),
        ("[]", "JSON object, not list"),
        ("{}", "format_version"),
        ('{"format_version": 3}', "the file has 3"),
        ('{"format_version": 1, "casual": true}', "unknown key 'casual'"),
        ('{"format_version": 1, "causal": "yes"}', "causal has the wrong type"),
        ('{"format_version": 1, "metadata": []}', "metadata has the wrong type"),
        ('{"format_version": 1, "output_values": [{}]}', "[0] is {}"),
        ('{"format_version": 1, "output_values": [1, 2, 3]}', "each column of W_U"),
        ('{"format_version": 1, "output_values": [NaN]}', "NaN is not JSON"),
    ],
)
def test_a_bad_document_is_refused(tmp_path: Path, text: str, part: str) -> None:
    """The JSON entry comes from strangers as well, in both formats."""
    lens, tracr = lens_arrays(tmp_path), tracr_arrays(tmp_path)
    refuses(safetensors_file(tmp_path / "m.safetensors", lens, {"untracr": text}), part)
    refuses(npz_file(tmp_path / "m.npz", tracr | {"untracr": np.array(text)}), part)


def test_entries_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    """An npz may say `causal` twice, but not two different things."""
    arrays = tracr_arrays(tmp_path)
    arrays["untracr"] = np.array('{"format_version": 1, "causal": false}')
    refuses(npz_file(tmp_path / "m.npz", arrays), "causal is given twice")


# Saving


@pytest.mark.parametrize("name", ["m.pt", "m", "m.npz.bak"])
def test_saving_to_another_suffix_is_a_usage_error(tmp_path: Path, name: str) -> None:
    """The suffix decides the format, so an unknown one must not be guessed at."""
    with pytest.raises(UsageError, match=re.escape(name)):
        save_model(tmp_path / name, histogram())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "metadata",
    [
        {"x": object()},
        {"x": float("nan")},
        {"x": [{1: 2}]},
        {"x": np.float32(1)},
        {"x": {1, 2}},
        {"x": 10**5000},
    ],
)
def test_metadata_that_json_cannot_hold_is_refused_first(
    tmp_path: Path, metadata: dict[str, object]
) -> None:
    """Nothing may be written, or replaced, before the metadata is known to be good."""
    with pytest.raises(UsageError):
        save_model(tmp_path / "m.npz", histogram(), metadata)
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(UsageError, match="nested"):
        save_model(tmp_path / "m.npz", histogram(), {"x": loop})
    assert not list(tmp_path.iterdir())


def test_what_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    """A model with NaN or an empty array is refused when saved, not when loaded."""
    model = histogram()
    for bad in (
        model.replace(b_O=np.full_like(model.b_O, np.nan)),
        model.replace(W_U=np.full((model.d_model, 1), np.inf, np.float32), output_values=None),
        model.replace(W_pos=model.W_pos[:0]),
    ):
        for suffix in SUFFIXES:
            with pytest.raises(ModelFileError):
                save_model(tmp_path / f"m{suffix}", bad)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), ModelFileError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_failed_save_leaves_the_old_file_and_no_other(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    call: str,
    error: BaseException,
    seen: type[BaseException],
) -> None:
    """A full disk or an interrupt at any step must not cost the model that was there."""
    path = tmp_path / f"m{suffix}"
    save_model(path, histogram(), {"which": "old"})
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(seen) as caught:
        save_model(path, fraction(), {"which": "new"})
    if isinstance(caught.value, ModelFileError):
        assert "No space left on device" in str(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    """A missing folder or a folder of that name is the user's error, told in one line."""
    (tmp_path / "folder.npz").mkdir()
    for name in ("missing/m.npz", "folder.npz"):
        with pytest.raises(ModelFileError, match="cannot be written"):
            save_model(tmp_path / name, histogram())
    assert [path.name for path in tmp_path.iterdir()] == ["folder.npz"]


def test_saving_through_a_link_keeps_the_link(tmp_path: Path) -> None:
    """Renaming onto a link would replace it; what it points at is what is meant."""
    save_model(tmp_path / "real.npz", histogram())
    (tmp_path / "link.npz").symlink_to(tmp_path / "real.npz")
    save_model(tmp_path / "link.npz", fraction())
    assert (tmp_path / "link.npz").is_symlink()
    assert_same(load_model(tmp_path / "real.npz").transformer, fraction())
