"""The target language: classes of tokens, and programs to operations and back."""

from __future__ import annotations

import pytest

from untracr.compile.canonical import canonicalise, paper_tokens
from untracr.compile.compiler import compile_program, half_layer_order
from untracr.errors import ProgramError
from untracr.metamodel.network import class_mask
from untracr.metamodel.vocabulary import (
    CLASS_RANGES,
    EOL,
    ID,
    OPERATION_KINDS,
    SIZE,
    START,
    TEXTS,
    arguments_of,
    ids_of,
    kind_of,
    operation_written,
)
from untracr.rasp.functions import formula
from untracr.rasp.nodes import CATEGORICAL, INDICES, TOKENS, Map, Ref
from untracr.rasp.program import Builder, Program
from untracr.read.operations import MAX_OPERATIONS, Operation, build_program, operation_of
from untracr.sample.sampler import PAPER, sample_program
from untracr.verify.weight_equivalence import same_weights


def operations_of(program: Program) -> list[Operation]:
    """A program's operations in decoding order."""
    compiled = compile_program(program, PAPER.domain.vocab, PAPER.domain.max_seq_len)
    order = list(half_layer_order(compiled))
    slots: dict[Ref, int] = {TOKENS: 0, INDICES: 1, **{r: 2 + n for n, r in enumerate(order)}}
    return [operation_of(program, ref, slots) for ref in order]


def test_programs_survive_the_round_trip() -> None:
    """Operations of a sampled program build the same program again, in canonical form.

    Equal operations in one half-layer are ordered by nothing but chance; such
    programs must have the same weights.
    """
    domain = PAPER.domain
    for index in range(150):
        program = sample_program(61, index)
        operations = operations_of(program)
        assert 0 < len(operations) <= MAX_OPERATIONS
        again = canonicalise(build_program(operations))
        if len(set(operations)) == len(operations):
            assert paper_tokens(again) == paper_tokens(canonicalise(program))
        else:
            fst, snd = (
                compile_program(p, domain.vocab, domain.max_seq_len) for p in (program, again)
            )
            assert same_weights(fst.transformer, snd.transformer).same


def test_ids_lie_in_their_classes() -> None:
    """An operation's token ids are a kind and arguments of the classes the kind names."""
    for index in range(50):
        for operation in operations_of(sample_program(62, index)):
            first, *arguments = ids_of(operation)
            kind = kind_of(operation)
            assert TEXTS[first] == kind.text
            assert operation_written(kind, arguments_of(operation)) == operation
            for name, argument in zip(kind.arguments, arguments, strict=True):
                start, end = CLASS_RANGES[name]
                assert start <= argument < end


def test_classes_cover_the_tokens_once() -> None:
    """Every token but the start belongs to exactly one class, and texts are unique."""
    covered = [token for first, last in CLASS_RANGES.values() for token in range(first, last)]
    assert sorted(covered) == list(range(1, SIZE))
    assert ID[START] == 0
    assert ID[EOL] == 1
    assert len(ID) == len(TEXTS) == SIZE
    assert {name for kind in OPERATION_KINDS for name in kind.arguments} < set(CLASS_RANGES)


def test_class_mask_allows_the_own_class_only() -> None:
    """A token's mask row allows itself and exactly the tokens of its class."""
    mask = class_mask()
    for first, last in CLASS_RANGES.values():
        for token in range(first, last):
            assert mask[token].nonzero().flatten().tolist() == list(range(first, last))


def test_functions_outside_the_lists_are_refused() -> None:
    """A function that the closed list does not hold is named in the error."""
    builder = Builder()
    program = builder.build(builder.add(Map(formula("x * 7 + 1"), TOKENS, CATEGORICAL), "far"))
    with pytest.raises(ProgramError, match=r"far is outside the meta-model's language"):
        operation_of(program, program.output, {TOKENS: 0})


def test_no_operation_is_no_program() -> None:
    """Nothing decoded is an error, not an empty program."""
    with pytest.raises(ProgramError, match="at least one operation"):
        build_program([])
