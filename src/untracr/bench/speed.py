"""How fast untracr is, next to the real Tracr in the same process.

Every ratio divides two times taken one after the other on the same program, so
that a busy machine slows both. Times are medians. untracr compiles with its
caches emptied first, unless a row says otherwise; Tracr's first model, which
starts JAX, is not counted.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from untracr.compile import blocks, values
from untracr.compile.compiler import compile_program
from untracr.decompile.decompiler import BUNDLED, Decompiler
from untracr.diagnose import bounds, checks, doubts, precision, selections
from untracr.diagnose.model import compile_rasp_to_model
from untracr.errors import UntracrError
from untracr.markdown_table import markdown_table
from untracr.rasp.domain import PAPER_DOMAIN
from untracr.rasp.equivalence import decide_equivalence
from untracr.rasp.functions import Value
from untracr.rasp.program import Program
from untracr.sample.sampler import sample_program
from untracr.short_repr import short_repr
from untracr.single_threaded import BLAS_THREADS
from untracr.syntax.library import named_program
from untracr.syntax.tracr_objects import to_tracr
from untracr.transformer.transformer import Transformer

PROGRAMS = 12
QUICK_PROGRAMS = 3

FRESH_TARGET = 3_000
"""Times faster than Tracr, where Tracr compiles for a shape it has not met."""

SEEN_TARGET = 60
"""The same for a shape that Tracr has met."""

REVERSE_TARGET = 300
"""The same for ``reverse`` with inputs of up to 40 tokens."""

SAMPLING_TARGET = 500
"""Programs sampled, checked and compiled a second, on one core."""

EQUALITY_TARGET = 10
"""Milliseconds to compare two programs on all 3,905 inputs of the paper's domain."""

REVERSE_LENGTHS = (5, 10, 20, 40, 80)
LONGEST_FOR_TRACR = 40
REPEATS = 5


@dataclass(frozen=True)
class SpeedRow:
    """One measurement.

    Attributes:
        name: what was measured.
        measured: the value, in ``unit``.
        unit: "x" (times faster than Tracr), "programs/s" or "ms".
        target: the value aimed at, None where there is none.
        wanted: whether ``measured`` should be at least or at most ``target``.
        detail: the times behind it.
    """

    name: str
    measured: float
    unit: str
    target: float | None
    wanted: Literal["at least", "at most"]
    detail: str

    __repr__ = short_repr

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        if self.target is None:
            return None
        if self.wanted == "at least":
            return self.measured >= self.target
        return self.measured <= self.target


@dataclass(frozen=True)
class ReverseRow:
    """``reverse`` at one maximum length.

    Attributes:
        max_seq_len: the longest input, in tokens.
        n_weights, n_nonzero: numbers in the model, and how many are not zero.
        ours_ms, tracr_ms: milliseconds to compile it; None where Tracr was not run.
    """

    max_seq_len: int
    n_weights: int
    n_nonzero: int
    ours_ms: float
    tracr_ms: float | None

    @property
    def ns_per_nonzero(self) -> float:
        """Our nanoseconds a weight that is not zero."""
        return self.ours_ms * 1e6 / self.n_nonzero


@dataclass(frozen=True)
class SpeedReport:
    """All measurements, and the machine they were taken on."""

    rows: tuple[SpeedRow, ...]
    reverse: tuple[ReverseRow, ...]
    machine: Mapping[str, str] = field(default_factory=dict)
    quick: bool = False

    __repr__ = short_repr

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "quick": self.quick,
            "machine": dict(self.machine),
            "rows": [{**asdict(row), "met": row.met} for row in self.rows],
            "reverse": [
                {**asdict(row), "ns_per_nonzero": row.ns_per_nonzero} for row in self.reverse
            ],
        }

    def to_markdown(self) -> str:
        """The measurements as tables."""
        machine = "\n".join(f"* {name}: {value}" for name, value in self.machine.items())
        head = ["reverse, max_seq_len", "weights", "not zero", "untracr, ms", "Tracr, ms"]
        head.append("untracr, ns a weight that is not zero")
        return "\n\n".join(
            [
                markdown_table(
                    ["", "measured", "target", "met", "details"], map(_row_cells, self.rows)
                ),
                markdown_table(head, map(_size_cells, self.reverse)),
                machine,
            ]
        )


def _row_cells(row: SpeedRow) -> tuple[str, ...]:
    target = "" if row.target is None else f"{row.wanted} {_number(row.target)}"
    met = {True: "yes", False: "no", None: ""}[row.met]
    return row.name, f"{_number(row.measured)} {row.unit}", target, met, row.detail


def _size_cells(size: ReverseRow) -> tuple[str, ...]:
    return (
        f"{size.max_seq_len}",
        f"{size.n_weights:,}",
        f"{size.n_nonzero:,}",
        f"{size.ours_ms:.2f}",
        "" if size.tracr_ms is None else f"{size.tracr_ms:,.0f}",
        f"{size.ns_per_nonzero:,.0f}",
    )


