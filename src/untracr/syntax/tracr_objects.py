"""Converts between live ``tracr.rasp`` objects and `Program`.

Nothing here imports Tracr until `to_tracr` is called; objects are recognised
by the names of their classes.

Tracr keeps functions as Python callables, which cannot be read. They are
tabulated over the values their inputs can take, as Tracr's own value-set
inference finds them: tokens range over the vocabulary, indices over
``range(max_seq_len)``, a SelectorWidth over ``range(max_seq_len + 1)``, a
categorical Aggregate over its SOp's values, a numerical one over ``value / n``,
and a function over the image of its inputs, where arithmetic errors are skipped
and None is dropped. Here Aggregates range over a little more, so that tables
cover what programs meet when they run: the default, and for numerical means of
0 and 1 all fractions ``k / n``. On those a function may fail. A function that
agrees with a well-known formula, types of results included, becomes that
formula, else a `Table`.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from untracr.bounds import MAX_TABULATED
from untracr.errors import ProgramError, UntracrError
from untracr.rasp.domain import plain_length
from untracr.rasp.functions import Comparison, Formula, Function, Predicate, Table, Value, formula
from untracr.rasp.nodes import (
    CATEGORICAL,
    INDICES,
    NUMERICAL,
    SELECTOR_TYPES,
    TOKENS,
    Aggregate,
    Encoding,
    Indices,
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
    Tokens,
)
from untracr.rasp.program import Program
from untracr.rasp.tabulating import PYTHON_FAILURES
from untracr.rasp.values import plain_value, type_of, value_fault

_KINDS = (
    "TokensType",
    "IndicesType",
    "LinearSequenceMap",
    "SequenceMap",
    "Map",
    "SelectorWidth",
    "Aggregate",
    "Select",
    "SelectorAnd",
    "SelectorOr",
    "SelectorNot",
)

_FIXES = {
    "LengthType": "use SelectorWidth(Select(tokens, tokens, Comparison.TRUE))",
    "Full": "write the value into a predicate, or use Map(lambda x: value, tokens)",
    "ConstantSOp": "compute the values from tokens and indices",
    "ConstantSelector": "select by a predicate on tokens or indices",
}


def is_tracr_sop(value: object) -> bool:
    """Whether ``value`` is a live ``tracr.rasp`` SOp."""
    return _is_of_tracr(value, "SOp")


def is_tracr_selector(value: object) -> bool:
    """Whether ``value`` is a live ``tracr.rasp`` selector."""
    return _is_of_tracr(value, "Selector")


def _is_of_tracr(value: object, name: str) -> bool:
    return any(
        cls.__name__ == name and cls.__module__.split(".")[0] == "tracr"
        for cls in type(value).__mro__
    )


def from_tracr(
    sop: object, vocab: Sequence[Value] | None = None, max_seq_len: int | None = None
) -> Program:
    """Reads a live Tracr program.

    Objects shared by identity become shared nodes, and labels are the objects'
    own. An Aggregate's default is taken as it stands.

    Args:
        sop: the program's output.
        vocab: the tokens; needed when the program holds opaque callables.
        max_seq_len: the longest input; needed likewise.

    Raises:
        ProgramError: ``sop`` is not a Tracr SOp, something in it cannot be
            compiled, or an opaque callable cannot be tabulated.
    """
    if not is_tracr_sop(sop):
        raise ProgramError(f"from_tracr takes a tracr.rasp SOp, not {type(sop).__name__}")
    labels = _labels(sop)
    order = _children_first(sop)
    reader = _Reader(
        None if vocab is None else tuple(vocab),
        None if max_seq_len is None else plain_length(max_seq_len),
    )
    for expression in order:
        reader.read(expression)
    return Program(
        tuple(reader.nodes), reader.ref[id(sop)], _unique(reader.objects, labels, len(reader.nodes))
    )


def to_tracr(program: Program) -> Any:
    """Builds live ``tracr.rasp`` objects; returns the output SOp.

    Every object is named by its node's label, so Tracr labels it
    ``<label>_<id>``; a node read twice is one object.

    Raises:
        UntracrError: Tracr is not installed.
    """
    try:
        from tracr.rasp import rasp
    except ImportError as error:
        raise UntracrError(
            "to_tracr needs Tracr, which is not installed; install it with "
            "pip install 'untracr[tracr]'"
        ) from error
    objects: list[Any] = []
    for node, label in zip(program.nodes, program.labels, strict=True):
        built = _build(rasp, node, objects)
        if isinstance(node, (Tokens, Indices)):
            if node.encoding is NUMERICAL:
                built = rasp.numerical(built)
        elif isinstance(node, SELECTOR_TYPES):
            built = built.annotated(name=label)
        else:
            encoding = rasp.Encoding[node.encoding.name]
            built = built.annotated(name=label, encoding=encoding)
        objects.append(built)
    return objects[program.output]


def _build(rasp: Any, node: Node, done: Sequence[Any]) -> Any:
    match node:
        case Tokens():
            return rasp.tokens
        case Indices():
            return rasp.indices
        case Map(function, inner):
            return rasp.Map(function, done[inner], simplify=False)
        case SequenceMap(function, fst, snd):
            return rasp.SequenceMap(function, done[fst], done[snd])
        case LinearSequenceMap(fst, snd, fst_factor, snd_factor):
            return rasp.LinearSequenceMap(done[fst], done[snd], fst_factor, snd_factor)
        case Select(keys, queries, predicate):
            if isinstance(predicate, Comparison):
                return rasp.Select(done[keys], done[queries], rasp.Comparison[predicate.name])
            return rasp.Select(done[keys], done[queries], predicate)
        case SelectorAnd(fst, snd):
            return rasp.SelectorAnd(done[fst], done[snd])
        case SelectorOr(fst, snd):
            return rasp.SelectorOr(done[fst], done[snd])
        case SelectorNot(inner):
            return rasp.SelectorNot(done[inner])
        case SelectorWidth(selector):
            return rasp.SelectorWidth(done[selector])
        case Aggregate(selector, sop, default):
            return rasp.Aggregate(done[selector], done[sop], default=default)


def _kind(expression: Any) -> str:
    names = [cls.__name__ for cls in type(expression).__mro__]
    for kind in _KINDS:
        if kind in names:
            return kind
    for name, fix in _FIXES.items():
        if name in names:
            raise ProgramError(f"Tracr cannot compile {name}; {fix}")
    raise ProgramError(f"{type(expression).__name__} is no RASP operation known here")


def _labels(sop: Any) -> dict[int, str]:
    """Each object's own label, asked for breadth-first since Tracr numbers them when asked."""
    labels = {id(sop): str(sop.label)}
    queue = deque([sop])
    while queue:
        for child in queue.popleft().children:
            if id(child) not in labels:
                labels[id(child)] = str(child.label)
                queue.append(child)
    return labels


