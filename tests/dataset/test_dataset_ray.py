"""A Ray cluster gives the local engine's bytes, also when a worker or a node is lost on the way."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine_tasks
from dataset_samples import contents
from engine_tasks import die, die_once, pid_of, refuse, threads
from untracr.cli import main
from untracr.dataset import DatasetSettings, LocalEngine, RayEngine, build_dataset
from untracr.dataset.engine import TRIES_OF_A_TASK
from untracr.dataset.manifest import versions
from untracr.dataset.ray_engine import WAITING
from untracr.errors import DatasetError, ModelFileError
from untracr.sample.treatment_shares import TreatmentShares
from waiting import wait_until

# Ray's own use of what will be deprecated, and of sockets it leaves to the end of the process.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    # JAX, if an earlier test imported it, warns of every fork; Ray forks to start its processes.
    pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SETTINGS = DatasetSettings(
    programs=120,
    seed=8,
    treatments=TreatmentShares((("rotated-compressed", 0.3), ("noisy", 0.3))),
    shard_size=20,
)


def test_an_address_where_nobody_listens_is_told() -> None:
    """At once, where Ray itself would go on asking for minutes."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(DatasetError, match=f"no Ray cluster at {address}: .*refused"):
            list(RayEngine(address=address).run(refuse, 1, [1]))


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    """A cluster of two workers on this machine."""
    import ray
    from ray import cloudpickle

    by_value = (sys.modules[__name__], engine_tasks)  # workers cannot import these
    for module in by_value:
        cloudpickle.register_pickle_by_value(module)
    found = RayEngine(workers=2)
    assert list(found.run(pid_of, None, [0]))
    yield found
    ray.shutdown()
    for module in by_value:
        cloudpickle.unregister_pickle_by_value(module)


def test_a_cluster_gives_the_same_bytes(engine: RayEngine, tmp_path: Path) -> None:
    """Also when a worker is killed while it works: its shards are made again."""
    killed: list[int] = []

    def kill_a_worker(what: str, done: int, total: int) -> None:
        if what == "compiling" and not killed:
            killed.extend(pid for _, pid in engine.run(pid_of, None, [0]))
            os.kill(killed[0], signal.SIGKILL)

    build_dataset(tmp_path / "ray", SETTINGS, engine, progress=kill_a_worker)
    assert killed != [os.getpid()]
    build_dataset(tmp_path / "local", SETTINGS, LocalEngine(1))
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


