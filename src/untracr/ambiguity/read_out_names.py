"""Names for the results of a program, as a model's read-out tells them.

Weights hold no names of values, nor the sign of a number that nothing reads. Each
column of a categorical read-out reads the direction of one value and says what that is
called; a numerical one shows the sign. Where the program's weights are not the model's,
so that directions cannot be compared, the model is run.
"""

from __future__ import annotations

from dataclasses import replace

from untracr.ambiguity.alternatives import negated
from untracr.ambiguity.renaming import renamed, source_of
from untracr.ambiguity.values_read import reads_negative, values_read
from untracr.compile.values import value_sets
from untracr.rasp.batches import batches
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import INPUTS_AT_ONCE, same_value
from untracr.rasp.functions import Table
from untracr.rasp.interpreter import Failure
from untracr.rasp.known_tables import call
from untracr.rasp.naming import is_listed
from untracr.rasp.nodes import CATEGORICAL, Map
from untracr.rasp.program import Program
from untracr.rasp.values import Value, value_fault
from untracr.transformer.transformer import Transformer
from untracr.verify.alignment import Alignment
from untracr.verify.outputs import HALF_READ_OUT, by_length, cannot_compare, largest_chunk
from untracr.verify.verdict import sign_is_open


def named_by_columns(
    model: Transformer,
    program: Program,
    compiled: Transformer,
    alignment: Alignment,
    domain: Domain,
) -> Program:
    """The program with its output called, and signed, as the model's read-out says.

    Args:
        model: with a read-out that has values.
        program: a candidate.
        compiled: its weights.
        alignment: how the two are to each other; with the change of basis.
        domain: the inputs.

    Raises:
        ProgramError: the program fails on some value, or takes too many.
    """
    if model.output_values is None and compiled.output_values is None:
        if sign_is_open(program) and reads_negative(model, compiled, alignment):
            return negated(program, value_sets(program, domain.vocab, domain.max_seq_len))
        return program
    if model.output_values is None:
        return program
    if compiled.output_values is None:
        return _as_value(program, model.output_values, domain)
    read = values_read(model, compiled, alignment)
    names: dict[Value, Value] = {}
    for value, columns in zip(compiled.output_values, read, strict=True):
        if columns and all(same_value(columns[0], other) for other in columns):
            names[value] = columns[0]
    return renamed(program, names, domain) if all(map(_is_writable, names.values())) else program


def _as_value(program: Program, values: tuple[Value, ...], domain: Domain) -> Program:
    """A Map to 0 and 1 as one to a value, and None for 0, which has the same weights."""
    node = program.nodes[program.output]
    if len(values) != 1 or not isinstance(node, Map) or not _is_writable(values[0]):
        return program
    if program.encoding(node.inner) is not CATEGORICAL:
        return program
    known = value_sets(program, domain.vocab, domain.max_seq_len)[node.inner].ordered
    results = [call(node.function, value) for value in known]
    if not set(results) <= {0, 1}:
        return program
    named = [values[0] if result else None for result in results]
    function = Table(tuple(((v,), name) for v, name in zip(known, named, strict=True)), 1)
    nodes = list(program.nodes)
    nodes[program.output] = replace(node, function=function, encoding=CATEGORICAL)
    return replace(program, nodes=tuple(nodes))


def named_by_outputs(model: Transformer, program: Program, domain: Domain) -> Program:
    """The program with its output's values called what the model reads out where they occur.

    Args:
        model: with a read-out that has values.
        program: a candidate; one over the closed lists, whose functions name
            their results, is given back as it is.
        domain: the inputs; `INPUTS_AT_ONCE` of them at most are run.

    Raises:
        ProgramError: the program fails on some input, or takes too many values.
    """
    if cannot_compare(model) or model.output_values is None or is_listed(program):
        return program
    if program.encoding(program.output) is not CATEGORICAL or source_of(program) is None:
        return program
    names = _names(model, program, domain)
    return renamed(program, names, domain) if all(map(_is_writable, names.values())) else program


def _is_writable(name: Value) -> bool:
    """Whether a program can give this value and be compiled."""
    return name is not None and not value_fault(name)


def _names(model: Transformer, program: Program, domain: Domain) -> dict[Value, Value]:
    """What the model reads out where the program gives each value, if that is one value."""
    assert model.W_U is not None
    assert model.output_values is not None
    names: dict[Value, Value] = {}
    seen = 0
    for batch in batches(domain, largest_chunk(model, domain), causal=model.causal):
        column = batch.evaluate(program)
        pairs: set[tuple[int, int]] = set()
        for rows, ids in by_length(model, batch):
            out = model.forward(ids).output[:, 1:] @ model.W_U
            codes = column.codes[rows, : ids.shape[1] - 1]
            clear = out.max(axis=2) > HALF_READ_OUT
            alignment = zip(codes[clear].tolist(), out.argmax(axis=2)[clear].tolist(), strict=True)
            pairs |= set(alignment)
        for code, place in sorted(pairs):
            old, new = column.values[code], model.output_values[place]
            if old is None or isinstance(old, Failure):
                continue
            if names.setdefault(old, new) != new:
                return {}
        seen += len(batch)
        if seen >= INPUTS_AT_ONCE:
            break
    return names if len(set(names.values())) == len(names) else {}
