"""Runs an audit: models are made, decompiled and judged one by one, a line of JSON each.

A file of lines may be stopped at any time and gone on with: models that are in
it are not done again. Its first line tells what was asked for; lines of
different runs do not mix.
"""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from untracr.audit.claims import Claim, judge_claim
from untracr.audit.kinds import KINDS
from untracr.audit.strict import StrictCase, strict_answer
from untracr.decompile.decompiler import BUDGET, Decompiler
from untracr.decompile.result import Result
from untracr.errors import UntracrError, UsageError
from untracr.short_repr import short_repr
from untracr.verify.evidence import PROVED
from untracr.version import __version__

AUDIT_FORMAT = "untracr audit"
AUDIT_VERSION = 1

MODELS_A_TURN = 8
"""Models that a process takes at a time: those of one training run."""

TURNS_OF_A_PROCESS = 100
"""Times that it does so before another takes its place, so that no memory grows for hours."""


@dataclass(frozen=True)
class Audit:
    """What an audit's every line depends on.

    Attributes:
        seed: of all models.
        budget: seconds that a search may take.
        checkpoint: the meta-model's file; None for the package's own.
    """

    seed: int = 0
    budget: float = BUDGET
    checkpoint: Path | None = None

    __repr__ = short_repr

    def head(self) -> dict[str, object]:
        """The first line of its file."""
        data = Decompiler(self.checkpoint).checkpoint.read_bytes()
        return {
            "format": AUDIT_FORMAT,
            "version": AUDIT_VERSION,
            "untracr": __version__,
            "seed": self.seed,
            "budget": self.budget,
            "checkpoint": hashlib.sha256(data).hexdigest(),
        }


@dataclass(frozen=True)
class Record:
    """One model's line.

    Attributes:
        kind, index, name: which model.
        verdict: of the answer; ``failed`` where there was none, but an error; ``accepted``,
            ``refused`` or ``refused, though right`` for programs compiled strictly.
        greedy_verdict: on the first answer, without a search.
        seconds: reading and checking.
        candidates, operations, repairs: see `Search`.
        false, still_computes, behaves, listed, renamed, contradicted: see `Claim`.
        others: how many other programs of the same weights were listed.
        departures: see `Result`.
        source: the answer.
    """

    kind: str
    index: int
    name: str
    verdict: str
    greedy_verdict: str = "unverified"
    seconds: float = 0.0
    candidates: int = 0
    operations: int = 0
    repairs: int = 0
    false: str = ""
    still_computes: bool | None = None
    behaves: bool | None = None
    listed: bool = False
    renamed: bool = False
    contradicted: str = ""
    others: int = 0
    departures: int = 0
    source: str = ""

    __repr__ = short_repr

    @property
    def is_proved(self) -> bool:
        """Whether the verdict is ``identical`` or ``equivalent``; departures are told besides."""
        return self.verdict in PROVED

    @property
    def is_proved_greedily(self) -> bool:
        """Whether the first answer had such a verdict."""
        return self.is_proved and self.greedy_verdict in PROVED

    @property
    def is_unlisted(self) -> bool:
        """Whether it is proved and behaves unlike the reference, nothing tells of that (no other
        program, no departures), and not only names are others."""
        told = self.listed or self.renamed or self.departures > 0
        return self.is_proved and self.behaves is False and not told


def run_audit(
    audit: Audit,
    kinds: Sequence[str],
    count: int,
    *,
    file: Path | None = None,
    processes: int = 1,
) -> Iterator[Record]:
    """Audits ``count`` models of each kind, fewer where there are no more.

    Args:
        audit: what all lines depend on.
        kinds: names in `KINDS`.
        count: items 0 to ``count - 1`` of each.
        file: of JSON lines, begun or gone on with; those in it are given back first.
        processes: that share the work.

    Yields:
        A record a model, once it is written.

    Raises:
        UsageError: the file is of another audit, or is none.
        OSError: it cannot be read or written.
    """
    wanted = {(kind, index): None for kind in kinds for index in range(_size(kind, count))}
    head = audit.head()
    there = set()
    if file is not None:
        for record in _records(file, head):
            there.add((record.kind, record.index))
            if (record.kind, record.index) in wanted:
                yield record
    missing = [item for item in wanted if item not in there]
    with ExitStack() as stack:
        lines = stack.enter_context(file.open("a", encoding="utf-8")) if file is not None else None
        found = _audited(audit, missing, processes, stack)
        for record in tqdm(found, total=len(missing), unit="model", disable=None):
            if lines is not None:
                lines.write(json.dumps(asdict(record)) + "\n")
                lines.flush()
            yield record


