"""Several training processes do what one does, and none waits for ever for another."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch.distributed import HashStore  # type: ignore[attr-defined]

from untracr.errors import UsageError
from untracr.metamodel.network import NetworkConfig
from untracr.train import task as tasks
from untracr.train.checkpoint import load_checkpoint
from untracr.train.processes import Processes
from untracr.train.rendezvous import agreed_name
from untracr.train.stream import Arrays
from untracr.train.task import metamodel_task
from untracr.train.training import CHECKPOINT, TrainingSettings, train
from untracr.train.training_log import LOG
from waiting import wait_until

pytestmark = pytest.mark.slow

TINY = NetworkConfig(width=16, layers=1, heads=2)
STEPS, BATCH_SIZE = 40, 7  # 7 examples are not shared evenly, and have unequal numbers of tokens

TOLERANCE = 1e-5
"""How far losses and weights may lie apart: only sums are made in another order."""

# Trains like `alone`; each process also writes its id, the first example of each batch that it
# asked for since it was started, and in the end its weights.
SCRIPT = """
import json, os, sys
from dataclasses import replace
from pathlib import Path
import torch
from untracr.train import task as tasks
from untracr.metamodel.network import NetworkConfig
from untracr.train.training import TrainingSettings, train
tasks.VALIDATION_EXAMPLES = 8
out, rank, changes = Path(sys.argv[1]), os.environ["RANK"], json.loads(sys.argv[2])
out.mkdir(exist_ok=True)
(out / f"pid-{rank}").write_text(str(os.getpid()))
task = tasks.metamodel_task(NetworkConfig(width=16, layers=1, heads=2))
network = task.build()
asked = (out / f"asked-{rank}").open("w", buffering=1)
def make(seed, start, count):
    print(start, file=asked)
    return task.make(seed, start, count)
def build():
    torch.manual_seed(5)
    network.load_state_dict(task.build().state_dict())
    return network
base = dict(steps=40, seed=5, batch_size=7, workers=0, device="cpu", log_every=1)
width = changes.pop("width", 16)
recorded = replace(task, config={**task.config, "width": width}, build=build, make=make)
train(recorded, TrainingSettings(out=out, **{**base, **changes}))
torch.save(network.state_dict(), out / f"weights-{rank}.pt")
"""


@pytest.fixture(autouse=True)
def _few_validation_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "VALIDATION_EXAMPLES", 8)
    tasks._validation.cache_clear()


def alone(out: Path, make: Callable[[int, int, int], Arrays] | None = None) -> Path:
    """Trains in this process; returns the run's folder."""
    task = metamodel_task(TINY)
    settings = TrainingSettings(
        out, steps=STEPS, seed=5, batch_size=BATCH_SIZE, workers=0, device="cpu", log_every=1
    )
    train(dataclasses.replace(task, make=make or task.make), settings)
    return out


def torchrun(*command: str | Path) -> subprocess.Popen[str]:
    """Two processes of one machine."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.Popen(
        [*start, "--nproc-per-node", "2", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def by_hand(out: Path, *changes: dict[str, object]) -> list[subprocess.Popen[str]]:
    """Two processes that nobody watches, each with its own settings."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meet = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(out), json.dumps(own)],
            env={**os.environ, **meet, "RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, own in enumerate(changes)
    ]


def lines(out: Path) -> list[dict[str, float]]:
    """The log's lines of steps."""
    found = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
    return [line for line in found if "loss" in line]


def wait_for_steps(out: Path, count: int) -> None:
    """Until so many are logged."""

    def has_them() -> bool:
        return (out / LOG).exists() and len(lines(out)) >= count

    assert wait_until(has_them, step=0.02), "training does not get going"


def asked_first(out: Path, rank: int) -> int:
    """The example at which a process entered the stream when it was last started.

    A run that began anew would end with the same weights: only this tells it from one
    that went on.
    """
    return int((out / f"asked-{rank}").read_text().split()[0])


