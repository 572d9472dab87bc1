"""Compiling a candidate program so that it can be laid beside given weights."""

from __future__ import annotations

from untracr.compile.compiler import Compiled, compile_program
from untracr.compile.values import ValueSet, value_sets
from untracr.measure.exactness import find_exactness
from untracr.rasp.domain import BOS, PAD, Domain
from untracr.rasp.nodes import CATEGORICAL, Map, Ref, SequenceMap
from untracr.rasp.program import Program
from untracr.transformer.transformer import Transformer

TIMES_DIMENSIONS = 2
"""A model that was compressed may have had this many times its dimensions."""


def recompile(program: Program, domain: Domain, like: Transformer) -> Transformer | None:
    """Compiles a program with the token rows in the domain's order, then BOS and PAD.

    Its staircases are as steep as those of ``like``.

    Returns:
        None if it needs more neurons than ``like`` has, or more dimensions than ``like``
        may have had before a compression, which is told before any memory is set aside.

    Raises:
        ProgramError: it cannot be compiled.
    """
    compiled = recompile_with_parts(program, domain, like)
    return None if compiled is None else compiled.transformer


def recompile_with_parts(program: Program, domain: Domain, like: Transformer) -> Compiled | None:
    """As `recompile`, with where each operation lives.

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
        program,
        domain.vocab,
        domain.max_seq_len,
        causal=like.causal,
        bos=bos,
        pad=pad,
        mlp_exactness=find_exactness(like).to_compile,
    )
    return compiled.with_rows((*domain.vocab, bos, pad))


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
    return width > TIMES_DIMENSIONS * like.d_model or neurons > like.d_mlp
