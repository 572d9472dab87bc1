"""Converting live Tracr objects."""

from __future__ import annotations

import enum
import sys
from collections import namedtuple
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from strategies import RELAXED, programs
from untracr.diagnose.checks import check
from untracr.diagnose.model import compile_rasp_to_model
from untracr.errors import CheckFailed, ProgramError, UntracrError
from untracr.rasp.functions import Comparison, Table, formula
from untracr.rasp.nodes import (
    NUMERICAL,
    TOKENS,
    Aggregate,
    LinearSequenceMap,
    Map,
    Select,
    SelectorWidth,
    SequenceMap,
    children,
)
from untracr.rasp.program import Program
from untracr.syntax.library import LIBRARY
from untracr.syntax.parsing import parse
from untracr.syntax.tracr_objects import from_tracr, to_tracr

rasp: Any = import_module("tracr.rasp.rasp")
lib: Any = import_module("tracr.compiler.lib")

LETTERS = ("a", "b", "c", "d")
INTEGERS = (1, 2, 3, 4, 5)


def makers() -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Tracr's own library: a live program and its vocabulary for each name."""
    tokens = rasp.tokens
    return {
        "length": (lib.make_length(), LETTERS),
        "reverse": (lib.make_reverse(tokens), LETTERS),
        "hist": (lib.make_hist(), LETTERS),
        "sort_unique": (lib.make_sort_unique(tokens, tokens), INTEGERS),
        "sort": (lib.make_sort(tokens, tokens, max_seq_len=5, min_key=1), INTEGERS),
        "sort_freq": (lib.make_sort_freq(5), LETTERS),
        "frac_prevs": (lib.make_frac_prevs(tokens == "a"), LETTERS),
        "pair_balance": (lib.make_pair_balance(tokens, "(", ")"), ("(", ")", "a")),
        "shuffle_dyck": (lib.make_shuffle_dyck(["()"]), ("(", ")")),
        "shuffle_dyck2": (lib.make_shuffle_dyck2(), ("(", ")", "{", "}")),
        "count_a": (lib.make_count(tokens, "a"), LETTERS),
        "count_less_freq": (lib.make_count_less_freq(2), LETTERS),
        "shift_by_1": (lib.shift_by(1, tokens), LETTERS),
        "detect_pattern": (lib.detect_pattern(tokens, "ab"), LETTERS),
    }


def samples(vocab: tuple[Any, ...]) -> list[list[Any]]:
    """A few inputs of each length without repeats, and one with."""
    distinct = [list(vocab[start:] + vocab[:start]) for start in range(len(vocab))]
    return [tokens[:n] for tokens in distinct for n in range(1, len(tokens) + 1)] + [
        [vocab[0], vocab[1], vocab[0]]
    ]


@pytest.mark.parametrize("name", sorted(makers()))
def test_library_makers_mean_the_same_after_conversion(name: str) -> None:
    """Each program of Tracr's library evaluates the same after from_tracr and to_tracr."""
    sop, vocab = makers()[name]
    again = to_tracr(from_tracr(sop, vocab, 5))
    for tokens in samples(vocab):
        assert again(tokens) == sop(tokens), tokens


@pytest.mark.parametrize("name", sorted(makers()))
def test_library_programs_mean_what_tracrs_mean(name: str) -> None:
    """Each named program evaluates as its counterpart in Tracr's library."""
    sop, vocab = makers()[name]
    ours = next(named for named in LIBRARY if named.name == name)
    live = to_tracr(ours.program)
    for tokens in samples(vocab):
        assert live(tokens) == sop(tokens), tokens


@settings(RELAXED, max_examples=60)
@given(programs())
def test_round_trip_through_tracr(program: Program) -> None:
    """A program turned into live objects and back computes the same thing from the same parts."""
    again = from_tracr(to_tracr(program))

    def expanded(whole: Program) -> list[object]:
        order = {ref: place for place, ref in enumerate(whole.reachable)}
        return [
            (type(whole.nodes[ref]), [order[child] for child in children(whole.nodes[ref])])
            for ref in whole.reachable
        ]

    assert expanded(again) == expanded(program)
    assert len(again.nodes) == len(program.nodes)


def test_round_trip_keeps_functions_and_sharing() -> None:
    """Functions of ours pass through Tracr as they are, and shared objects stay shared."""
    program = parse(
        "s = Select(tokens, indices, lambda k, q: k == q)\n"
        "a = Aggregate(s, tokens, default=3)\n"
        "b = SequenceMap(lambda x, y: {(0, 0): 1}[x, y], a, a)\n"
        "numerical(LinearSequenceMap(a, b, 1, -2))"
    )
    assert from_tracr(to_tracr(program)) == program


def test_labels_are_the_objects_own() -> None:
    """Labels are those Tracr shows, and to_tracr names objects by ours."""
    hist = lib.make_hist()
    program = from_tracr(hist)
    assert program.labels[program.output] == hist.label
    assert program.labels[2] == hist.selector.label
    live = to_tracr(parse("same = Select(tokens, tokens, Comparison.EQ)\nh = SelectorWidth(same)"))
    assert (live.name, live.selector.name) == ("h", "same")


