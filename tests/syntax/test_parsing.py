"""Reading RASP source."""

from __future__ import annotations

import contextlib
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from real_models import real_records
from steps import at_most
from strategies import RELAXED
from untracr.errors import EvaluationError, ProgramError, RaspSyntaxError
from untracr.rasp.functions import Comparison, Table, formula
from untracr.rasp.interpreter import run
from untracr.rasp.nodes import (
    CATEGORICAL,
    INDICES,
    NUMERICAL,
    TOKENS,
    Aggregate,
    Indices,
    LinearSequenceMap,
    Map,
    Node,
    Select,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    SequenceMap,
    Tokens,
)
from untracr.rasp.program import Program, print_program
from untracr.syntax.parsing import parse


def program(*nodes: Node) -> Program:
    """The program of the given nodes, the last of which is the output."""
    return Program((Tokens(), Indices(), *nodes), len(nodes) + 1)


def read(source: str) -> Program:
    """Parses source written as an indented block."""
    return parse(textwrap.dedent(source))


def fails(source: object) -> RaspSyntaxError:
    """The error that parsing gives."""
    with pytest.raises(RaspSyntaxError) as caught:
        parse(source)
    return caught.value


def test_real_programs_parse_to_their_lengths() -> None:
    """Each of the 100 real programs parses and has the number of SOps it is recorded with."""
    for real in real_records():
        assert parse(real["source"]).length == real["length"], real["name"]


def test_real_programs_keep_their_labels() -> None:
    """Variables become labels, so the labels are those of the compiled residual stream."""
    for real in real_records():
        residual = {label.rsplit(":", 1)[0] for label in real["residual_labels"]}
        parsed = parse(real["source"])
        sops = {parsed.labels[ref] for ref in parsed.sops}
        assert sops <= residual | {"tokens", "indices"}, real["name"]


def test_operations_become_nodes() -> None:
    """Every constructor becomes its node, positional or by keyword, with the module or without."""
    read_program = read(
        """
        from tracr.rasp import rasp
        a = rasp.Map(f=lambda t: t + 1, inner=rasp.indices)
        b = SequenceMap(lambda p, q: q - p, a, snd=tokens)
        c = rasp.numerical(LinearSequenceMap(a, b, 1, snd_fac=-0.5))
        d = Select(tokens, queries=indices, predicate=rasp.Comparison.LEQ)
        e = rasp.Select(c, b, lambda k, q: k == q)
        f = SelectorAnd(d, e)
        g = SelectorOr(f, SelectorNot(d))
        h = SelectorWidth(selector=g)
        rasp.Aggregate(d, h, default=7)
        """
    )
    assert read_program == program(
        Map(formula("x + 1"), INDICES),
        SequenceMap(formula("y - x", 2), 2, TOKENS),
        LinearSequenceMap(2, 3, 1, -0.5, NUMERICAL),
        Select(TOKENS, INDICES, Comparison.LEQ),
        Select(4, 3, formula("x == y", 2)),
        SelectorAnd(5, 6),
        SelectorNot(5),
        SelectorOr(7, 8),
        SelectorWidth(9),
        Aggregate(5, 10, 7),
    )


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("tokens + 1", "x + 1"),
        ("1 + tokens", "1 + x"),
        ("tokens - -1", "x - -1"),
        ("1 - tokens", "1 - x"),
        ("-1 * tokens", "-1 * x"),
        ("tokens / 2", "x / 2"),
        ("2 / tokens", "2 / x"),
        ("tokens < 1", "x < 1"),
        ("1 < tokens", "x > 1"),
        ("1 <= tokens", "x >= 1"),
        ("tokens >= 1", "x >= 1"),
        ("tokens == 'a'", "x == 'a'"),
        ("'a' != tokens", "x != 'a'"),
        ("~tokens", "not x"),
        ("sop_not(tokens)", "not x"),
        ("tokens & 1", "x and 1"),
        ("1 & tokens", "1 and x"),
        ("tokens | 1", "x or 1"),
        ("1 | tokens", "x or 1"),
        ("(tokens + 1) * 2", "(x + 1) * 2"),
        ("Map(int, tokens)", "int(x)"),
    ],
)
def test_operators_become_maps(expression: str, text: str) -> None:
    """An operator of a SOp and a constant is the Map that Tracr makes of it."""
    assert parse(expression) == program(Map(formula(text), TOKENS))


