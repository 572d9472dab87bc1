"""Builds that are gone on with: after an interruption, a full disk, damage, or twice at once."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import untracr.dataset.folder
import untracr.dataset.planning
from dataset_samples import HERE, SETTINGS, TINY, begun, contents
from untracr.atomic_write import write_atomically
from untracr.dataset import Excluded, LocalEngine, build_dataset, read_manifest
from untracr.errors import DatasetError
from untracr.sample.exclusion import Exclusion


def test_a_finished_set_is_not_built_again(built: Path) -> None:
    """The same command again changes nothing, and does nothing."""
    before = {path: path.stat().st_mtime_ns for path in built.rglob("*")}
    manifest = build_dataset(built, SETTINGS, LocalEngine(5))
    assert manifest == read_manifest(built)
    assert {path: path.stat().st_mtime_ns for path in built.rglob("*")} == before


@pytest.mark.parametrize("finished", [True, False])
def test_other_settings_are_refused(tmp_path: Path, finished: bool) -> None:
    """A folder that was begun with another seed is left as it is."""
    build_dataset(tmp_path, TINY, HERE)
    if not finished:
        (tmp_path / "manifest.json").unlink()
        untracr.dataset.folder.write_file(_made(tmp_path / ".build") / "settings.json", begun(TINY))
    before = contents(tmp_path)
    with pytest.raises(DatasetError, match=r"begun otherwise \(seed: 3 there, 4 now\)"):
        build_dataset(tmp_path, replace(TINY, seed=4), HERE)
    assert contents(tmp_path) == before


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_folders_of_something_else_are_refused(tmp_path: Path) -> None:
    """Nothing is written into a folder that holds other things."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DatasetError, match=r"holds something else \(thesis.txt\)"):
        build_dataset(tmp_path, TINY, HERE)
    assert list(contents(tmp_path)) == ["thesis.txt"]


def test_a_second_builder_is_refused(tmp_path: Path, tiny: dict[str, bytes]) -> None:
    """While one builds, another one is told so at once; afterwards it may."""
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(DatasetError, match="another process is building"):
        build_dataset(tmp_path, TINY, HERE)
    assert contents(tmp_path) == {}
    os.close(handle)
    build_dataset(tmp_path, TINY, HERE)
    assert contents(tmp_path) == tiny