def _children_first(sop: Any) -> list[Any]:
    order: list[Any] = []
    done: set[int] = set()
    stack = [(sop, False)]
    while stack:
        expression, expanded = stack.pop()
        if id(expression) in done:
            continue
        if expanded:
            done.add(id(expression))
            order.append(expression)
            continue
        stack.append((expression, True))
        stack.extend((child, False) for child in reversed(expression.children))
    return order


def _unique(objects: dict[Ref, Any], labels: dict[int, str], count: int) -> tuple[str, ...]:
    unique: list[str] = ["tokens", "indices"]
    taken = set(unique)
    for ref in range(2, count):
        label, number = labels[id(objects[ref])], 2
        stem = label
        while label in taken:
            label, number = f"{stem}_{number}", number + 1
        taken.add(label)
        unique.append(label)
    return tuple(unique)


class _Reader:
    """Reads objects whose children are read already, with the values each can take."""

    def __init__(self, vocab: Sequence[Value] | None, max_seq_len: int | None) -> None:
        self.vocab = vocab
        self.max_seq_len = max_seq_len
        self.nodes: list[Node] = [Tokens(), Indices()]
        self.objects: dict[Ref, Any] = {}
        self.ref: dict[int, Ref] = {}
        self._values: dict[Ref, _Values] = {}
        self._given: dict[Ref, _Values] = {}

    def read(self, expression: Any) -> None:
        """Adds the node of one object.

        Raises:
            ProgramError: it is of an unsupported kind or its function cannot be read.
        """
        kind = _kind(expression)
        if kind in ("TokensType", "IndicesType"):
            name = "tokens" if kind == "TokensType" else "indices"
            if _encoding(expression) is NUMERICAL:
                raise ProgramError(
                    f"{name} is always categorical; use numerical(Map(lambda x: x, {name}))"
                )
            self.ref[id(expression)] = TOKENS if name == "tokens" else INDICES
            return
        node = self._node(kind, expression)
        self.nodes.append(node)
        ref = len(self.nodes) - 1
        self.ref[id(expression)] = ref
        self.objects[ref] = expression

    def _node(self, kind: str, expression: Any) -> Node:
        refs = [self.ref[id(child)] for child in expression.children]
        if kind == "SelectorNot":
            return SelectorNot(*refs)
        if kind == "SelectorAnd":
            return SelectorAnd(*refs)
        if kind == "SelectorOr":
            return SelectorOr(*refs)
        if kind == "Select":
            return Select(refs[0], refs[1], self._predicate(expression, refs))
        encoding = _encoding(expression)
        if kind == "Map":
            return Map(self._function(expression, refs), refs[0], encoding)
        if kind == "SequenceMap":
            return SequenceMap(self._function(expression, refs), refs[0], refs[1], encoding)
        if kind == "LinearSequenceMap":
            factors = plain_value(expression.fst_fac), plain_value(expression.snd_fac)
            if not all(isinstance(factor, (int, float)) for factor in factors):
                raise ProgramError(f"LinearSequenceMap's factors must be numbers, not {factors}")
            return LinearSequenceMap(refs[0], refs[1], *factors, encoding)  # type: ignore[arg-type]
        if kind == "SelectorWidth":
            return SelectorWidth(refs[0], encoding)
        return Aggregate(refs[0], refs[1], plain_value(expression.default), encoding)

    # Functions.

    def _predicate(self, expression: Any, refs: list[Ref]) -> Predicate:
        predicate = expression.predicate
        if isinstance(predicate, (Comparison, Formula, Table)):
            return predicate
        if type(predicate).__name__ == "Comparison":
            return Comparison[predicate.name]
        return self._named(predicate, refs, f"the predicate of {expression.label}", True)

    def _function(self, expression: Any, refs: list[Ref]) -> Function:
        if isinstance(expression.f, (Formula, Table)):
            return expression.f
        return self._named(expression.f, refs, f"the function of {expression.label}", False)

    def _named(
        self, function: Callable[..., object], refs: list[Ref], what: str, is_predicate: bool
    ) -> Function:
        domains = [self.values(ref, what) for ref in refs]
        table, results = _tabulate(function, domains, what)
        if is_predicate:
            table = _truths(table, what)
        else:
            self._given[len(self.nodes)] = results
        plain = [[*map(plain_value, (*domain.sure, *domain.more))] for domain in domains]
        candidates = _predicates(plain) if is_predicate else _formulas(plain)
        return next((c for c in candidates if _agrees(c, table)), table)

    # Values.

    def values(self, ref: Ref, what: str) -> _Values:
        """The values that a SOp can take, as its functions give them: NumPy's stay NumPy's.

        The next function is to see what Tracr would show it: truths of NumPy's add up
        to truths, Python's to numbers.

        Raises:
            ProgramError: they depend on a vocabulary or length that was not given.
        """
        for position in sorted(self._needed(ref)):
            if position not in self._values:
                self._values[position] = self._image(position, what).distinct()
        return self._values[ref]

    def _needed(self, ref: Ref) -> set[Ref]:
        needed: set[Ref] = set()
        stack = [ref]
        while stack:
            current = stack.pop()
            if current not in needed:
                needed.add(current)
                stack.extend(_value_sources(self.nodes[current]))
        return needed

    def _image(self, ref: Ref, what: str) -> _Values:
        if ref in self._given:
            return self._given[ref]
        node = self.nodes[ref]
        match node:
            case Tokens():
                return _Values(tuple(self._need(self.vocab, "vocab", what)))
            case Indices():
                return _Values(tuple(range(self._need(self.max_seq_len, "max_seq_len", what))))
            case SelectorWidth():
                return _Values(tuple(range(self._need(self.max_seq_len, "max_seq_len", what) + 1)))
            case Map(function, inner):
                return _tabulate(function, [self._values[inner]], what)[1]
            case SequenceMap(function, fst, snd):
                domains = [self._values[fst], self._values[snd]]
                return _tabulate(function, domains, what)[1]
            case LinearSequenceMap(fst, snd, fst_factor, snd_factor):
                domains = [self._values[fst], self._values[snd]]
                linear = formula(f"{fst_factor!r} * x + {snd_factor!r} * y", 2)
                return _tabulate(linear, domains, what)[1]
            case Aggregate(sop=sop, default=default, encoding=encoding):
                image = self._values[sop]
                if encoding is NUMERICAL:
                    length = self._need(self.max_seq_len, "max_seq_len", what)
                    image = _means(image, length)
                return image if default is None else _Values(image.sure, (*image.more, default))
            case _:
                raise AssertionError(node)

    def _need(self, given: Any, name: str, what: str) -> Any:
        if given is None:
            raise ProgramError(
                f"{what} is a Python callable, which can only be tabulated; give {name}=..."
            )
        return given


