"""The verdict on a decoded program: identical, equivalent or unverified.

Only what was compared counts; the meta-model's confidence never does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from untracr.decompile.alternatives import alternatives
from untracr.decompile.outputs import cannot_compare, inputs_read_out_alike, outputs_agree
from untracr.decompile.read_out_names import named_by_read_out
from untracr.decompile.recompiling import recompile
from untracr.decompile.result import NOTHING_COMPARED, Evidence, Verdict
from untracr.decompile.sameness import Sameness, same_weights
from untracr.errors import ProgramError
from untracr.rasp.domain import Domain
from untracr.rasp.program import CATEGORICAL, LinearSequenceMap, Map, Program
from untracr.transformer.transformer import Transformer


@dataclass(frozen=True)
class Check:
    """A verdict with the number of inputs compared and one sentence of detail.

    Attributes:
        program: the one the verdict is on: the candidate, or another one of the
            same weights if the model's read-out shows that it is that.
        others: see `Result.other_programs`.
        evidence: see `Result`.
    """

    verdict: Verdict
    inputs_checked: int
    detail: str
    program: Program | None = None
    others: tuple[Program, ...] = ()
    evidence: Evidence = NOTHING_COMPARED

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


def _check(model: Transformer, program: Program, domain: Domain, settle: bool) -> Check:
    try:
        if settle:
            program = named_by_read_out(model, program, domain)
        compiled = recompile(program, domain, model)
    except ProgramError as error:
        return Check("unverified", 0, f"the program does not compile: {error}", program)
    if compiled is None:
        reason = "recompiled weights differ: the program needs more dimensions or neurons"
        return _compare_outputs(model, program, domain, reason)
    found = same_weights(model, compiled)
    if not found.same:
        reason = f"recompiled weights differ: {found.reason}"
        return _compare_outputs(model, program, domain, reason)
    others = alternatives(program, compiled, domain, found)
    return _same(model, program, domain, found, others, settle)


def _same(
    model: Transformer,
    program: Program,
    domain: Domain,
    found: Sameness,
    others: list[Program],
    settle: bool,
) -> Check:
    """The verdict on a program that has the model's weights, as do ``others``."""
    how = "axes reordered at most" if found.axes_permuted else "up to a rotation"
    same = f"the program recompiles to these weights, {how}"
    sign_open = not found.axes_permuted and sign_is_open(program)
    if not others and not sign_open:
        return Check("identical", 0, same, program)
    for candidate in (program, *others) if settle else (program,):
        weights = recompile(candidate, domain, model)
        tried = inputs_read_out_alike(model, weights, domain) if weights is not None else 0
        if tried:
            detail = f"{same}, and gives its read-outs on {tried:,} inputs"
            return Check("identical", tried, detail, candidate)
    if sign_open:
        open_ = "but they leave open the sign of its numerical output"
        return Check("unverified", 0, f"{same}, {open_}", program)
    count = f"{len(others)} other program{'s' if len(others) > 1 else ''}"
    open_ = f"as {'do' if len(others) > 1 else 'does'} {count} that give other values"
    return Check("identical", 0, f"{same}, {open_}", program, tuple(others))


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


def _compare_outputs(model: Transformer, program: Program, domain: Domain, reason: str) -> Check:
    problem = cannot_compare(model, domain)
    if problem:
        return Check("unverified", 0, f"{reason}; {problem}", program)
    found = outputs_agree(model, program, domain)
    if found.everywhere:
        detail = f"the same output on all {domain.size:,} inputs"
        return Check("equivalent", domain.size, detail, program)
    return Check("unverified", found.seen, f"{reason}; {found}", program)
