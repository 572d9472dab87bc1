"""Whether what one answer claims is true.

The program is judged as it is printed, read again. Nothing is asked of the code
that gave the verdict: weights are compared by Gram matrices (`weights`),
outputs by a second forward pass (`plain_run`), behaviours by the interpreter.
"""

from __future__ import annotations

from dataclasses import dataclass

from untracr.audit.own_names import under_true_names
from untracr.audit.plain_run import fails, misread, outputs_differ, read_out_differs, renamed
from untracr.audit.subject import Subject
from untracr.audit.weights import EXACT, ROTATED, rounded_alike, weights_differ
from untracr.compile.compiler import MLP_EXACTNESS, compile_program
from untracr.decompile.result import Result
from untracr.errors import EvaluationError, ProgramError
from untracr.rasp.domain import BOS, PAD, Domain
from untracr.rasp.program import Program
from untracr.short_repr import short_repr
from untracr.syntax.parsing import parse
from untracr.transformer.transformer import Transformer
from untracr.verify.evidence import PROVED
from untracr.verify.outputs import (
    OUTPUT_TOLERANCE,
    cannot_compare,
    outputs_agree,
    tolerance_of_changed,
)


@dataclass(frozen=True)
class Claim:
    """One answer's claim, judged.

    Attributes:
        false: what is wrong with the claim; empty if it is true, or nothing is claimed.
        still_computes: whether the model's read-out is the reference's output on every
            input; None where there is no reference or no read-out, or it was not asked.
        behaves: whether the program behaves like the reference on every input (of a
            sample, if the domain is large); None without a reference or a program.
        listed: it does not, but one of the other programs of the same weights does.
        renamed: it does not, but it does with other names of the values that it puts out:
            what a file without a read-out does not hold where a table was read off.
        contradicted: an input on which the read-out of a model that is ``identical`` is
            not the program's output, though nothing tells of it, or that of the program's
            own weights is: this is false, too; empty if there is none.
    """

    false: str = ""
    still_computes: bool | None = None
    behaves: bool | None = None
    listed: bool = False
    renamed: bool = False
    contradicted: str = ""

    __repr__ = short_repr


def judge_claim(subject: Subject, result: Result) -> Claim:
    """Judges an answer.

    Args:
        subject: the model, and what is known about it.
        result: the answer.
    """
    still = still_computes(subject) if subject.before is None else None
    try:
        program = parse(result.source) if result.source else None
        others = [parse(source) for source in result.other_programs]
    except ProgramError as error:
        return Claim(f"the answer cannot be read: {error}", still)
    if program is None:
        return Claim("there is no program" if result.verdict in PROVED else "", still)
    if subject.row_names is not None:
        subject, (program, *others), false = under_true_names(subject, result, [program, *others])
        false = false or _false_slope(subject, result)
        if false:
            return Claim(false if result.verdict in PROVED else "", still)
    behaves = _behaves(subject, program)
    listed = not behaves and any(_behaves(subject, other) for other in others)
    is_renamed = behaves is False and not listed and _is_renamed(subject, program)
    false = contradicted = ""
    if result.verdict == "identical":
        contradicted = _contradicted(subject, program, departs=result.departures > 0)
        # Where the weights do not do what a program says, another one of the same weights may;
        # and what a read-out gives was judged by itself.
        as_reference = behaves is not False or listed or is_renamed or result.departures > 0
        as_reference = as_reference or not cannot_compare(subject.model)
        false = _false_identity(subject, program, others, as_reference) or contradicted
    elif result.verdict == "equivalent":
        tolerance = result.evidence.output_tolerance
        false = read_out_differs(subject.model, program, subject.domain, tolerance)
        if not false and behaves is False:
            still = still_computes(subject) if still is None else still
            if still:
                false = "the model computes the reference, and the program does not"
    return Claim(false, still, behaves, listed, is_renamed, contradicted)


def still_computes(subject: Subject) -> bool | None:
    """Whether a model's read-out is its reference's output, numbers rounded to the nearest.

    None without a reference or a read-out.
    """
    model, program = subject.read_out, subject.reference
    if model is None or program is None or cannot_compare(model):
        return None
    try:
        tolerance = tolerance_of_changed(program, subject.domain, causal=model.causal)
    except EvaluationError:
        return False
    return outputs_agree(model, program, subject.domain, tolerance, to_the_end=False).everywhere


def _false_slope(subject: Subject, result: Result) -> str:
    """Whether the answer says that staircases have another slope than they were compiled with."""
    if result.mlp_exactness in (None, subject.mlp_exactness):
        return ""
    return f"mlp_exactness is {subject.mlp_exactness}, not {result.mlp_exactness}"


def compiled_rows(
    program: Program, domain: Domain, *, causal: bool, mlp_exactness: float = MLP_EXACTNESS
) -> Transformer:
    """A program's weights with the rows of W_E in the domain's order, then BOS and PAD.

    Raises:
        ProgramError: it cannot be compiled.
    """
    compiled = compile_program(
        program, domain.vocab, domain.max_seq_len, causal=causal, mlp_exactness=mlp_exactness
    )
    return compiled.with_rows((*domain.vocab, BOS, PAD)).transformer


def _behaves(subject: Subject, program: Program) -> bool | None:
    if subject.reference is None:
        return None
    causal = subject.model.causal
    differ = outputs_differ(program, subject.reference, subject.domain, causal=causal)
    if differ and fails(subject.reference, subject.domain, causal=causal):
        return None  # on some input RASP gives the reference no value, so it has no behaviour
    return not differ


def _is_renamed(subject: Subject, program: Program) -> bool:
    reference, model = subject.reference, subject.model
    if reference is None or not cannot_compare(model):  # a read-out holds the names
        return False
    return renamed(program, reference, subject.domain, causal=model.causal)


def _contradicted(subject: Subject, program: Program, *, departs: bool) -> str:
    """An input on which the read-out gives another value than the program.

    If the answer says that weights depart from the program, the program's own must not do so
    there.
    """
    model, domain = subject.model, subject.domain
    if cannot_compare(model):
        return ""
    try:
        slope, mine = subject.mlp_exactness, None
        if departs:
            mine = compiled_rows(program, domain, causal=model.causal, mlp_exactness=slope)
        places = misread(model, program, domain, OUTPUT_TOLERANCE, but_for=mine)
        misread_at = next(places, None)
    except ProgramError:  # it does not compile, or fails on some input: told otherwise
        return ""
    return "" if misread_at is None else misread_at.text


def _false_identity(
    subject: Subject, program: Program, others: list[Program], behaves: bool
) -> str:
    for number, candidate in enumerate((program, *others)):
        who = f"other program {number} has other weights: " if number else ""
        try:
            mine = compiled_rows(
                candidate,
                subject.domain,
                causal=subject.model.causal,
                mlp_exactness=subject.mlp_exactness,
            )
        except ProgramError as error:
            return f"{who}it does not compile: {error}"
        reason = weights_differ(subject.model, mine, ROTATED)
        if not reason and subject.before is not None:
            reason = weights_differ(subject.before, mine, EXACT)
            if reason and rounded_alike(subject.before, mine):
                reason = ""
        if reason:
            return who + reason
    if subject.before is None:
        return "weights that were projected or got noise are no program's"
    if behaves:
        return ""
    return "neither the program nor any other that is listed behaves like the reference"
