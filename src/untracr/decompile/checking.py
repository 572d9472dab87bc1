"""The verdict on a decoded program: identical, equivalent or unverified.

Only what was compared counts; the meta-model's confidence never does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from untracr.compile.suspicion import is_suspicious
from untracr.decompile.alignment import Alignment, align
from untracr.decompile.alternatives import all_alternatives, sign_is_open
from untracr.decompile.outputs import (
    OUTPUT_TOLERANCE,
    Agreement,
    cannot_compare,
    inputs_read_out_alike,
    outputs_agree,
    tolerance_of_changed,
)
from untracr.decompile.read_out_names import named_by_read_out, names_are_made_up
from untracr.decompile.recompiling import recompile, recompile_with_parts
from untracr.decompile.repair import repair
from untracr.decompile.result import NOTHING_COMPARED, Evidence, Verdict
from untracr.errors import EvaluationError, ProgramError
from untracr.metamodel.constant import find_constant
from untracr.rasp.domain import Domain
from untracr.rasp.program import Program
from untracr.transformer.transformer import Transformer

MADE_UP = "what its results are called is not in the weights, and made up"

AS_NOISY = (0.6, 1.6)
"""The noise found in all weights is that of the embeddings between these multiples."""


@dataclass(frozen=True)
class Check:
    """A verdict with the number of inputs compared and one sentence of detail.

    Attributes:
        program: the one the verdict is on: the candidate, or another one of the
            same weights if the model's read-out shows that it is that.
        others: see `Result.other_programs`.
        evidence: see `Result`.
        repairs: other programs tried where the outputs of one were wrong.
        names_are_open, departures: see `Result`.
    """

    verdict: Verdict
    inputs_checked: int
    detail: str
    program: Program | None = None
    others: tuple[Program, ...] = ()
    evidence: Evidence = NOTHING_COMPARED
    repairs: int = 0
    names_are_open: bool = False
    departures: int = 0

    @property
    def alternatives(self) -> int:
        """How many other programs have these very weights and other outputs."""
        return len(self.others)


def check(model: Transformer, program: Program, domain: Domain, *, settle: bool = True) -> Check:
    """Compares a model with a program: first the weights, then the outputs.

    Args:
        model: the weights; a read-out (W_U) allows outputs to be compared.
        program: the candidate.
        domain: values of the token rows, and the longest input.
        settle: where the weights leave several programs open, take the one that
            gives the model's read-outs, if there is one; the results of a table that
            is the output are named by them.
    """
    with np.errstate(all="ignore"):  # weights may be huge: what is not finite agrees with nothing
        return _check(model, program, domain, settle)


def is_settled(found: Check, model: Transformer) -> bool:
    """Whether no other program can be a better answer.

    So it is where something was shown, and where the weights are the program's but
    projected, or with the noise that the embeddings have: what was changed is the
    model, and no program has these weights. (Wrong programs look like other noise.)
    """
    evidence = found.evidence
    if found.verdict != "unverified" or evidence.weights == "projected":
        return True
    if evidence.weights != "noisy":
        return False
    noise = find_constant(model).noise
    return AS_NOISY[0] * noise < evidence.weights_off < AS_NOISY[1] * noise


def rank(found: Check) -> tuple[int, float, int, float]:
    """How good an answer is.

    The verdict comes first, then the share of inputs with the same output, then how the
    weights compare.
    """
    verdicts = ("unverified", "tested", "equivalent", "identical")
    weights = ("not compared", "different", "noisy", "projected", "rotated", "reordered")
    evidence = found.evidence
    share = evidence.inputs_agree / max(1, evidence.inputs_checked)
    return (
        verdicts.index(found.verdict),
        share,
        weights.index(evidence.weights),
        -evidence.weights_off,
    )


def _check(model: Transformer, program: Program, domain: Domain, settle: bool) -> Check:
    try:
        if settle:
            program = named_by_read_out(model, program, domain)
        compiled = recompile(program, domain, model)
    except ProgramError as error:
        return Check("unverified", 0, f"the program does not compile: {error}", program)
    if compiled is None:
        larger = Alignment("different", reason="the program needs more dimensions or neurons")
        return _compare_outputs(model, program, domain, larger)
    found = align(model, compiled)
    if found.found == "different":
        return _compare_outputs(model, program, domain, found)
    if not found.sameness.same:
        return _changed(model, program, compiled, domain, found, settle)
    others = all_alternatives(program, compiled, domain, found.sameness)
    same = _same(model, program, domain, found, others, settle)
    return _with_departures(model, _beside_read_out(model, same, domain), domain)


def _same(
    model: Transformer,
    program: Program,
    domain: Domain,
    found: Alignment,
    others: list[Program],
    settle: bool,
) -> Check:
    """The verdict on a program that has the model's weights, as do ``others``."""
    how = "axes reordered at most" if found.found == "reordered" else "up to a rotation"
    same = f"the program recompiles to these weights, {how}"
    evidence = Evidence(found.found, found.off)
    if not others and not (found.found == "rotated" and sign_is_open(program)):
        return Check("identical", 0, same, program, (), evidence)
    for candidate in (program, *others) if settle else (program,):
        weights = recompile(candidate, domain, model)
        if weights is None:
            continue
        tried = inputs_read_out_alike(model, weights, domain)
        if tried:
            detail = f"{same}, and gives its read-outs on {tried:,} inputs"
            seen = replace(evidence, inputs_checked=tried, inputs_agree=tried)
            return Check("identical", tried, detail, candidate, (), seen)
        if candidate is not program and found.found == "rotated":
            found_too = align(model, weights)
            if found_too.found == "reordered":  # the axes show the sign
                still = all_alternatives(candidate, weights, domain, found_too.sameness)
                return _same(model, candidate, domain, found_too, still, settle)
    if not others:
        open_ = "but they leave open the sign of its numerical output"
        return Check("unverified", 0, f"{same}, {open_}", program, (), evidence)
    count = f"{len(others)} other program{'s' if len(others) > 1 else ''}"
    open_ = f"as {'do' if len(others) > 1 else 'does'} {count} that give other values"
    return Check("identical", 0, f"{same}, {open_}", program, tuple(others), evidence)