def assert_same_run(fst: Path, snd: Path) -> None:
    """Every step, with the same loss and shares; the same weights in the end."""
    one, two = lines(fst), lines(snd)
    assert [line["step"] for line in one] == list(range(1, STEPS + 1))
    for a, b in zip(one, two, strict=True):
        assert [a[n] for n in ("step", "examples")] == [b[n] for n in ("step", "examples")]
        for name in ("loss", "exact", "tokens", "grad_norm", "lr"):
            assert a[name] == pytest.approx(b[name], rel=TOLERANCE, abs=TOLERANCE), name
    models = [load_checkpoint(out / CHECKPOINT).model for out in (fst, snd)]
    for name, tensor in models[0].items():
        torch.testing.assert_close(tensor, models[1][name], rtol=0, atol=TOLERANCE)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "VALIDATION_EXAMPLES", 8)
        return alone(tmp_path_factory.mktemp("undisturbed"))


def test_two_processes_give_the_curve_of_one(undisturbed: Path, tmp_path: Path) -> None:
    """The command line under torchrun, data processes included; one process speaks."""
    sizes = ["--width", "16", "--layers", "1", "--heads", "2"]
    length = [
        "--steps",
        str(STEPS),
        "--batch-size",
        str(BATCH_SIZE),
        "--seed",
        "5",
        "--log-every",
        "1",
    ]
    out = tmp_path / "run"
    process = torchrun("-m", "untracr", "train", "--out", out, *length, *sizes, "--device", "cpu")
    printed, told = process.communicate(timeout=100)
    assert process.returncode == 0, told
    assert printed.count("checkpoint:") == 1
    assert_same_run(out, undisturbed)


def test_stopped_on_two_processes_and_continued_on_one(undisturbed: Path, tmp_path: Path) -> None:
    """SIGTERM to torchrun leaves a checkpoint of the very step, and one process goes on."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = torchrun(script, tmp_path, json.dumps({"save_minutes": 60}))
    wait_for_steps(tmp_path, 5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    cut = int(load_checkpoint(tmp_path / CHECKPOINT).state["step"])
    assert 5 <= cut < STEPS, "the run was to be stopped on its way"
    assert [line["step"] for line in lines(tmp_path)] == list(range(1, cut + 1))
    asked: list[int] = []

    def make(seed: int, start: int, count: int) -> Arrays:
        asked.append(start)
        return tasks.make_batch(seed, start, count)

    assert_same_run(alone(tmp_path, make), undisturbed)
    assert asked == [BATCH_SIZE * step for step in range(cut, STEPS + 1)]


@pytest.fixture
def follows_ctrl_c() -> Iterator[None]:
    """A shell that starts tests in the background has them ignore SIGINT; Python keeps to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("follows_ctrl_c")
