"""Checking data sets: what is wrong is named, whatever it is, and never a traceback."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import untracr.dataset.hashing
from dataset_samples import HERE, SETTINGS
from untracr.cli import main
from untracr.dataset import LocalEngine, read_manifest, verify_dataset
from untracr.dataset.comparing import RowsTask, compare_rows
from untracr.dataset.engine import R, S, T
from untracr.dataset.faults import FAULTS_OF_A_SHARD
from untracr.dataset.hashing import HashTask, hash_shards
from untracr.dataset.manifest import ShardNote
from untracr.dataset.manifest_parts import COUNTED
from untracr.dataset.rows import COMPILED, Row, row_at
from untracr.errors import DatasetError
from untracr.sample import sampler

pytestmark = pytest.mark.slow


@pytest.fixture
def small(tiny: dict[str, bytes], tmp_path: Path) -> Path:
    """The smallest data set; it may be damaged."""
    for name, data in tiny.items():
        path = tmp_path / "small" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "small"


@dataclass
class Recording:
    """An engine that works here, notes its tasks, and loses the worker of some."""

    lost: str = ""
    hashed: list[HashTask] = field(default_factory=list)
    compared: list[RowsTask] = field(default_factory=list)

    def run(
        self, work: Callable[[S, T], R], shared: S, tasks: Iterable[T]
    ) -> Iterator[tuple[T, R]]:
        """Does all tasks, up to one that is lost."""
        for task in tasks:
            if isinstance(task, HashTask):
                self.hashed.append(task)
            elif isinstance(task, RowsTask):
                if task.name == self.lost:
                    raise DatasetError("a worker process died")
                self.compared.append(task)
            yield task, work(shared, task)


def agree(root: Path, name: str, data: bytes) -> None:
    """Writes a shard and makes the manifest agree with its bytes."""
    (root / name).write_bytes(data)
    record = json.loads((root / "manifest.json").read_bytes())
    for shard in record["shards"]:
        if shard["name"] == name:
            shard["sha256"] = hashlib.sha256(data).hexdigest()
    (root / "manifest.json").write_text(json.dumps(record))


def written(root: Path, name: str, rows: list[Row], **options: Any) -> bytes:
    """A shard of other rows."""
    file = pa.BufferOutputStream()
    table = pa.Table.from_pylist(rows, schema=pq.read_schema(root / name))
    pq.write_table(table, file, **options)
    return bytes(file.getvalue().to_pybytes())


def rows_of_shard(root: Path, name: str) -> list[Row]:
    """As plain values."""
    return list(pq.read_table(root / name).to_pylist())


def of_split(root: Path, split: str) -> ShardNote:
    """The first shard of a split."""
    return read_manifest(root).of_split(split)[0]


def test_what_is_right_is_verified(built: Path) -> None:
    """All files, and as many rows as asked for."""
    found = verify_dataset(built, LocalEngine(2), 30)
    assert (found.shards, found.rows, found.faults) == (len(read_manifest(built).shards), 30, ())


@pytest.mark.parametrize("place", [0.0, 0.02, 0.3, 0.5, 0.7, 0.9, 0.97, 0.999, 1.0])
def test_one_changed_byte_is_found(copied: Path, place: float) -> None:
    """Anywhere in a file: the file is named, whatever the sample."""
    shard = read_manifest(copied).shards[1]
    change_byte(copied / shard.name, place)
    found = verify_dataset(copied, LocalEngine(1), 0)
    assert found.faults
    assert {fault.shard for fault in found.faults} == {shard.name}
    assert "SHA-256" in found.faults[0].what


def change_byte(path: Path, place: float) -> None:
    """Changes one byte of a file."""
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 0x10
    path.write_bytes(data)


def test_a_changed_row_is_named(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A weight that differs by its last bit: file and row are told, and the exit code is 3."""
    shard = read_manifest(copied).shards[2]
    table = pq.read_table(copied / shard.name)
    rows = table.to_pylist()
    weights = np.array(rows[17]["weights"], dtype=np.float32)
    weights[5] = np.nextafter(weights[5], np.float32(9))
    rows[17]["weights"] = weights.tolist()
    pq.write_table(table.from_pylist(rows, schema=table.schema), copied / shard.name)
    assert main(["dataset", "verify", str(copied), "--sample", "0", "--workers", "1"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{shard.name}: SHA-256 is ")
    assert lines[1].startswith(f"{shard.name}, row 17: 1 of {len(weights):,} weights of treatment")
    assert lines[-1].endswith("40 rows made again, 2 faults")


def test_a_forged_row_is_found(copied: Path) -> None:
    """A row that is not what its index makes it is found even if the manifest agrees with it."""
    manifest = read_manifest(copied)
    shard = manifest.shards[0]
    table = pq.read_table(copied / shard.name)
    rows = table.to_pylist()
    rows[3]["length"] += 1
    pq.write_table(table.from_pylist(rows, schema=table.schema), copied / shard.name)
    record = json.loads((copied / "manifest.json").read_bytes())
    digest = hashlib.sha256((copied / shard.name).read_bytes()).hexdigest()
    record["shards"][0]["sha256"] = digest
    (copied / "manifest.json").write_text(json.dumps(record))
    found = verify_dataset(copied, HERE, SETTINGS.programs)
    # Its length is not what the manifest has counted, either.
    assert [(f.shard, f.row) for f in found.faults] == [("manifest.json", None), (shard.name, 3)]
    assert found.faults[1].what.startswith("length is ")


def test_missing_shards_are_found(copied: Path) -> None:
    """Each by its name."""
    shard = read_manifest(copied).shards[-1]
    (copied / shard.name).unlink()
    found = verify_dataset(copied, HERE, 20)
    assert [str(fault) for fault in found.faults] == [
        f"{shard.name}: cannot be read: there is no such file"
    ]


def test_files_that_the_manifest_does_not_name_are_found(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other tools read all files that are called like shards; nothing else may lie there."""
    assert verify_dataset(small, HERE, 0).faults == ()
    shard = read_manifest(small).shards[0].name
    names = ["data/train-00007-of-00008.parquet", "data/.left", "data/below/more"]
    for name in names:
        (small / name).parent.mkdir(exist_ok=True)
        shutil.copy(small / shard, small / name)
    found = verify_dataset(small, HERE, 0).faults
    assert sorted(fault.shard for fault in found) == sorted(names)
    assert all("the manifest names no such file" in fault.what for fault in found)
    (small / "data" / "no\udcfftext").touch()
    assert main(["dataset", "verify", str(small), "--sample", "0", "--workers", "1"]) == 3
    assert r"data/no\xfftext: the manifest" in capsys.readouterr().out


def test_rows_that_are_doubled_or_misplaced_are_found(small: Path) -> None:
    """Each of them is what its own index makes it: only the order shows them."""
    name = of_split(small, "train").name
    rows = rows_of_shard(small, name)
    index = [row["index"] for row in rows]
    agree(small, name, written(small, name, [rows[0], rows[1], rows[1], rows[3]]))
    found = verify_dataset(small, HERE, 12)
    assert [(f.shard, f.row) for f in found.faults] == [(name, 2)]
    assert found.faults[0].what == f"its index, {index[1]}, comes after {index[1]}: it must ascend"
    assert found.rows == 12
    agree(small, name, written(small, name, [rows[0], rows[2], rows[1], rows[3]]))
    found = verify_dataset(small, HERE, 12)
    assert [(f.shard, f.row) for f in found.faults] == [(name, 2)]
    assert found.faults[0].what == f"its index, {index[1]}, comes after {index[2]}: it must ascend"
    agree(small, name, written(small, name, rows[:3]))
    found = verify_dataset(small, HERE, 12)
    assert str(found.faults[0]) == f"{name}: has 3 rows, not 4"
    assert len(found.faults) == 1
    assert (found.asked, found.rows) == (12, 11)


def test_shards_in_another_order_are_found(small: Path) -> None:
    """Indices ascend from one shard of a split to the next, too."""
    record = json.loads((small / "manifest.json").read_bytes())
    first, second = (shard.name for shard in read_manifest(small).of_split("train")[:2])
    shards = {shard["name"]: shard for shard in record["shards"]}
    record["shards"] = [shards.pop(second), shards.pop(first), *shards.values()]
    (small / "manifest.json").write_text(json.dumps(record))
    found = verify_dataset(small, HERE, 0).faults
    assert (found[0].shard, found[0].row) == (first, 0)
    assert "in the shard before: it must ascend" in found[0].what


def test_a_row_in_two_splits_is_found(copied: Path) -> None:
    """Though no row of the sample is concerned, and each split ascends."""
    name = of_split(copied, "test").name
    rows = rows_of_shard(copied, name)
    places = {
        row["index"]: (shard.name, number, row)
        for shard in read_manifest(copied).of_split("train")
        for number, row in enumerate(rows_of_shard(copied, shard.name))
    }
    other = next(i for i in range(rows[4]["index"] + 1, rows[6]["index"]) if i in places)
    shard, number, rows[5] = places[other]
    agree(copied, name, written(copied, name, rows))
    found = verify_dataset(copied, HERE, 0)
    assert [str(fault) for fault in found.faults if fault.shard in (name, shard)] in (
        [f"{name}, row 5: its index, {other}, is also that of {shard}, row {number}"],
        [f"{shard}, row {number}: its index, {other}, is also that of {name}, row 5"],
    )
    assert len(found.faults) == 1


@pytest.mark.parametrize("column", [None, pa.int32(), pa.int64()])
def test_shards_without_indices_are_found(small: Path, column: pa.DataType | None) -> None:
    """No column, one of another type, and one with gaps: a fault of the file."""
    name = of_split(small, "train").name
    table = pq.read_table(small / name)
    place = table.column_names.index("index")
    table = table.drop_columns(["index"])
    if column is not None:
        table = table.add_column(place, "index", pa.array([1, None, 2, 3], column))
    file = pa.BufferOutputStream()
    pq.write_table(table, file)
    agree(small, name, file.getvalue().to_pybytes())
    (fault,) = verify_dataset(small, HERE, 0).faults
    assert (fault.shard, fault.row) == (name, None)
    assert "index" in fault.what


def test_flipped_bits_are_found_and_raise_nothing(small: Path) -> None:
    """Wherever they are in a file, and whatever reading it then raises."""
    name = read_manifest(small).shards[0].name
    data = (small / name).read_bytes()
    # The first third holds the text; some of these flips leave text that is no UTF-8.
    text, all_of_it = range(0, len(data) // 3, 7), range(0, len(data), 97)
    for bit, offsets in ((0x80, text), (0x80, all_of_it), (0x01, all_of_it), (0x10, all_of_it)):
        for offset in offsets:
            changed = bytearray(data)
            changed[offset] ^= bit
            (small / name).write_bytes(changed)
            found = verify_dataset(small, HERE, 0)
            assert {fault.shard for fault in found.faults} == {name}, (offset, bit)
            assert found.faults[0].what.startswith("SHA-256"), (offset, bit)
            assert found.asked == 4


def test_text_that_is_no_text_is_a_fault_of_its_row(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file's other rows are compared, and that fewer were than asked for is told."""
    name = read_manifest(small).shards[0].name
    rows = rows_of_shard(small, name)
    # Not compressed, so that a byte of the file is one of the text.
    data = bytearray(written(small, name, rows, compression="none", use_dictionary=False))
    whole = bytes(data)
    text = rows[2]["program"].encode()
    for bit in (0x80, 0x40):
        for offset in range(0, len(text), 23):
            data[:] = whole
            data[data.index(text) + offset] ^= bit
            agree(small, name, bytes(data))
            (fault,) = verify_dataset(small, HERE, 12).faults
            assert (fault.shard, fault.row) == (name, 2)
    data[:] = whole
    data[data.index(text) + 3] ^= 0x80
    agree(small, name, bytes(data))
    command = ["dataset", "verify", str(small), "--sample", "12", "--workers", "1"]
    assert main(command) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{name}, row 2: a row cannot be read: 'utf-8' codec")
    assert lines[1:] == [f"{small}: 3 files hashed, 11 of 12 rows made again, 1 fault"]
    assert main([*command, "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["asked"], told["rows"], len(told["faults"])) == (12, 11, 1)


def test_a_lost_worker_is_the_fault_of_its_shard_alone(copied: Path) -> None:
    """All rows of the other shards are compared, those after it too."""
    shards = read_manifest(copied).shards
    lost = shards[2]
    found = verify_dataset(copied, Recording(lost.name), 240)
    (fault,) = found.faults
    assert str(fault) == f"{lost.name}: its rows cannot be compared: a worker process died"
    assert (found.asked, found.rows) == (240, 240 - lost.rows)


def test_an_error_in_a_worker_is_no_error_of_the_others(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever making a row again raises, even a bug of ours, is told of that row."""
    bad = rows_of_shard(copied, of_split(copied, "test").name)[3]

    def broken(settings: Any, index: int) -> Row:
        if index == bad["index"]:
            raise ZeroDivisionError("no such thing")
        return row_at(settings, index)

    monkeypatch.setattr("untracr.dataset.comparing.row_at", broken)
    found = verify_dataset(copied, HERE, 240)
    (fault,) = found.faults
    assert str(fault) == (
        f"{of_split(copied, 'test').name}, row 3: it cannot be made again: no such thing"
    )
    assert (found.asked, found.rows) == (240, 239)


def test_the_engine_hashes(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In tasks of about so many bytes; each changed file is named, and progress is told."""
    monkeypatch.setattr(untracr.dataset.hashing, "HASHED_TOGETHER", 1)
    shards = read_manifest(copied).shards
    for shard in (shards[1], shards[-1]):
        data = bytearray((copied / shard.name).read_bytes())
        data[0] ^= 1
        (copied / shard.name).write_bytes(data)
    engine, told = Recording(), []
    found = verify_dataset(copied, engine, 0, progress=lambda *what: told.append(what))
    assert [task.shards for task in engine.hashed] == [(shard,) for shard in shards]
    changed = [fault.shard for fault in found.faults if fault.what.startswith("SHA-256")]
    assert changed == [shards[1].name, shards[-1].name]
    hashing = [(done, total) for what, done, total in told if what == "hashing"]
    assert hashing == [(done, len(shards)) for done in range(1, len(shards) + 1)]
    monkeypatch.setattr(untracr.dataset.hashing, "HASHED_TOGETHER", 2**40)
    engine = Recording()
    verify_dataset(copied, engine, 0)
    assert [task.shards for task in engine.hashed] == [shards]


def test_workers_hash(small: Path) -> None:
    """The work goes to processes as it is."""
    task = HashTask(small, read_manifest(small).shards)
    assert list(LocalEngine(1).run(hash_shards, None, [task])) == [(task, hash_shards(None, task))]


def test_the_sample_is_of_all_rows(copied: Path) -> None:
    """Each row of the set is in it once at most; found again by counting along all shards."""
    shards = read_manifest(copied).shards
    every = [(shard.name, row) for shard in shards for row in range(shard.rows)]
    for sample, seed in ((1, 0), (30, 0), (30, 1), (1000, 2)):
        engine = Recording()
        found = verify_dataset(copied, engine, sample, seed)
        wanted = Random(f"verify/{seed}").sample(range(len(every)), min(sample, len(every)))
        assert found.rows == found.asked == len(wanted)
        assert [(t.name, row) for t in engine.compared for row in t.chosen] == [
            every[number] for number in sorted(wanted)
        ]


def shifted(root: Path, is_chosen: Callable[[Row], bool], factor: float) -> tuple[str, int]:
    """Changes the largest weight of a row; file and row."""
    for shard in read_manifest(root).shards:
        rows = rows_of_shard(root, shard.name)
        for number, row in enumerate(rows):
            if is_chosen(row):
                weights = np.array(row["weights"], dtype=np.float32)
                weights[np.abs(weights).argmax()] *= np.float32(factor)
                row["weights"] = weights.tolist()
                agree(root, shard.name, written(root, shard.name, rows))
                return shard.name, number
    raise AssertionError("there is no such row")


@pytest.mark.parametrize(
    ("treatment", "factor", "reason"),
    [
        ("rotated", 1 + 2e-7, "e-07 of the largest weight: another processor"),
        ("rotated", 1.001, ""),
        ("rotated", np.nan, ""),
        (COMPILED, 1 + 2e-7, ""),
        ("compressed", 1.001, "processors of another kind compress otherwise"),
    ],
)
def test_rounding_is_told_from_damage(
    copied: Path, treatment: str, factor: float, reason: str
) -> None:
    """Weights that another linear algebra library gives otherwise; compiled ones are exact."""
    place = shifted(copied, lambda row: row["treatment"] == treatment, factor)
    (fault,) = verify_dataset(copied, HERE, 240).faults
    assert (fault.shard, fault.row) == place
    assert fault.what.startswith("1 of ")
    assert reason in fault.what
    assert ("processor" in fault.what) == bool(reason)


def test_as_many_faults_of_a_shard_are_told_as_are_of_use(copied: Path) -> None:
    """Where all rows are wrong, the rest are not compared, and the numbers show it."""
    shard = of_split(copied, "train")
    rows = rows_of_shard(copied, shard.name)
    for row in rows:
        row["length"] += 1
    agree(copied, shard.name, written(copied, shard.name, rows))
    settings = read_manifest(copied).settings
    task = RowsTask(copied / shard.name, shard.name, "train", shard.rows, range(shard.rows))
    count, faults = compare_rows(settings, task)
    assert count == len(faults) == FAULTS_OF_A_SHARD < shard.rows
    assert [fault.row for fault in faults] == list(range(count))


@pytest.mark.parametrize("name", COUNTED)
def test_forged_statistics_are_found(small: Path, name: str) -> None:
    """No digest covers the manifest: what it counts is counted again."""
    record = json.loads((small / "manifest.json").read_bytes())
    value = next(iter(record["statistics"][name]))
    record["statistics"][name][value] += 1
    (small / "manifest.json").write_text(json.dumps(record))
    (fault,) = verify_dataset(small, HERE, 2).faults
    assert (fault.shard, fault.row) == ("manifest.json", None)
    assert f"statistics.{name} tells" in fault.what


def test_a_file_that_grew_is_not_read_to_its_end(small: Path) -> None:
    """A file may have a terabyte and take no room on a disk."""
    shard = read_manifest(small).shards[0]
    with open(small / shard.name, "r+b") as file:
        file.truncate(2**40)
    found = verify_dataset(small, HERE, 0)
    assert any(f"has {2**40:,} bytes, and the manifest has" in f.what for f in found.faults)


ODD: dict[str, tuple[tuple[str | int, ...], object, str]] = {
    "no statistics": (("statistics",), {}, "there must be lengths"),
    "counts of words": (("statistics", "lengths"), {"5": "many"}, "must be a whole number"),
    "names of lines": (("statistics", "domains"), {"5x5\nx": 1}, "a text of one line"),
    "sets": (("excluded",), {"sets": 3, "digest": ""}, "excluded.sets must be a list"),
    "escapes": (("versions",), {"numpy": "\x1b[2J"}, "a text of one line"),
    "no draws": (("drawing", "drawn"), 0, "drawing.drawn must be"),
    "no end": (("settings", "max_seq_len"), 10**9, "from 1 to 100"),
    "no program fits": (("settings", "max_weights"), 1, "no program"),
    "nothing long enough": (("settings", "min_length"), 99, "must be at most"),
    "lists": (("settings", "vocab"), [[0], [1]], "must be a whole number"),
    "negative": (("shards", 0, "rows"), -1, "from 0 to"),
    "huge": (("shards", 0, "rows"), 10**30, "from 0 to"),
    "digest": (("shards", 0, "sha256"), "x", "64 hexadecimal digits"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_manifests_are_told_in_one_line(
    small: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part is checked when it is read; no command has to expect anything else."""
    monkeypatch.setattr(sampler, "MAX_ATTEMPTS", 20)
    path, value, message = ODD[name]
    record = json.loads((small / "manifest.json").read_bytes())
    part = record
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    (small / "manifest.json").write_text(json.dumps(record))
    if name == "no program fits":
        (fault,) = verify_dataset(small, HERE, 2).faults
        assert message in fault.what
        return
    with pytest.raises(DatasetError, match=message) as caught:
        verify_dataset(small, HERE, 2)
    assert "\n" not in str(caught.value)
