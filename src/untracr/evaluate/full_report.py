"""Everything that is measured of a meta-model on one set of models."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from untracr.compile.canonical import paper_tokens
from untracr.decompile.decompiler import Decompiler
from untracr.errors import UsageError
from untracr.evaluate.cases import CaseSet
from untracr.evaluate.ceiling import Ceiling
from untracr.evaluate.evaluation import Report, evaluate, treated
from untracr.evaluate.forcing import MAKERS, TopK, force
from untracr.evaluate.measured import Listing, Measured
from untracr.evaluate.same_weight_programs import same_weight_programs
from untracr.evaluate.share import Share
from untracr.evaluate.speed import load_ms, machine
from untracr.metamodel.numpy_network import NumpyNetwork
from untracr.rasp.domain import Domain
from untracr.short_repr import short_repr
from untracr.transformer.named_treatments import CONTROLS, Treatment
from untracr.transformer.transformer import Transformer
from untracr.version import __version__

if TYPE_CHECKING:
    from untracr.evaluate.flat_reader import FlatReader, FlatResult

REPORT_FORMAT = "untracr evaluation report"
REPORT_VERSION = 1

ROTATION_KNOWN = {"compiled": False, "rotated": True}
"""Treatments for which it is well defined which programs have the very same weights, and whether
weights are then known up to a rotation only. Noise and compression blur what is the same."""


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        treatments: of the weights, at least one.
        controls: treatments that leave nothing of the program.
        seed: of the treatments.
    """

    treatments: tuple[Treatment, ...]
    controls: tuple[Treatment, ...] = CONTROLS
    seed: int = 0

    __repr__ = short_repr


@dataclass(frozen=True)
class FullReport:
    """All measurements.

    Attributes:
        cases: the set of models.
        plan: what was asked for.
        measured: one a treatment; controls: likewise.
        exchanged: how often the answer to a model is by chance exact for the
            next model of the set, with the first treatment.
        baseline: the flattened-weights baseline on the first treatment.
        library: the package's named programs, if they were asked for besides.
        checkpoint: the meta-model's file name, size and digest.
        load_ms: milliseconds to load it.
    """

    cases: CaseSet
    plan: Plan
    measured: tuple[Measured, ...]
    controls: tuple[Measured, ...]
    exchanged: Share
    baseline: FlatResult | None
    library: Listing | None
    checkpoint: dict[str, object]
    load_ms: float

    __repr__ = short_repr

    def as_dict(self) -> dict[str, object]:
        """The whole report as plain JSON values."""
        cases = self.cases.cases
        return {
            "format": REPORT_FORMAT,
            "version": REPORT_VERSION,
            "untracr": __version__,
            "checkpoint": self.checkpoint,
            "seed": self.plan.seed,
            "set": {
                "title": self.cases.title,
                "programs": len(cases),
                "distinct_programs": len({case.tokens for case in cases}),
                "lengths": {
                    str(n): count
                    for n, count in sorted(Counter(c.program.length for c in cases).items())
                },
                "domains": sorted({_domain(case.domain) for case in cases}),
                "listed": self.cases.listed,
            },
            "treatments": [measured.as_dict() for measured in self.measured],
            "controls": [measured.as_dict() for measured in self.controls],
            "exchanged_answers_exact": self.exchanged.as_dict(),
            "baseline": self._baseline(),
            "speed": {"load_ms": self.load_ms, "machine": machine()},
            "programs": Listing(self.cases, self.measured).as_list(),
            "library": self.library.as_list() if self.library is not None else None,
        }

    def _baseline(self) -> dict[str, object] | None:
        if self.baseline is None:
            return None
        return {"treatment": self.measured[0].treatment.label, **self.baseline.as_dict()}


def _domain(domain: Domain) -> str:
    tokens = ",".join(map(str, domain.vocab))
    return f"{domain.size:,} inputs of up to {domain.max_seq_len} of the tokens {tokens}"


