"""What a set of programs is made of, and how far two sets are apart."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from untracr.compile.canonical import count_paper_tokens, predicate_name
from untracr.compile.layers import count_layers, half_layers
from untracr.markdown_table import markdown_table
from untracr.rasp.nodes import (
    CATEGORICAL,
    NUMERICAL,
    SOP_TYPES,
    Aggregate,
    Indices,
    LinearSequenceMap,
    Map,
    Node,
    Select,
    SelectorWidth,
    SequenceMap,
    Tokens,
)
from untracr.rasp.program import Program
from untracr.sample.pools import KIND_SHARES, Kind
from untracr.short_repr import short_repr

Counts = Mapping[str, int]


@dataclass(frozen=True)
class SampleStatistics:
    """Counts over a set of programs; unused nodes do not count.

    Attributes:
        programs: how many programs.
        operations: SOps other than the inputs, by kind (see `pools.KIND_SHARES`).
        lengths: programs by length: SOps, inputs included when used.
        layers: programs by transformer layers.
        tokens: programs by number of tokens in the paper's form, BOS and EOS included.
        functions: Maps and SequenceMaps by function.
        predicates: Selects by predicate.
        encodings: SOps other than the inputs by encoding.
    """

    programs: int
    operations: Counts
    lengths: Counts
    layers: Counts
    tokens: Counts
    functions: Counts
    predicates: Counts
    encodings: Counts

    __repr__ = short_repr

    @property
    def numerical_share(self) -> float:
        """The share of numerical SOps, inputs not counted, in 0..1."""
        return share(self.encodings, NUMERICAL.value)

    @property
    def mean_length(self) -> float:
        """SOps a program."""
        return _mean(self.lengths)

    @property
    def mean_layers(self) -> float:
        """Transformer layers a program."""
        return _mean(self.layers)

    @property
    def mean_tokens(self) -> float:
        """Tokens a program."""
        return _mean(self.tokens)


@dataclass(frozen=True)
class StatisticsDistance:
    """How far two sets of programs are apart.

    Attributes:
        operations, lengths, layers, functions, predicates, encodings: total
            variation, from 0 (the same shares) to 1 (nothing in common).
        tokens: difference of the mean number of tokens a program, in tokens.
    """

    operations: float
    lengths: float
    layers: float
    functions: float
    predicates: float
    encodings: float
    tokens: float


def statistics(programs: Iterable[Program]) -> SampleStatistics:
    """Counts what programs are made of.

    Raises:
        ValueError: there is no program.
        ProgramError: a program uses a composite selector.
    """
    operations: Counter[str] = Counter()
    lengths: Counter[str] = Counter()
    layers: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    predicates: Counter[str] = Counter()
    encodings: Counter[str] = Counter()
    n_programs = 0
    for program in programs:
        n_programs += 1
        half = half_layers(program)
        lengths[str(program.length)] += 1
        layers[str(max(1, count_layers(half)))] += 1
        tokens[str(count_paper_tokens(program, half))] += 1
        for ref in program.reachable:
            node = program.nodes[ref]
            if isinstance(node, Select):
                predicates[predicate_name(node.predicate)] += 1
            if isinstance(node, (Map, SequenceMap)):
                functions[str(node.function)] += 1
            if isinstance(node, SOP_TYPES) and not isinstance(node, (Tokens, Indices)):
                operations[kind(node)] += 1
                encodings[node.encoding.value] += 1
    if n_programs == 0:
        raise ValueError("statistics need at least one program")
    return SampleStatistics(
        n_programs, operations, lengths, layers, tokens, functions, predicates, encodings
    )


def kind(node: Node) -> Kind:
    """The kind of an operation, as the sampler draws them.

    Raises:
        TypeError: the node is an input or a selector.
    """
    match node:
        case Map():
            return "map"
        case SequenceMap():
            return "sequence_map"
        case LinearSequenceMap():
            return "linear_sequence_map"
        case SelectorWidth():
            return "selector_width"
        case Aggregate(encoding=encoding):
            return "categorical_aggregate" if encoding is CATEGORICAL else "numerical_aggregate"
        case _:
            raise TypeError(f"not an operation: {node}")


def share(counts: Counts, name: str) -> float:
    """The share of ``name``, in 0..1; 0 where nothing was counted."""
    total = sum(counts.values())
    return counts.get(name, 0) / total if total else 0.0


def distance(fst: SampleStatistics, snd: SampleStatistics) -> StatisticsDistance:
    """How far two sets are apart; symmetric, and 0 for equal shares."""
    return StatisticsDistance(
        operations=_total_variation(fst.operations, snd.operations),
        lengths=_total_variation(fst.lengths, snd.lengths),
        layers=_total_variation(fst.layers, snd.layers),
        functions=_total_variation(fst.functions, snd.functions),
        predicates=_total_variation(fst.predicates, snd.predicates),
        encodings=_total_variation(fst.encodings, snd.encodings),
        tokens=abs(fst.mean_tokens - snd.mean_tokens),
    )


def standard_errors(observed: Counts, expected: Counts) -> dict[str, float]:
    """How many standard errors each observed share lies from the expected one.

    The error is that of a binomial share with the expected probability, at the
    observed number of draws; the expected counts should be many. A name that is
    expected never but observed is infinitely far.
    """
    total = sum(observed.values())
    errors: dict[str, float] = {}
    for name in {**observed, **expected}:
        p = share(expected, name)
        error = math.sqrt(p * (1 - p) / total) if total else math.inf
        difference = share(observed, name) - p
        errors[name] = difference / error if error else (math.inf if difference else 0.0)
    return errors


def _total_variation(fst: Counts, snd: Counts) -> float:
    return sum(abs(share(fst, name) - share(snd, name)) for name in {**fst, **snd}) / 2


def _mean(counts: Counts) -> float:
    return sum(int(number) * count for number, count in counts.items()) / sum(counts.values())


def to_markdown(columns: Mapping[str, SampleStatistics]) -> str:
    """A table of operation shares and means, one column a set of programs."""
    sets = list(columns.values())
    rows: list[tuple[str, list[str]]] = [("programs", [f"{s.programs:,}" for s in sets])]
    for name, _ in KIND_SHARES:
        rows.append((name, [f"{share(s.operations, name):.1%}" for s in sets]))
    rows += [
        ("numerical SOps", [f"{s.numerical_share:.1%}" for s in sets]),
        ("mean length (SOps)", [f"{s.mean_length:.2f}" for s in sets]),
        ("mean layers", [f"{s.mean_layers:.2f}" for s in sets]),
        ("mean tokens", [f"{s.mean_tokens:.1f}" for s in sets]),
    ]
    return markdown_table(["", *columns], [(name, *cells) for name, cells in rows])
