"""The verdict on a decoded program: identical, equivalent or unverified.

Only what was compared counts; the meta-model's confidence never does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from untracr.ambiguity.alternatives import (
    all_alternatives,
    sign_is_open,
)
from untracr.ambiguity.open_results import (
    OpenResult,
    open_results,
    said_open,
)
from untracr.ambiguity.read_out_names import (
    named_by_columns,
    named_by_outputs,
)
from untracr.ambiguity.repair import repair
from untracr.ambiguity.shortest import shortest
from untracr.compile.values import value_sets
from untracr.decompile.result import NOTHING_COMPARED, Evidence, Verdict
from untracr.decompile.rounding import rounded
from untracr.diagnose.judging import (
    Departures,
    departures,
)
from untracr.errors import EvaluationError, ProgramError
from untracr.rasp.domain import Domain
from untracr.rasp.program import Program
from untracr.read.one_direction import find_constant
from untracr.transformer.transformer import Transformer
from untracr.verify.alignment import (
    Alignment,
    align,
)
from untracr.verify.outputs import (
    OUTPUT_TOLERANCE,
    Agreement,
    cannot_compare,
    outputs_agree,
    tolerance_of_changed,
)
from untracr.verify.read_out import (
    is_unnamed,
    read_out_differs,
    rounding_shows,
)
from untracr.verify.recompiling import (
    recompile,
    recompile_with_parts,
)

UNNAMED = "it does not say what its one column means"

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

    @property
    def alternatives(self) -> int:
        """How many other programs have these very weights and other outputs."""
        return len(self.others)

    @property
    def names_are_open(self) -> bool:
        """Whether something about the results of some operation is not in the weights."""
        return bool(self.open_results)


def check(model: Transformer, program: Program, domain: Domain, *, settle: bool = True) -> Check:
    """Compares a model with a program: first the weights, then the outputs.

    Args:
        model: the weights; a read-out (W_U) allows outputs to be compared.
        program: the candidate.
        domain: values of the token rows, and the longest input.
        settle: where the weights leave several programs open, take the one whose
            outputs the model's read-out tells, if there is one.
    """
    with np.errstate(all="ignore"):  # weights may be huge: what is not finite agrees with nothing
        return _check(model, program, domain, settle)


def is_settled(found: Check, model: Transformer) -> bool:
    """Whether no other program can be a better answer.

    So it is where something was shown; where the weights are the program's and only the
    read-out is not; and where they are the program's but projected, or with the noise
    that the embeddings have: what was changed is the model, and no program has these
    weights. (Wrong programs look like other noise.)
    """
    evidence = found.evidence
    if found.verdict != "unverified" or evidence.weights in ("reordered", "rotated", "projected"):
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


@dataclass(frozen=True)
class _Beside:
    """A program laid beside a model.

    Attributes:
        compiled: its weights; None where they are larger than the model's may have been.
        found: how the model's are to them.
    """

    program: Program
    compiled: Transformer | None
    found: Alignment


def _check(model: Transformer, program: Program, domain: Domain, settle: bool) -> Check:
    try:
        laid = _laid_beside(model, program, domain)
    except ProgramError as error:
        return Check("unverified", 0, f"the program does not compile: {error}", program)
    named = _named(model, laid, domain) if settle and not cannot_compare(model) else laid
    found = _judged(model, named, domain, settle)
    if named is laid or found.verdict != "unverified":
        return found
    return max(found, _judged(model, laid, domain, settle), key=rank)


def _laid_beside(model: Transformer, program: Program, domain: Domain) -> _Beside:
    compiled = recompile(program, domain, model)
    if compiled is None:
        larger = Alignment("different", reason="the program needs more dimensions or neurons")
        return _Beside(program, None, larger)
    return _Beside(program, compiled, align(model, compiled))


def _named(model: Transformer, laid: _Beside, domain: Domain) -> _Beside:
    """The program with its output's values called, or signed, as the read-out says."""
    try:
        if laid.compiled is None or laid.found.change is None:
            program = named_by_outputs(model, laid.program, domain)
        else:
            program = named_by_columns(model, laid.program, laid.compiled, laid.found, domain)
        return laid if program == laid.program else _laid_beside(model, program, domain)
    except ProgramError:  # it fails on some input, or under these names
        return laid


def _judged(model: Transformer, laid: _Beside, domain: Domain, settle: bool) -> Check:
    if laid.compiled is None or laid.found.found == "different":
        return _compare_outputs(model, laid.program, domain, laid.found)
    if not laid.found.sameness.same:
        return _changed(model, laid.program, laid.compiled, domain, laid.found, settle)
    shown = not (cannot_compare(model) or is_unnamed(model, laid.compiled, laid.found))
    program, compiled, beside = laid.program, laid.compiled, laid.found
    if settle:
        program, compiled, beside = _shortened(model, laid, compiled, domain, shown=shown)
    if shown:
        found = _same_beside_read_out(model, program, compiled, domain, beside)
    else:
        found = _same(model, program, compiled, domain, beside, settle)
    found = _with_open_results(found, domain, shown=shown)
    if found.inputs_checked:  # of this model's outputs, which says more
        return found
    return _with_departures(model, found, domain, None if found.program != program else beside)


