"""The verdict on a candidate, with what the weights leave open about it.

`untracr.verify` says what is shown of one program. Weights leave several open: here the one
that the model's read-out tells is taken, or else the shortest, and what stays open is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from untracr.ambiguity.alternatives import all_alternatives
from untracr.ambiguity.open_results import OpenResult, open_results, said_open
from untracr.ambiguity.read_out_names import named_by_columns, named_by_outputs
from untracr.ambiguity.repair import repair
from untracr.ambiguity.shortest import shortest
from untracr.compile.values import value_sets
from untracr.diagnose.judging import departures
from untracr.errors import ProgramError
from untracr.measure.one_direction import find_one_direction
from untracr.rasp.domain import Domain
from untracr.rasp.program import Program
from untracr.short_repr import short_repr
from untracr.transformer.transformer import Transformer
from untracr.verify.evidence import NOTHING_COMPARED, Evidence, Verdict
from untracr.verify.outputs import cannot_compare
from untracr.verify.rounding import rounded
from untracr.verify.verdict import (
    Beside,
    Finding,
    changed_weights,
    lay_beside,
    other_weights,
    said_departures,
    tells_outputs,
    weights_and_read_out,
    weights_are_same,
)

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
        open_results, departures: see `Result`.
        beside: the program laid beside the model, which attribution starts from; None where
            it does not compile.
    """

    verdict: Verdict
    inputs_checked: int
    detail: str
    program: Program | None = None
    others: tuple[Program, ...] = ()
    evidence: Evidence = NOTHING_COMPARED
    repairs: int = 0
    open_results: tuple[OpenResult, ...] = ()
    departures: int = 0
    beside: Beside | None = field(default=None, repr=False, compare=False)

    __repr__ = short_repr

    @classmethod
    def of(cls, finding: Finding, laid: Beside, others: Sequence[Program] = ()) -> Check:
        """A finding about a program that was laid beside a model."""
        return cls(
            finding.verdict,
            finding.inputs_checked,
            finding.detail,
            laid.program,
            tuple(others),
            finding.evidence,
            beside=laid,
        )

    @property
    def alternatives(self) -> int:
        """How many other programs have these very weights and other outputs."""
        return len(self.others)

    @property
    def names_are_open(self) -> bool:
        """Whether something about the results of some operation is not in the weights."""
        return bool(self.open_results)


def check(
    model: Transformer,
    program: Program,
    domain: Domain,
    *,
    settle: bool = True,
    earlier: Beside | None = None,
) -> Check:
    """Compares a model with a program: first the weights, then the outputs.

    Args:
        model: the weights; a read-out (W_U) allows outputs to be compared.
        program: the candidate.
        domain: values of the token rows, and the longest input.
        settle: where the weights leave several programs open, take the one whose
            outputs the model's read-out tells, if there is one.
        earlier: a program laid beside a model, which is not done again if it is this
            program beside these weights.
    """
    with np.errstate(all="ignore"):  # weights may be huge: what is not finite agrees with nothing
        return _check(model, program, domain, settle, earlier)


def is_settled(checked: Check, model: Transformer) -> bool:
    """Whether no other program can be a better answer.

    So it is where something was shown; where the weights are the program's and only the
    read-out is not; and where they are the program's but projected, or with the noise
    that the embeddings have: what was changed is the model, and no program has these
    weights. (Wrong programs look like other noise.)
    """
    evidence = checked.evidence
    if checked.verdict != "unverified" or evidence.weights in ("reordered", "rotated", "projected"):
        return True
    if evidence.weights != "noisy":
        return False
    noise = find_one_direction(model).noise
    return AS_NOISY[0] * noise < evidence.weights_off < AS_NOISY[1] * noise


def rank(checked: Check) -> tuple[int, float, int, float]:
    """How good an answer is.

    The verdict comes first, then the share of inputs with the same output, then how the
    weights compare.
    """
    verdicts = ("unverified", "tested", "equivalent", "identical")
    weights = ("not compared", "different", "noisy", "projected", "rotated", "reordered")
    evidence = checked.evidence
    share = evidence.inputs_agree / max(1, evidence.inputs_checked)
    return (
        verdicts.index(checked.verdict),
        share,
        weights.index(evidence.weights),
        -evidence.weights_off,
    )