@pytest.mark.parametrize(
    ("symbol", "text"),
    [
        ("+", "x + y"),
        ("-", "x - y"),
        ("*", "x * y"),
        ("/", "x / y"),
        ("&", "x and y"),
        ("|", "x or y"),
    ],
)
def test_operators_of_two_sops_become_sequence_maps(symbol: str, text: str) -> None:
    """An operator of two SOps is a SequenceMap."""
    expected = program(SequenceMap(formula(text, 2), TOKENS, INDICES))
    assert parse(f"tokens {symbol} indices") == expected


def test_map_of_map_merges_unless_told_not_to() -> None:
    """Map merges one Map below it and takes none of its annotations, as Tracr does."""
    merged = read("a = numerical(Map(lambda x: x + 1, tokens))\nMap(lambda x: x * 2, a)")
    assert merged == program(Map(formula("(x + 1) * 2"), TOKENS, CATEGORICAL))
    apart = read("a = Map(lambda x: x + 1, tokens)\nMap(lambda x: x * 2, a, simplify=False)")
    assert apart == program(Map(formula("x + 1"), TOKENS), Map(formula("x * 2"), 2))


def test_map_of_sequence_map_does_not_merge() -> None:
    """Only a Map merges with the Map above it."""
    assert parse("(tokens - indices) - 1") == program(
        SequenceMap(formula("x - y", 2), TOKENS, INDICES), Map(formula("x - 1"), 2)
    )


def test_selectors_simplify_as_in_tracr() -> None:
    """selector_and, _or and _not merge Selects of the same SOps and nothing else."""
    head = """
        a = Select(tokens, indices, Comparison.LT)
        b = Select(tokens, indices, Comparison.NEQ)
        c = Select(indices, tokens, Comparison.EQ)
    """
    both = read(head + "    SelectorWidth(a & b)\n")
    both_or = read(head + "    SelectorWidth(selector_or(a, b))\n")
    negated = read(head + "    SelectorWidth(~a)\n")
    assert both == program(Select(0, 1, formula("x < y and x != y", 2)), SelectorWidth(2))
    assert both_or == program(Select(0, 1, formula("x < y or x != y", 2)), SelectorWidth(2))
    assert negated == program(Select(0, 1, formula("not x < y", 2)), SelectorWidth(2))
    assert read(head + "    SelectorWidth(a | c)\n") == program(
        Select(0, 1, Comparison.LT),
        Select(1, 0, Comparison.EQ),
        SelectorOr(2, 3),
        SelectorWidth(4),
    )
    assert read(head + "    SelectorWidth(selector_and(a, b, simplify=False))\n") == program(
        Select(0, 1, Comparison.LT),
        Select(0, 1, Comparison.NEQ),
        SelectorAnd(2, 3),
        SelectorWidth(4),
    )
    assert read(head + "    SelectorWidth(~(a & c))\n").nodes[5] == SelectorNot(4)


def test_sharing_follows_variables() -> None:
    """A variable read twice is one node and two equal expressions are two."""
    shared = read("a = tokens + indices\na * a")
    apart = read("(tokens + indices) * (tokens + indices)")
    add, multiply = formula("x + y", 2), formula("x * y", 2)
    assert shared == program(SequenceMap(add, 0, 1), SequenceMap(multiply, 2, 2))
    assert apart == program(
        SequenceMap(add, 0, 1), SequenceMap(add, 0, 1), SequenceMap(multiply, 2, 3)
    )


def test_wrapping_a_variable_copies_it() -> None:
    """numerical(v) is a new node beside v; on a fresh expression it is that expression."""
    copied = read("a = tokens + indices\nb = numerical(a)\na * b")
    assert copied == program(
        SequenceMap(formula("x + y", 2), 0, 1),
        SequenceMap(formula("x + y", 2), 0, 1, NUMERICAL),
        SequenceMap(formula("x * y", 2), 2, 3),
    )
    dropped = read("a = tokens + indices\nnumerical(a)")
    assert dropped == program(SequenceMap(formula("x + y", 2), 0, 1, NUMERICAL))
    assert dropped == read('numerical((tokens + indices).named("a"))')
    assert dropped == read("(tokens + indices).annotated(encoding=rasp.Encoding.NUMERICAL)")


