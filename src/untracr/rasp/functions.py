"""Scalar functions and predicates as data: formulas, tables and comparisons.

A RASP program is built from functions on single values: ``lambda x: x + 1``
in a Map, ``lambda x, y: x * y`` in a SequenceMap, ``Comparison.EQ`` in a
Select. Tracr keeps them as opaque Python lambdas. Here a function is one of

* `Formula`, an expression in a small closed language (the arithmetic,
  comparison and logic of Python on one or two arguments, tuples and their
  parts, and calls of the functions listed in `CALLABLES`), kept as canonical
  source text. It is read
  with `ast` and turned into closures node by node; nothing is ever passed to
  `eval` or `exec`.
* `Table`, an explicit lookup table, for anything a formula cannot say.
* `Comparison`, Tracr's named predicates, for Select only.

All three are immutable, hashable, compare by value and print as Python that
runs under Tracr.
"""

from __future__ import annotations

import ast
import enum
import functools
import math
import operator
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from untracr.bounds import MAX_BITS, MAX_PARTS, MAX_POWER, MAX_TEXT
from untracr.errors import ProgramError, did_you_mean
from untracr.rasp.values import SCALARS, TOO_MANY_PARTS, parts
from untracr.rasp.values import Value as Value
from untracr.rasp.values import number_or as number_or
from untracr.rasp.values import types_of as types_of
from untracr.short_repr import short_repr
from untracr.shown_text import cut, shown

ARGUMENT_NAMES = ("x", "y")

CALLABLES: dict[str, Callable[..., Value]] = {
    "int": int,
    "float": float,
    "bool": bool,
    "abs": abs,
    "min": min,
    "max": max,
    "round": round,
}
"""Functions a formula may call by name. Extend it with `register_callable`."""


def register_callable(name: str, function: Callable[..., Value]) -> None:
    """Makes ``name`` callable inside formulas.

    Args:
        name: a Python identifier, not yet taken.
        function: a pure function of one or more scalar values.

    Raises:
        ValueError: the name is not an identifier or is already taken.
    """
    if not name.isidentifier():
        raise ValueError(f"a callable's name must be an identifier, not {name!r}")
    if name in CALLABLES:
        raise ValueError(f"a callable named {name!r} is already registered")
    CALLABLES[name] = function
    _closure.cache_clear()


class Comparison(enum.Enum):
    """Tracr's named predicates, called as ``predicate(key, query)``."""

    EQ = "=="
    LT = "<"
    LEQ = "<="
    GT = ">"
    GEQ = ">="
    NEQ = "!="
    TRUE = "True"
    FALSE = "False"

    def __call__(self, key: Value, query: Value) -> bool:
        return bool(_COMPARE[self](key, query))

    def __repr__(self) -> str:
        return f"Comparison.{self.name}"


_COMPARE: dict[Comparison, Callable[[Any, Any], object]] = {
    Comparison.EQ: operator.eq,
    Comparison.LT: operator.lt,
    Comparison.LEQ: operator.le,
    Comparison.GT: operator.gt,
    Comparison.GEQ: operator.ge,
    Comparison.NEQ: operator.ne,
    Comparison.TRUE: lambda key, query: True,
    Comparison.FALSE: lambda key, query: False,
}


@dataclass(frozen=True, slots=True)
class Formula:
    """An expression of one or two arguments, ``x`` and ``y``.

    Build one with `formula`, which checks and normalises the text.

    Attributes:
        source: canonical expression text, as `ast.unparse` prints it.
        arity: 1 or 2.
    """

    source: str
    arity: int

    __repr__ = short_repr

    def __call__(self, *args: Value) -> Value:
        return _closure(self.source)(args)

    def __str__(self) -> str:
        return f"lambda {', '.join(ARGUMENT_NAMES[: self.arity])}: {self.source}"


