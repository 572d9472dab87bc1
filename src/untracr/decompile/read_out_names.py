"""Names for the results of a program that holds functions outside the closed lists.

Weights hold no names of values, so the results of a table that was read off
them are numbered. Where such a program's output is categorical, the model's
read-out says what its values are called.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from untracr.compile.values import value_sets
from untracr.decompile.outputs import CLEAR, by_length, has_no_values, largest_chunk
from untracr.metamodel.answers import is_listed
from untracr.metamodel.outside import function_of_results
from untracr.metamodel.tables import call
from untracr.metamodel.vocabulary import BINARY, UNARY
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import CHUNK
from untracr.rasp.functions import Value
from untracr.rasp.interpreter import Batch, Failure
from untracr.rasp.program import (
    CATEGORICAL,
    Aggregate,
    Map,
    Program,
    Ref,
    SequenceMap,
    children,
)
from untracr.transformer.transformer import Transformer


def named_by_read_out(model: Transformer, program: Program, domain: Domain) -> Program:
    """The program with the output's values named as the model's read-out says, if it says so.

    Args:
        model: the weights.
        program: a candidate; one over the closed lists, whose functions name
            their results, is given back as it is.
        domain: the inputs.

    Raises:
        ProgramError: the program fails on some input, or takes too many values.
    """
    if has_no_values(model) or model.output_values is None or is_listed(program):
        return program
    source = _source(program)
    if source is None:
        return program
    names = _names(model, program, domain)
    if not names:
        return program
    node = program.nodes[source]
    assert isinstance(node, (Map, SequenceMap))
    inner = (node.inner,) if isinstance(node, Map) else (node.fst, node.snd)
    sets = value_sets(program, domain.vocab, domain.max_seq_len)
    values = [sets[ref].ordered for ref in inner]
    results = [call(node.function, *arguments) for arguments in itertools.product(*values)]
    unseen = (n for n in itertools.count() if n not in names.values())
    for result in results:  # what no input shows keeps apart from the rest
        if result is not None and result not in names:
            names[result] = next(unseen)
    if all(old == new for old, new in names.items()):
        return program
    nodes = list(program.nodes)
    function = function_of_results(values, [None if r is None else names[r] for r in results])
    nodes[source] = replace(node, function=function)
    return replace(program, nodes=tuple(nodes))


def names_are_made_up(program: Program) -> bool:
    """Whether the output's values come from a table: weights hold no names of results."""
    source = _source(program)
    if source is None:
        return False
    node = program.nodes[source]
    assert isinstance(node, (Map, SequenceMap))
    return node.function not in (UNARY if isinstance(node, Map) else BINARY)


def _source(program: Program) -> Ref | None:
    """The operation whose results are the output, moved at most; None if others read them too."""
    ref = program.output
    while True:
        node = program.nodes[ref]
        if isinstance(node, Aggregate) and node.encoding is CATEGORICAL:
            inner = node.sop
            readers = [r for r in program.reachable if inner in children(program.nodes[r])]
            if readers != [ref]:
                return None
            ref = inner
        elif (isinstance(node, Map) and node.encoding is CATEGORICAL) or (
            isinstance(node, SequenceMap) and node.fst != node.snd
        ):
            return ref
        else:
            return None


def _names(model: Transformer, program: Program, domain: Domain) -> dict[Value, Value]:
    """What the model reads out where the program gives each value, if that is one value."""
    assert model.W_U is not None
    assert model.output_values is not None
    names: dict[Value, Value] = {}
    stop, size = min(domain.size, CHUNK), largest_chunk(model, domain)
    for start in range(0, stop, size):
        batch = Batch.of_domain(domain, start, min(start + size, stop), causal=model.causal)
        column = batch.evaluate(program)
        seen: set[tuple[int, int]] = set()
        for rows, ids in by_length(model, batch):
            out = model.forward(ids).output[:, 1:] @ model.W_U
            codes = column.codes[rows, : ids.shape[1] - 1]
            clear = out.max(axis=2) > CLEAR
            seen |= set(zip(codes[clear].tolist(), out.argmax(axis=2)[clear].tolist(), strict=True))
        for code, place in sorted(seen):
            old, new = column.values[code], model.output_values[place]
            if old is None or isinstance(old, Failure):
                continue
            if names.setdefault(old, new) != new:
                return {}
    return names if len(set(names.values())) == len(names) else {}
