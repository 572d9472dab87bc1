"""The verdict on one program and one model: identical, equivalent, tested or unverified.

Only what was compared counts; where the program comes from does not. First the weights are
laid beside those that the program compiles to; where they are the program's, so is what they
compute, and its read-out is compared column by column. Else outputs are compared, on every
input of the domain or on some of a larger one, and the verdict says on which.
"""

from __future__ import annotations

from dataclasses import dataclass

from untracr.compile.compiler import Compiled
from untracr.diagnose.judging import Departures
from untracr.errors import EvaluationError
from untracr.rasp.domain import Domain
from untracr.rasp.nodes import CATEGORICAL, LinearSequenceMap, Map
from untracr.rasp.program import Program, print_program
from untracr.short_repr import short_repr
from untracr.transformer.transformer import Transformer
from untracr.verify.alignment import Alignment, align
from untracr.verify.evidence import NOTHING_COMPARED, Evidence, Verdict
from untracr.verify.outputs import (
    OUTPUT_TOLERANCE,
    Agreement,
    cannot_compare,
    outputs_agree,
    tolerance_of_changed,
)
from untracr.verify.read_out import is_unnamed, read_out_differs, rounding_shows
from untracr.verify.recompiling import recompile_with_parts

UNNAMED = "it does not say what its one column means"


@dataclass(frozen=True)
class Beside:
    """A program laid beside a model.

    Attributes:
        parts: its weights and where each operation lives in them; None where they are larger
            than the model's may have been.
        alignment: how the model's are to them.
        given: the model and the domain; None where the parts are another program's.
    """

    program: Program
    parts: Compiled | None
    alignment: Alignment
    given: tuple[Transformer, Domain] | None

    __repr__ = short_repr

    @property
    def compiled(self) -> Transformer | None:
        """The program's weights."""
        return None if self.parts is None else self.parts.transformer

    @property
    def are_other_weights(self) -> bool:
        """Whether the model's weights are not the program's, changed or not."""
        return self.parts is None or self.alignment.relation == "different"

    def is_of(self, model: Transformer, program: Program, domain: Domain) -> bool:
        """Whether laying this program beside this model would give the same once more."""
        if self.given is None:
            return False
        before, for_domain = self.given
        return (
            self.program == program
            and print_program(self.program) == print_program(program)
            and self.program.labels == program.labels  # they order the residual dimensions
            and repr(for_domain) == repr(domain)  # where 1, 1.0 and True are three tokens
            and before.equals(model)
        )


@dataclass(frozen=True)
class Finding:
    """What was shown.

    Attributes:
        inputs_checked: different inputs on which outputs were compared.
        detail: one sentence on the verdict.
    """

    verdict: Verdict
    inputs_checked: int
    detail: str
    evidence: Evidence = NOTHING_COMPARED

    __repr__ = short_repr


def lay_beside(
    model: Transformer, program: Program, domain: Domain, earlier: Beside | None = None
) -> Beside:
    """Compiles a program and compares a model's weights with what comes of it.

    Args:
        model: the weights.
        program: a candidate.
        domain: values of the token rows, and the longest input.
        earlier: a program laid beside a model, which is not done again if it is this
            program beside these weights.

    Raises:
        ProgramError: it cannot be compiled.
    """
    if earlier is not None and earlier.is_of(model, program, domain):
        return earlier
    parts = recompile_with_parts(program, domain, model)
    if parts is None:
        larger = Alignment("different", reason="the program needs more dimensions or neurons")
        return Beside(program, None, larger, (model, domain))
    return Beside(program, parts, align(model, parts.transformer), (model, domain))


def tells_outputs(model: Transformer, laid: Beside) -> bool:
    """Whether the model's read-out says what the values of the program's output are."""
    if laid.compiled is None:
        return not cannot_compare(model)
    return not (cannot_compare(model) or is_unnamed(model, laid.compiled, laid.alignment))


def weights_are_same(model: Transformer, laid: Beside, others: int = 0) -> Finding:
    """The verdict on a program that has the weights of a model without a read-out of values.

    Args:
        model: the weights.
        laid: the program beside them.
        others: how many programs were found that have them too and give other values.
    """
    alignment = laid.alignment
    same, evidence = _said_same(alignment), Evidence(alignment.relation, alignment.off)
    if not others and alignment.relation == "rotated" and sign_is_open(laid.program):
        open_ = "but they leave open the sign of its numerical output"
        return Finding("unverified", 0, f"{same}, {open_}", evidence)
    detail = f"{same}{_said_open(others)}"
    if model.W_U is not None:
        detail += f"; of its read-out nothing is said: {cannot_compare(model) or UNNAMED}"
    return Finding("identical", 0, detail, evidence)