def test_numerical_aggregate_defaults_to_zero() -> None:
    """A numerical Aggregate has default 0 unless one is written, copies included."""
    head = "s = Select(tokens, tokens, Comparison.EQ)\n"

    def default(source: str) -> object:
        parsed = parse(head + source)
        node = parsed.nodes[parsed.output]
        assert isinstance(node, Aggregate)
        return node.default

    assert default("numerical(Aggregate(s, tokens))") == 0
    assert default("a = Aggregate(s, tokens)\nnumerical(a)") == 0
    assert default("numerical(Aggregate(s, tokens, default=None))") is None
    assert default("numerical(Aggregate(s, tokens, 2))") == 2
    assert default("categorical(numerical(Aggregate(s, tokens)))") is None
    assert default("Aggregate(s, tokens)") is None


def test_lookup_tables() -> None:
    """A lambda that indexes a dictionary becomes a Table of its entries in order."""
    one = parse("Map(lambda t: {0: 'a', -1: None}[t], tokens)")
    assert one == program(Map(Table((((0,), "a"), ((-1,), None)), 1), TOKENS))
    two = parse("SequenceMap(lambda a, b: {(0, 1): True}[b, a], tokens, indices)")
    assert two == program(SequenceMap(Table((((1, 0), True),), 2), TOKENS, INDICES))


def test_tables_merge_into_tables() -> None:
    """A Map of a table Map is the table of both."""
    merged = parse("Map(lambda x: {0: 3, 1: 4}[x], tokens) + 1")
    assert merged == program(Map(Table((((0,), 4), ((1,), 5)), 1), TOKENS))


def test_constants_are_substituted() -> None:
    """Helper constants may be computed and used in operators, arguments and lambdas."""
    parsed = read(
        """
        min_key = 1
        max_seq_len: int = 2 + 3
        open_token = "("
        equal = Comparison.EQ
        increment = lambda v: v + min_key
        keys = SequenceMap(lambda x, i: x + min_key * i / max_seq_len, tokens, indices)
        s = Select(keys, tokens, equal)
        Aggregate(s, Map(increment, tokens == open_token, simplify=False), default=-min_key)
        """
    )
    assert parsed == program(
        SequenceMap(formula("x + 1 * y / 5", 2), 0, 1),
        Select(2, 0, Comparison.EQ),
        Map(formula("x == '('"), 0),
        Map(formula("x + 1"), 4),
        Aggregate(3, 5, -1),
    )


def test_parameter_names_do_not_matter() -> None:
    """Arguments of any name, even x and y swapped or that of a callable, are renamed in order."""
    assert parse("SequenceMap(lambda y, x: y - x, tokens, indices)") == parse(
        "SequenceMap(lambda min, int: min - int, tokens, indices)"
    )


def test_labels_are_variables_or_tracr_labels() -> None:
    """Variables label their nodes; names and defaults get Tracr's breadth-first number."""
    parsed = read(
        """
        same = Select(tokens, tokens, Comparison.EQ)
        hist = SelectorWidth(same).named("hist")
        a = hist + 1
        a = a * indices
        a + hist
        """
    )
    assert parsed.labels[2:] == ("same", "hist_3", "a", "sequence_map_2", "sequence_map_1")


def test_labels_stay_unique() -> None:
    """A variable that looks like one of Tracr's labels moves that label to another number."""
    parsed = read("map_1 = tokens + 1\nMap(lambda x: x, map_1, simplify=False)")
    assert len(set(parsed.labels)) == len(parsed.labels)
    assert parsed.labels[2] == "map_1"


def test_imports_of_tracr_are_ignored() -> None:
    """Imports of Tracr's rasp module are read, also under another name."""
    expected = program(Map(formula("x + 1"), TOKENS))
    for header in (
        "from tracr.rasp import rasp",
        "from tracr.rasp.rasp import *",
        "from tracr.rasp.rasp import Map, tokens",
        "from __future__ import annotations",
        '"""A docstring."""',
    ):
        assert parse(f"{header}\nMap(lambda x: x + 1, tokens)") == expected
    for header in ("import tracr.rasp.rasp as r", "from tracr.rasp import rasp as r"):
        assert parse(f"{header}\nr.Map(lambda x: x + 1, r.tokens)") == expected