def run_speed_benchmark(
    *,
    programs: int | None = None,
    seed: int = 0,
    quick: bool = False,
    progress: bool = True,
    checkpoint: Path | None = None,
) -> SpeedReport:
    """Measures untracr against Tracr.

    Args:
        programs: random programs that Tracr compiles, about 2 s each; 12 if not
            given, 3 if ``quick``.
        seed: the stream they come from.
        quick: fewer repetitions and no long inputs for Tracr; about 15 s
            instead of 2 min.
        progress: show a progress bar on standard error, if that is a terminal.
        checkpoint: the meta-model to decompile with; the one in the package if
            not given, and no such row if there is none.

    Raises:
        UntracrError: Tracr is not installed.
        ValueError: ``programs`` is not positive.
    """
    count = programs if programs is not None else QUICK_PROGRAMS if quick else PROGRAMS
    if count < 1:
        raise ValueError(f"programs must be at least 1, not {count}")
    tracr_compile = _tracr()
    steps = ("random programs", "reverse", "sampling", "equality", "decompiling")
    bar = iter(tqdm(steps, unit="part", disable=None if progress else True))
    next(bar)
    rows = _random_rows(tracr_compile, count, seed)
    next(bar)
    reverse = tuple(_reverse_rows(tracr_compile, quick))
    rows += _reverse_ratio(reverse)
    next(bar)
    rows.append(_sampling_row(seed + 1, 300 if quick else 2000))
    next(bar)
    rows.append(_equality_row(seed, 20 if quick else 200))
    next(bar)
    rows += _decompile_rows(seed, 5 if quick else 50, checkpoint)
    next(bar, None)
    return SpeedReport(tuple(rows), reverse, machine_facts(), quick)


def machine_facts() -> dict[str, str]:
    """What a reader needs to know about the machine."""
    facts = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load over the last minute": f"{os.getloadavg()[0]:.1f}"
        if hasattr(os, "getloadavg")
        else "unknown",
        "threads": ", ".join(f"{v}={os.environ.get(v, 'not set')}" for v in BLAS_THREADS),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    for package in ("untracr", "tracr-pypi", "jax"):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed under this name"
    return facts


TracrCompile = Callable[[Program, Sequence[Value], int], float]
"""Compiles with Tracr; returns seconds."""


def _tracr() -> TracrCompile:
    """A function that compiles with Tracr and returns the seconds it took.

    Raises:
        UntracrError: Tracr is not installed.
    """
    try:
        from tracr.compiler import compiling
    except ImportError as error:
        raise UntracrError(
            "the speed benchmark compares with Tracr, which is not installed; install it with "
            "pip install 'untracr[tracr]'"
        ) from error

    def seconds(program: Program, vocab: Sequence[Value], max_seq_len: int) -> float:
        sop = to_tracr(program)
        return _seconds(
            lambda: compiling.compile_rasp_to_model(sop, vocab=set(vocab), max_seq_len=max_seq_len)
        )

    return seconds


def _random_rows(tracr: TracrCompile, count: int, seed: int) -> list[SpeedRow]:
    """Fresh random programs, each of another shape, and then each of them again."""
    vocab, length = PAPER_DOMAIN.vocab, PAPER_DOMAIN.max_seq_len
    shapes: set[tuple[int, ...]] = set()
    fresh: list[tuple[float, float, float]] = []
    seen: list[tuple[float, float]] = []
    index = 0
    while len(fresh) < count:
        program = sample_program(seed, index)
        index += 1
        shape = _shape(compile_program(program, vocab, length).transformer)
        if shape in shapes:
            continue
        shapes.add(shape)
        compile_ours = partial(compile_program, program, vocab, length)
        ours = _median_cold(compile_ours)
        public = _median_cold(partial(compile_rasp_to_model, program, vocab, length, strict=False))
        first = tracr(program, vocab, length)
        again = statistics.median(tracr(program, vocab, length) for _ in range(3))
        warm = _median(compile_ours)
        if index > 1:  # the first one started JAX
            fresh.append((ours, public, first))
            seen.append((warm, again))
    ours_all, public_all, first_all = zip(*fresh, strict=True)
    warm_all, again_all = zip(*seen, strict=True)
    note = f"{count} programs of different shapes"
    return [
        _ratio_row(
            "compile a random program, compile_program",
            FRESH_TARGET,
            ours_all,
            first_all,
            f"{note}, each new to both",
        ),
        _ratio_row(
            "the same by compile_rasp_to_model(strict=False)",
            FRESH_TARGET,
            public_all,
            first_all,
            f"{note}, each new to both",
        ),
        _ratio_row(
            "compile a program that was compiled before",
            SEEN_TARGET,
            warm_all,
            again_all,
            f"{note}, caches of both filled",
        ),
    ]