def _beside_read_out(model: Transformer, found: Check, domain: Domain) -> Check:
    """The verdict once the read-out was asked too, if there is one and it was not.

    Weights do not hold the names of results: a program may have a model's very weights
    and yet give other values than the model's read-out says.
    """
    program = found.program
    if found.verdict != "identical" or found.inputs_checked or program is None:
        return found
    if cannot_compare(model):
        if names_are_made_up(program):
            return replace(found, detail=f"{found.detail}; {MADE_UP}", names_are_open=True)
        return found
    weights = recompile(program, domain, model)
    tried = 0 if weights is None else inputs_read_out_alike(model, weights, domain)
    if tried:
        evidence = replace(found.evidence, inputs_checked=tried, inputs_agree=tried)
        detail = f"{found.detail}, and gives its read-outs on {tried:,} inputs"
        return replace(found, inputs_checked=tried, detail=detail, evidence=evidence)
    # What is None, or 0, everywhere shows nothing to the comparison above.
    seen = outputs_agree(model, program, domain)
    evidence = replace(
        found.evidence,
        inputs_checked=seen.seen,
        inputs_agree=seen.agree,
        output_tolerance=seen.tolerance,
    )
    if seen.everywhere:
        return replace(found, inputs_checked=seen.seen, evidence=evidence)
    detail = f"{found.detail}; but the model's read-out gives other outputs: {seen}"
    return Check("unverified", seen.seen, detail, program, (), evidence)


def _with_departures(model: Transformer, found: Check, domain: Domain) -> Check:
    """The verdict with the inputs on which these weights do not do what the program says.

    Tracr's construction departs from RASP here and there: numbers that its value sets lack,
    averages of several values, negative sums. The weights are run with the program's own
    read-out, which shows that without knowing the model's. Most programs need no run.
    """
    if found.verdict != "identical" or found.program is None:
        return found
    compiled = recompile_with_parts(found.program, domain, model)
    if compiled is None or not is_suspicious(found.program, compiled):
        return found
    seen = outputs_agree(compiled.transformer, found.program, domain)
    if seen.everywhere:
        return found
    if seen.failure:
        return replace(found, detail=f"{found.detail}; but {seen}")
    departures = seen.seen - seen.agree
    told = f"on {departures:,} of {seen.seen:,} inputs they give something else than the program"
    return replace(found, detail=f"{found.detail}; but {told}", departures=departures)


def _changed(
    model: Transformer,
    program: Program,
    compiled: Transformer,
    domain: Domain,
    found: Alignment,
    settle: bool,
) -> Check:
    """The verdict on a program whose weights were projected, or got noise, to be the model's."""
    if found.found == "projected":
        same = (
            f"the weights are the program's, projected on {model.d_model} of "
            f"{compiled.d_model} dimensions"
        )
    else:
        same = f"the weights are the program's but for noise of {100 * found.off:.2g}%"
    problem = cannot_compare(model)
    if problem:
        evidence = Evidence(found.found, found.off)
        return Check("unverified", 0, f"{same}; {problem}", program, (), evidence)
    repairs = 0
    if settle:
        repaired = repair(model, program, domain)
        program, repairs = repaired.program, repaired.tried
    try:
        tolerance = tolerance_of_changed(program, domain, causal=model.causal)
    except EvaluationError as error:
        agreement = Agreement(0, 0, failure=str(error))
    else:
        agreement = outputs_agree(model, program, domain, tolerance)
    return replace(_by_outputs(program, domain, found, agreement, same), repairs=repairs)


def _by_outputs(
    program: Program, domain: Domain, found: Alignment, agreement: Agreement, reason: str
) -> Check:
    evidence = Evidence(
        found.found, found.off, agreement.seen, agreement.agree, agreement.tolerance
    )
    if not agreement.everywhere:
        return Check("unverified", agreement.seen, f"{reason}; {agreement}", program, (), evidence)
    if agreement.seen < domain.size:
        detail = f"tested on {agreement.seen:,} inputs of more, with the same output on all of them"
        return Check("tested", agreement.seen, detail, program, (), evidence)
    detail = f"the same output on all {domain.size:,} inputs"
    if found.found in ("projected", "noisy"):
        detail += f"; {reason}"
    if agreement.tolerance > OUTPUT_TOLERANCE:
        detail += f", and numbers may be off by {agreement.tolerance:.2g}"
    return Check("equivalent", domain.size, detail, program, (), evidence)


def _compare_outputs(
    model: Transformer, program: Program, domain: Domain, found: Alignment
) -> Check:
    """The verdict on a program that has other weights than the model."""
    reason = f"recompiled weights differ: {found.reason}"
    problem = cannot_compare(model)
    if problem:
        evidence = Evidence(found.found, found.off)
        return Check("unverified", 0, f"{reason}; {problem}", program, (), evidence)
    return _by_outputs(program, domain, found, outputs_agree(model, program, domain), reason)
