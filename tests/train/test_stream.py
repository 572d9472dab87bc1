"""The training stream: the same batches however they are made."""

from __future__ import annotations

import itertools
import os
import time

import numpy as np
import pytest

from untracr.errors import DatasetError
from untracr.train import stream
from untracr.train.stream import Arrays, BatchStream, StreamPlace
from untracr.train.task import make_batch


def numbered(seed: int, start: int, count: int) -> Arrays:
    """A batch that says where it is from."""
    return {"at": np.arange(start, start + count), "seed": np.array([seed])}


def dying(seed: int, start: int, count: int) -> Arrays:
    """Dies without a word at the third batch."""
    if start >= 2 * count:
        time.sleep(0.2)  # so that the first batches are through the pipe
        os._exit(7)
    return numbered(seed, start, count)


def failing(seed: int, start: int, count: int) -> Arrays:
    """Raises at once."""
    raise ValueError("no batch today")


def refusing(seed: int, start: int, count: int) -> Arrays:
    """Finds the data set damaged at the third batch."""
    if start >= 2 * count:
        raise DatasetError("row 7 is damaged")
    return numbered(seed, start, count)


def starts(place: StreamPlace, workers: int, count: int) -> list[int]:
    """The first example of each of the next batches."""
    with BatchStream(numbered, place, workers) as batches:
        return [int(b["at"][0]) for b in itertools.islice(batches, count)]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_any_number_of_workers_gives_the_same_batches(workers: int) -> None:
    """Batches come in order and are the same with 0, 1 or 2 workers."""
    place = StreamPlace(seed=3, start=0, count=4, stride=4)
    with BatchStream(make_batch, place, workers) as batches:
        for number, arrays in enumerate(itertools.islice(batches, 5)):
            wanted = make_batch(3, 4 * number, 4)
            assert arrays.keys() == wanted.keys()
            for name in wanted:
                assert np.array_equal(arrays[name], wanted[name])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_the_stream_can_be_entered_anywhere(workers: int) -> None:
    """Entering at example k with a stride gives the batches at k, k + stride, ..."""
    place = StreamPlace(seed=0, start=50, count=10, stride=20)
    assert starts(place, workers, 5) == [50, 70, 90, 110, 130]
    plain = StreamPlace(seed=0, start=30, count=10, stride=10)
    assert starts(plain, workers, 3) == starts(StreamPlace(0, 0, 10, 10), workers, 6)[3:]


@pytest.mark.slow
def test_a_dead_worker_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a worker dies the reader says which one and how, and does not wait for ever."""
    monkeypatch.setattr(stream, "POLL_SECONDS", 0.5)
    place = StreamPlace(seed=0, start=0, count=1, stride=1)
    with (
        BatchStream(dying, place, 1) as batches,
        pytest.raises(RuntimeError, match="data worker 0 died with exit code 7"),
    ):
        list(batches)


@pytest.mark.slow
def test_a_failing_worker_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in a worker ends it, and the reader with it."""
    monkeypatch.setattr(stream, "POLL_SECONDS", 0.5)
    place = StreamPlace(seed=0, start=0, count=1, stride=1)
    with (
        BatchStream(failing, place, 1) as batches,
        pytest.raises(RuntimeError, match="data worker 0 died with exit code 1"),
    ):
        list(batches)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_damaged_data_set_is_told_in_its_turn(workers: int) -> None:
    """With or without workers it is the same error, after the batches before it."""
    place = StreamPlace(seed=0, start=0, count=1, stride=1)
    with BatchStream(refusing, place, workers) as batches:
        found = iter(batches)
        assert [int(next(found)["at"][0]) for _ in range(2)] == [0, 1]
        with pytest.raises(DatasetError, match=r"^row 7 is damaged$"):
            next(found)


@pytest.mark.slow
def test_leaving_the_stream_ends_its_workers() -> None:
    """No worker outlives the context manager, also when batches were left unread."""
    place = StreamPlace(seed=0, start=0, count=1, stride=1)
    with BatchStream(numbered, place, 2) as batches:
        next(iter(batches))
        processes = list(batches._processes)
        assert all(process.is_alive() for process in processes)
    assert not any(process.is_alive() for process in processes)


def test_workers_leave_the_environment_alone() -> None:
    """Thread limits meant for workers do not stay in this process's environment."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    with BatchStream(numbered, StreamPlace(0, 1, 0, 1), 1):
        pass
    assert {name: os.environ.get(name) for name in names} == before
