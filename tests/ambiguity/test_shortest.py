"""Of the programs with the same weights the shortest by a stated measure is printed.

The faulty value kept here: `x * 2` less the index came back as `x + 1` and a table of 24 entries.
"""

from __future__ import annotations

from importlib import import_module

import pytest

from compiled_models import bare, model_of
from untracr.ambiguity.description_length import description_length, function_length
from untracr.ambiguity.shortest import shortest
from untracr.decompile.bundled import decompile_model
from untracr.rasp.domain import Domain
from untracr.rasp.equivalence import decide_equivalence
from untracr.rasp.functions import Comparison, Table, formula
from untracr.rasp.program import Program
from untracr.syntax.parsing import parse

DOMAIN = Domain((0, 1, 2, 3), 6)
TRUTH = parse("a = Map(lambda x: x * 2, tokens)\nb = SequenceMap(lambda x, y: x - y, a, indices)")


def tabled() -> Program:
    """The truth as it is read where only groups of equal results are known."""
    results = sorted({2 * t - i for t in range(4) for i in range(6)})
    entries = ", ".join(
        f"({t + 1}, {i}): {results.index(2 * t - i)}" for t in range(4) for i in range(6)
    )
    return parse(
        "a = Map(lambda x: x + 1, tokens)\n"
        f"b = SequenceMap(lambda x, y: {{{entries}}}[x, y], a, indices)"
    )


def test_the_measure() -> None:
    """What is listed counts 1, formulas their parts and one more, tables their entries."""
    assert function_length(Comparison.LT) == 1
    assert function_length(formula("x + 1")) == 1
    assert function_length(formula("x % 7")) == 4
    assert function_length(Table((((0,), 1), ((1,), 0)), 1)) == 4
    assert function_length(Table((((0, 0), 1), ((0, 1), 0)), 2)) == 6
    assert description_length(TRUTH) == 2 + 2 + 2  # two inputs, two operations, two functions


def test_a_table_becomes_what_it_is_under_other_names() -> None:
    """The names of what it reads are chosen so that it has one itself."""
    assert description_length(tabled()) > 70
    assert shortest(tabled(), DOMAIN, shown=False, in_order=True) == TRUTH


def test_it_is_what_is_printed() -> None:
    """Weights alone, read by the decompiler: no table is left."""
    model = bare(model_of(TRUTH, DOMAIN))
    result = decompile_model(model, vocab=DOMAIN.vocab)
    assert result.verdict == "identical"
    assert result.program is not None
    assert description_length(result.program) == description_length(TRUTH)


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [
        "a = Map(lambda x: x * 3, tokens)\nb = SequenceMap(lambda x, y: x + y, a, indices)",
        "a = Map(lambda x: x * x, tokens)\nb = SequenceMap(lambda x, y: x + y, a, indices)\n"
        "c = Map(lambda x: x % 3, b)",
        "a = Map(lambda x: x ** 3, tokens)\nb = SequenceMap(lambda x, y: x + y, a, indices)",
        "a = SequenceMap(lambda x, y: 3 * x - 2 * y, tokens, indices)\n"
        "b = Aggregate(Select(a, indices, Comparison.EQ), tokens)",
        "a = Map(lambda x: x * 3, tokens)\nb = SelectorWidth(Select(a, indices, Comparison.EQ))",
        "a = Map(lambda x: 10 * x, tokens)\nb = SequenceMap(lambda x, y: x + y, a, indices)\n"
        "c = SelectorWidth(Select(b, b, Comparison.LT))",
    ],
)
def test_what_people_write_comes_back_no_longer(source: str) -> None:
    """Weights alone: the answer is at most as long as what was compiled."""
    truth = parse(source)
    model = bare(model_of(truth, DOMAIN))
    result = decompile_model(model, vocab=DOMAIN.vocab)
    assert result.verdict == "identical"
    assert result.program is not None
    assert description_length(result.program) <= description_length(truth)


def test_a_predicate_of_certain_words_says_which() -> None:
    """Not a table of all pairs of words: of the key alone, and of those that it selects."""
    domain = Domain(("ant", "bee", "cat", "dog", "elk"), 3)
    source = (
        "s = Select(tokens, tokens, lambda k, q: k == 'bee' or k == 'elk')\nw = SelectorWidth(s)"
    )
    model = model_of(parse(source), domain)
    result = decompile_model(model, vocab=domain.vocab)
    assert "lambda x, y: x == 'bee' or x == 'elk'" in result.source


def test_names_that_are_shown_are_kept() -> None:
    """A read-out says what the output's values are called: outputs stay the same."""
    kept = shortest(tabled(), DOMAIN, shown=True, in_order=True)
    assert decide_equivalence(kept, tabled(), DOMAIN).equal
    assert not decide_equivalence(TRUTH, tabled(), DOMAIN).equal


def test_what_is_short_stays() -> None:
    """Among equally short programs the one that was written is printed."""
    program = parse(
        "a = Map(lambda x: x + 1, tokens)\nb = SelectorWidth(Select(a, a, Comparison.LT))"
    )
    assert shortest(program, DOMAIN, shown=False, in_order=False) is program


def test_looking_for_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no calls left the best so far is given."""
    monkeypatch.setattr(import_module("untracr.ambiguity.shortest"), "MAX_CALLS", 50)
    assert shortest(tabled(), DOMAIN, shown=False, in_order=True) == tabled()