def _value_sources(node: Node) -> tuple[Ref, ...]:
    """The SOps on whose values those of ``node`` depend."""
    match node:
        case Map(inner=inner):
            return (inner,)
        case SequenceMap(fst=fst, snd=snd) | LinearSequenceMap(fst=fst, snd=snd):
            return (fst, snd)
        case Aggregate(sop=sop):
            return (sop,)
        case _:
            return ()


def _encoding(expression: Any) -> Encoding:
    return NUMERICAL if expression.annotations["encoding"].name == "NUMERICAL" else CATEGORICAL


@dataclass(frozen=True, slots=True)
class _Values:
    """The values that a SOp can take.

    Attributes:
        sure: those that Tracr infers; functions must be defined on them.
        more: others that may be met when the program runs.
    """

    sure: tuple[Any, ...]
    more: tuple[Any, ...] = ()

    def distinct(self) -> _Values:
        """Each value once."""
        sure = dict.fromkeys(self.sure)
        more = dict.fromkeys(value for value in self.more if value not in sure)
        return _Values(tuple(sure), tuple(more))


def _tabulate(
    function: Callable[..., object], domains: Sequence[_Values], what: str
) -> tuple[Table, _Values]:
    """A function as a table, and its results as it gives them, None left out."""
    size = math.prod(len(domain.sure) + len(domain.more) for domain in domains)
    if size > MAX_TABULATED:
        raise ProgramError(
            f"{what} would need a table of {size} entries, at most {MAX_TABULATED} are made; "
            "use a smaller vocab or max_seq_len"
        )
    entries: list[tuple[tuple[Value, ...], Value]] = []
    fails: list[tuple[tuple[Value, ...], str]] = []
    results: dict[bool, list[Any]] = {True: [], False: []}
    marked = (
        [*((value, True) for value in domain.sure), *((value, False) for value in domain.more)]
        for domain in domains
    )
    for combination in itertools.product(*marked):
        arguments = tuple(value for value, _ in combination)
        is_sure = all(sure for _, sure in combination)
        plain = tuple(map(plain_value, arguments))
        try:
            result = function(*arguments)
            entries.append((plain, plain_value(result)))
            results[is_sure] += [result] if result is not None else []
        except Exception as error:
            if is_sure and not isinstance(error, ArithmeticError):
                raise ProgramError(_failure(what, function, arguments, error)) from error
            fails.append((plain, f"{type(error).__name__}: {error}"))
    table = Table(tuple(entries), len(domains), tuple(fails))
    return table, _Values(tuple(results[True]), tuple(results[False]))


