"""Random valid programs for property tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from untracr.rasp.functions import Comparison, Formula, Function, Predicate, Table, Value, formula
from untracr.rasp.nodes import (
    CATEGORICAL,
    INDICES,
    NUMERICAL,
    TOKENS,
    Aggregate,
    Encoding,
    LinearSequenceMap,
    Map,
    Node,
    Ref,
    Select,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    SequenceMap,
)
from untracr.rasp.program import Builder, Program

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Property tests here are judged by their outcome, not by their speed."""

UNARY = (
    "x",
    "x + 1",
    "x - 1",
    "x * 2",
    "not x",
    "x == 3",
    "x != 2",
    "x > 0.5",
    "int(x)",
    "-1 * x",
    "x - -1",
    "-x ** 2",
    "(x + 1) % 3",
    "1 if x == 0 else 2",
    "x if x > 1 and (not x == 3) else None",
    "0 <= x < 3",
    "max(x, 2)",
    "x == 'a\\n\"b\\''",
)

BINARY = ("x * y", "x + y", "x - y", "x or y", "x and y", "x + y % 10", "x == y", "y - (x - 1)")

PREDICATES = ("x == y", "y == x + 1", "x < y or y == 0", "not x >= y", "x == 2")

values: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.floats(-2, 2, allow_nan=False, allow_subnormal=False),
    st.text(alphabet="ab'\"\\ \n\0é{}\ud800", max_size=3),
)

factors: st.SearchStrategy[int | float] = st.one_of(
    st.integers(-3, 3), st.floats(-2, 2, allow_nan=False, allow_subnormal=False)
)

encodings: st.SearchStrategy[Encoding] = st.sampled_from([CATEGORICAL, NUMERICAL])


def tables(arity: int) -> st.SearchStrategy[Table]:
    """Lookup tables of one or two arguments."""
    arguments = st.tuples(*[values] * arity)
    return st.dictionaries(arguments, values, max_size=4).map(
        lambda entries: Table.from_mapping(entries, arity)
    )


def functions(arity: int) -> st.SearchStrategy[Function]:
    """Formulas, and now and then a lookup table."""
    texts = UNARY if arity == 1 else BINARY
    formulas: list[Formula] = [formula(text, arity) for text in texts]
    return st.one_of(st.sampled_from(formulas), st.sampled_from(formulas), tables(arity))


predicates: st.SearchStrategy[Predicate] = st.one_of(
    st.sampled_from(Comparison),
    st.sampled_from([formula(text, 2) for text in PREDICATES]),
    tables(2),
)

labels: st.SearchStrategy[str | None] = st.one_of(
    st.none(),
    st.sampled_from(["hist", "sop_00", "rasp", "tokens_", "lambda", "Map", "opp_idx-1", "1st"]),
    st.text(alphabet="ab_1- éﬁ\n", min_size=1, max_size=4),
)


@st.composite
def _selectors(draw: st.DrawFn, sops: list[Ref], selectors: list[Ref]) -> Node:
    kind = draw(st.sampled_from(["select", "and", "or", "not"])) if selectors else "select"
    sop = st.sampled_from(sops)
    if kind == "select":
        return Select(draw(sop), draw(sop), draw(predicates))
    selector = st.sampled_from(selectors)
    if kind == "not":
        return SelectorNot(draw(selector))
    joined = SelectorAnd if kind == "and" else SelectorOr
    return joined(draw(selector), draw(selector))


@st.composite
def _sops(draw: st.DrawFn, sops: list[Ref], selectors: list[Ref]) -> Node:
    kinds = ["map", "sequence", "linear", *(["width", "aggregate"] * 2 if selectors else [])]
    kind = draw(st.sampled_from(kinds))
    sop = st.sampled_from(sops)
    encoding = draw(encodings)
    if kind == "map":
        return Map(draw(functions(1)), draw(sop), encoding)
    if kind == "sequence":
        return SequenceMap(draw(functions(2)), draw(sop), draw(sop), encoding)
    if kind == "linear":
        return LinearSequenceMap(draw(sop), draw(sop), draw(factors), draw(factors), encoding)
    selector = draw(st.sampled_from(selectors))
    if kind == "width":
        return SelectorWidth(selector, encoding)
    return Aggregate(selector, draw(sop), draw(values), encoding)


@st.composite
def programs(draw: st.DrawFn, max_nodes: int = 8) -> Program:
    """Programs of every kind of node, with labels that are often no identifiers."""
    builder = Builder()
    sops: list[Ref] = [TOKENS, INDICES]
    selectors: list[Ref] = []
    used = {"tokens", "indices"}
    for _ in range(draw(st.integers(0, max_nodes))):
        is_selector = draw(st.booleans())
        node = draw(_selectors(sops, selectors) if is_selector else _sops(sops, selectors))
        label = draw(labels)
        if label in used:
            label = None
        elif label is not None:
            used.add(label)
        (selectors if is_selector else sops).append(builder.add(node, label))
    return builder.build(sops[-1])
