"""Training: learns, can be cut off anywhere, and says what it does."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import tqdm

from untracr.errors import ModelFileError, UsageError
from untracr.metamodel.network import Network, NetworkConfig
from untracr.train import task as tasks
from untracr.train import training
from untracr.train.checkpoint import load_checkpoint, save_checkpoint, write_atomically
from untracr.train.first_difference import first_difference
from untracr.train.stream import Arrays
from untracr.train.task import metamodel_task
from untracr.train.training import (
    CHECKPOINT,
    Task,
    TrainingSettings,
    learning_rate_factor,
    pick_device,
    train,
)
from untracr.train.training_log import LOG
from waiting import wait_until

TINY = NetworkConfig(width=16, layers=1, heads=2)

SCRIPT = """
import sys
from pathlib import Path
from untracr.train import task as tasks
from untracr.metamodel.network import NetworkConfig
from untracr.train.training import TrainingSettings, train
tasks.VALIDATION_EXAMPLES = 8
train(
    tasks.metamodel_task(NetworkConfig(width=16, layers=1, heads=2)),
    TrainingSettings(
        out=Path(sys.argv[1]), steps=40, seed=5, batch_size=4, workers=0, device="cpu",
        save_minutes=float(sys.argv[2]), log_every=1,
    ),
)
"""


@pytest.fixture(autouse=True)
def _few_validation_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "VALIDATION_EXAMPLES", 8)
    tasks._validation.cache_clear()


def settings(out: Path, **changes: object) -> TrainingSettings:
    """Settings of a run that takes a second."""
    base = TrainingSettings(
        out=out, steps=40, seed=5, batch_size=4, workers=0, device="cpu", log_every=1
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def lines(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / LOG).read_text().splitlines()]


def steps(out: Path) -> list[float]:
    """The steps that were logged, in order."""
    return [line["step"] for line in lines(out) if "loss" in line]


def recording(task: Task) -> tuple[Task, list[int]]:
    """The task, and a list of the first example of each batch that it will make.

    A run that began anew would end with the same weights: only this tells it from one
    that went on.
    """
    asked: list[int] = []

    def make(seed: int, start: int, count: int) -> Arrays:
        asked.append(start)
        return task.make(seed, start, count)

    return dataclasses.replace(task, make=make), asked


def assert_equal_parameters(fst: Path, snd: Path) -> None:
    """Bit by bit, the optimizer's state included."""
    a, b = load_checkpoint(fst), load_checkpoint(snd)
    for one, two in ((a.model, b.model), (a.optimizer, b.optimizer)):
        assert one.keys() == two.keys()
        for name in one:
            assert torch.equal(one[name], two[name]), name
    assert a.state["step"] == b.state["step"]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of 40 steps without interruption."""
    out = tmp_path_factory.mktemp("whole")
    subprocess.run([sys.executable, "-c", SCRIPT, str(out), "60"], check=True, timeout=120)
    return out / CHECKPOINT


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(whole_run: Path, tmp_path: Path) -> None:
    """Killed hard somewhere after a checkpoint, then resumed, a run ends with the same bits."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), "0"]  # a checkpoint each step
    process = subprocess.Popen(command)
    log = tmp_path / LOG
    assert wait_until(
        lambda: process.poll() is not None or (log.exists() and log.read_text().count("\n") > 12)
    )
    process.send_signal(signal.SIGKILL)
    process.wait()
    cut = int(load_checkpoint(tmp_path / CHECKPOINT).state["step"])
    assert 0 < cut < 40, "the run was to be killed on its way"
    task, asked = recording(metamodel_task(TINY))
    train(task, settings(tmp_path))
    assert asked == list(range(4 * cut, 4 * 41, 4)), "it was to go on where it was"
    assert_equal_parameters(tmp_path / CHECKPOINT, whole_run)


