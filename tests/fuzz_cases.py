"""The first hostile cases of each kind, each with a budget; many more by the fuzzers' own commands.

``python tests/fuzz_files.py --cases 10000``, and likewise `fuzz_folders.py`, `fuzz_programs.py` and
`fuzz_tasks.py`.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("cases run in forked processes", allow_module_level=True)

import fuzz_files
import fuzz_folders
import fuzz_programs
import fuzz_tasks
from fuzz_running import Case, Maker, Tally, run_cases

CASES = 60


def assert_clean(tally: Tally) -> None:
    """Nothing but answers and refusals."""
    told = "\n".join(f"{index}: {label}: {outcome}" for index, label, outcome in tally.bad)
    assert not tally.bad, f"{tally}\n{told}"


def test_hostile_files_are_read_or_refused() -> None:
    """No traceback, no hang, and no more memory than a case may have."""
    fuzz_files.material()
    assert_clean(run_cases(fuzz_files.make, 0, range(CASES), "files"))


def test_hostile_folders_of_models_are_read_or_refused() -> None:
    """Likewise."""
    fuzz_folders.material()
    assert_clean(run_cases(fuzz_folders.make, 0, range(CASES), "folders"))


def test_hostile_programs_are_run_or_refused() -> None:
    """Likewise."""
    assert_clean(run_cases(fuzz_programs.make, 0, range(CASES), "programs"))


def test_hostile_tasks_are_run_or_refused() -> None:
    """Likewise."""
    fuzz_tasks.weights()
    assert_clean(run_cases(fuzz_tasks.make, 0, range(CASES), "tasks"))


def test_a_case_depends_on_its_seed_alone(tmp_path: Path) -> None:
    """What was found once is found again."""
    texts = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        texts.append(fuzz_programs.make(random.Random("programs/0/7"), folder).label)
    assert texts[0] == texts[1]


def waits(rng: random.Random, folder: Path) -> Case:
    """A case that never ends."""

    def door() -> object:
        while True:
            sum(range(1_000))

    return Case("waits", doors=[door])


def fills(rng: random.Random, folder: Path) -> Case:
    """A case that takes more memory than there may be."""
    return Case("fills", doors=[lambda: bytearray(3 * 2**30)])


def fails(rng: random.Random, folder: Path) -> Case:
    """A case that nobody expected."""
    return Case("fails", doors=[lambda: folder.name[1_000_000]])


@pytest.mark.parametrize(
    ("make", "kind"), [(waits, "hang"), (fills, "over memory"), (fails, "traceback")]
)
def test_the_fuzzer_finds_what_it_is_for(
    make: Maker, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fuzzer that never finds anything proves nothing."""
    monkeypatch.setattr("fuzz_running.CPU_SECONDS", 1)
    tally = run_cases(make, 0, range(1), "planted")
    assert [outcome.kind for _, _, outcome in tally.bad] == [kind]