def test_tasks_of_killed_workers_are_done_again(engine: RayEngine, tmp_path: Path) -> None:
    """No task is lost and none is done twice."""
    found = list(engine.run(die_once, tmp_path, range(6)))
    assert sorted(found) == [(task, task * task) for task in range(6)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3", "5"]


def test_tasks_that_kill_every_worker_end(engine: RayEngine) -> None:
    """A task that cannot be done is given up."""
    with pytest.raises(DatasetError, match=f"lost {TRIES_OF_A_TASK} times at the same task"):
        list(engine.run(die, 0, range(1)))


def test_errors_of_tasks_come_back(engine: RayEngine) -> None:
    """As they were raised; workers have one thread for linear algebra each."""
    with pytest.raises(ModelFileError, match="7 0"):
        list(engine.run(refuse, 7, range(1)))
    assert list(engine.run(threads, None, range(1))) == [(0, "1")]


def test_the_command_uses_the_cluster(
    engine: RayEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its option."""
    options = ("--programs", "8", "--shard-size", "4", "--engine", "ray")
    assert main(["dataset", "build", str(tmp_path / "ray"), *options]) == 0
    build_dataset(tmp_path / "local", DatasetSettings(8, 0, shard_size=4), LocalEngine(0))
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


def unsendable(shared: None, task: int) -> object:
    """A task whose result cannot be pickled."""
    return iter(lambda: task, None)


def test_answers_that_cannot_be_sent_are_told(engine: RayEngine) -> None:
    """They are no lost workers."""
    with pytest.raises(DatasetError, match=r"a task failed in a worker: \w+: .*pickle"):
        list(engine.run(unsendable, None, range(1)))


def test_a_node_with_other_versions_is_told(
    engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes might be others."""
    ours = versions()
    monkeypatch.setattr("untracr.dataset.ray_engine.versions", lambda: {**ours, "numpy": "1.0"})
    told = rf"other versions \(numpy {re.escape(ours['numpy'])} there, 1\.0 here\)"
    with pytest.raises(DatasetError, match=told):
        list(engine.run(pid_of, None, range(1)))


def test_another_cluster_than_the_one_connected_to_is_told(engine: RayEngine) -> None:
    """Its address would be of no use; that of the same one is, however it is written."""
    import ray

    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    for address in (f"{host}:{port}", f"localhost:{port}", "auto", None):
        assert list(RayEngine(address=address).run(threads, None, range(1))) == [(0, "1")]
    for address in (f"{host}:1", "localhost:1", f"198.51.100.7:{port}"):
        with pytest.raises(DatasetError, match=f"cluster at {host}:{port}, not to {address}"):
            list(RayEngine(address=address).run(threads, None, range(1)))


def test_processors_that_join_get_work(engine: RayEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted again and again: there is always enough to do, and never much more."""
    import ray

    counts = iter([1] * 4 + [3] * 4)
    monkeypatch.setattr("untracr.dataset.ray_engine.COUNT_SECONDS", 0.0)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": next(counts, 2)})
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        for task in range(20):
            taken += 1
            yield task

    assert WAITING == 2
    given = [taken - done for done, _ in enumerate(engine.run(threads, None, tasks()))]
    assert given == [2] * 4 + [6] * 4 + [5] + [4] * 8 + [3, 2, 1]


SCRIPT = """
import os
import ray
from untracr.dataset import RayEngine

ray.init(address="local", num_cpus=1, include_dashboard=False)
work = lambda name, task: os.environ.get(name)
print(list(RayEngine(5).run(work, "OPENBLAS_NUM_THREADS", [3])))
"""


def test_a_cluster_that_others_connected_to() -> None:
    """Its workers, too, have one thread for linear algebra each."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_THREADS")}
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=kept
    )
    assert found.stdout == "[(3, '1')]\n"


def test_a_running_cluster_that_loses_a_node(tmp_path: Path) -> None:
    """``--address``: two nodes of one processor each, one of them killed while it draws a block."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 10**8}
    # A node that does not answer three times is lost; by default this takes half a minute.
    quickly = {
        "health_check_initial_delay_ms": 1000,
        "health_check_period_ms": 500,
        "health_check_timeout_ms": 3000,
        "health_check_failure_threshold": 3,
    }
    head = {**node, "include_dashboard": False, "_system_config": quickly}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    out = tmp_path / "ray"
    options = ["--programs", "600", "--seed", "8", "--shard-size", "60"]
    command = [sys.executable, "-m", "untracr", "dataset", "build", str(out), *options]
    command += ["--engine", "ray", "--address", cluster.address]
    try:
        lost = cluster.add_node(**node)
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as build:
            worker = stopped_at_a_task(lost.all_processes["raylet"][0].process.pid)
            assert build.poll() is None
            assert not (out / ".build" / "plan.json").exists()
            cluster.remove_node(lost, allow_graceful=False)
            os.kill(worker, signal.SIGKILL)
            _, errors = build.communicate(timeout=300)
        assert build.returncode == 0, errors
    finally:
        cluster.shutdown()
    build_dataset(tmp_path / "local", DatasetSettings(600, 8, shard_size=60), LocalEngine(2))
    assert contents(out) == contents(tmp_path / "local")


def stopped_at_a_task(node: int) -> int:
    """Waits for a node's worker to have a task, and stops it there: it cannot end it before."""
    stopped: list[int] = []

    def stop_one() -> bool:
        for worker in workers_at_a_task(node):
            os.kill(worker, signal.SIGSTOP)
            if worker in workers_at_a_task(node):
                stopped.append(worker)
                return True
            os.kill(worker, signal.SIGCONT)
        return False

    assert wait_until(stop_one), "the node has got no task"
    return stopped[0]


def workers_at_a_task(node: int) -> list[int]:
    """By what Ray calls its processes."""
    shown = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    rows = (line.split() for line in shown.stdout.splitlines())
    return [
        int(pid) for pid, parent, name, *_ in rows if (parent, name) == (str(node), "ray::_answer")
    ]