@dataclass(frozen=True, slots=True)
class Table:
    """A lookup table: ``entries`` pairs each argument tuple with a result.

    Attributes:
        entries: ``((arguments, result), ...)`` in a fixed order.
        arity: 1 or 2.
        fails: arguments on which the function that was tabulated fails
            arithmetically, and how; printed text leaves them out.
    """

    entries: tuple[tuple[tuple[Value, ...], Value], ...]
    arity: int
    fails: tuple[tuple[tuple[Value, ...], str], ...] = ()
    # Results by arguments. Each table keeps its own: those with True and with 1 are equal.
    _results: dict[tuple[Value, ...], Value] = field(init=False, repr=False, compare=False)

    __repr__ = short_repr

    def __post_init__(self) -> None:
        object.__setattr__(self, "_results", dict(self.entries))

    @classmethod
    def from_mapping(cls, mapping: Mapping[tuple[Value, ...], Value], arity: int) -> Table:
        """Builds a table from ``{arguments: result}``."""
        return cls(tuple(mapping.items()), arity)

    def __call__(self, *args: Value) -> Value:
        try:
            return self._results[args]
        except KeyError:
            self._require_defined(args)
            raise ProgramError(
                f"a lookup table must cover every value it meets; it has no entry for "
                f"{shown(args[0]) if self.arity == 1 else shown(args)}"
            ) from None

    def _require_defined(self, args: tuple[Value, ...]) -> None:
        for arguments, reason in self.fails:
            if arguments == args:
                raise ArithmeticError(reason)

    def __str__(self) -> str:
        if self.arity == 1:
            body = ", ".join(f"{key[0]!r}: {value!r}" for key, value in self.entries)
            return f"lambda x: {{{body}}}[x]"
        body = ", ".join(f"{key!r}: {value!r}" for key, value in self.entries)
        return f"lambda x, y: {{{body}}}[x, y]"


Function = Formula | Table
"""What Map (arity 1) and SequenceMap (arity 2) take."""

Predicate = Comparison | Formula | Table
"""What Select takes; called as ``predicate(key, query)``."""


MOST_FORMULA_CHARACTERS = 200
"""Characters of a function in a message."""

FEW_ENTRIES = 12
"""Entries of a lookup table that is written out in a message."""


def brief(function: object) -> str:
    """A function as messages show it: a long one is cut, a large table counted."""
    if isinstance(function, Table) and len(function.entries) > FEW_ENTRIES:
        return f"a lookup table of {len(function.entries):,} entries"
    return cut(str(function), MOST_FORMULA_CHARACTERS)


def length_of(function: Function | Predicate | None) -> int:
    """Characters of a formula, all of which may count at each call; 0 for anything else."""
    return len(function.source) if isinstance(function, Formula) else 0


def formula(source: str, arity: int = 1) -> Formula:
    """Reads an expression such as ``"x + 1"`` or ``"x or y"``.

    Raises:
        ProgramError: the text is not an expression of the formula language.
    """
    try:
        tree = ast.parse(source, mode="eval").body
    except SyntaxError as error:
        raise ProgramError(f"not an expression: {source!r} ({error.msg})") from None
    return formula_from_ast(tree, ARGUMENT_NAMES[:arity])


def formulas(*sources: str, arity: int = 1) -> tuple[Formula, ...]:
    """A `formula` of each source.

    Raises:
        ProgramError: as `formula`.
    """
    return tuple(formula(source, arity) for source in sources)


def formula_from_ast(tree: ast.expr, parameters: tuple[str, ...]) -> Formula:
    """Makes a formula of an `ast` expression whose parameters have any names.

    Args:
        tree: the expression; it is not changed.
        parameters: the names it may use, renamed to x and y in order.

    Raises:
        ProgramError: something in it is outside the formula language.
    """
    renamed = _rename(tree, dict(zip(parameters, ARGUMENT_NAMES, strict=False)))
    source = ast.unparse(renamed)
    _closure(source)  # raises ProgramError on anything outside the language
    return Formula(source, len(parameters))


def compose(outer: Formula, inner: Formula) -> Formula:
    """Returns ``lambda *a: outer(inner(*a))`` for a one-argument ``outer``.

    Python calls ``inner`` first, whether ``outer`` looks at its result or not, and it may
    fail: where ``outer`` does not always read it, it is read before: ``(inner, outer)[1]``.
    """
    inner_tree = ast.parse(inner.source, mode="eval").body
    outer_tree = ast.parse(outer.source, mode="eval").body
    text = ast.unparse(_Substitute({"x": inner_tree}).visit(outer_tree))
    may_fail = not isinstance(inner_tree, (ast.Name, ast.Constant))
    if may_fail and not _always_reads_x(ast.parse(outer.source, mode="eval").body):
        text = f"({inner.source}, {text})[1]"
    return formula(text, inner.arity)


def _always_reads_x(node: ast.AST) -> bool:
    """Whether an expression reads ``x`` on every way through it."""
    match node:
        case ast.Name(id=name):
            return name == "x"
        case ast.BoolOp(values=[first, *_]):
            return _always_reads_x(first)
        case ast.Compare(left=left, comparators=[second, *_]):  # later ones may not be asked
            return _always_reads_x(left) or _always_reads_x(second)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _always_reads_x(test) or (_always_reads_x(body) and _always_reads_x(orelse))
        case _:
            return any(map(_always_reads_x, ast.iter_child_nodes(node)))


def negate(predicate: Predicate) -> Predicate:
    """Returns the predicate that holds exactly where ``predicate`` does not."""
    if isinstance(predicate, Table):
        return Table(tuple((key, not value) for key, value in predicate.entries), 2)
    return formula(f"not ({_as_formula(predicate).source})", 2)


