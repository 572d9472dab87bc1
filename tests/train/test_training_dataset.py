"""Training on a data set: its rows as examples, each once in turn, resumable at any of them."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from untracr.cli.entry import main
from untracr.compile.compiler import compile_program
from untracr.dataset import DatasetReader, DatasetSettings, LocalEngine, build_dataset
from untracr.dataset.folder import DatasetFolder
from untracr.dataset.rows import Row, domain_of, program_of
from untracr.errors import DatasetError
from untracr.metamodel.examples import Example, example_of
from untracr.metamodel.network import NetworkConfig
from untracr.sample.treatment_shares import TreatmentShares
from untracr.train import dataset_examples
from untracr.train.checkpoint import load_checkpoint
from untracr.train.dataset_examples import example_of_row, make_dataset_batch
from untracr.train.dataset_task import dataset_task
from untracr.train.stream import Arrays
from untracr.train.training import CHECKPOINT, TrainingSettings, train

Weights = npt.NDArray[np.float32]

TINY = NetworkConfig(width=16, layers=1, heads=2)
TREATMENTS = TreatmentShares((("rotated", 0.2), ("rotated-compressed", 0.2), ("noisy", 0.2)))


def build(root: Path, seed: int) -> Path:
    """A data set of three shards."""
    settings = DatasetSettings(
        60, seed, treatments=TREATMENTS, shares=(0.8, 0.2, 0.0), shard_size=20
    )
    build_dataset(root, settings, LocalEngine(0))
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set's folder."""
    return build(tmp_path_factory.mktemp("data") / "set", seed=3)


def rows(root: Path, seed: int = 0) -> Iterator[Row]:
    return (row for row, _ in DatasetReader(root, seed=seed).rows())


def same(fst: Example, snd: Example) -> bool:
    pairs = zip(vars(fst).values(), vars(snd).values(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.slow
def test_examples_are_those_of_the_weights_on_the_disk(root: Path) -> None:
    """A compiled row gives its program's example; what is on the disk is what is read."""
    seen = set()
    for row in itertools.islice(rows(root), 30):
        seen.add(row["treatment"])
        found = example_of_row(row, TREATMENTS)
        program, domain = program_of(row["tokens"]), domain_of(row)
        compiled = compile_program(program, domain.vocab, domain.max_seq_len)
        treated = TREATMENTS.treat(compiled.transformer, row["seed"], row["index"])
        assert same(found, example_of(program, compiled, treated))
    assert seen == {"compiled", *(name for name, _ in TREATMENTS.shares)}
    row = next(row for row in rows(root) if row["treatment"] == "rotated")
    nearly = row["weights"] * np.float32(1 + 1e-4)  # as another machine may have made them
    assert not same(
        example_of_row({**row, "weights": nearly}, TREATMENTS), example_of_row(row, TREATMENTS)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights[:-1], r"there are [\d,]+, not [\d,]+$"),
        (np.zeros_like, r"[\d,]+ of [\d,]+ differ, the first at \d+: 0, not -?[1-9]"),
        (
            lambda weights: np.append(weights[:-1], np.nextafter(weights[-1], np.float32(9))),
            r": 1 of ([\d,]+) differ, the first at \d+: ",
        ),
    ],
)
def test_other_compiled_weights_are_refused(
    root: Path, change: Callable[[Weights], Weights], message: str
) -> None:
    """One bit of a row that no treatment changed is enough: the targets would be another's."""
    row = next(row for row in rows(root) if row["treatment"] == "compiled")
    with pytest.raises(DatasetError, match=f"must be those that its program.*{message}"):
        example_of_row({**row, "weights": change(row["weights"])}, TREATMENTS)


def test_a_changed_row_is_named(root: Path, tmp_path: Path) -> None:
    """A batch that meets a file with another weight says which row of which file it is."""
    copy = tmp_path / "set"
    shutil.copytree(root, copy)
    shard = DatasetReader(copy).manifest.of_split("train")[1]
    path = DatasetFolder(copy).shard(shard.name)
    table = pq.read_table(path)
    place = table["treatment"].to_pylist().index("compiled", 3)
    weights = table["weights"].to_pylist()
    weights[place][5] += 1
    column = pa.array(weights, table.schema.field("weights").type)
    number = table.schema.get_field_index("weights")
    pq.write_table(table.set_column(number, table.schema.field("weights"), column), path)
    where = re.escape(f"{path}, row {place}: the weights must be those that its program")
    with pytest.raises(DatasetError, match=f"^{where}.* 1 of .* differ, the first at 5: "):
        make_dataset_batch(0, 0, len(DatasetReader(copy)), copy)


