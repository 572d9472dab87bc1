"""Engines do every task once, keep to their number of workers, and wait for none of them."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dataset_samples import contents
from engine_tasks import die, die_once, pid_of, refuse, threads, times
from untracr.dataset import LocalEngine
from untracr.dataset.engine import TASKS_OF_A_WORKER, TRIES_OF_A_TASK, answer, result_of
from untracr.errors import CheckFailed, DatasetError, ModelFileError, RaspSyntaxError, UntracrError
from waiting import PATIENCE, wait_until

pytestmark = pytest.mark.slow

LARGE = 2**21
"""Bytes that no pipe holds unless somebody reads them."""


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    """No test here may hang."""

    def stop(*_: object) -> None:
        raise TimeoutError("an engine hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(int(2 * PATIENCE))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@dataclass
class SlowToStart:
    """Work that a worker cannot begin until so many tasks have been taken."""

    taken: Path
    count: int

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        if not wait_until(lambda: len(list(self.taken.glob("task*"))) >= self.count):
            (self.taken / "too few").touch()

    def __call__(self, shared: None, task: tuple[int, bytes]) -> int:
        return task[0]


def test_workers_start_beside_each_other(tmp_path: Path) -> None:
    """Also where tasks are large: none is sent to a worker that does not yet read."""

    def tasks() -> Iterator[tuple[int, bytes]]:
        for task in range(8):
            (tmp_path / f"task{task}").touch()
            yield task, bytes(LARGE)

    found = list(LocalEngine(8).run(SlowToStart(tmp_path, 8), None, tasks()))
    assert sorted(number for _, number in found) == list(range(8))
    assert not (tmp_path / "too few").exists()


def leave_late(folder: Path, task: int) -> int:
    """A task whose first process ends only when the next one has begun, which waits for that."""
    if task == 0:
        (folder / "first").write_text(str(os.getpid()))
        atexit.register(_leave_late, folder)
    elif (folder / "first").read_text() != str(os.getpid()):
        (folder / "successor").touch()
        if not wait_until((folder / "left").exists):
            os._exit(9)
    return task


def _leave_late(folder: Path) -> None:
    if wait_until((folder / "successor").exists):
        (folder / "left").touch()


def test_successors_do_not_wait_for_a_worker_s_end(tmp_path: Path) -> None:
    """A worker that has done its share may take its time to end."""
    found = list(LocalEngine(1).run(leave_late, tmp_path, range(2 * TASKS_OF_A_WORKER)))
    assert found == [(task, task) for task in range(2 * TASKS_OF_A_WORKER)]
    assert (tmp_path / "left").exists()


def count_others(folder: Path, task: tuple[int, bytes]) -> tuple[int, int]:
    """How many work at the moment; some workers are killed meanwhile, once each."""
    number, _ = task
    mark, here = folder / f"killed{number}", folder / f"at-work-{os.getpid()}"
    here.touch()
    time.sleep(0.01)
    count = len(list(folder.glob("at-work-*")))
    here.unlink()
    if number % 7 == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number, count


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_eight_workers_on_any_machine(workers: int, tmp_path: Path) -> None:
    """Every task is done, no more at a time than there are workers, none is taken too early."""
    taken, ahead = 0, []

    def tasks() -> Iterator[tuple[int, bytes]]:
        nonlocal taken
        for task in range(5 * TASKS_OF_A_WORKER):
            taken += 1
            yield task, bytes(LARGE // 4)

    numbers: list[int] = []
    for _, (number, count) in LocalEngine(workers).run(count_others, tmp_path, tasks()):
        ahead.append(taken - len(numbers))
        numbers.append(number)
        assert 1 <= count <= workers
    assert sorted(numbers) == list(range(5 * TASKS_OF_A_WORKER))
    assert max(ahead) <= workers + 1  # the next one is given before a result is told
    assert len(list(tmp_path.glob("killed*"))) == sum(
        n % 7 == 3 for n in range(5 * TASKS_OF_A_WORKER)
    )


def test_no_process_is_left(tmp_path: Path) -> None:
    """Neither at the end nor when somebody stops in the middle."""
    assert (
        len(list(LocalEngine(3).run(times, 2, range(3 * TASKS_OF_A_WORKER))))
        == 3 * TASKS_OF_A_WORKER
    )
    assert multiprocessing.active_children() == []
    running = LocalEngine(3).run(times, 2, range(3 * TASKS_OF_A_WORKER))
    for _ in range(TASKS_OF_A_WORKER + 2):
        next(running)
    assert multiprocessing.active_children()
    running.close()  # type: ignore[attr-defined]  # it is a generator
    assert multiprocessing.active_children() == []


SCRIPT = """
from untracr.dataset import LocalEngine
from engine_tasks import times

def tasks():
    for task in range(3):
        print("taken", flush=True)
        yield task

if __name__ == "__main__":
    print(list(LocalEngine(3).run(times, bytes(2**24), tasks())))
"""


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.3, 0.6])
def test_workers_that_have_not_begun_end_with_their_coordinator(
    moment: float, tmp_path: Path
) -> None:
    """When it is killed while they start: nothing of its session is left."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py")]
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": paths},
    ) as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == b"taken\n"
        time.sleep(moment)
        os.kill(builder.pid, signal.SIGKILL)
        assert builder.wait() == -signal.SIGKILL
        assert wait_until(lambda: not _is_there(builder.pid))


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