def combine(fst: Predicate, snd: Predicate, word: str) -> Predicate:
    """Joins two predicates on the same keys and queries by ``and`` or ``or``."""
    if isinstance(fst, Table) or isinstance(snd, Table):
        keys = [k for p in (fst, snd) if isinstance(p, Table) for k, _ in p.entries]
        joined = all if word == "and" else any
        entries = ((k, joined((fst(*k), snd(*k)))) for k in dict.fromkeys(keys))
        return Table(tuple(entries), 2)
    return formula(f"({_as_formula(fst).source}) {word} ({_as_formula(snd).source})", 2)


def _as_formula(predicate: Comparison | Formula) -> Formula:
    if isinstance(predicate, Formula):
        return predicate
    if predicate in (Comparison.TRUE, Comparison.FALSE):
        return Formula(predicate.value, 2)
    return Formula(f"x {predicate.value} y", 2)


class _Substitute(ast.NodeTransformer):
    def __init__(self, replacements: Mapping[str, ast.expr]) -> None:
        self.replacements = replacements

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A copy for each place: ``ast.unparse`` keeps a precedence by a node's identity."""
        return deepcopy(self.replacements.get(node.id, node))


def _rename(tree: ast.expr, names: Mapping[str, str]) -> ast.expr:
    copied = ast.parse(ast.unparse(tree), mode="eval").body
    for node in ast.walk(copied):
        if isinstance(node, ast.Name) and node.id not in CALLABLES:
            if node.id not in names:
                known = (*names, *CALLABLES)
                raise ProgramError(
                    f"unknown name {node.id!r} in a function; it may use its own arguments and "
                    f"{', '.join(CALLABLES)}.{did_you_mean(node.id, known)}"
                )
            node.id = names[node.id]
    return copied


Closure = Callable[[tuple[Value, ...]], Value]


def _power(base: Any, exponent: Any) -> Value:
    if isinstance(exponent, (int, float)) and abs(exponent) > MAX_POWER:
        raise ArithmeticError(f"an exponent may be at most {MAX_POWER}, not {exponent}")
    if isinstance(base, int) and isinstance(exponent, int):
        _require_bits(base.bit_length() * abs(exponent))
    return _number(base**exponent)


def _multiply(x: Any, y: Any) -> Value:
    for many, times in ((x, y), (y, x)):
        if isinstance(many, str) and isinstance(times, int):
            _require_characters(len(many) * times)
        if isinstance(many, tuple) and isinstance(times, int):
            _require_parts(parts(many) * times)
    if isinstance(x, int) and isinstance(y, int):
        _require_bits(x.bit_length() + y.bit_length())
    product: Value = x * y
    return product


def _add(x: Any, y: Any) -> Value:
    if isinstance(x, str) and isinstance(y, str):
        _require_characters(len(x) + len(y))
    if isinstance(x, tuple) and isinstance(y, tuple):
        _require_parts(parts(x) + parts(y))
    return _number(x + y)


def _subtract(x: Any, y: Any) -> Value:
    return _number(x - y)


def _int(*args: Any) -> Value:
    return _number(int(*args))


def _number(result: Any) -> Value:
    """A result, if it is no complex number and no whole number without an end."""
    if isinstance(result, int):
        _require_bits(result.bit_length())
    if isinstance(result, complex):
        raise ArithmeticError("it would be a complex number")
    number: Value = result
    return number


def weighted_sum(x: Value, y: Value, x_factor: int | float, y_factor: int | float) -> Value:
    """What a LinearSequenceMap gives.

    Raises:
        TypeError, ValueError, ArithmeticError: the values are no numbers, or too large.
    """
    return _add(_multiply(x_factor, x), _multiply(y_factor, y))


def _modulo(x: Any, y: Any) -> Value:
    if isinstance(x, str):  # which Python takes for a format, of any width
        raise TypeError("% is of numbers, not of a text")
    rest: Value = x % y
    return rest


def _round(number: Any, digits: Any = None) -> Value:
    if isinstance(digits, int) and abs(digits) > MAX_BITS:
        raise ArithmeticError(f"round takes at most {MAX_BITS:,} digits, not {digits}")
    rounded: Value = round(number, digits)
    return rounded


def _require_characters(count: int) -> None:
    if count > MAX_TEXT:
        raise ValueError(f"a text may hold at most {MAX_TEXT:,} characters")


def _require_parts(count: int) -> None:
    if count > MAX_PARTS:
        raise ValueError(TOO_MANY_PARTS)


def _tuple(found: tuple[Value, ...]) -> Value:
    _require_parts(parts(found))
    return found


