"""What a program does on a few fixed inputs, as a digest: equal behaviour, equal fingerprint.

The converse may fail: programs that differ only on inputs that are not among
these share a fingerprint. Where programs are kept apart by it, some are kept
apart for nothing and none is missed.

The inputs are those on which the sampler tries its draws, so that a freshly
drawn program's results are remembered and its fingerprint costs look-ups only.
"""

from __future__ import annotations

from untracr.errors import EvaluationError
from untracr.rasp.domain import Domain
from untracr.rasp.interpreter import Batch
from untracr.rasp.nodes import (
    CATEGORICAL,
    INDICES,
    TOKENS,
    Aggregate,
    LinearSequenceMap,
    Map,
    Node,
    Ref,
    Select,
    SelectorWidth,
    SequenceMap,
)
from untracr.rasp.program import Program
from untracr.sample.acceptance import SAMPLING_INPUTS, fixed_inputs
from untracr.sample.known import (
    Known,
    Selection,
    added,
    averaged,
    combined,
    known_input,
    mapped,
    moved,
    selected,
    width,
)


def fingerprint(program: Program, domain: Domain) -> bytes | None:
    """A digest of 16 bytes of a program's outputs on some inputs of a domain.

    Two programs that `decide_equivalence` finds equal on the domain have the
    same one, up to numbers that straddle a rounding boundary (see
    `Known.fingerprint`).

    Returns:
        The digest; None if the program fails on one of the inputs.
    """
    batch = fixed_inputs(domain, SAMPLING_INPUTS)
    known = _remembered(program, batch) or _evaluated(program, batch)
    return None if known is None else known.fingerprint


def _evaluated(program: Program, batch: Batch) -> Known | None:
    try:
        return Known.of(batch, batch.evaluate(program))
    except EvaluationError:
        return None


def _remembered(program: Program, batch: Batch) -> Known | None:
    """The output of a program of the sampler's kind; None for any other."""
    states: dict[Ref, Known | Selection] = {
        TOKENS: known_input(batch, TOKENS),
        INDICES: known_input(batch, INDICES),
    }
    for ref, node in enumerate(program.nodes):
        if ref not in states:
            state = _step(node, states, batch)
            if state is None:
                return None
            states[ref] = state
    output = states[program.output]
    return output if isinstance(output, Known) else None


def _step(
    node: Node, states: dict[Ref, Known | Selection], batch: Batch
) -> Known | Selection | None:
    """One node as the sampler evaluates it; None if it fails or is none of the sampler's."""

    def known(ref: Ref) -> Known:
        state = states[ref]
        assert isinstance(state, Known)
        return state

    def selection(ref: Ref) -> Selection:
        state = states[ref]
        assert isinstance(state, Selection)
        return state

    match node:
        case Map(function, inner):
            return mapped(batch, function, known(inner))
        case SequenceMap(function, fst, snd):
            return combined(batch, function, known(fst), known(snd))
        case LinearSequenceMap(fst, snd, int(p), int(q)):
            return added(batch, p, q, known(fst), known(snd))
        case Select(keys, queries, predicate):
            return selected(batch, predicate, known(keys), known(queries))
        case SelectorWidth(selector):
            return width(batch, selection(selector))
        case Aggregate(selector, sop, None, encoding) if encoding is CATEGORICAL:
            result = moved(batch, selection(selector), known(sop))
            return result if isinstance(result, Known) else None
        case Aggregate(selector, sop, 0, encoding) if encoding is not CATEGORICAL:
            return averaged(batch, selection(selector), known(sop))
        case _:
            return None