def _check(
    model: Transformer, program: Program, domain: Domain, settle: bool, earlier: Beside | None
) -> Check:
    try:
        laid = lay_beside(model, program, domain, earlier)
    except ProgramError as error:
        return Check("unverified", 0, f"the program does not compile: {error}", program)
    named = _named(model, laid, domain) if settle and not cannot_compare(model) else laid
    judged = _judged(model, named, domain, settle)
    if named is laid or judged.verdict != "unverified":
        return judged
    return max(judged, _judged(model, laid, domain, settle), key=rank)


def _named(model: Transformer, laid: Beside, domain: Domain) -> Beside:
    """The program with its output's values called, or signed, as the read-out says."""
    try:
        if laid.compiled is None or laid.alignment.change is None:
            program = named_by_outputs(model, laid.program, domain)
        else:
            program = named_by_columns(model, laid.program, laid.compiled, laid.alignment, domain)
        return laid if program == laid.program else lay_beside(model, program, domain)
    except ProgramError:  # it fails on some input, or under these names
        return laid


def _judged(model: Transformer, laid: Beside, domain: Domain, settle: bool) -> Check:
    if laid.are_other_weights:
        return Check.of(other_weights(model, laid, domain), laid)
    if not laid.alignment.equivalence.same:
        return _changed(model, laid, domain, settle)
    shown = tells_outputs(model, laid)
    beside = _shortened(model, laid, domain, shown=shown) if settle else laid
    if shown:
        checked = Check.of(weights_and_read_out(model, beside, domain), beside)
    else:
        checked = _same(model, beside, domain, settle)
    checked = _with_open_results(checked, domain, shown=shown)
    if checked.inputs_checked:  # of this model's outputs, which says more
        return checked
    return _with_departures(model, checked, domain)


def _shortened(model: Transformer, laid: Beside, domain: Domain, *, shown: bool) -> Beside:
    """The shortest program that has the model's weights as well."""
    best = laid
    for in_order in (True, False):  # results in another order only where that is shorter still
        program = shortest(best.program, domain, shown=shown, in_order=in_order)
        if program == best.program:
            continue
        try:
            other = lay_beside(model, program, domain)
        except ProgramError:
            continue
        if other.alignment.relation == laid.alignment.relation:
            best = other
    return best


def _same(model: Transformer, laid: Beside, domain: Domain, settle: bool) -> Check:
    """The verdict on a program that has the weights of a model without a read-out of values."""
    assert laid.compiled is not None
    others = all_alternatives(laid.program, laid.compiled, domain, laid.alignment.equivalence)
    if others and settle and laid.alignment.relation == "rotated":
        for candidate in others:
            other = lay_beside(model, candidate, domain)
            if other.alignment.relation == "reordered":
                return _same(model, other, domain, settle)
    return Check.of(weights_are_same(model, laid, len(others)), laid, others)


def _with_open_results(judged: Check, domain: Domain, *, shown: bool) -> Check:
    """An ``identical`` verdict with what the weights leave open about results."""
    if judged.verdict != "identical" or judged.program is None:
        return judged
    sets = value_sets(judged.program, domain.vocab, domain.max_seq_len)
    rotated = judged.evidence.weights == "rotated"
    open_ = open_results(judged.program, sets, rotated=rotated, shown=shown)
    if not open_:
        return judged
    return replace(judged, detail=f"{judged.detail}; {said_open(open_)}", open_results=open_)


def _with_departures(model: Transformer, judged: Check, domain: Domain) -> Check:
    """The verdict with the inputs on which these weights do not do what the program says.

    Tracr's construction departs from RASP here and there, and weights that are the program's
    but for rounding may do something else beside large numbers. The weights are run with the
    program's own read-out, which shows that without knowing the model's. Most programs need no
    run.
    """
    laid = judged.beside
    if judged.verdict != "identical" or laid is None or laid.parts is None:
        return judged
    off = rounded(model, laid.program, laid.parts, laid.alignment)
    seen = departures(laid.program, laid.parts, domain, off)
    if not seen.count and seen.exhaustive:
        return judged
    detail = f"{judged.detail}; {said_departures(seen)}"
    return replace(judged, detail=detail, departures=seen.count)


def _changed(model: Transformer, laid: Beside, domain: Domain, settle: bool) -> Check:
    """The verdict on a program whose weights were projected, or got noise, to be the model's."""
    repairs = 0
    if settle and not cannot_compare(model):
        repaired = repair(model, laid.program, domain)
        repairs = repaired.tried
        if repaired.program != laid.program:
            other = lay_beside(model, repaired.program, domain)
            alike = other.alignment.relation == laid.alignment.relation
            laid = other if alike else replace(laid, program=repaired.program, given=None)
    return replace(Check.of(changed_weights(model, laid, domain), laid), repairs=repairs)
