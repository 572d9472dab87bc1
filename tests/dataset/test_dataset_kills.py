"""A build that is killed at random moments ends with the files of one that never was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import json, os, random, shutil, signal, sys, time
from pathlib import Path
from untracr.dataset import DatasetSettings, LocalEngine, build_dataset
from untracr.sample.treatment_shares import TreatmentShares

room, kills, wanted_sets, workers = Path(sys.argv[1]), *map(int, sys.argv[2:])
settings = DatasetSettings(
    72, 5, treatments=TreatmentShares((("noisy", 0.5),)), shares=(0.6, 0.2, 0.2), shard_size=6
)

def contents(root):
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }

def build(root):
    build_dataset(root, settings, LocalEngine(workers))

def n_files(root):
    try:
        return sum(1 for path in root.rglob("*.parquet"))
    except FileNotFoundError:  # a folder that was removed meanwhile
        return n_files(root)

def started(root):
    child = os.fork()  # quicker than a new interpreter; nothing here has threads
    if child:
        return child
    try:
        build(root)
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        os._exit(1)

build(room / "undisturbed")
wanted = contents(room / "undisturbed")
begin = time.perf_counter()
os.waitpid(started(room / "timed"), 0)
length = time.perf_counter() - begin

rng = random.Random(7)
killed = finished = 0
states = set()
while killed < kills or finished < wanted_sets:
    root = room / f"killed{finished}"
    child = started(root)
    if workers:  # these take long to start, and would be killed before they begin
        there = n_files(root) + rng.randrange(1, 5)
        while n_files(root) < there and not (root / "manifest.json").exists():
            time.sleep(0.001)
        time.sleep(rng.random() * 0.02)
    else:
        time.sleep(rng.random() * length / 2)
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        killed += 1
        left = contents(root) if root.exists() else {}
        states.add(tuple(sorted(Path(name).name for name in left if not name.endswith(".tmp"))))
        assert "manifest.json" not in left or left["manifest.json"] == wanted["manifest.json"]
        continue
    assert status == 0
    assert contents(root) == wanted, "another result"
    finished += 1
    shutil.rmtree(root)
print(json.dumps({"killed": killed, "finished": finished, "states": len(states)}))
"""


@pytest.mark.parametrize(
    ("kills", "finished", "workers", "states"), [(60, 3, 0, 10), (10, 1, 2, 8)]
)
def test_killed_builds_end_with_the_same_bytes(
    tmp_path: Path, kills: int, finished: int, workers: int, states: int
) -> None:
    """Killed sixty times or more, in all its stages; every build ends as the undisturbed one.

    So do those of several workers, which take longer to start. The moments are
    random in time, so other states are met in each run; a few of one another's
    are sure to be different ones.
    """
    numbers = map(str, (kills, finished, workers))
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), *numbers],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    result = json.loads(found.stdout)
    assert result["killed"] >= kills
    assert result["finished"] >= finished
    assert result["states"] >= states