def test_a_full_disk_loses_nothing(
    tmp_path: Path, tiny: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever file it is that does not fit: one clear error, and the rest is done later.

    What was finished is not written again: each attempt gets one file further.
    """
    allowed = 0

    def fails_later(path: Path, data: bytes) -> None:
        nonlocal allowed
        if allowed == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        allowed -= 1
        write_atomically(path, data)

    monkeypatch.setattr(untracr.dataset.folder, "write_atomically", fails_later)
    failures = 0
    while not (tmp_path / "manifest.json").exists():
        with pytest.raises(DatasetError, match=r"no space is left. Nothing that was finished is"):
            build_dataset(tmp_path, TINY, HERE)
        failures += 1
        allowed = 2  # a shard and its note
        if (tmp_path / "README.md").exists():  # what comes last is written anew each time
            allowed = 20
            build_dataset(tmp_path, TINY, HERE)
    assert failures > 5
    assert contents(tmp_path) == tiny


@pytest.mark.parametrize("where", ["mark_first_of_each", "sync_folder"])
def test_a_full_disk_is_told_while_planning(
    tmp_path: Path, tiny: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Also what is only needed on the way may not fit."""

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(untracr.dataset.planning, where, full)
        with pytest.raises(DatasetError, match="no space is left"):
            build_dataset(tmp_path, TINY, HERE)
    build_dataset(tmp_path, TINY, HERE)
    assert contents(tmp_path) == tiny


class Stopped(Exception):
    """Ends a build where a test wants it to."""


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A build that was stopped when three of its shards were made."""

    def stop(what: str, done: int, total: int) -> None:
        if what == "compiling" and done == 3:
            raise Stopped

    with pytest.raises(Stopped):
        build_dataset(tmp_path, TINY, HERE, progress=stop)
    assert len(list((tmp_path / "data").iterdir())) == 3
    return tmp_path


@pytest.mark.parametrize("damage", ["deleted", "cut", "without a note", "with half a note"])
def test_shards_that_vanish_are_made_again(
    stopped: Path, tiny: dict[str, bytes], damage: str
) -> None:
    """A rerun makes what is missing or of another size, and touches nothing else."""
    damaged, *others = sorted((stopped / "data").iterdir())
    note = stopped / ".build" / "notes" / f"{damaged.name}.json"
    match damage:
        case "deleted":
            damaged.unlink()
        case "cut":
            damaged.write_bytes(damaged.read_bytes()[:-1])
        case "without a note":
            note.unlink()
        case _:
            note.write_bytes(note.read_bytes()[:50])
    before = [path.stat().st_mtime_ns for path in others]
    made: list[int] = []
    build_dataset(stopped, TINY, HERE, progress=lambda what, done, total: made.append(total - done))
    assert [path.stat().st_mtime_ns for path in others] == before
    assert made[-1] == 0
    assert len(made) == len([name for name in tiny if name.startswith("data/")]) - 2
    assert contents(stopped) == tiny


@pytest.mark.parametrize("planned", [True, False])
def test_damaged_blocks_are_told_and_drawn_again(
    stopped: Path, tiny: dict[str, bytes], planned: bool
) -> None:
    """What no killed build leaves: the error says what to delete, and then all is well."""
    for path in (stopped / "data").iterdir():
        path.unlink()
    block = stopped / ".build" / "drawn" / "000000.parquet"
    block.write_bytes(block.read_bytes()[:-40])
    if not planned:
        (stopped / ".build" / "plan.json").unlink()
    with pytest.raises(DatasetError, match=r"000000.parquet cannot be read .*; delete it and give"):
        build_dataset(stopped, TINY, HERE)
    block.unlink()
    build_dataset(stopped, TINY, HERE)
    assert contents(stopped) == tiny


@pytest.mark.parametrize("left", ["zeros", "half", "nothing", "an empty plan"])
def test_a_damaged_plan_is_told_and_made_again(
    stopped: Path, tiny: dict[str, bytes], left: str
) -> None:
    """As a disk that lost power may leave it: nothing is doubled, and nothing is left out."""
    plan = stopped / ".build" / "plan.json"
    for path in (stopped / "data").iterdir():
        path.unlink()
    indices = stopped / ".build" / "plan" / "train.indices"
    match left:
        case "zeros":
            indices.write_bytes(bytes(indices.stat().st_size))
        case "half":
            indices.write_bytes(indices.read_bytes()[: indices.stat().st_size // 2])
        case "nothing":
            indices.unlink()
        case _:
            plan.write_text("{}")
    with pytest.raises(DatasetError, match=r"damaged: it .*; delete .*plan.json and give the same"):
        build_dataset(stopped, TINY, HERE)
    plan.unlink()
    build_dataset(stopped, TINY, HERE)
    assert contents(stopped) == tiny


def test_a_shard_of_another_set_is_no_part_of_this_one(stopped: Path) -> None:
    """Where what a build needs was deleted, its shards are something else."""
    shutil.rmtree(stopped / ".build")
    before = contents(stopped)
    with pytest.raises(
        DatasetError, match=r"something else \(data/train-00000-of-0000\d.parquet\)"
    ):
        build_dataset(stopped, replace(TINY, seed=4), HERE)
    assert contents(stopped) == before


def test_a_build_whose_shards_are_not_as_planned_does_not_end(
    stopped: Path, tiny: dict[str, bytes]
) -> None:
    """A note with another count is noticed before there is a manifest."""
    note = min((stopped / ".build" / "notes").iterdir())
    right = note.read_bytes()
    found = json.loads(right)
    note.write_text(json.dumps({**found, "rows": found["rows"] + 1}))
    with pytest.raises(DatasetError, match=r"programs were planned for \w+, and \d+ made"):
        build_dataset(stopped, TINY, HERE)
    assert not (stopped / "manifest.json").exists()
    note.write_bytes(right)
    build_dataset(stopped, TINY, HERE)
    assert contents(stopped) == tiny


def test_a_finished_set_stays_when_libraries_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unfinished one is not gone on with: its bytes might come out otherwise."""
    build_dataset(tmp_path / "done", TINY, HERE)
    before = contents(tmp_path / "done")
    (tmp_path / "begun" / ".build").mkdir(parents=True)
    untracr.dataset.folder.write_file(tmp_path / "begun" / ".build" / "settings.json", begun(TINY))
    monkeypatch.setattr("pyarrow.__version__", "1.2.3")
    build_dataset(tmp_path / "done", TINY, HERE)
    assert contents(tmp_path / "done") == before
    with pytest.raises(DatasetError, match=r"begun otherwise \(pyarrow: .* now\)"):
        build_dataset(tmp_path / "begun", TINY, HERE)


def test_excluded_sets_may_have_other_names(tmp_path: Path) -> None:
    """What is excluded counts."""

    def excluded(name: str, count: int) -> Excluded:
        return replace(Excluded.of(Exclusion.of_sampled(9, count)), sets=(name,))

    build_dataset(tmp_path, TINY, HERE, excluded("one", 5))
    build_dataset(tmp_path, TINY, HERE, excluded("renamed", 5))
    with pytest.raises(DatasetError, match=r"begun otherwise \(digest: "):
        build_dataset(tmp_path, TINY, HERE, excluded("one", 6))