def measure(
    decompiler: Decompiler,
    cases: CaseSet,
    plan: Plan,
    *,
    baseline: FlatReader | None = None,
    library: CaseSet | None = None,
) -> FullReport:
    """Measures a meta-model.

    Args:
        decompiler: with the meta-model.
        cases: the models, at least one.
        plan: what to measure.
        baseline: to be measured beside it.
        library: named programs to be listed one by one.

    Raises:
        ModelFileError: a model is damaged, or outside what can be read.
        UsageError: there is no model, or no treatment.
    """
    if not cases.cases or not plan.treatments:
        what = "model" if plan.treatments else "treatment"
        raise UsageError(f"a report needs at least one {what}, and there is none: {cases.title}")
    network = NumpyNetwork.load(decompiler.checkpoint)
    measured = tuple(_measured(decompiler, network, cases, t, plan.seed) for t in plan.treatments)
    return FullReport(
        cases=cases,
        plan=plan,
        measured=measured,
        controls=_only_judged(decompiler, cases, plan.controls, plan.seed),
        exchanged=_exchanged(cases, measured[0].report),
        baseline=_read_flat(baseline, cases, plan) if baseline is not None else None,
        library=Listing(library, _only_judged(decompiler, library, plan.treatments, plan.seed))
        if library is not None
        else None,
        checkpoint=_checkpoint(decompiler.checkpoint),
        load_ms=load_ms(decompiler),
    )


def _only_judged(
    decompiler: Decompiler, cases: CaseSet, treatments: Sequence[Treatment], seed: int
) -> tuple[Measured, ...]:
    return tuple(Measured(t, evaluate(decompiler, cases, t, seed)) for t in treatments)


def _measured(
    decompiler: Decompiler, network: NumpyNetwork, cases: CaseSet, treatment: Treatment, seed: int
) -> Measured:
    report = evaluate(decompiler, cases, treatment, seed)
    top_k = ceiling = None
    if treatment.name in MAKERS:
        models = _models(cases, treatment, seed, "top-k")
        top_k = TopK.of(
            force(network, case, model, changed, treatment.name)
            for case, (model, changed) in zip(cases.cases, models, strict=True)
        )
    if treatment.name in ROTATION_KNOWN:
        rotated = ROTATION_KNOWN[treatment.name]
        bar = tqdm(cases.cases, desc=f"{treatment.label}, ceiling", unit="model", disable=None)
        found = [same_weight_programs(case, rotated=rotated) for case in bar]
        ceiling = Ceiling(
            tuple(len(programs) if programs is not None else None for programs in found),
            tuple(outcome.exact for outcome in report.outcomes),
        )
    return Measured(treatment, report, top_k, ceiling)


def _models(
    cases: CaseSet, treatment: Treatment, seed: int, what: str
) -> Iterator[tuple[Transformer, Transformer]]:
    """Each model's weights before and after a treatment."""
    bar = tqdm(cases.cases, desc=f"{treatment.label}, {what}", unit="model", disable=None)
    for number, case in enumerate(bar):
        model = case.load()
        yield model, treated(model, treatment, seed, number)


def _exchanged(cases: CaseSet, report: Report) -> Share:
    answers = [
        tuple(paper_tokens(o.result.program)) if o.result.program is not None else ()
        for o in report.outcomes
    ]
    following = [*cases.cases[1:], *cases.cases[:1]] if len(cases.cases) > 1 else []
    pairs = zip(answers, following, strict=False)
    return Share.of(answer == case.tokens for answer, case in pairs)


def _read_flat(baseline: FlatReader, cases: CaseSet, plan: Plan) -> FlatResult:
    models = _models(cases, plan.treatments[0], plan.seed, "baseline")
    return baseline.judge(cases.cases, [changed for _, changed in models])


def _checkpoint(path: Path) -> dict[str, object]:
    data = path.read_bytes()
    return {"file": path.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