def test_a_program_is_returned_unchanged() -> None:
    """Parsing a Program gives that very Program."""
    given_program = program(Map(formula("x + 1"), TOKENS))
    assert parse(given_program) is given_program


def test_sources_can_be_programs() -> None:
    """The program may be tokens or indices themselves."""
    assert parse("tokens").output == TOKENS
    assert parse("a = rasp.indices").output == INDICES


@pytest.mark.parametrize(
    ("source", "line", "column", "words"),
    [
        ("a = Mapp(lambda x: x, tokens)", 1, 5, "Did you mean 'Map'?"),
        ("a = tokens + 1\nb = rasp.Slect(a, a, Comparison.EQ)", 2, 5, "Did you mean 'Select'?"),
        ("a = tokens + 1\nb = a + toknes", 2, 9, "Did you mean 'tokens'?"),
        ("Map(lambda x: x + z, tokens)", 1, 19, "unknown name 'z'"),
        ("SelectorWidth(Select(tokens, tokens, Comparison.EQQ))", 1, 38, "Did you mean 'EQ'?"),
        ("a = Map(lambda x: x, a)", 1, 22, "a cycle"),
        ("b = Map(lambda x: x, a)\na = tokens + 1", 1, 22, "before it is defined"),
        ("rasp.length - 1", 1, 1, "SelectorWidth(Select(tokens, tokens, Comparison.TRUE))"),
        ("a = Full(1)", 1, 5, "lambda k, q: k == 1"),
        ("a = ConstantSOp([1])", 1, 5, "compute the values"),
        ("def f(x):\n    return x", 1, 1, "a function definition"),
        ("a = tokens\nfor i in a:\n    pass", 2, 1, "a for loop"),
        ("if True:\n    a = tokens", 1, 1, "an if statement"),
        ("while True:\n    pass", 1, 1, "a while loop"),
        ("with a:\n    pass", 1, 1, "a with statement"),
        ("import os", 1, 1, "an import of something else"),
        ("a = tokens + 1\na += 1", 2, 1, "augmented"),
        ("a = b = tokens", 1, 1, "one variable on its left"),
        ("a, b = tokens, indices", 1, 1, "one variable on its left"),
        ("Map(lambda x: x)", 1, 1, "needs the argument 'inner'"),
        ("Map(lambda x: x, tokens, simplfy=False)", 1, 26, "Did you mean 'simplify'?"),
        ("Map(lambda x: x, tokens, True, 1)", 1, 32, "takes 3 argument(s)"),
        ("Map(lambda x, y: x, tokens)", 1, 5, "must take 1 argument(s), not 2"),
        ("Map(lambda x: [x], tokens)", 1, 15, "lookup table"),
        ("Map(lambda x: eval('1'), tokens)", 1, 15, "unknown name 'eval'"),
        ("Map(lambda x: x.real, tokens)", 1, 15, "outside what a function may say"),
        ("Map(tokens, tokens)", 1, 5, "a function is wanted here"),
        ("Select(tokens, 1, Comparison.EQ)", 1, 16, "a SOp is wanted here"),
        ("SelectorWidth(tokens)", 1, 15, "a selector is wanted here"),
        ("Select(tokens, tokens, Comparison.EQ)", 1, 1, "the last line must be a SOp"),
        ("s = Select(tokens, tokens, Comparison.EQ)", 1, 1, "must compute a SOp"),
        ("1", 1, 1, "must be a SOp, not the constant 1"),
        ("tokens == indices", 1, 1, "SequenceMap(lambda x, y: x == y, a, b)"),
        ("tokens % 2", 1, 1, "no operator '%'"),
        ("-tokens", 1, 1, "-1 * a"),
        ("not tokens", 1, 1, "use ~"),
        ("(tokens > 1) and (tokens < 3)", 1, 1, "use & and |"),
        ("0 < tokens < 3", 1, 1, "cannot be chained"),
        ("numerical(tokens)", 1, 1, "always categorical"),
        ("numerical(Select(tokens, tokens, Comparison.EQ))", 1, 11, "a SOp is wanted"),
        ("a = tokens + 1\nMap(lambda x: x + a, tokens)", 2, 19, "'a' is a SOp"),
        ("a = 1\nb = Map(lambda x: x + a, tokens)\na = 2", 3, 1, "on line 2"),
        ("tokens.shape", 1, 1, ".named(...)"),
        ("(tokens + 1).name('a')", 1, 1, "Did you mean 'named'?"),
        ("a = 1 / 0", 1, 5, "cannot be computed"),
        ("a = 9 ** 9 ** 9", 1, 5, "cannot be computed"),
        ("a = 'x' * 1000000000", 1, 5, "constants are computed"),
        ("Map(lambda x: x + 1e999, tokens)", 1, 19, "finite"),
        ("a = 1j", 1, 5, "a constant must be"),
        ("é = tokens + 1; b = é + toknes", 1, 25, "Did you mean 'tokens'?"),
        ("a = tokens +", 1, 13, "not Python"),
        ("a = (tokens", 1, 5, "not Python"),
        ("rasp = tokens", 1, 1, "rename the variable"),
        ("Map(lambda x: {0: 1}[x], tokens + 1)", 1, 1, "simplify=False"),
        ("Map(lambda x: {0: 1}[0], tokens)", 1, 22, "must be indexed by [x]"),
        ("SequenceMap(lambda x, y: {0: 1}[x, y], tokens, tokens)", 1, 27, "is a pair"),
    ],
)
def test_errors_show_the_place(source: str, line: int, column: int, words: str) -> None:
    """A wrong program is refused with the line and column of the mistake and what to do."""
    error = fails(source)
    assert (error.line, error.column) == (line, column), str(error)
    assert words in error.message
    assert source.split("\n")[line - 1].rstrip() in str(error)