def weights_and_read_out(model: Transformer, laid: Beside, domain: Domain) -> Finding:
    """The verdict on a program that has a model's weights, once the read-out is compared too.

    Weights do not hold the names of results: a program may have a model's very weights and
    yet give other values than the read-out says. Where the read-out is the program's own,
    column by column, the outputs are; else they are compared on the inputs, and no more
    than that is said.
    """
    program, alignment, same = laid.program, laid.alignment, _said_same(laid.alignment)
    assert laid.parts is not None
    reason = read_out_differs(model, laid.parts.transformer, alignment)
    reason = reason or rounding_shows(model, program, laid.parts, alignment)
    if not reason:
        evidence = Evidence(alignment.relation, alignment.off, read_out="same")
        return Finding("identical", 0, f"{same}, and has its read-out", evidence)
    seen = outputs_agree(model, program, domain)
    evidence = Evidence(
        alignment.relation, alignment.off, seen.seen, seen.agree, seen.tolerance, "different"
    )
    if not seen.everywhere:
        detail = f"{same}; but the model's read-out gives other outputs ({reason}): {seen}"
        return Finding("unverified", seen.seen, detail, evidence)
    other = f"{same}; its read-out is another ({reason})"
    if seen.seen < domain.size:
        detail = f"{other}, with the same output on {seen.seen:,} different inputs of more"
        return Finding("tested", seen.seen, detail, evidence)
    detail = f"{other}, with the same output on all {seen.seen:,} inputs"
    return Finding("equivalent", seen.seen, detail, evidence)


def changed_weights(model: Transformer, laid: Beside, domain: Domain) -> Finding:
    """The verdict on a program whose weights were projected, or got noise, to be the model's."""
    same, problem = _said_changed(model, laid), cannot_compare(model)
    if problem:
        evidence = Evidence(laid.alignment.relation, laid.alignment.off)
        return Finding("unverified", 0, f"{same}; {problem}", evidence)
    try:
        tolerance = tolerance_of_changed(laid.program, domain, causal=model.causal)
    except EvaluationError as error:
        agreement = Agreement(0, 0, failure=str(error))
    else:
        agreement = outputs_agree(model, laid.program, domain, tolerance)
    return _by_outputs(domain, laid.alignment, agreement, same)


def other_weights(model: Transformer, laid: Beside, domain: Domain) -> Finding:
    """The verdict on a program that has other weights than the model."""
    alignment, problem = laid.alignment, cannot_compare(model)
    reason = f"recompiled weights differ: {alignment.reason}"
    if problem:
        evidence = Evidence(alignment.relation, alignment.off)
        return Finding("unverified", 0, f"{reason}; {problem}", evidence)
    return _by_outputs(domain, alignment, outputs_agree(model, laid.program, domain), reason)


def sign_is_open(program: Program) -> bool:
    """Whether rotated weights cannot tell the sign of the program's output.

    A numerical output that no later part reads, written in both directions,
    may as well be its negative: the rotation that flips its axis maps one
    model to the other.
    """
    node = program.nodes[program.output]
    if isinstance(node, LinearSequenceMap):
        return True
    return (
        isinstance(node, Map)
        and node.encoding is not CATEGORICAL
        and program.encoding(node.inner) is not CATEGORICAL
    )


def said_departures(seen: Departures) -> str:
    """On how many inputs weights depart from their program, and of how many that is known.

    Tracr's construction departs from RASP here and there: numbers that its value sets lack,
    averages of several values, negative sums.
    """
    tried = "different inputs that were tried of more" if not seen.exhaustive else "inputs"
    if not seen.count:
        return f"they give what the program does on the {seen.inputs_checked:,} {tried}"
    told = f"but on {seen.count:,} of {seen.inputs_checked:,} {tried} they give something else"
    if not seen.failing:
        return f"{told} than the program"
    return f"{told}: on {seen.failing:,} of these the program fails ({seen.failure})"


def _by_outputs(domain: Domain, alignment: Alignment, agreement: Agreement, reason: str) -> Finding:
    evidence = Evidence(
        alignment.relation, alignment.off, agreement.seen, agreement.agree, agreement.tolerance
    )
    if not agreement.everywhere:
        return Finding("unverified", agreement.seen, f"{reason}; {agreement}", evidence)
    if agreement.seen < domain.size:
        detail = (
            f"tested on {agreement.seen:,} different inputs of more, with the same output on all "
            "of them"
        )
        return Finding("tested", agreement.seen, detail, evidence)
    detail = f"the same output on all {domain.size:,} inputs"
    if alignment.relation in ("projected", "noisy"):
        detail += f"; {reason}"
    if agreement.tolerance > OUTPUT_TOLERANCE:
        detail += f", and numbers may be off by {agreement.tolerance:.2g}"
    return Finding("equivalent", domain.size, detail, evidence)


def _said_same(alignment: Alignment) -> str:
    how = "axes reordered at most" if alignment.relation == "reordered" else "up to a rotation"
    return f"the program recompiles to these weights, {how}"


def _said_open(others: int) -> str:
    if not others:
        return ""
    count = f"{others} other program{'s' if others > 1 else ''}"
    return f", as {'do' if others > 1 else 'does'} {count} that give other values"


def _said_changed(model: Transformer, laid: Beside) -> str:
    if laid.alignment.relation == "projected":
        width = 0 if laid.compiled is None else laid.compiled.d_model
        return f"the weights are the program's, projected on {model.d_model} of {width} dimensions"
    return f"the weights are the program's but for noise of {100 * laid.alignment.off:.2g}%"
