"""The programs of the very same weights are all found, and no others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from compiled_models import bare, model_of
from untracr.compile.canonical import canonicalise, paper_tokens
from untracr.errors import ProgramError
from untracr.evaluate import same_weight_programs as search
from untracr.evaluate.cases import Case, sampled_cases
from untracr.evaluate.ceiling import Ceiling
from untracr.evaluate.same_weight_programs import same_weight_programs
from untracr.rasp.domain import PAPER_DOMAIN
from untracr.rasp.listed_functions import BINARY, FACTORS, PREDICATES, UNARY
from untracr.rasp.nodes import LinearSequenceMap, Map, Node, Select, SequenceMap
from untracr.rasp.program import Program
from untracr.sample.sampler import SamplerSettings
from untracr.syntax.parsing import parse
from untracr.transformer.transformer import Transformer


def case_of(source: str, *, read_out: bool = False) -> Case:
    """A reference on the paper's domain."""
    program = canonicalise(parse(source))

    def load() -> Transformer:
        return model_of(program) if read_out else bare(model_of(program))

    return Case("case", tuple(paper_tokens(program)), program, PAPER_DOMAIN, load)


PLUS = "a = Map(lambda x: x + 1, tokens)\n"
LINEAR = """
a = numerical(Map(lambda x: x, tokens))
b = numerical(Map(lambda x: x * 2, indices))
c = LinearSequenceMap(a, b, 2, -3)
"""
TWO_LINEAR = LINEAR + "d = LinearSequenceMap(c, b, 1, 1)\n"
OPEN_TWICE = """
a = Map(lambda x: x + 1, tokens)
b = Map(lambda x: x - 1, indices)
c = SequenceMap(lambda x, y: x * y, a, b)
"""


@pytest.mark.parametrize(
    ("source", "compiled", "rotated"),
    [
        (PLUS, 2, 2),  # x - 1: nothing reads the names of the results
        (LINEAR, 1, 2),  # the sign of what nothing reads
        (TWO_LINEAR, 1, 2),  # likewise; between the two the order of neurons tells the sign
        (OPEN_TWICE, 1, 1),  # the results are multiplied
        (OPEN_TWICE.replace("*", "-"), 4, 4),  # a difference keeps its table when both shift
    ],
)
def test_known_ambiguities(source: str, compiled: int, rotated: int) -> None:
    """Programs whose class can be told by thought."""
    case = case_of(source)
    found = same_weight_programs(case, rotated=False)
    turned = same_weight_programs(case, rotated=True)
    assert found is not None
    assert turned is not None
    assert (len(found), len(turned)) == (compiled, rotated)
    assert case.tokens in found <= turned


def test_a_read_out_names_the_values() -> None:
    """Where the weights come with a read-out, x + 1 is not x - 1, and a sign is seen."""
    for source in (PLUS, LINEAR):
        case = case_of(source, read_out=True)
        assert same_weight_programs(case, rotated=True) == frozenset({case.tokens})


def test_tables_fail_on_other_values() -> None:
    """A lookup table covers the reference's values only; others rule it out and nothing crashes."""
    table = "lambda x: {1: 7, 2: 5, 3: 6, 4: 9, 5: 8}[x]"
    case = case_of(PLUS + f"b = Map({table}, a, simplify=False)\n")
    assert same_weight_programs(case, rotated=False) == frozenset({case.tokens})


def test_what_does_not_compile_is_not_counted() -> None:
    """Averages of numbers other than 0 and 1 have no value set."""
    mean = (
        "a = numerical(Map(lambda x: x + 1, tokens))\n"
        "out = numerical(Aggregate(Select(tokens, tokens, Comparison.EQ), a))\n"
    )
    assert same_weight_programs(case_of(mean), rotated=False) is None


def choices(node: Node) -> list[Node]:
    """A node with every function, predicate and pair of factors of the closed lists."""
    match node:
        case Map():
            return [replace(node, function=f) for f in UNARY]
        case SequenceMap():
            return [replace(node, function=f) for f in BINARY]
        case Select():
            return [replace(node, predicate=p) for p in PREDICATES]
        case LinearSequenceMap():
            pairs = itertools.product(FACTORS, repeat=2)
            return [replace(node, fst_factor=a, snd_factor=b) for a, b in pairs]
        case _:
            return [node]


def by_brute_force(program: Program) -> Iterator[tuple[str, ...]]:
    """Every program of the closed lists that compiles to the same bits."""
    mine = model_of(program).arrays()
    for nodes in itertools.product(*map(choices, program.nodes)):
        other = replace(program, nodes=nodes)
        try:
            theirs = model_of(other).arrays()
        except ProgramError:
            continue
        if all(np.array_equal(array, theirs[name]) for name, array in mine.items()):
            yield tuple(paper_tokens(other))


@pytest.mark.slow
def test_the_search_finds_what_brute_force_finds() -> None:
    """On small programs, without the sampler's types, nothing is missed and nothing made up."""
    tried = 0
    for case in sampled_cases(21, 60, SamplerSettings(min_length=3, max_length=4)).cases:
        if np.prod([len(choices(node)) for node in case.program.nodes]) > 600:
            continue
        found = search._Search(case, rotated=False, typed=False).run()
        assert found == frozenset(by_brute_force(case.program)), case.name
        typed = same_weight_programs(case, rotated=False)
        assert typed is not None
        assert case.tokens in typed <= found
        tried += 1
    assert tried >= 8


def test_too_many_candidates_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that would take too long gives no count."""
    monkeypatch.setattr(search, "MAX_PROGRAMS_COMPILED", 1)
    assert same_weight_programs(case_of(PLUS), rotated=False) is None


def test_the_ideal_reader_s_expectation() -> None:
    """1, 2 and 4 programs: 1 + 1/2 + 1/4 of three; what was not counted is left out."""
    ceiling = Ceiling((1, 2, None, 4), (True, True, True, False))
    assert ceiling.expected == pytest.approx(1.75 / 3)
    assert (ceiling.unique.count, ceiling.unique.total) == (1, 3)
    assert (ceiling.found(unique=True).count, ceiling.found(unique=True).total) == (1, 1)
    assert (ceiling.found(unique=False).count, ceiling.found(unique=False).total) == (1, 2)
    assert ceiling.as_dict()["not_counted"] == 1
    assert Ceiling((), ()).expected is None