def _failure(
    what: str, function: Callable[..., object], arguments: tuple[Any, ...], error: Exception
) -> str:
    if isinstance(error, ProgramError):
        return f"{what} cannot be read: {error}{_place(function)}"
    shown = ", ".join(map(repr, arguments))
    return f"{what} fails on ({shown}): {type(error).__name__}: {error}{_place(function)}"


def _place(function: Callable[..., object]) -> str:
    """Where a function of Python's was written, as far as it can be told."""
    code = getattr(function, "__code__", None)
    if code is None or "/tracr/rasp/" in code.co_filename.replace("\\", "/"):
        return ""
    return f" ({code.co_name} of {code.co_filename}:{code.co_firstlineno})"


def _truths(table: Table, what: str) -> Table:
    """A predicate's table: 0 and 1 are truth values; other numbers stay, as weights take them.

    Raises:
        ProgramError: it gives something that is no number.
    """
    for arguments, value in table.entries:
        if not isinstance(value, (bool, int, float)):
            raise ProgramError(
                f"{what} must give True or False, not {value!r:.60} on {arguments!r}; "
                "write bool(...) around it"
            )
    if any(value not in (0, 1) for _, value in table.entries):
        return table
    return replace(table, entries=tuple((key, bool(value)) for key, value in table.entries))


