"""Hostile files: ``python tests/fuzz_files.py --cases 10000 --seed 0``.

Sound files (models of both formats, certificates, a checkpoint, a data set) are
changed in their structure: entries of a header, members of an archive, numbers
of an array, keys of a document. Each goes through every door that takes one.
"""

from __future__ import annotations

import copy
import functools
import io
import json
import os
import random
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

import fuzz_running
from fuzz_json import mutated, text_of
from fuzz_running import Case
from untracr.certificate.certificate import certificate_of, write_certificate
from untracr.dataset import DatasetSettings, LocalEngine, build_dataset
from untracr.dataset.reading import DatasetReader
from untracr.dataset.verifying import verify_dataset
from untracr.decompile.bundled import bundled_decompiler, example_file
from untracr.diagnose.model import compile_rasp_to_model
from untracr.loading.compiled_file import save_model
from untracr.loading.loading import load_model

Arrays = dict[str, npt.NDArray[np.generic]]

PROGRAMS = (
    ("hist.npz", "SelectorWidth(Select(tokens, tokens, Comparison.EQ))", (0, 1, 2), 3),
    ("number.safetensors", "numerical(Map(lambda x: x * 2, tokens))", (0, 1, 2), 3),
    ("words.npz", "Map(lambda x: x, tokens)", ("a", "b"), 4),
    ("pairs.safetensors", "SequenceMap(lambda x, y: x + y, tokens, indices)", (0, 1), 3),
)


@functools.cache
def material() -> Path:
    """Sound files, made once a run; nobody may change them."""
    root = Path(tempfile.mkdtemp(prefix="fuzz-material-"))
    for name, source, vocab, length in PROGRAMS:
        compile_rasp_to_model(source, vocab, length).save(root / name)
    bare = load_model(root / "hist.npz").transformer.replace(W_U=None, output_values=None)
    save_model(root / "bare.npz", bare)
    for name in ("hist.npz", "number.safetensors"):
        loaded = load_model(root / name)
        result = bundled_decompiler().decompile_loaded(loaded)
        write_certificate(root / f"{name}.json", certificate_of(result, loaded, root))
    (root / "real.npz").write_bytes(example_file().read_bytes())
    build_dataset(root / "set", DatasetSettings(programs=12, seed=3, shard_size=4), LocalEngine(0))
    return root


# Models


def npz_arrays(path: Path) -> Arrays:
    """The arrays of an archive."""
    with np.load(path) as archive:
        return dict(archive)


