"""The verdict on a decoded program: identical, equivalent or unverified.

Only what was compared counts; the meta-model's confidence never does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from untracr.compile.compiler import BOS, PAD, compile_program
from untracr.compile.values import ValueSet, value_sets
from untracr.decompile.result import Verdict
from untracr.decompile.sameness import Ints, Sameness, same_weights
from untracr.errors import EvaluationError, ProgramError
from untracr.metamodel.components import MAX_TABLE
from untracr.metamodel.tables import Tables, binary_tables, unary_tables
from untracr.metamodel.vocabulary import BINARY, UNARY
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import CHUNK, columns_differ, same_value
from untracr.rasp.functions import Formula, Function, Value
from untracr.rasp.interpreter import Batch, Column
from untracr.rasp.program import (
    CATEGORICAL,
    LinearSequenceMap,
    Map,
    Node,
    Program,
    Ref,
    SequenceMap,
)
from untracr.transformer.transformer import Transformer

MAX_INPUTS = 50_000
"""Inputs that are run one by one; larger domains are not compared."""

FIRST_CHUNK = 256
"""Inputs run at first; most programs that differ do so there."""

MAX_HELD = 2_000_000
"""Numbers held at a time to run a model."""

CLEAR = 0.5
"""A categorical read-out is 1 for the value and 0 for the others, or 0 for all of them."""

OUTPUT_TOLERANCE = 1e-3
"""Numbers that a model computes in single precision may be off by this, relative to 1."""


@dataclass(frozen=True)
class Check:
    """A verdict with the number of inputs compared and one sentence of detail.

    Attributes:
        program: the one the verdict is on: the candidate, or another one of the
            same weights if the model's read-out shows that it is that.
        alternatives: see `Result`.
    """

    verdict: Verdict
    inputs_checked: int
    detail: str
    program: Program | None = None
    alternatives: int = 0


def check(model: Transformer, program: Program, domain: Domain) -> Check:
    """Compares a model with a program: first the weights, then the outputs.

    Args:
        model: the weights; a read-out (W_U) allows outputs to be compared.
        program: the candidate.
        domain: values of the token rows, and the longest input.
    """
    with np.errstate(all="ignore"):  # weights may be huge: what is not finite agrees with nothing
        return _check(model, program, domain)


def _check(model: Transformer, program: Program, domain: Domain) -> Check:
    try:
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
    return _same(model, program, domain, found, others)


def recompile(program: Program, domain: Domain, like: Transformer) -> Transformer | None:
    """Compiles a program with the token rows in the domain's order, then BOS and PAD.

    Returns:
        None if it needs more dimensions or neurons than ``like`` has, which is
        told before any memory is set aside for it.

    Raises:
        ProgramError: it cannot be compiled.
    """
    sets = value_sets(program, domain.vocab, domain.max_seq_len)
    if _is_larger(program, sets, like):
        return None
    bos, pad = BOS, PAD
    while bos in domain.vocab or pad in domain.vocab:
        bos, pad = f"{bos}_", f"{pad}_"
    compiled = compile_program(
        program, domain.vocab, domain.max_seq_len, causal=like.causal, bos=bos, pad=pad
    )
    rows = [compiled.token_values.index(value) for value in (*domain.vocab, bos, pad)]
    return compiled.transformer.replace(W_E=compiled.transformer.W_E[rows])


def _is_larger(program: Program, sets: dict[Ref, ValueSet], like: Transformer) -> bool:
    width = sum(
        len(values.ordered) if program.encoding(ref) is CATEGORICAL else 1
        for ref, values in sets.items()
    )
    neurons = 0
    for ref in sets:
        node = program.nodes[ref]
        if isinstance(node, SequenceMap) and node.fst != node.snd:
            neurons = max(neurons, len(sets[node.fst].ordered) * len(sets[node.snd].ordered))
        if isinstance(node, Map) and program.encoding(node.inner) is not CATEGORICAL:
            neurons = max(neurons, len(sets[node.inner].ordered))
    return width > like.d_model or neurons > like.d_mlp


def _same(
    model: Transformer, program: Program, domain: Domain, found: Sameness, others: list[Program]
) -> Check:
    """The verdict on a program that has the model's weights, as do ``others``."""
    how = "axes reordered at most" if found.axes_permuted else "up to a rotation"
    same = f"the program recompiles to these weights, {how}"
    sign_open = not found.axes_permuted and sign_is_open(program)
    if not others and not sign_open:
        return Check("identical", 0, same, program)
    for candidate in (program, *others):
        weights = recompile(candidate, domain, model)
        tried = _inputs_read_out_alike(model, weights, domain) if weights is not None else 0
        if tried:
            detail = f"{same}, and gives its read-outs on {tried:,} inputs"
            return Check("identical", tried, detail, candidate)
    if sign_open:
        open_ = "but they leave open the sign of its numerical output"
        return Check("unverified", 0, f"{same}, {open_}", program)
    count = f"{len(others)} other program{'s' if len(others) > 1 else ''}"
    open_ = f"as {'do' if len(others) > 1 else 'does'} {count} that give other values"
    return Check("identical", 0, f"{same}, {open_}", program, len(others))


