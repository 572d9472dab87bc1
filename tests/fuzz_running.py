"""Runs hostile cases, each in a process of its own with a budget of CPU seconds and bytes.

A case is a pure function of (seed, index). The process that has everything
imported is forked for each case, so that a case costs some milliseconds.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from untracr.cli import main
from untracr.errors import UntracrError

CPU_SECONDS = 10
"""Of one case."""

BYTES = 2 * 2**30
"""Of one case, beside what is imported."""

PATIENCE = 30
"""How many times its CPU seconds a case may last: one that only waits uses none."""

LONGEST = 8_000
"""Characters of one error."""

OUTCOMES = ("fine", "refused", "traceback", "hang", "over memory", "bad output")

_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What a terminal obeys, and what ends a line."""


@dataclass(frozen=True)
class Case:
    """Something hostile.

    Attributes:
        label: what it is, for people.
        commands: command lines, run one after another.
        doors: functions called after them.
        stdin: what standard input holds.
    """

    label: str
    commands: Sequence[Sequence[str]] = ()
    doors: Sequence[Callable[[], object]] = ()
    stdin: bytes = b""


Maker = Callable[[random.Random, Path], Case]
"""Writes a case's files into an empty folder."""


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        kind: one of `OUTCOMES`.
        text: why, where it is bad.
        seconds: of CPU.
        megabytes: at most, what is imported among them.
    """

    kind: str
    text: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0


@dataclass
class Tally:
    """What came of many cases."""

    counts: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[int, str, Outcome]] = field(default_factory=list)
    slowest: float = 0.0
    largest: float = 0.0

    def add(self, index: int, label: str, outcome: Outcome) -> None:
        """Adds one outcome."""
        self.counts[outcome.kind] += 1
        self.slowest = max(self.slowest, outcome.seconds)
        self.largest = max(self.largest, outcome.megabytes)
        if outcome.kind not in ("fine", "refused"):
            self.bad.append((index, label, outcome))

    def __str__(self) -> str:
        counts = ", ".join(f"{kind}: {self.counts[kind]:,}" for kind in OUTCOMES)
        return (
            f"{self.counts.total():,} cases: {counts}; the slowest took {self.slowest:.1f} CPU "
            f"seconds, the largest {self.largest:,.0f} MB"
        )


def run_cases(make: Maker, seed: int, indices: Sequence[int], name: str) -> Tally:
    """Runs cases one after another.

    Args:
        make: writes a case.
        seed: of all cases.
        indices: which of them.
        name: of the kind of cases, which decides on them as well.
    """
    tally = Tally()
    for index in indices:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        try:
            label, outcome = _run_case(make, random.Random(f"{name}/{seed}/{index}"), folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        tally.add(index, label, outcome)
    return tally


def _run_case(make: Maker, rng: random.Random, folder: Path) -> tuple[str, Outcome]:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _in_child(make, rng, folder, writing)
    os.close(writing)
    answer = _answer(reading, child)
    _, status, usage = os.wait4(child, 0)
    seconds, megabytes = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    label, kind, text = answer or ("?", "hang", f"no answer, status {status}")
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSEGV:
        kind, text = "traceback", "segmentation fault"
    if megabytes * 2**20 > BYTES:
        kind = "over memory"
    return label, Outcome(kind, text, seconds, megabytes)


def _answer(reading: int, child: int) -> tuple[str, str, str] | None:
    """What the child says last; it is killed where it says nothing any more."""
    parts: list[bytes] = []
    end = time.monotonic() + PATIENCE * CPU_SECONDS
    with open(reading, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                os.kill(child, signal.SIGKILL)
                break
            part = pipe.read(65536)
            if not part:
                break
            parts.append(part)
    lines = b"".join(parts).splitlines()
    if not lines:
        return None
    label, kind, text = json.loads(lines[-1])
    return label, kind, text


def _in_child(make: Maker, rng: random.Random, folder: Path, writing: int) -> None:
    """Makes and runs the case; never returns."""
    said = ["?", "traceback", "the case itself could not be made"]
    with open(writing, "wb", buffering=0) as pipe:
        try:
            case = make(rng, folder)
            said = [case.label, "hang", "it was ended"]
            pipe.write(json.dumps(said).encode() + b"\n")
            _set_limits()
            said = [case.label, *_outcome(case, folder)]
        except _OverTime:
            said[1:] = ["hang", traceback.format_exc()[-2000:]]
        except MemoryError:
            said[1:] = ["over memory", traceback.format_exc()[-2000:]]
        except BaseException:
            said[1:] = ["traceback", traceback.format_exc()[-3000:]]
        with contextlib.suppress(BaseException):
            pipe.write(json.dumps(said).encode() + b"\n")
    os._exit(0)


class _OverTime(BaseException):
    """The CPU seconds are spent; no `Exception`, so that nothing goes on after it."""


def _set_limits() -> None:
    end = int(time.process_time()) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (end, end + 2))
    signal.signal(signal.SIGXCPU, _stop)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _stop(number: int, frame: object) -> None:
    raise _OverTime


def _outcome(case: Case, folder: Path) -> tuple[str, str]:
    os.chdir(folder)
    kinds = {"fine"}
    for command in case.commands:
        kind, text = _command(command, case.stdin)
        if kind not in ("fine", "refused"):
            return kind, f"{list(command)}: {text}"
        kinds.add(kind)
    for door in case.doors:
        try:
            door()
        except UntracrError as error:
            kinds.add("refused")
            if len(str(error)) > LONGEST:
                return "bad output", f"an error of {len(str(error)):,} characters"
    return ("refused" if "refused" in kinds else "fine"), ""


def _command(command: Sequence[str], stdin: bytes) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(command)
    shown, errors = out.getvalue(), err.getvalue()
    if "out of memory" in errors:
        return "over memory", errors[:500]
    for text in (shown, errors):
        if found := _OBEYED.search(text):
            return "bad output", f"a terminal obeys {found[0]!r} in {text[:300]!r}"
    if len(errors) > LONGEST:
        return "bad output", f"errors of {len(errors):,} characters"
    if code in (1, 2) and "untracr: error: " not in errors and "--json" not in command:
        return "bad output", f"code {code} without an error: {errors[:300]!r}"
    if "--json" in command and (fault := _json_fault(shown)):
        return "bad output", fault
    return ("refused" if code in (1, 2) else "fine"), ""


def _json_fault(shown: str) -> str:
    """Why lines are not JSON; empty if they are."""

    def refuse(constant: str) -> float:
        raise ValueError(f"{constant} is not JSON")

    for line in shown.splitlines():
        try:
            json.loads(line, parse_constant=refuse)
        except ValueError as error:
            return f"{error} in {line[:300]!r}"
    return ""


def main_of(make: Maker, name: str, description: str) -> int:
    """The command line of a fuzzer; the code is 1 where a case ended badly."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cases", type=int, default=1_000, help="how many (default: 1,000)")
    parser.add_argument("--seed", type=int, default=0, help="of all cases (default: 0)")
    parser.add_argument("--first", type=int, default=0, help="the first case (default: 0)")
    args = parser.parse_args()
    tally = run_cases(make, args.seed, range(args.first, args.first + args.cases), name)
    for index, label, outcome in tally.bad:
        print(f"--- case {index}: {label}: {outcome.kind}: {outcome.text}")
    print(tally)
    return 1 if tally.bad else 0