def _shortened(
    model: Transformer, laid: _Beside, compiled: Transformer, domain: Domain, *, shown: bool
) -> tuple[Program, Transformer, Alignment]:
    """The shortest program that has the model's weights as well, its weights, and how they are."""
    best = (laid.program, compiled, laid.found)
    for in_order in (True, False):  # results in another order only where that is shorter still
        program = shortest(best[0], domain, shown=shown, in_order=in_order)
        if program == best[0]:
            continue
        try:
            weights = recompile(program, domain, model)
        except ProgramError:
            continue
        found = None if weights is None else align(model, weights)
        if weights is not None and found is not None and found.found == laid.found.found:
            best = (program, weights, found)
    return best


def _with_open_results(found: Check, domain: Domain, *, shown: bool) -> Check:
    """An ``identical`` verdict with what the weights leave open about results."""
    if found.verdict != "identical" or found.program is None:
        return found
    sets = value_sets(found.program, domain.vocab, domain.max_seq_len)
    rotated = found.evidence.weights == "rotated"
    open_ = open_results(found.program, sets, rotated=rotated, shown=shown)
    if not open_:
        return found
    return replace(found, detail=f"{found.detail}; {said_open(open_)}", open_results=open_)


def _said_same(found: Alignment) -> str:
    how = "axes reordered at most" if found.found == "reordered" else "up to a rotation"
    return f"the program recompiles to these weights, {how}"


def _same(
    model: Transformer,
    program: Program,
    compiled: Transformer,
    domain: Domain,
    found: Alignment,
    settle: bool,
) -> Check:
    """The verdict on a program that has the weights of a model without a read-out of values."""
    same, evidence = _said_same(found), Evidence(found.found, found.off)
    others = all_alternatives(program, compiled, domain, found.sameness)
    if others and settle and found.found == "rotated":
        for candidate in others:
            weights = recompile(candidate, domain, model)
            found_too = None if weights is None else align(model, weights)
            if weights is not None and found_too is not None and found_too.found == "reordered":
                return _same(model, candidate, weights, domain, found_too, settle)
    if not others and found.found == "rotated" and sign_is_open(program):
        open_ = "but they leave open the sign of its numerical output"
        return Check("unverified", 0, f"{same}, {open_}", program, (), evidence)
    detail = f"{same}{_open(others)}"
    if model.W_U is not None:
        detail += f"; of its read-out nothing is said: {cannot_compare(model) or UNNAMED}"
    return Check("identical", 0, detail, program, tuple(others), evidence)


def _open(others: list[Program]) -> str:
    if not others:
        return ""
    count = f"{len(others)} other program{'s' if len(others) > 1 else ''}"
    return f", as {'do' if len(others) > 1 else 'does'} {count} that give other values"


def _same_beside_read_out(
    model: Transformer,
    program: Program,
    compiled: Transformer,
    domain: Domain,
    found: Alignment,
) -> Check:
    """The verdict on a program that has a model's weights, once the read-out is compared too.

    Weights do not hold the names of results: a program may have a model's very weights and
    yet give other values than the read-out says. Where the read-out is the program's own,
    column by column, the outputs are; else they are compared on the inputs, and no more
    than that is said.
    """
    same = _said_same(found)
    reason = read_out_differs(model, compiled, found)
    parts = None if reason else recompile_with_parts(program, domain, model)
    if parts is not None:
        reason = rounding_shows(model, program, parts, found)
    if not reason:
        evidence = Evidence(found.found, found.off, read_out="same")
        return Check("identical", 0, f"{same}, and has its read-out", program, (), evidence)
    seen = outputs_agree(model, program, domain)
    evidence = Evidence(found.found, found.off, seen.seen, seen.agree, seen.tolerance, "different")
    if not seen.everywhere:
        detail = f"{same}; but the model's read-out gives other outputs ({reason}): {seen}"
        return Check("unverified", seen.seen, detail, program, (), evidence)
    other = f"{same}; its read-out is another ({reason})"
    if seen.seen < domain.size:
        detail = f"{other}, with the same output on {seen.seen:,} different inputs of more"
        return Check("tested", seen.seen, detail, program, (), evidence)
    detail = f"{other}, with the same output on all {seen.seen:,} inputs"
    return Check("equivalent", seen.seen, detail, program, (), evidence)


def _with_departures(
    model: Transformer, found: Check, domain: Domain, beside: Alignment | None
) -> Check:
    """The verdict with the inputs on which these weights do not do what the program says.

    Tracr's construction departs from RASP here and there: numbers that its value sets lack,
    averages of several values, negative sums; and weights that are the program's but for
    rounding may do something else beside large numbers. The weights are run with the program's
    own read-out, which shows that without knowing the model's. Most programs need no run.
    """
    if found.verdict != "identical" or found.program is None:
        return found
    compiled = recompile_with_parts(found.program, domain, model)
    if compiled is None:
        return found
    off = rounded(model, found.program, compiled, beside or align(model, compiled.transformer))
    seen = departures(found.program, compiled, domain, off)
    if not seen.count and seen.exhaustive:
        return found
    return replace(found, detail=f"{found.detail}; {_told(seen)}", departures=seen.count)


def _told(seen: Departures) -> str:
    """On how many inputs weights depart from their program, and of how many that is known."""
    tried = "different inputs that were tried of more" if not seen.exhaustive else "inputs"
    if not seen.count:
        return f"they give what the program does on the {seen.inputs_checked:,} {tried}"
    told = f"but on {seen.count:,} of {seen.inputs_checked:,} {tried} they give something else"
    if not seen.failing:
        return f"{told} than the program"
    return f"{told}: on {seen.failing:,} of these the program fails ({seen.failure})"


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
        detail = (
            f"tested on {agreement.seen:,} different inputs of more, with the same output on all "
            "of them"
        )
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
