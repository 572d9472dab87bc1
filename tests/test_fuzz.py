"""The fuzzers' own tests, in a process that has no other threads: cases are forked from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CASES = Path(__file__).with_name("fuzz_cases.py")


def test_hostile_cases_in_a_process_of_their_own() -> None:
    """All tests of `fuzz_cases` pass."""
    command = [sys.executable, "-m", "pytest", "-q", str(CASES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4_000:]
