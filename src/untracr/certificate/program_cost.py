"""Which of strangers' programs are checked: time and memory are bounded before they are spent.

A program in a file may be of any size, and a short one may take any number of
values. The compiler counts each variable's values before it makes them all
(`untracr.diagnose.checks.static_problems`); here the program is also run over the
inputs with a look at every step before it is taken.
"""

from __future__ import annotations

from untracr.bounds import MAX_CERTIFICATE_NODES
from untracr.diagnose.checks import static_problems
from untracr.errors import EvaluationError, ProgramError
from untracr.rasp.batches import FIRST_CHUNK, batches
from untracr.rasp.domain import BOS, PAD, Domain
from untracr.rasp.equivalence import INPUTS_AT_ONCE
from untracr.rasp.interpreter import Column, Mask
from untracr.rasp.nodes import Ref
from untracr.rasp.program import Program
from untracr.rasp.spent import Spent, TooCostly

CELLS_HELD = 4_000_000
"""Cells of one selector at a time."""


def require_affordable(
    program: Program, domain: Domain, *, causal: bool, outputs: bool = True
) -> None:
    """Checks that compiling and running a program is bounded.

    Args:
        program: a stranger's.
        domain: the inputs.
        causal: as the model.
        outputs: whether it will be run on all inputs; else on the first only.

    Raises:
        TooCostly: it is not.
        ProgramError: there are no weights for the program at all.
    """
    if len(program.nodes) > MAX_CERTIFICATE_NODES:
        raise TooCostly(
            f"a program may have at most {MAX_CERTIFICATE_NODES} operations to be checked, not "
            f"{len(program.nodes)}"
        )
    _require_compilable(program, domain)
    _count_run(program, domain, causal=causal, outputs=outputs)


def _require_compilable(program: Program, domain: Domain) -> None:
    """Checks the rules of single operations; what tokens are called is the model's affair."""
    tokens = tuple(token for token in domain.vocab if token not in (None, BOS, PAD)) or (0,)
    for problem in static_problems(program, tokens, domain.max_seq_len):
        if problem.ref is not None and problem.severity == "error":
            raise ProgramError(f"{problem.expression}: {problem.rule}")


def _count_run(program: Program, domain: Domain, *, causal: bool, outputs: bool) -> None:
    largest = max(1, min(INPUTS_AT_ONCE, CELLS_HELD // domain.max_seq_len**2))
    left, spent = domain.size if outputs else INPUTS_AT_ONCE, Spent()
    for batch in batches(domain, largest, causal=causal, first=FIRST_CHUNK):
        states: dict[Ref, Column | Mask] = {}
        for ref in sorted(program.reachable):
            node, label = program.nodes[ref], program.labels[ref]
            batch.count(node, states, spent, label)
            try:
                states[ref] = batch.step(node, states)
            except EvaluationError:  # the check will say so
                return
        left -= len(batch)
        if left <= 0:
            return