def _ratio_row(
    name: str, target: float, ours: Sequence[float], tracr: Sequence[float], note: str
) -> SpeedRow:
    ratios = [b / a for a, b in zip(ours, tracr, strict=True)]
    a, b = statistics.median(ours), statistics.median(tracr)
    return SpeedRow(
        name,
        statistics.median(ratios),
        "x",
        target,
        "at least",
        f"median of ratios; from {_number(min(ratios))} to {_number(max(ratios))}; ratio of "
        f"medians {_number(b / a)}: Tracr {b * 1e3:,.0f} ms, untracr {a * 1e3:.2f} ms; {note}",
    )


def _reverse_rows(tracr: TracrCompile, quick: bool) -> Iterator[ReverseRow]:
    named = named_program("reverse")
    for length in REVERSE_LENGTHS:

        def ours(length: int = length) -> Transformer:
            return compile_program(named.program, named.vocab, length).transformer

        milliseconds = 1e3 * _median_cold(ours)
        theirs = None
        if length <= (REVERSE_LENGTHS[0] if quick else LONGEST_FOR_TRACR):
            theirs = 1e3 * tracr(named.program, named.vocab, length)
        model = ours()
        yield ReverseRow(length, model.n_parameters, _nonzero(model), milliseconds, theirs)


def _reverse_ratio(reverse: Sequence[ReverseRow]) -> list[SpeedRow]:
    measured = [row for row in reverse if row.tracr_ms is not None]
    row = measured[-1]
    assert row.tracr_ms is not None
    return [
        SpeedRow(
            f"compile reverse, max_seq_len {row.max_seq_len}",
            row.tracr_ms / row.ours_ms,
            "x",
            REVERSE_TARGET if row.max_seq_len == LONGEST_FOR_TRACR else None,
            "at least",
            f"Tracr {row.tracr_ms:,.0f} ms, untracr {row.ours_ms:.2f} ms",
        )
    ]


def _sampling_row(seed: int, count: int) -> SpeedRow:
    wall, cpu = time.perf_counter(), time.process_time()
    for index in range(count):
        program = sample_program(seed, index)
        compile_program(program, PAPER_DOMAIN.vocab, PAPER_DOMAIN.max_seq_len)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return SpeedRow(
        "sample, check and compile on one core",
        count / cpu,
        "programs/s",
        SAMPLING_TARGET,
        "at least",
        f"{count} programs in {cpu:.2f} s of processor time ({wall:.2f} s by the clock)",
    )


def _equality_row(seed: int, count: int) -> SpeedRow:
    times: list[float] = []
    for index in range(count):
        program = sample_program(seed, index)
        times.append(_seconds(partial(decide_equivalence, program, program, PAPER_DOMAIN)))
    return SpeedRow(
        "compare two programs on all 3,905 inputs",
        1e3 * statistics.median(times),
        "ms",
        EQUALITY_TARGET,
        "at most",
        f"{count} pairs of equal programs; slowest {1e3 * max(times):.1f} ms",
    )


def _decompile_rows(seed: int, count: int, checkpoint: Path | None) -> list[SpeedRow]:
    if checkpoint is None and not files("untracr").joinpath(BUNDLED).is_file():
        return []
    decompiler = Decompiler(checkpoint)
    vocab, length = PAPER_DOMAIN.vocab, PAPER_DOMAIN.max_seq_len
    times: list[float] = []
    verdicts: list[str] = []
    for index in range(count):
        model = compile_program(sample_program(seed, index), vocab, length).transformer
        begun = time.perf_counter()
        verdicts.append(decompiler.decompile(model, vocab=vocab).verdict)
        times.append(time.perf_counter() - begun)
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in sorted(set(verdicts)))
    return [
        SpeedRow(
            "decompile one model, verdict included",
            1e3 * statistics.median(times),
            "ms",
            None,
            "at most",
            f"{count} models ({counts}); slowest {1e3 * max(times):,.0f} ms",
        )
    ]


def empty_caches() -> None:
    """Makes the compiler forget functions, predicates and inputs it has met before."""
    for module in (values, checks, blocks, bounds, doubts, precision, selections):
        for item in vars(module).values():
            if hasattr(item, "cache_clear"):
                item.cache_clear()


def _median_cold(compile_: Callable[[], object]) -> float:
    times: list[float] = []
    for _ in range(REPEATS):
        empty_caches()
        times.append(_seconds(compile_))
    return statistics.median(times)


def _median(compile_: Callable[[], object]) -> float:
    return statistics.median(_seconds(compile_) for _ in range(2 * REPEATS))


def _seconds(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def _shape(model: Transformer) -> tuple[int, ...]:
    return (model.n_layers, model.n_heads, model.d_head, model.d_mlp, model.d_model)


def _nonzero(model: Transformer) -> int:
    names = ("W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")
    return sum(int(np.count_nonzero(getattr(model, name))) for name in names)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