class UnsendableError(UntracrError):
    """An error that cannot be pickled."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.cause = lambda: text


class Unreadable:
    """A value that can be sent, and not be read."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return int, ("three",)


def misbehave(shared: str, task: str) -> object:
    """A task that ends as it is told."""
    if task == "unsendable":
        return lambda: shared
    if task == "unreadable":
        return Unreadable()
    if task == "exit":
        os._exit(3)
    raise {
        "ours": ModelFileError(shared),
        "of another kind": ZeroDivisionError(shared),
        "cannot be sent": UnsendableError(shared),
        # Neither can be made again of the text that it has made itself.
        "with a place": RaspSyntaxError(shared, line=3, column=1),
        "no arguments": CheckFailed([]),
    }[task]


TOLD = [
    ("unsendable", r"a task failed in a worker: \w+: .*lambda"),
    ("unreadable", "a worker's answer cannot be read: ValueError: invalid literal .*three"),
    ("of another kind", "a task failed in a worker: ZeroDivisionError: why\n"),
    ("cannot be sent", "a task failed in a worker: UnsendableError: why\n"),
    ("exit", rf"died {TRIES_OF_A_TASK} times at the same task \(exit code 3\); what it wrote"),
]


@pytest.mark.parametrize(("task", "message"), TOLD)
def test_no_answer_is_lost(task: str, message: str) -> None:
    """What cannot be sent or read, or is no error of ours, is told by its name and text."""
    with pytest.raises(DatasetError, match=message):
        list(LocalEngine(1).run(misbehave, "why", [task]))


def test_errors_of_ours_come_back_as_they_are() -> None:
    """Others as the words that they have, if reading them would change these."""
    with pytest.raises(ModelFileError, match=r"^why$"):
        list(LocalEngine(1).run(misbehave, "why", ["ours"]))
    with pytest.raises(DatasetError, match="failed in a worker: RaspSyntaxError: <program>:3:1: "):
        result_of(answer(misbehave, "why", "with a place"))
    with pytest.raises(DatasetError, match="CheckFailed: the program cannot be compiled faith"):
        result_of(answer(misbehave, "why", "no arguments"))
    with pytest.raises(DatasetError, match="a worker's answer cannot be read: UnpicklingError"):
        result_of(b"no answer")


def test_errors_say_where_they_arose() -> None:
    """In their notes: the command line has one line for them."""
    with pytest.raises(DatasetError) as caught:
        result_of(answer(misbehave, "why", "of another kind"))
    assert "in misbehave" in "".join(caught.value.__notes__)


def test_workers_are_replaced_before_they_remember_too_much() -> None:
    """No process does more than its share of tasks, so that memory does not grow with them."""
    found = list(LocalEngine(2).run(pid_of, None, range(3 * TASKS_OF_A_WORKER)))
    assert sorted(task for task, _ in found) == list(range(3 * TASKS_OF_A_WORKER))
    counts = Counter(pid for _, pid in found)
    assert max(counts.values()) <= TASKS_OF_A_WORKER
    assert len(counts) >= 3


def test_tasks_of_killed_workers_are_done_again(tmp_path: Path) -> None:
    """No task is lost and none is done twice."""
    found = list(LocalEngine(2).run(die_once, tmp_path, range(6)))
    assert sorted(found) == [(task, task * task) for task in range(6)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3", "5"]


def test_tasks_that_kill_every_worker_end(tmp_path: Path) -> None:
    """A task that cannot be done is given up, with a word on why."""
    with pytest.raises(
        DatasetError, match=f"died {TRIES_OF_A_TASK} times at the same task .*memory"
    ):
        list(LocalEngine(1).run(die, 0, range(2)))


def test_errors_of_tasks_come_back() -> None:
    """As they were raised; workers have one thread for linear algebra each."""
    with pytest.raises(ModelFileError, match="7 0"):
        list(LocalEngine(1).run(refuse, 7, range(2)))
    assert list(LocalEngine(1).run(threads, None, range(2))) == [(0, "1"), (1, "1")]


def test_killed_builds_leave_no_worker(tmp_path: Path, tiny: dict[str, bytes]) -> None:
    """Workers of a coordinator that was killed end, its lock is free, and the rest is done."""
    script = "import sys; from untracr.cli import main; sys.exit(main(sys.argv[1:]))"
    options = ("--programs", "12", "--seed", "3", "--shard-size", "4", "--workers", "2")
    command = [sys.executable, "-c", script, "dataset", "build", str(tmp_path), *options]
    builder = subprocess.Popen(command, start_new_session=True)
    drawn = tmp_path / ".build" / "drawn"
    while not (drawn.exists() and list(drawn.glob("*.parquet"))):
        assert builder.poll() is None
        time.sleep(0.002)
    os.kill(builder.pid, signal.SIGKILL)
    assert builder.wait() == -signal.SIGKILL
    for _ in range(1000):
        try:
            os.killpg(builder.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.01)
    else:
        pytest.fail("workers of a killed build are still there")
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
    assert contents(tmp_path) == tiny