def test_comparisons_need_no_vocabulary() -> None:
    """Programs without opaque callables are read without vocab and max_seq_len."""
    assert from_tracr(lib.make_hist()).nodes[2:] == (
        Select(TOKENS, TOKENS, Comparison.EQ),
        SelectorWidth(2),
    )


def test_linear_sequence_maps_keep_their_factors() -> None:
    """A LinearSequenceMap is read by its factors, not its callable."""
    linear = rasp.numerical(rasp.LinearSequenceMap(rasp.tokens, rasp.indices, 2, -0.5))
    assert from_tracr(linear).nodes[2] == LinearSequenceMap(0, 1, 2, -0.5, NUMERICAL)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x: x, "x"),
        (lambda x: x + 1, "x + 1"),
        (lambda x: 2 * x, "x * 2"),
        (lambda x: not x, "not x"),
        (lambda x: x == 3, "x == 3"),
        (lambda x: x > 2, "x > 2"),
        (lambda x: 0 - x, "-1 * x"),
        (lambda x: x + 0.5, "x + 0.5"),
    ],
)
def test_well_known_functions_become_formulas(function: Any, text: str) -> None:
    """A callable that agrees with a well-known formula on the whole vocabulary becomes it."""
    program = from_tracr(rasp.Map(function, rasp.tokens), range(5), 5)
    assert program.nodes[2] == Map(formula(text), TOKENS)


def test_other_functions_become_tables() -> None:
    """Any other callable becomes a table; the type of results counts."""
    program = from_tracr(rasp.Map(lambda x: x * x + 3, rasp.tokens), range(3), 5)
    assert program.nodes[2] == Map(Table((((0,), 3), ((1,), 4), ((2,), 7)), 1), TOKENS)
    truths = Table((((0,), False), ((1,), True), ((2,), False)), 1)
    assert truths(1) is True  # equal to the next one, which must not answer for it
    as_integers = from_tracr(rasp.Map(lambda x: int(x == 1), rasp.tokens), range(3), 5)
    node = as_integers.nodes[2]
    assert isinstance(node, Map)
    assert [type(node.function(value)) for value in range(3)] == [int, int, int]


def test_arithmetic_errors_are_skipped() -> None:
    """Arguments on which a callable fails arithmetically have no entry, but the reason."""
    program = from_tracr(rasp.Map(lambda x: 6 // x + 1, rasp.tokens), range(3), 5)
    node = program.nodes[2]
    assert isinstance(node, Map)
    assert isinstance(node.function, Table)
    assert node.function.entries == (((1,), 7), ((2,), 4))
    with pytest.raises(ArithmeticError, match="ZeroDivisionError"):
        node.function(0)


def test_values_follow_the_program() -> None:
    """A table covers the values its input takes: widths, defaults and fractions included."""
    prevs = rasp.Select(rasp.indices, rasp.indices, rasp.Comparison.LEQ)
    bools = rasp.numerical(rasp.tokens == 1)
    fractions = rasp.numerical(rasp.Aggregate(prevs, bools, default=0))
    squared = rasp.Map(lambda x: x * x + 1, fractions)
    program = from_tracr(squared, range(3), 3)
    node = program.nodes[program.output]
    assert isinstance(node, Map)
    assert isinstance(node.function, Table)
    assert {key[0] for key, _ in node.function.entries} == {0, 1 / 3, 1 / 2, 2 / 3, 1}
    width = from_tracr(rasp.Map(lambda x: x * x + 1, rasp.SelectorWidth(prevs)), range(3), 3)
    widths = width.nodes[width.output]
    assert isinstance(widths, Map)
    assert isinstance(widths.function, Table)
    assert [key[0] for key, _ in widths.function.entries] == [0, 1, 2, 3]


def test_shared_objects_are_shared_nodes() -> None:
    """One object read twice is one node, two equal ones are two."""
    total = rasp.tokens + rasp.indices
    shared = from_tracr(rasp.SequenceMap(lambda x, y: x * y, total, total), range(3), 3)
    assert [type(node) for node in shared.nodes[2:]] == [SequenceMap] * 2
    apart = from_tracr((rasp.tokens + 1) * (rasp.tokens + 1), range(3), 3)
    assert [type(node) for node in apart.nodes[2:]] == [Map, Map, SequenceMap]


def test_parse_reads_live_objects() -> None:
    """parse takes a live SOp and passes the vocabulary on."""
    same = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ)
    program = parse(rasp.Aggregate(same, 1 + rasp.tokens), vocab=[1, 2], max_seq_len=2)
    assert isinstance(program.nodes[program.output], Aggregate)


def test_long_chains_are_read() -> None:
    """A program of thousands of steps is read without recursion."""
    sop = rasp.tokens
    for _ in range(3000):
        sop = rasp.LinearSequenceMap(sop, rasp.indices, 1, 1)
    assert len(from_tracr(sop).nodes) == 3002


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: rasp.tokens + 1, "give vocab="),
        (lambda: rasp.indices + 1, "give max_seq_len="),
        (lambda: rasp.length, "SelectorWidth"),
        (lambda: rasp.Full(1), "cannot compile Full"),
        (lambda: rasp.ConstantSOp([1]), "cannot compile ConstantSOp"),
        (lambda: rasp.numerical(rasp.tokens), "always categorical"),
        (lambda: rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ), "takes a tracr.rasp"),
        (lambda: 3, "not int"),
    ],
)
def test_unreadable_objects_are_refused(build: Any, words: str) -> None:
    """What cannot be read is refused with what is missing or what to use instead."""
    with pytest.raises(ProgramError, match=words):
        from_tracr(build())