def _inputs_read_out_alike(model: Transformer, other: Transformer, domain: Domain) -> int:
    """How many inputs were tried if two models' read-outs agree on all of them, else 0.

    The models have the same weights, so what is left open (a sign, the names of
    values) shows on nearly every input. Numbers that are all 0 show no sign.
    """
    if model.W_U is None or other.W_U is None or _no_values(model):
        return 0
    batch = Batch.of_domain(domain, 0, min(domain.size, FIRST_CHUNK), causal=model.causal)
    some = False
    for _, ids in _by_length(model, batch):
        mine = model.forward(ids).output[:, 1:] @ model.W_U
        theirs = other.forward(ids).output[:, 1:] @ other.W_U
        if not (np.isfinite(mine).all() and np.isfinite(theirs).all()):
            return 0
        if model.output_values is None or other.output_values is None:
            if model.output_values != other.output_values:
                return 0
            close = OUTPUT_TOLERANCE * np.maximum(1.0, np.abs(theirs))
            agree = bool((np.abs(mine - theirs) <= close).all())
            some = some or bool((np.abs(theirs) > 2 * close).any())
        else:
            same = np.array(
                [[same_value(a, b) for b in other.output_values] for a in model.output_values]
            )
            clear = theirs.max(axis=2) > CLEAR  # not so where nothing is attended to
            agree = bool((same[mine.argmax(axis=2), theirs.argmax(axis=2)] | ~clear).all())
            some = some or bool(clear.any())
        if not agree:
            return 0
    return len(batch) if some else 0


def alternatives(
    program: Program, compiled: Transformer, domain: Domain, found: Sameness
) -> list[Program]:
    """Programs with another function in one place, the same weights and other outputs.

    Weights hold no names of values: where nothing reads a result but the
    output, or only its order matters, several functions of the closed list may
    have the same weights.

    Args:
        program: the candidate.
        compiled: its weights.
        domain: the inputs.
        found: how the model's weights compare with them; others must compare as well.
    """
    batch = Batch.of_domain(domain, 0, min(domain.size, CHUNK), causal=compiled.causal)
    sets = value_sets(program, domain.vocab, domain.max_seq_len)
    mine: Column | None = None
    kept = []
    for other in _replaced(program, sets, found):
        try:
            weights = recompile(other, domain, compiled)
            if weights is None or not _as_same(compiled, weights, found):
                continue
            mine = mine or batch.evaluate(program)
            theirs = batch.evaluate(other)
        except ProgramError:  # it cannot be compiled, or fails on some input
            continue
        if bool((columns_differ(mine, theirs) & batch.valid).any()):
            kept.append(other)
    return kept


def _replaced(program: Program, sets: dict[Ref, ValueSet], found: Sameness) -> Iterator[Program]:
    """The program with one function replaced by another that groups its arguments alike."""
    for ref in sets:
        node = program.nodes[ref]
        if program.encoding(ref) is CATEGORICAL and isinstance(node, Map):
            table = unary_tables(sets[node.inner].ordered)
            for function in _alike(table, UNARY, node.function):
                yield _with(program, ref, replace(node, function=function))
        if isinstance(node, SequenceMap):
            fst, snd = sets[node.fst].ordered, sets[node.snd].ordered
            if len(fst) * len(snd) <= MAX_TABLE:
                for function in _alike(binary_tables(fst, snd), BINARY, node.function):
                    yield _with(program, ref, replace(node, function=function))
    last = program.nodes[program.output]
    if isinstance(last, LinearSequenceMap) and not found.axes_permuted:
        negated = replace(last, fst_factor=-last.fst_factor, snd_factor=-last.snd_factor)
        yield _with(program, program.output, negated)


def _alike(tables: Tables, pool: tuple[Formula, ...], function: Function) -> list[Formula]:
    if not isinstance(function, Formula) or function not in pool:
        return []
    own = pool.index(function)
    same_groups = (tables.groups == tables.groups[own]).all(axis=1)
    return [
        pool[n]
        for n in np.flatnonzero(same_groups).tolist()
        if tables.results[n] != tables.results[own] and None not in tables.results[n]
    ]


def _with(program: Program, ref: Ref, node: Node) -> Program:
    nodes = [*program.nodes]
    nodes[ref] = node
    return replace(program, nodes=tuple(nodes))