def _means(values: _Values, length: int) -> _Values:
    """What a numerical Aggregate gives: a value over a length, and all means of 0 and 1."""
    numbers = [*map(plain_value, (*values.sure, *values.more))]
    for value in numbers:
        if not isinstance(value, (int, float)):
            raise ProgramError(f"a numerical Aggregate must average numbers, not {value!r}")
    sure = (v / n for v in map(plain_value, values.sure) for n in range(1, length + 1))  # type: ignore[operator]
    more: Iterable[float] = ()
    if set(numbers) <= {0, 1}:
        more = (k / n for n in range(1, length + 1) for k in range(n + 1))
    return _Values(tuple(sure), tuple(more))


def _agrees(candidate: Formula, table: Table) -> bool:
    for arguments, wanted in table.entries:
        try:
            value = candidate(*arguments)
        except PYTHON_FAILURES:
            return False
        if value != wanted or type_of(value) != type_of(wanted):
            return False
    return all(_fails(candidate, arguments) for arguments, _ in table.fails)


def _fails(candidate: Formula, arguments: tuple[Value, ...]) -> bool:
    try:
        candidate(*arguments)
    except ArithmeticError:  # the only failure that Tracr passes over: of others it stops
        return True
    except (TypeError, ValueError):
        return False
    return False


def _constants(domain: Iterable[Value]) -> tuple[Value, ...]:
    return tuple(dict.fromkeys((*(v for v in domain if not value_fault(v)), 0, 0.5)))


def _formulas(domains: Sequence[Sequence[Value]]) -> Iterator[Formula]:
    """Well-known formulas, simpler ones first."""
    if len(domains) == 2:
        for text in (
            "x * y",
            "x + y",
            "x - y",
            "x or y",
            "x and y",
            "x + y % 10",
            "y - x",
            "(x, y)",
        ):
            yield formula(text, 2)
        for symbol in ("==", "!=", ">", "<", ">=", "<="):
            yield formula(f"x {symbol} y", 2)
        for number in range(2, 11):
            yield formula(f"x + y / {number}", 2)
        return
    for text in ("x", "x + 1", "x - 1", "x * 2", "not x", "int(x)", "x + 0.5", "-1 * x"):
        yield formula(text)
    for symbol in ("==", "!=", ">", "<", ">=", "<="):
        for constant in _constants(domains[0]):
            yield formula(f"x {symbol} {constant!r}")
    for number in range(2, 11):
        for symbol in ("+", "-", "*"):
            yield formula(f"x {symbol} {number}")
    for text in ("bool(x)", "float(x)", "abs(x)", "x * 0.5", "x[0]", "x[1]"):
        yield formula(text)


def _predicates(domains: Sequence[Sequence[Value]]) -> Iterator[Formula]:
    """Well-known predicates of a key x and a query y, simpler ones first."""
    symbols = ("==", "!=", "<", "<=", ">", ">=")
    for symbol in symbols:
        yield formula(f"x {symbol} y", 2)
    for offset in range(1, 11):
        yield formula(f"y == x + {offset}", 2)
        yield formula(f"x == y + {offset}", 2)
    for name, domain in zip(("x", "y"), domains, strict=True):
        for symbol in symbols:
            for constant in _constants(domain):
                yield formula(f"{name} {symbol} {constant!r}", 2)