def any_array(rng: random.Random, array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Another array in the place of one."""
    kind = rng.randrange(12)
    with np.errstate(all="ignore"):
        if kind < 4 and array.dtype.kind == "f":
            changed = np.array(array, dtype=np.float32)
            number = rng.choice((np.nan, np.inf, 1e30, -1e38, 0.0, 1e-40, 3.0, 1.5, -1.0))
            changed.flat[rng.randrange(changed.size)] = number
            return changed if rng.random() < 0.7 else changed * np.float32(number)
        if kind == 4:
            kinds = ("<f2", "<f8", "<f16", ">f4", "<i8", "|b1", "<U3", "<c8", "|V4", "|S2")
            return array.astype(rng.choice(kinds[6:7] if array.dtype.kind == "U" else kinds))
    if kind == 5:
        return array[..., : rng.randrange(array.shape[-1] + 1)] if array.ndim else array[None]
    if kind == 6:
        return np.concatenate([array, array]) if array.ndim else array
    if kind == 7:
        return array.T
    if kind == 8:
        return array.reshape(-1)
    if kind == 9:
        return np.zeros(rng.choice([(0,), (1,), (3, 0), (10**6,), (), (1,) * 20]), np.float32)
    if kind == 10:
        return np.array(rng.choice(["x", "{}", "9" * 400, "\n"]))
    return np.array(rng.choice([0, 1, 2, -1, 2**40, 1e300]))


def npy(array: npt.NDArray[np.generic], rng: random.Random) -> bytes:
    """A member's bytes, now and then with a header that says something else."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    data = buffer.getvalue()
    if rng.random() < 0.15:
        shape = rng.choice([(10**9,), (2**40, 2**40), (-1,), (0,) * 40, (3,), (1,) * 2_000])
        descr = rng.choice(["<f4", "<U0", "|V0", "|O", "<f99", "<U99999999", "(3,)f4", "<M8[s]"])
        header = {"descr": descr, "fortran_order": rng.random() < 0.5, "shape": shape}
        text = repr(header).encode() + b"\n"
        body = data[10 + int.from_bytes(data[8:10], "little") :]
        data = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body
    return data


def hostile_npz(rng: random.Random, path: Path) -> None:
    """An archive with changed members."""
    arrays = npz_arrays(material() / rng.choice(("hist.npz", "words.npz", "bare.npz", "real.npz")))
    document = json.loads(str(arrays["untracr"])) if "untracr" in arrays else {}
    for _ in range(rng.choice((1, 1, 2, 4))):
        name = rng.choice(list(arrays))
        kind = rng.randrange(6)
        if kind == 0:
            del arrays[name]
        elif kind == 1:
            new = rng.choice(("x", name + "0", "transformer/layer_9/mlp/linear_1/w", "a\n\x1b[2J"))
            arrays[new] = arrays[name]
        elif kind == 2:
            arrays["untracr"] = np.array(text_of(rng, mutated(rng, document)).decode())
        elif kind == 3:
            values = rng.choice([np.zeros(5), np.array(["a", "b"]), np.zeros(10**6, bool)])
            arrays["output_values"] = values
        elif kind == 4:
            arrays["num_heads"] = np.array(rng.choice([0, 1, 2, -1, 10**9]))
        else:
            arrays[name] = any_array(rng, arrays[name])
    packing = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", npy(array, rng))
        if rng.random() < 0.03:
            for number in range(rng.choice((100, 30_000))):
                archive.writestr(f"n{number}.npy", b"")


def hostile_safetensors(rng: random.Random, path: Path, source: Path) -> None:
    """A file with a changed header."""
    data = source.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    notes = header.get("__metadata__", {})
    if "untracr" in notes and rng.random() < 0.5:
        notes["untracr"] = text_of(rng, mutated(rng, json.loads(notes["untracr"]))).decode()
    elif rng.random() < 0.3:
        numbers = np.frombuffer(body[: len(body) // 4 * 4], "<f4").copy()
        place = rng.randrange(len(numbers))
        numbers[place : place + rng.choice((1, 1_000))] = rng.choice((np.nan, np.inf, 1e38, 0, 5))
        body = numbers.tobytes()
    else:
        header = mutated(rng, header)
    if rng.random() < 0.03:
        header = {f"blocks.{i}.attn.W_Q": {} for i in range(60_000)}
    text = text_of(rng, header)
    size = len(text) if rng.random() < 0.95 else rng.choice((0, 1, 2**40, 2**63, len(text) - 1))
    path.write_bytes(size.to_bytes(8, "little") + text + body)


def overwritten(rng: random.Random, path: Path) -> None:
    """Bytes of a file changed, cut off or doubled."""
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 3, 20))):
        place = rng.randrange(len(data) or 1)
        kind = rng.randrange(4)
        if kind == 0 and data:
            data[place] = rng.randrange(256)
        elif kind == 1:
            del data[place : place + rng.choice((1, 100, 10_000))]
        elif kind == 2:
            data[place:place] = data[: rng.choice((1, 50, 5_000))]
        else:
            data[place : place + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
    path.write_bytes(bytes(data))


def special(rng: random.Random, path: Path) -> None:
    """What is no file, or none with bytes of its own."""
    kind = rng.randrange(6)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.mkdir()
    elif kind == 2:
        path.symlink_to(rng.choice(("/proc/self/pagemap", "/dev/zero", path.name, "/proc/self")))
    elif kind == 3:
        path.write_bytes(rng.choice((b"", b"PK\x03\x04", b"{", b"\x80\x04.", b"\x93NUMPY", b"[")))
    elif kind == 4:
        with open(path, "wb") as file:
            file.write(rng.choice((b"PK\x03\x04", b"\x10\0\0\0\0\0\0\0{", b"{")))
            file.truncate(rng.choice((2**20, 2**28, 2**33)))
    else:
        path.write_bytes(rng.randbytes(rng.choice((10, 1_000, 100_000))))


def model_case(rng: random.Random, folder: Path) -> Case:
    """A model through every door that takes one."""
    name = rng.choice(("m.npz", "m.safetensors", "a\nimport os.npz", "\x1b[31m.npz"))
    kind = rng.random()
    path = folder / name
    if kind < 0.45:
        hostile_npz(rng, path)
    elif kind < 0.8:
        sources = ("number.safetensors", "pairs.safetensors")
        hostile_safetensors(rng, path, material() / rng.choice(sources))
    elif kind < 0.9:
        path.write_bytes((material() / rng.choice(("hist.npz", "number.safetensors"))).read_bytes())
        overwritten(rng, path)
    else:
        special(rng, path)
    extra = rng.choice(
        ([], [], ["--json"], ["--greedy"], ["--vocab", "a,b,c"], ["--certificate", "shown"])
    )
    decompile = ["decompile", name, "--budget", "0.5", "--no-progress", *extra]
    program = "SelectorWidth(Select(tokens, tokens, Comparison.EQ))"
    (folder / "p.py").write_text(program)
    commands = rng.choice(
        (
            [decompile, ["run", name, "0,1"]],
            [decompile, ["run", name, "a,b", "--json"]],
            [["explain", name, "0,1", "--program", "p.py", "--picture", "p.svg"]],
            [["check", "p.py", "--against", name]],
            [["run", name, "1", "0,0,0", "1,1,1,1,1,1"], decompile],
        )
    )
    return Case(f"model {name!r}", commands)


# Certificates and checkpoints


def certificate_case(rng: random.Random, folder: Path) -> Case:
    """A certificate of a sound model."""
    name = rng.choice(("hist.npz", "number.safetensors"))
    (folder / name).write_bytes((material() / name).read_bytes())
    path = folder / rng.choice(("c.json", "c\n.json"))
    document = json.loads((material() / f"{name}.json").read_bytes())
    if rng.random() < 0.9:
        path.write_bytes(text_of(rng, mutated(rng, document)))
    else:
        special(rng, path)
    json_option = ["--json"] * rng.randrange(2)
    return Case("certificate", [["check", path.name, *json_option]])


def checkpoint_case(rng: random.Random, folder: Path) -> Case:
    """A meta-model that is none."""
    path = folder / "c.safetensors"
    if rng.random() < 0.9:
        hostile_safetensors(rng, path, bundled_decompiler().checkpoint)
    else:
        special(rng, path)
    options = ["--checkpoint", path.name, "--no-progress", "--budget", "0.5"]
    return Case("checkpoint", [["decompile", str(material() / "hist.npz"), *options]])


# Data sets


def dataset_case(rng: random.Random, folder: Path) -> Case:
    """A data set with a forged manifest, damaged shards, or odd things beside them."""
    root = folder / "set"
    (root / "data").mkdir(parents=True)
    for path in (material() / "set").rglob("*"):
        if path.is_file() and ".build" not in path.parts:
            (root / path.relative_to(material() / "set")).write_bytes(path.read_bytes())
    manifest, shards = root / "manifest.json", sorted((root / "data").glob("*.parquet"))
    kind = rng.randrange(6)
    if kind < 3:
        document = json.loads(manifest.read_bytes())
        manifest.write_bytes(text_of(rng, mutated(rng, document)))
    elif kind == 3:
        overwritten(rng, rng.choice(shards))
    elif kind == 4:
        odd = rng.choice((manifest, *shards))
        odd.unlink()
        special(rng, odd)
    else:
        _odd_shard(rng, rng.choice(shards))
    json_option = ["--json"] * rng.randrange(2)
    commands = [
        ["dataset", "info", "set", *json_option],
        ["dataset", "show", "set", str(rng.choice((0, 3, 10**12))), *json_option],
        ["dataset", "show", "set", "0", "--save", "m.npz"],
    ]

    def verify() -> object:
        return verify_dataset(root, LocalEngine(0), 5)

    def read() -> object:
        rows = DatasetReader(root, columns=["program", "index"]).rows()
        return [next(rows) for _ in range(20)]

    return Case(f"data set {kind}", commands, (rng.choice((verify, read)),))


def _odd_shard(rng: random.Random, path: Path) -> None:
    """A shard of which a column is of another kind, is missing, or has other values."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    rows = table.to_pylist()
    name = rng.choice(table.column_names)
    kind = rng.randrange(4)
    if kind == 0:
        pq.write_table(table.drop_columns([name]), path)
    elif kind == 1:
        for row in rows:
            row[name] = rng.choice((None, "x", "\x1b[2J\n", "[1e999]", "{}", "9" * 5_000))
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == 2:
        changed = copy.deepcopy(rows)
        changed[0][name] = changed[-1][name]
        pq.write_table(pa.Table.from_pylist(changed * rng.choice((1, 50)), table.schema), path)
    else:
        number = rng.choice((-1, 0, 2**40, 2**62))
        array = pa.array([number] * table.num_rows)
        place = table.column_names.index(name)
        pq.write_table(table.set_column(place, name, array), path)


def make(rng: random.Random, folder: Path) -> Case:
    """One hostile file of some kind."""
    kinds = (model_case, model_case, model_case, certificate_case, checkpoint_case, dataset_case)
    return rng.choice(kinds)(rng, folder)


if __name__ == "__main__":
    material()
    sys.exit(fuzz_running.main_of(make, "files", "Reads hostile files."))