def test_other_treated_weights_are_refused(root: Path) -> None:
    """Where a rotation comes out otherwise on this machine, targets would be wrong: it is said."""
    row = next(row for row in rows(root) if row["treatment"] == "rotated")
    with pytest.raises(DatasetError, match="treated by rotated, are not those that this machine"):
        example_of_row({**row, "weights": -row["weights"]}, TREATMENTS)


def test_each_row_comes_once_each_time_through(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that are read in parts, across shards and times through, miss nothing."""
    count = len(DatasetReader(root))

    def number(found: Row, treatments: TreatmentShares, rng: object) -> int:
        return int(found["index"])

    monkeypatch.setattr(dataset_examples, "_example", number)
    monkeypatch.setattr(dataset_examples, "collate_arrays", lambda found: found)
    whole = list(make_dataset_batch(7, 0, 2 * count, root))
    assert sorted(whole[:count]) == sorted(whole[count:]) == sorted(set(whole))
    assert whole[:count] != whole[count:]
    parts = [make_dataset_batch(7, n, min(9, 2 * count - n), root) for n in range(0, 2 * count, 9)]
    assert [n for part in parts for n in part] == whole
    assert list(make_dataset_batch(8, 0, count, root)) != whole[:count]


def settings(out: Path) -> TrainingSettings:
    """Twice through the data set."""
    return TrainingSettings(out, steps=14, seed=2, batch_size=7, workers=0, device="cpu")


@pytest.mark.slow
def test_a_stopped_run_goes_on_at_the_very_row(root: Path, tmp_path: Path) -> None:
    """Stopped on its second time through, a run goes on there and ends with the same bits.

    It would end so too if it began anew: the examples that it asks for tell.
    """
    task = dataset_task(TINY, root)
    train(task, settings(tmp_path / "whole"))
    asked: list[int] = []

    def make(seed: int, start: int, count: int) -> Arrays:
        asked.append(start)
        if len(asked) == 12:
            signal.raise_signal(signal.SIGTERM)
        return task.make(seed, start, count)

    recorded = dataclasses.replace(task, make=make)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(recorded, settings(tmp_path / "cut"))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert load_checkpoint(tmp_path / "cut" / CHECKPOINT).state["examples"] == 11 * 7
    assert asked == [7 * step for step in range(12)]
    train(recorded, settings(tmp_path / "cut"))
    assert asked[12:] == [7 * step for step in range(11, 15)]
    whole, cut = (load_checkpoint(tmp_path / name / CHECKPOINT) for name in ("whole", "cut"))
    assert all(torch.equal(tensor, cut.model[name]) for name, tensor in whole.model.items())


def test_train_takes_a_data_set(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command trains on it, records it, and takes no other one for the same run."""
    sizes = ["--width", "16", "--layers", "1", "--heads", "2", "--device", "cpu"]
    command = [
        "train",
        "--out",
        str(tmp_path / "run"),
        *sizes,
        "--batch-size",
        "4",
        "--workers",
        "0",
    ]
    assert main([*command, "--steps", "1", "--dataset", str(root)]) == 0
    state = load_checkpoint(tmp_path / "run" / CHECKPOINT).state
    assert state["config"]["dataset"]["settings"]["programs"] == 60
    log = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert log["validation_loss"] > 0
    other = build(tmp_path / "other", seed=4)
    moved = root.rename(tmp_path / "moved")
    try:
        assert main([*command, "--steps", "2", "--dataset", str(moved)]) == 0
    finally:
        moved.rename(root)
    capsys.readouterr()
    for option, message in (
        (["--dataset", str(other)], "belongs to a run with config.dataset.settings.seed=3, not 4"),
        ([], "belongs to a run with config.dataset.settings.programs=60, not nothing; give"),
        (["--dataset", str(tmp_path)], "not a data set"),
        (["--dataset", str(root), "--treatments", "noisy=0.1"], "--treatments goes with fresh"),
        (["--dataset", str(root), "--baseline"], "--dataset goes with the meta-model"),
    ):
        assert main([*command, "--steps", "3", *option]) in (1, 2)
        assert message in capsys.readouterr().err