def test_failing_and_foreign_callables_are_refused() -> None:
    """A callable that fails or returns no RASP value is refused with the arguments shown."""
    with pytest.raises(ProgramError, match=r"fails on \('a'\)"):
        from_tracr(rasp.Map(lambda x: x - 1, rasp.tokens), LETTERS, 5)
    with pytest.raises(ProgramError, match="must be None, bool, int, float, str or a tuple"):
        from_tracr(rasp.Map(lambda x: [x, x], rasp.tokens), LETTERS, 5)
    with pytest.raises(ProgramError, match=r"KeyError: 'd' \(missing of .*test_tracr_objects"):
        from_tracr(rasp.Map(missing, rasp.tokens), LETTERS, 5)
    with pytest.raises(ProgramError, match="would need a table of"):
        from_tracr(rasp.tokens * rasp.tokens, range(1000), 5)


def missing(x: str) -> int:
    """Fails on d."""
    return {"a": 1, "b": 2, "c": 3}[x]


@pytest.mark.parametrize("given", [None, "yes", "", (), (True,)])
def test_a_predicate_must_give_truths_or_numbers(given: Any) -> None:
    """Tracr multiplies with what a predicate gives; what cannot be is refused, not made a truth."""
    select = rasp.Select(rasp.tokens, rasp.tokens, lambda key, query: given)
    with pytest.raises(ProgramError, match="must give True or False"):
        from_tracr(rasp.SelectorWidth(select), LETTERS, 5)


def test_numbers_of_a_predicate_stay_numbers() -> None:
    """Weights take a predicate's numbers as they are; 0 and 1 are truths."""

    def predicate(function: Any) -> Any:
        select = rasp.Select(rasp.tokens, rasp.tokens, function)
        return from_tracr(rasp.SelectorWidth(select), (1, 2), 2).nodes[2]

    assert predicate(lambda key, query: 3 * (key == query)).predicate(2, 2) == 3
    assert predicate(lambda key, query: int(key < query)) == Select(0, 0, formula("x < y", 2))


@pytest.mark.parametrize("function", [lambda x: x / 0, lambda x: 0 * (1 // x)])
def test_failing_arithmetic_is_told_and_no_formula_hides_it(function: Any) -> None:
    """A function that divides by zero is not taken for one that agrees elsewhere."""
    with pytest.raises(CheckFailed, match="fails on 0, a value it may meet: ZeroDivisionError"):
        compile_rasp_to_model(rasp.Map(function, rasp.tokens), range(2), 3)


def test_numbers_and_subclasses_become_plain_values() -> None:
    """NumPy's numbers, enumerations and named tuples are values as Python has them."""
    kind = enum.IntEnum("kind", {"first": 1})
    point = namedtuple("point", "x y")
    node = from_tracr(
        rasp.Map(lambda x: point(np.int64(x), kind.first), rasp.tokens), range(2), 3
    ).nodes[2]
    assert isinstance(node, Map)
    assert repr(node.function(1)) == "(1, 1)"


def test_to_tracr_without_tracr_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Tracr is missing, the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "tracr.rasp", None)
    with pytest.raises(UntracrError, match=r"pip install 'untracr\[tracr\]'"):
        to_tracr(parse("tokens"))


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_a_number_that_is_not_finite_is_what_is_told(number: float) -> None:
    """However it is reached: functions of it are not read as formulas that cannot be written."""
    odd = rasp.Map(lambda x: number if x else x, rasp.tokens)
    for sop in (odd, rasp.Map(lambda x: x > 1, odd, simplify=False), odd == 1):
        with pytest.raises(CheckFailed, match="a number must be finite"):
            compile_rasp_to_model(rasp.SequenceMap(lambda x, y: x, sop, odd), range(3), 3)


def test_what_is_nearly_a_program_is_told() -> None:
    """A selector, or a maker that was not called, is told with what to do."""
    select = rasp.Select(rasp.tokens, rasp.tokens, rasp.Comparison.EQ)
    with pytest.raises(ProgramError, match="put the selector into SelectorWidth"):
        compile_rasp_to_model(select, range(2), 3)
    with pytest.raises(ProgramError, match="call it to get its SOp"):
        compile_rasp_to_model(lib.make_hist, range(2), 3)


def test_live_programs_are_checked() -> None:
    """check takes what compile_rasp_to_model takes."""
    assert check(lib.make_reverse(rasp.tokens), set(LETTERS), 4) == ()