@pytest.mark.slow
def test_the_log_holds_each_step_once_after_a_crash(whole_run: Path, tmp_path: Path) -> None:
    """Steps after the last checkpoint, and a line cut in two, are gone when it goes on."""
    task = metamodel_task(TINY)
    of_step_12 = b""

    def make(seed: int, start: int, count: int) -> Arrays:
        nonlocal of_step_12
        if start == 12 * 4:
            of_step_12 = (tmp_path / CHECKPOINT).read_bytes()
        if start == 20 * 4:
            raise RuntimeError("crash")
        return task.make(seed, start, count)

    with pytest.raises(RuntimeError, match="crash"):
        train(dataclasses.replace(task, make=make), settings(tmp_path, save_minutes=0))
    (tmp_path / CHECKPOINT).write_bytes(of_step_12)
    log = tmp_path / LOG
    before = log.read_bytes().splitlines(keepends=True)
    assert json.loads(before[-1])["step"] == 20
    log.write_bytes(b"".join(before) + b'{"step": 2')
    train(task, settings(tmp_path))
    assert log.read_bytes().startswith(b"".join(before[: 2 * 12]))  # a step, its validation
    wanted = [line["loss"] for line in lines(whole_run.parent) if "loss" in line]
    found = {line["step"]: line["loss"] for line in lines(tmp_path) if "loss" in line}
    assert steps(tmp_path) == list(range(1, 41))
    assert list(found.values()) == wanted
    assert [file.name for file in tmp_path.iterdir() if "tmp" in file.name] == []


@pytest.mark.slow
def test_a_run_that_crashed_before_its_first_checkpoint_logs_anew(tmp_path: Path) -> None:
    """It begins again at the first step, and so does its log."""
    task = metamodel_task(TINY)

    def make(seed: int, start: int, count: int) -> Arrays:
        if start == 3 * 4:
            raise RuntimeError("crash")
        return task.make(seed, start, count)

    with pytest.raises(RuntimeError, match="crash"):
        train(dataclasses.replace(task, make=make), settings(tmp_path))
    assert steps(tmp_path) == [1, 2, 3]
    train(task, settings(tmp_path, steps=5))
    assert steps(tmp_path) == [1, 2, 3, 4, 5]