def _as_same(mine: Transformer, other: Transformer, found: Sameness) -> bool:
    """Whether another program's weights could as well be the model's that ``mine`` are."""
    weights = other.arrays()
    if all(np.array_equal(array, weights[name]) for name, array in mine.arrays().items()):
        return True
    there = same_weights(mine, other)
    return (
        there.same
        and (there.in_order or not found.in_order)
        and (there.axes_permuted or not found.axes_permuted)
    )


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


def _no_values(model: Transformer) -> bool:
    """Whether nothing says what the columns of the read-out mean."""
    columns = model.W_U.shape[1] if model.W_U is not None else 0
    return columns == 0 or (model.output_values is None and columns > 1)


def _cannot_compare(model: Transformer, domain: Domain) -> str:
    """Why outputs cannot be compared; empty if they can."""
    if model.W_U is None:
        return "the model has no read-out to compare outputs"
    if _no_values(model):
        return f"the read-out's {model.W_U.shape[1]} columns have no values to compare outputs"
    if domain.size > MAX_INPUTS:
        size = f"{domain.size:,}" if domain.size < 10**12 else "more than 10**12"
        return f"the domain's {size} inputs are more than the {MAX_INPUTS:,} that are run"
    return ""


def _compare_outputs(model: Transformer, program: Program, domain: Domain, reason: str) -> Check:
    problem = _cannot_compare(model, domain)
    if problem:
        return Check("unverified", 0, f"{reason}; {problem}", program)
    found = _outputs_agree(model, program, domain)
    if found.everywhere:
        detail = f"the same output on all {domain.size:,} inputs"
        return Check("equivalent", domain.size, detail, program)
    return Check("unverified", found.seen, f"{reason}; {found}", program)


@dataclass(frozen=True)
class _Agreement:
    """On how many of the inputs seen the outputs agree."""

    agree: int
    seen: int
    everywhere: bool = False
    failure: str = ""

    def __str__(self) -> str:
        if self.failure:
            return f"the program fails on some input: {self.failure}"
        return f"outputs agree on {self.agree:,} of the first {self.seen:,} inputs"


def _outputs_agree(model: Transformer, program: Program, domain: Domain) -> _Agreement:
    """Compares outputs on all inputs, shorter ones first, until some differ."""
    held = (domain.max_seq_len + 1) * max(
        model.d_mlp, model.d_model, model.n_heads * (domain.max_seq_len + 1 + model.d_head)
    )
    largest = min(CHUNK, max(16, MAX_HELD // held))
    agree, start, size = 0, 0, min(FIRST_CHUNK, largest)
    while start < domain.size:
        batch = Batch.of_domain(domain, start, start + size, causal=model.causal)
        try:
            column = batch.evaluate(program)
        except EvaluationError as error:
            return _Agreement(agree, start, failure=str(error))
        agree += int(rows_that_agree(model, batch, column).sum())
        start += len(batch)
        if agree < start:
            return _Agreement(agree, start)
        size = largest
    return _Agreement(agree, start, everywhere=True)


def _by_length(model: Transformer, batch: Batch) -> Iterator[tuple[Ints, Ints]]:
    """For each length the rows of a batch, and their token ids behind BOS."""
    for length in np.unique(batch.lengths).tolist():
        rows = np.flatnonzero(batch.lengths == length)
        ids = np.full((len(rows), length + 1), len(model.W_E) - 2, dtype=np.int64)
        ids[:, 1:] = batch.tokens.codes[rows, :length]
        yield rows, ids


def rows_that_agree(
    model: Transformer, batch: Batch, column: Column
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """On which inputs a model's outputs equal a column's at every position, [batch]."""
    assert model.W_U is not None
    agrees = np.zeros(len(batch), dtype=np.bool_)
    for rows, ids in _by_length(model, batch):
        length = ids.shape[1] - 1
        out = model.forward(ids).output[:, 1:] @ model.W_U
        codes = column.codes[rows, :length]
        if model.output_values is None:
            wanted = np.array([_number(v) for v in column.values])[codes]
            close = OUTPUT_TOLERANCE * np.maximum(1.0, np.abs(wanted))
            agrees[rows] = (np.abs(out[:, :, 0] - wanted) <= close).all(axis=1)
        else:
            same = np.array(
                [[same_value(v, o) for o in model.output_values] for v in column.values]
            )
            clear = np.isfinite(out).all(axis=2)
            agrees[rows] = (same[codes, out.argmax(axis=2)] & clear).all(axis=1)
    return agrees


def _number(value: object) -> float:
    return float(value) if isinstance(value, (bool, int, float)) else float("nan")


def vocabulary(model: Transformer) -> tuple[Value, ...]:
    """The tokens' values when nothing is said of them: 0, 1, 2, ..."""
    return tuple(range(len(model.W_E) - 2))