def test_stopped_on_one_process_and_continued_on_two(undisturbed: Path, tmp_path: Path) -> None:
    """Ctrl-C leaves a checkpoint of the very step, two go on, and their weights stay equal."""

    def make(seed: int, start: int, count: int) -> Arrays:
        if start == 11 * BATCH_SIZE:
            signal.raise_signal(signal.SIGINT)
        return tasks.make_batch(seed, start, count)

    with pytest.raises(KeyboardInterrupt):
        alone(tmp_path, make)
    assert load_checkpoint(tmp_path / CHECKPOINT).state["step"] == 11
    for process in by_hand(tmp_path, {}, {}):
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told
    parts = (Processes(2, rank).part(BATCH_SIZE) for rank in range(2))
    wanted = [11 * BATCH_SIZE + part.start for part in parts]
    assert [asked_first(tmp_path, rank) for rank in range(2)] == wanted
    assert_same_run(tmp_path, undisturbed)
    first, second = (torch.load(tmp_path / f"weights-{rank}.pt") for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_no_process_waits_for_ever(tmp_path: Path, number: signal.Signals) -> None:
    """Where one dies the other says so at once, and where one hangs, after the timeout."""
    endless: dict[str, object] = {"steps": 100_000, "timeout_minutes": 5 / 60}
    first, second = by_hand(tmp_path, endless, endless)
    try:
        wait_for_steps(tmp_path, 3)
        second.send_signal(number)
        _, told = first.communicate(timeout=30)
        assert first.returncode == 1
        assert "another training process is gone or did not answer" in told
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()


def test_torchrun_starts_a_broken_run_again(undisturbed: Path, tmp_path: Path) -> None:
    """Killed, all processes are started anew, find each other, and go on as if undisturbed."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = torchrun("--max-restarts=1", script, tmp_path, json.dumps({"save_minutes": 0}))
    wait_for_steps(tmp_path, 5)
    broken = int((tmp_path / "pid-1").read_text())
    os.kill(broken, signal.SIGKILL)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert int((tmp_path / "pid-1").read_text()) != broken, "the run was to be broken on its way"
    # The checkpoint of step 4 was written before step 5 was logged.
    assert asked_first(tmp_path, 0) >= 4 * BATCH_SIZE
    assert_same_run(tmp_path, undisturbed)


def test_what_an_earlier_attempt_left_behind_is_not_believed() -> None:
    """Three processes agree on a name in a store that is full of another attempt's words."""
    store, soon = HashStore(), timedelta(seconds=20)
    names: list[str] = []
    for _ in range(3):
        with ThreadPoolExecutor(3) as pool:
            found = set(pool.map(lambda rank: agreed_name(store, rank, 3, soon), range(3)))
        names += found
    assert len(names) == len(set(names)) == 3
    with pytest.raises(RuntimeError, match="not all of 3 processes came"):
        agreed_name(store, 0, 3, timedelta(seconds=0.1))


def test_processes_end_with_their_torchrun(tmp_path: Path) -> None:
    """Where torchrun itself is killed, the run is saved and nobody trains on unseen."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = torchrun(script, tmp_path, json.dumps({"steps": 100_000}))
    wait_for_steps(tmp_path, 3)
    ids = [int((tmp_path / f"pid-{rank}").read_text()) for rank in range(2)]
    process.kill()
    process.communicate(timeout=60)
    assert wait_until(lambda: not any(map(_lives, ids)), step=0.1)
    assert load_checkpoint(tmp_path / CHECKPOINT).state["step"] == len(lines(tmp_path))


def _lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 6}, "process 1 has seed=6, the first one 5"),
        ({"width": 24}, "process 1 has config.width=24, the first one 16"),
    ],
)
def test_processes_must_be_started_alike(
    tmp_path: Path, change: dict[str, object], told: str
) -> None:
    """Another seed in one process would let the networks drift apart unseen."""
    first, second = by_hand(tmp_path, {}, change)
    _, printed = second.communicate(timeout=60)
    assert f"every process must be given the same settings: {told}\n" in printed
    first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (1, 1)
    assert not (tmp_path / CHECKPOINT).exists()


@pytest.mark.parametrize(("count", "world"), [(7, 2), (128, 3), (5, 5)])
def test_parts_make_up_the_whole(count: int, world: int) -> None:
    """Every example is one process's, in order, and parts differ by one at most."""
    parts = [Processes(world, rank).part(count) for rank in range(world)]
    assert [n for part in parts for n in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(len(part) > 0 for part in parts)


@pytest.mark.parametrize(
    ("environment", "batch_size", "message"),
    [
        ({"WORLD_SIZE": "3", "RANK": "0"}, 2, "MASTER_ADDR is not set"),
        ({"WORLD_SIZE": "two"}, 2, "WORLD_SIZE in the environment must be a whole number"),
        (
            {"WORLD_SIZE": "3", "RANK": "0", "MASTER_ADDR": "x", "MASTER_PORT": "1"},
            2,
            "--batch-size 2 must give each of 3 processes an example",
        ),
    ],
)
def test_environments_that_make_no_sense(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    environment: dict[str, str],
    batch_size: int,
    message: str,
) -> None:
    """Each is told in one line before anything is written or waited for."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = TrainingSettings(tmp_path / "run", steps=1, batch_size=batch_size, device="cpu")
    with pytest.raises(UsageError, match=message):
        train(metamodel_task(TINY), settings)
    assert not (tmp_path / "run").exists()