def _size(kind: str, count: int) -> int:
    largest = KINDS[kind].largest
    return count if largest is None else min(count, largest)


def _audited(
    audit: Audit, items: list[tuple[str, int]], processes: int, stack: ExitStack
) -> Iterable[Record]:
    work = functools.partial(audit_one, audit)
    if processes == 1 or len(items) < 2:
        return map(work, items)
    context = multiprocessing.get_context("spawn")
    pool = stack.enter_context(context.Pool(processes, maxtasksperchild=TURNS_OF_A_PROCESS))
    return pool.imap_unordered(work, items, chunksize=MODELS_A_TURN)


@functools.lru_cache(maxsize=1)
def _decompiler(checkpoint: Path | None) -> Decompiler:
    return Decompiler(checkpoint)


def audit_one(audit: Audit, item: tuple[str, int]) -> Record:
    """Makes, decompiles and judges one model; an error of the decompiler's is told, not raised.

    Args:
        audit: the seed and the budget.
        item: kind and index.
    """
    kind, index = item
    strict = KINDS[kind].strict
    if strict is not None:
        return _strict_record(kind, index, strict(audit.seed, index))
    subject = KINDS[kind].make(audit.seed, index)
    failed = Record(kind, index, subject.name, "failed")
    try:
        result = _decompiler(audit.checkpoint).decompile(
            subject.model, name=subject.name, naming=subject.naming, budget=audit.budget
        )
    except UntracrError as error:
        return replace(failed, false=f"{type(error).__name__}: {error}")
    except Exception:  # a defect of the decompiler's: found here, and no reason to stop
        return replace(failed, false=traceback.format_exc(limit=-2))
    return record_of(kind, index, replace(result, name=subject.name), judge_claim(subject, result))


def _strict_record(kind: str, index: int, case: StrictCase) -> Record:
    answer = strict_answer(case)
    seconds = round(answer.seconds, 4)
    return Record(kind, index, case.name, answer.verdict, seconds=seconds, false=answer.false)


def record_of(kind: str, index: int, result: Result, claim: Claim) -> Record:
    """The line of one answer and its claim."""
    search = result.search
    return Record(
        kind=kind,
        index=index,
        name=result.name,
        verdict=result.verdict,
        greedy_verdict=search.greedy_verdict if search is not None else result.verdict,
        seconds=round(result.seconds, 4),
        candidates=search.candidates if search is not None else 0,
        operations=search.operations if search is not None else 0,
        repairs=search.repairs if search is not None else 0,
        false=claim.false,
        still_computes=claim.still_computes,
        behaves=claim.behaves,
        listed=claim.listed,
        renamed=claim.renamed,
        contradicted=claim.contradicted,
        others=result.alternatives,
        departures=result.departures,
        source=result.source,
    )


def _records(file: Path, head: dict[str, object]) -> Iterator[Record]:
    """The records of a file that was begun; a new one is begun, a line that was cut off removed."""
    first = (json.dumps(head) + "\n").encode()
    if not file.exists():
        file.write_bytes(first)
    whole = 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines):
            if not line.endswith(b"\n"):
                break
            if number:
                yield Record(**_read_line(file, line))
            else:
                _require_same(file, _read_line(file, line), head)
            whole += len(line)
    if not whole:  # stopped before the first line was written
        if not first.startswith(file.read_bytes()):
            raise UsageError(f"{file} is not the file of an audit, and is left alone")
        file.write_bytes(first)
    elif whole < file.stat().st_size:
        with file.open("r+b") as opened:
            opened.truncate(whole)


def _require_same(file: Path, begun: dict[str, Any], head: dict[str, object]) -> None:
    if begun.get("format") != AUDIT_FORMAT:
        raise UsageError(f"{file} is not the file of an audit, and is left alone")
    for name, value in head.items():
        if begun.get(name) != value:
            raise UsageError(
                f"{file} was begun with the {name} {begun.get(name)}, not {value}; "
                "go on with that, or choose another file"
            )


def _read_line(file: Path, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        raise UsageError(f"{file} is not the file of an audit, and is left alone")
    return record
