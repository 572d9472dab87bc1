"""One answer judged: against the reference's tokens, its behaviour, and its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from untracr.compile.canonical import paper_tokens
from untracr.decompile.result import Result
from untracr.errors import EvaluationError, ProgramError
from untracr.evaluate.cases import Case
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import decide_equivalence
from untracr.rasp.program import Program
from untracr.short_repr import short_repr
from untracr.transformer.half_layer import FIRST_HALF_LAYER, HalfLayer
from untracr.transformer.transformer import Transformer
from untracr.verify.recompiling import recompile
from untracr.verify.weight_equivalence import same_weights

Counts = dict[str, tuple[int, int]]
"""Per kind, (right, total)."""

FIELDS: dict[str, tuple[str, ...]] = {
    "Map": ("function of one", "variable"),
    "SequenceMap": ("function of two", "variable", "variable"),
    "LinearSequenceMap": ("variable", "variable", "factor", "factor"),
    "SelectAggregate": ("variable", "variable", "predicate", "variable"),
    "SelectorWidth": ("variable", "variable", "predicate"),
}
"""What the tokens behind an operation's name are."""


@dataclass(frozen=True)
class Outcome:
    """One model decompiled.

    Attributes:
        name: of the model.
        length: SOps of the reference program.
        exact: every canonical token is right.
        same_behaviour: same outputs on every input.
        result: what the decompiler gave.
        operations: per kind of operation in the reference, how many stand in
            the answer word for word, names of variables included.
        token_kinds: per kind of token in the reference, how many stand in the
            answer at the same place: half-layer, number of the operation within
            it, and field.
        same_weights: the answer compiles to the weights that the model had
            before any treatment, up to a rotation of the residual stream and
            the order of heads and neurons.
    """

    name: str
    length: int
    exact: bool
    same_behaviour: bool
    result: Result
    operations: Counts
    token_kinds: Counts
    same_weights: bool

    __repr__ = short_repr


def judge(case: Case, result: Result, untreated: Transformer) -> Outcome:
    """Judges an answer.

    Args:
        case: the reference.
        result: the answer.
        untreated: the model's weights before any treatment.
    """
    tokens = paper_tokens(result.program) if result.program is not None else []
    return Outcome(
        name=case.name,
        length=case.program.length,
        exact=tokens == list(case.tokens),
        same_behaviour=same_behaviour(result.program, case.program, case.domain),
        result=result,
        operations=_operations_right(tokens, case.tokens),
        token_kinds=_tokens_right(tokens, case.tokens),
        same_weights=_compiles_to(result.program, untreated, case.domain),
    )


def same_behaviour(answer: Program | None, truth: Program, domain: Domain) -> bool:
    """Whether two programs have the same outputs on every input; no program has not."""
    if answer is None:
        return False
    try:
        return decide_equivalence(answer, truth, domain).equal
    except EvaluationError:
        return False


def _compiles_to(program: Program | None, model: Transformer, domain: Domain) -> bool:
    if program is None:
        return False
    try:
        compiled = recompile(program, domain, model)
    except ProgramError:
        return False
    return compiled is not None and same_weights(model, compiled).same


def _operations_right(tokens: Iterable[str], reference: Iterable[str]) -> Counts:
    written = Counter(words for _, _, words in _operations(tokens))
    counts: Counts = {}
    for _, _, words in _operations(reference):
        hit = written[words] > 0
        written[words] -= hit
        _count(counts, f"{words[1]} {words[2]}", hit)
    return counts


def _tokens_right(tokens: Iterable[str], reference: Iterable[str]) -> Counts:
    answer = {(layer, number): words for layer, number, words in _operations(tokens)}
    counts: Counts = {}
    for layer, number, words in _operations(reference):
        theirs = answer.get((layer, number), ())
        for field, (word, kind) in enumerate(zip(words, _kinds(words), strict=True)):
            _count(counts, kind, field < len(theirs) and theirs[field] == word)
    return counts


def _kinds(words: Sequence[str]) -> tuple[str, ...]:
    return ("name", "encoding", "operation", *FIELDS[words[2]])


def _count(counts: Counts, kind: str, hit: bool) -> None:
    right, total = counts.get(kind, (0, 0))
    counts[kind] = (right + hit, total + 1)


def _operations(tokens: Iterable[str]) -> Iterator[tuple[HalfLayer, int, tuple[str, ...]]]:
    """Of each operation its half-layer, its number within that, and its words."""
    half_layer, number = FIRST_HALF_LAYER, 0
    words: list[str] = []
    for token in tokens:
        if token == "EOO":
            yield half_layer, number, tuple(words)
            number, words = number + 1, []
        elif token == "EOL":
            half_layer, number = half_layer.next, 0
        elif token not in ("BOS", "EOS"):
            words.append(token)