def test_errors_name_the_file() -> None:
    """The file's name stands before the line."""
    with pytest.raises(RaspSyntaxError, match=r"^prog\.py:1:1: "):
        parse("nothing", filename="prog.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [
        "",
        "# nothing",
        "a = tokens\0",
        "\ud800",
        "(" * 5000 + "tokens" + ")" * 5000,
        "~" * 3000 + "tokens",
        "tokens" + " + 1" * 20000,
        "Map(lambda x: " + "-" * 500 + "x, tokens)",
        "Map(lambda x: " + "x + " * 3000 + "x, tokens)",
        "a = tokens\n" + "a = Map(lambda x: x + x, a)\n" * 60,
        "a = tokens\n" + "a = a + 1\n" * 3000,
        "1" * 5000,
        "c = 0x" + "F" * 20000 + "\nMap(lambda x: x + c, tokens)",
        "Map(lambda x: x + 0x" + "F" * 20000 + ", tokens)",
        "Map(lambda x: {0: 0x" + "F" * 20000 + "}[x], tokens)",
        "c = 'ab'\n" + "c = c + c\n" * 40 + "Map(lambda x: c, tokens)",
        "s = Select(tokens, tokens, Comparison.EQ)\n" + "s = s & s\n" * 40 + "SelectorWidth(s)",
    ],
)
def test_pathological_sources_are_refused(source: str) -> None:
    """Empty, unreadable, huge or deep sources give a syntax error, and quickly."""
    with at_most(5_000_000):
        fails(source)


@pytest.mark.parametrize("source", [b"tokens", None, 3, ["tokens"]])
def test_other_types_are_refused(source: object) -> None:
    """Only text, Tracr's SOps and programs are read."""
    with pytest.raises(ProgramError, match="a program is source text"):
        parse(source)


@RELAXED
@given(st.text(alphabet="abx01 =+-*~&|().,:[]{}\n'\"", max_size=40))
def test_any_text_parses_or_is_refused(source: str) -> None:
    """No text makes the parser fail in any other way than by its own error."""
    with contextlib.suppress(RaspSyntaxError):
        parse(source)


@pytest.mark.parametrize(
    ("outer", "inner"), [("True", "1 / x"), ("0 and x", "1 / x"), ("1 < 0 < x", "1 / x")]
)
def test_a_function_whose_result_is_not_looked_at_is_called(outer: str, inner: str) -> None:
    """Composed Maps fail where the inner one does, as in Tracr."""
    program = parse(f"Map(lambda x: {outer}, Map(lambda x: {inner}, tokens))")
    assert parse(print_program(program)) == program
    assert run(program, [[1, 2]])
    with pytest.raises(EvaluationError, match="division by zero"):
        run(program, [[1, 0]])