def _part(whole: Any, number: Any) -> Value:
    if not isinstance(whole, (tuple, str)) or not isinstance(number, int):
        raise TypeError(f"a tuple or text has parts by number, not {whole!r:.60} by {number!r:.60}")
    if not -len(whole) <= number < len(whole):
        raise ValueError(f"{whole!r:.60} has no part {number}")
    part: Value = whole[number]
    return part


def _require_bits(count: int) -> None:
    if count > MAX_BITS:
        raise ArithmeticError(f"a whole number may have at most {MAX_BITS:,} bits")


_BINARY: dict[type[ast.operator], Callable[..., Value]] = {
    ast.Add: _add,
    ast.Sub: _subtract,
    ast.Mult: _multiply,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: _modulo,
    ast.Pow: _power,
}

_BOUNDED: dict[str, Callable[..., Value]] = {"round": _round, "int": _int}
"""What is called in place of a function of `CALLABLES` that may give any number of digits."""

_COMPARISONS: dict[type[ast.cmpop], Callable[..., bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}

_UNARY: dict[type[ast.unaryop], Callable[..., Value]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


@functools.lru_cache(maxsize=4096)
def _closure(source: str) -> Closure:
    """Turns canonical formula text into a function of the argument tuple."""
    return _build(ast.parse(source, mode="eval").body)


def _build(node: ast.expr) -> Closure:
    match node:
        case ast.Constant(value=value):
            return _build_constant(value)
        case ast.Name(id=name):
            if name not in ARGUMENT_NAMES:
                raise ProgramError(f"unknown name {name!r} in a function")
            position = ARGUMENT_NAMES.index(name)
            return lambda args: args[position]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            binary, fst, snd = _BINARY[type(op)], _build(left), _build(right)
            return lambda args: binary(fst(args), snd(args))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            unary, inner = _UNARY[type(op)], _build(operand)
            return lambda args: unary(inner(args))
        case ast.BoolOp(op=op, values=values):
            return _build_logic(isinstance(op, ast.And), [_build(v) for v in values])
        case ast.Compare(left=left, ops=ops, comparators=rest):
            return _build_compare(node, left, ops, rest)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            condition, yes, no = _build(test), _build(body), _build(orelse)
            return lambda args: yes(args) if condition(args) else no(args)
        case ast.Tuple(elts=elements):
            made = [_build(element) for element in elements]
            return lambda args: _tuple(tuple(part(args) for part in made))
        case ast.Subscript(value=value, slice=ast.expr() as index) if not isinstance(
            index, ast.Slice
        ):
            whole, place = _build(value), _build(index)
            return lambda args: _part(whole(args), place(args))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _build_call(name, [_build(a) for a in arguments])
        case _:
            raise ProgramError(
                f"{ast.unparse(node)!r} is outside what a function may say: arithmetic, "
                f"comparisons, and/or/not, if-else, tuples, and calls of {', '.join(CALLABLES)}; "
                "write anything else as a lookup table, lambda x: {0: 1, 1: 0}[x]"
            )


def _build_constant(value: object) -> Closure:
    if value is not None and not isinstance(value, SCALARS):
        raise ProgramError(f"a constant must be None, bool, int, float or str, not {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ProgramError(f"a constant must be finite, not {value!r}")
    return lambda args: value


def _build_logic(is_and: bool, parts: list[Closure]) -> Closure:
    def run(args: tuple[Value, ...]) -> Value:
        value: Value = None
        for part in parts:
            value = part(args)
            if bool(value) is not is_and:
                return value
        return value

    return run


def _build_compare(
    node: ast.expr, left: ast.expr, ops: list[ast.cmpop], rest: list[ast.expr]
) -> Closure:
    if any(type(op) not in _COMPARISONS for op in ops):
        raise ProgramError(f"{ast.unparse(node)!r} uses a comparison outside ==, !=, <, <=, >, >=")
    tests = [_COMPARISONS[type(op)] for op in ops]
    operands = [_build(left), *(_build(r) for r in rest)]

    def run(args: tuple[Value, ...]) -> Value:
        values = [part(args) for part in operands]
        return all(test(a, b) for test, a, b in zip(tests, values[:-1], values[1:], strict=True))

    return run


def _build_call(name: str, arguments: list[Closure]) -> Closure:
    if name not in CALLABLES:
        raise ProgramError(
            f"a function may call {', '.join(CALLABLES)}, not {name!r}."
            f"{did_you_mean(name, CALLABLES)} Add it with untracr.rasp.register_callable, or "
            "write a lookup table"
        )
    called = _BOUNDED.get(name, CALLABLES[name])
    return lambda args: called(*(argument(args) for argument in arguments))