def test_no_checkpoint_is_ever_half_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """When writing fails the old file stays whole and no other file is left behind."""
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(fd: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_a_finished_run_stays_as_it_is(whole_run: Path, tmp_path: Path) -> None:
    """Starting a finished run again trains no further step."""
    (tmp_path / CHECKPOINT).write_bytes(whole_run.read_bytes())
    train(metamodel_task(TINY), settings(tmp_path))
    assert steps(tmp_path) == []
    assert_equal_parameters(tmp_path / CHECKPOINT, whole_run)


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"seed": 6}, {"batch_size": 5}])
def test_other_settings_are_refused(
    whole_run: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    """A run is not resumed with another seed or batch size."""
    (tmp_path / CHECKPOINT).write_bytes(whole_run.read_bytes())
    with pytest.raises(UsageError, match=next(iter(change))):
        train(metamodel_task(TINY), settings(tmp_path, **change))


@pytest.mark.slow
def test_another_network_is_refused(whole_run: Path, tmp_path: Path) -> None:
    """A run is not resumed with a network of other sizes; its log stays as it is."""
    (tmp_path / CHECKPOINT).write_bytes(whole_run.read_bytes())
    (tmp_path / LOG).write_text("a log")
    with pytest.raises(UsageError, match=r"belongs to a run with config\.width=16, not 24; give"):
        train(metamodel_task(NetworkConfig(width=24, layers=1, heads=2)), settings(tmp_path))
    assert (tmp_path / LOG).read_text() == "a log"


@pytest.mark.parametrize(
    ("found", "wanted", "told"),
    [
        (5, 6, "c=5, not 6"),
        ({"a": 1, "b": {"x": 1, "y": 2}}, {"a": 1, "b": {"x": 1, "y": 3}}, "c.b.y=2, not 3"),
        ({"a": 1}, {"a": 1, "b": {"x": {"y": 3}}}, "c.b.x.y=nothing, not 3"),
        ({"a": 1, "b": {"x": 1}}, {"a": 1}, "c.b.x=1, not nothing"),
        ({"a": None}, {"a": {"x": [7, 8]}}, "c.a.x[0]=nothing, not 7"),
        ([["p", 0.1], ["q", 0.2]], [["p", 0.1], ["q", 0.3]], "c[1][1]=0.2, not 0.3"),
        ([1], [1, 2], "c[1]=nothing, not 2"),
        ({}, None, "c={}, not nothing"),
        ("x" * 500, {"a": 1}, f"c={'x' * 40}... (500 characters), not {{'a': 1}}"),
    ],
)
def test_the_first_difference_is_told_in_short(found: object, wanted: object, told: str) -> None:
    """Its place goes down to a single value, also where only one side has that part."""
    other = first_difference("c", found, wanted)
    assert other is not None
    assert f"{other.place}={other.found}, not {other.wanted}" == told
    assert first_difference("c", found, found) is first_difference("c", wanted, wanted) is None


@pytest.mark.slow
def test_the_log_is_one_json_a_line(whole_run: Path) -> None:
    """Each step is logged with its loss and rate, and the end with validation."""
    found = lines(whole_run.parent)
    trained = [line for line in found if "loss" in line]
    assert [line["step"] for line in trained] == list(range(1, 41))
    assert [line["examples"] for line in trained] == [4 * n for n in range(1, 41)]
    assert all(line["loss"] > 0 and 0 <= line["exact"] <= 1 for line in trained)
    assert all(b["elapsed"] >= a["elapsed"] for a, b in itertools.pairwise(trained))
    assert {"validation_loss", "validation_exact", "validation_tokens"} <= found[-1].keys()


@pytest.mark.slow
def test_a_small_network_learns(tmp_path: Path) -> None:
    """In 60 steps the loss falls to less than half of what it was."""
    config = NetworkConfig(width=48, layers=1, heads=4)
    changes = {"steps": 60, "batch_size": 32, "learning_rate": 6e-3}
    train(metamodel_task(config), settings(tmp_path, **changes))
    losses = [line["loss"] for line in lines(tmp_path) if "loss" in line]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_a_run_by_the_clock_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of a few seconds ends by itself and leaves a checkpoint; its clock is ours."""
    clock = itertools.count()
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: next(clock) / 10))
    path = train(metamodel_task(TINY), settings(tmp_path, steps=None, hours=2 / 3600))
    state = load_checkpoint(path).state
    assert state["step"] > 0
    assert 2 <= state["elapsed"] < 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hours": 1.0}, "either --hours or --steps"),
        ({"steps": None}, "either --hours or --steps"),
        ({"steps": 0}, "--steps must be positive"),
        ({"batch_size": -1}, "--batch-size must be positive"),
        ({"learning_rate": float("nan")}, "--learning-rate must be positive"),
        ({"workers": -1}, "must not be negative"),
        ({"device": "no such device"}, "--device"),
    ],
)
def test_senseless_settings_are_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    """Each senseless setting is named in the error before anything is written."""
    with pytest.raises(UsageError, match=message):
        train(metamodel_task(TINY), settings(tmp_path / "run", **change))
    assert not (tmp_path / "run").exists()


def test_learning_rate_rises_then_falls() -> None:
    """Up over the first 2 percent, down to zero at the end, never negative."""
    rates = [learning_rate_factor(n / 100) for n in range(101)]
    assert rates[0] > 0
    assert max(rates) == rates[2]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == 0


def test_checkpoints_keep_every_bit(tmp_path: Path) -> None:
    """Model and optimizer come back as they were; foreign files are refused."""
    network = Network(TINY)
    optimizer = torch.optim.AdamW(network.parameters())
    sum(p.square().sum() for p in network.parameters()).backward()  # type: ignore[union-attr]
    optimizer.step()
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, network, optimizer, {"task": "any", "step": 1})
    found = load_checkpoint(path)
    for name, tensor in network.state_dict().items():
        assert torch.equal(found.model[name], tensor)
    assert found.state == {"task": "any", "step": 1}
    assert len(found.optimizer) == 3 * len(list(network.parameters()))
    save_checkpoint(tmp_path / "model", network, None, {"format_version": 1})
    with pytest.raises(ModelFileError, match="it holds a model to be read"):
        load_checkpoint(tmp_path / "model")
    (tmp_path / "x").write_bytes(b"no checkpoint")
    with pytest.raises(ModelFileError):
        load_checkpoint(tmp_path / "x")


def test_pick_device_takes_the_cpu() -> None:
    """The CPU is always there."""
    assert pick_device("cpu") == torch.device("cpu")


def test_the_bar_moves_with_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows the share that is over, however seldom steps are logged, and ends at 100."""
    shown: list[float] = []

    class Bar(tqdm.tqdm):  # type: ignore[type-arg]
        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0
            shown.append(self.n)
            return None

    monkeypatch.setattr(training, "tqdm", Bar)
    train(metamodel_task(TINY), settings(tmp_path, steps=8, log_every=1000))
    assert shown == pytest.approx([12.5 * step for step in range(1, 9)], abs=0.06)
