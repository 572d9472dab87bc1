"""Reads RASP programs written in Tracr's own Python syntax, without running them.

The text is read with `ast` and every statement is understood by this module;
nothing is passed to `eval` or `exec`. Accepted are

* imports of Tracr's rasp module (read and ignored);
* assignments ``name = expression`` of SOps, selectors, constants, predicates
  and lambdas, and bare expressions;
* Tracr's constructors and helpers, with or without the ``rasp.`` prefix:
  Map, SequenceMap, LinearSequenceMap, Select, SelectorWidth, Aggregate,
  SelectorAnd, SelectorOr, SelectorNot, selector_and, selector_or,
  selector_not, sop_not, numerical, categorical, annotate;
* the operators Tracr gives SOps (``< <= == != > >= + - * / ~ & |``) and
  selectors (``~ & |``), and the methods ``.named`` and ``.annotated``;
* lambdas of the formula language and lookup tables, ``lambda x: {0: 1}[x]``.

Meaning follows Tracr: a variable used twice is one node, two equal expressions
are two nodes, ``Map`` of a ``Map`` merges unless ``simplify=False``, and
``numerical(v)``, ``categorical(v)`` and ``v.named(...)`` of a variable are
copies of its node. Two rules go beyond Tracr:

* A numerical Aggregate written without ``default`` gets the default 0, since
  Tracr compiles no other.
* A node assigned to a variable and not ``.named`` has the variable's name as
  its label; any other is labelled ``name_<n>`` as Tracr would.
"""

from __future__ import annotations

import ast
import dataclasses
import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from untracr.errors import ProgramError, RaspSyntaxError, did_you_mean
from untracr.rasp.functions import (
    ARGUMENT_NAMES,
    CALLABLES,
    Comparison,
    Formula,
    Function,
    Predicate,
    Table,
    Value,
    combine,
    compose,
    formula,
    formula_from_ast,
    negate,
)
from untracr.rasp.program import (
    CATEGORICAL,
    INDICES,
    NUMERICAL,
    SELECTOR_TYPES,
    SOP_TYPES,
    TOKENS,
    Aggregate,
    Encoding,
    Indices,
    LinearSequenceMap,
    Map,
    Node,
    Program,
    Ref,
    Select,
    SelectorAnd,
    SelectorNot,
    SelectorOr,
    SelectorWidth,
    SequenceMap,
    Tokens,
    renumber,
    tracr_labels,
)

MAX_DEPTH = 100
"""How deeply expressions may nest."""

MAX_FORMULA_LENGTH = 4000
"""How long the text of a merged function may grow."""

_MAX_BITS = 4096

_SIGNATURES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Map": (("f", "inner"), ("simplify",)),
    "SequenceMap": (("f", "fst", "snd"), ()),
    "LinearSequenceMap": (("fst", "snd", "fst_fac", "snd_fac"), ()),
    "Select": (("keys", "queries", "predicate"), ()),
    "SelectorWidth": (("selector",), ()),
    "Aggregate": (("selector", "sop"), ("default",)),
    "SelectorAnd": (("fst", "snd"), ()),
    "SelectorOr": (("fst", "snd"), ()),
    "SelectorNot": (("inner",), ()),
    "selector_and": (("fst", "snd"), ("simplify",)),
    "selector_or": (("fst", "snd"), ("simplify",)),
    "selector_not": (("inner",), ("simplify",)),
    "sop_not": (("sop",), ()),
    "numerical": (("sop",), ()),
    "categorical": (("sop",), ()),
    "annotate": (("expr",), ("name", "encoding")),
}

_UNSUPPORTED_NAMES: dict[str, str] = {
    "length": "write SelectorWidth(Select(tokens, tokens, Comparison.TRUE))",
    "Full": "Tracr compiles it nowhere but inside a Select; write the value into the predicate, "
    "Select(keys, keys, lambda k, q: k == 1), or Map(lambda x: 1, tokens)",
    "ConstantSOp": "Tracr cannot compile it; compute the values from tokens and indices",
    "ConstantSelector": "Tracr cannot compile it; select by a predicate on tokens or indices",
}

_STATEMENTS: dict[type[ast.stmt], str] = {
    ast.FunctionDef: "a function definition (def)",
    ast.AsyncFunctionDef: "a function definition (def)",
    ast.ClassDef: "a class",
    ast.For: "a for loop",
    ast.While: "a while loop",
    ast.If: "an if statement",
    ast.With: "a with statement",
    ast.Try: "a try statement",
    ast.Match: "a match statement",
    ast.AugAssign: "an augmented assignment such as a += 1 (write a = a + 1)",
    ast.Return: "a return statement",
    ast.Delete: "a del statement",
    ast.Assert: "an assert statement",
    ast.Raise: "a raise statement",
    ast.Global: "a global statement",
    ast.Import: "an import of something else",
    ast.ImportFrom: "an import of something else",
}

_EXPRESSIONS: dict[type[ast.expr], str] = {
    ast.BoolOp: "'and' and 'or' do not build a SOp; use & and |, as in a & b",
    ast.IfExp: "if-else stands only inside a lambda; use Map(lambda x: ... if ... else ..., a)",
    ast.Dict: "a lookup table stands only inside a lambda, as in lambda x: {0: 1, 1: 0}[x]",
    ast.Subscript: "only a lookup table inside a lambda may be subscripted, "
    "as in lambda x: {0: 1, 1: 0}[x]",
    ast.JoinedStr: "f-strings are not read; write the text out",
    ast.NamedExpr: "':=' is not read; use one assignment a line",
}

_SUPPORTED = (
    "a program is made of assignments (name = expression), bare expressions and imports of "
    "tracr.rasp; write out what the statement would build"
)

_SYMBOLS: dict[type[ast.operator | ast.cmpop], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}

_SOP_OPERATORS = {"+": "+", "-": "-", "*": "*", "/": "/", "&": "and", "|": "or"}

_REFLECTED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}

_ARITHMETIC: dict[str, Callable[[int | float, int | float], int | float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}


@dataclass(frozen=True, slots=True)
class _Expression:
    """A SOp or selector; ``fresh`` when no variable holds it yet."""

    ref: Ref
    fresh: bool


@dataclass(frozen=True, slots=True)
class _Constant:
    value: Value


_E = TypeVar("_E", Comparison, Encoding)

_Meaning = _Expression | _Constant | Formula | Table | Comparison | Encoding
"""What an expression of the source text may stand for."""


def parse(
    source: object,
    *,
    filename: str = "<program>",
    vocab: Sequence[Value] | None = None,
    max_seq_len: int | None = None,
) -> Program:
    """Reads a program.

    The program computes the SOp of the last statement that gives one: a
    trailing bare expression, or else the last SOp assigned to a variable.

    Args:
        source: source text, a live ``tracr.rasp`` SOp, or a `Program`, which is
            returned unchanged.
        filename: how errors call the text.
        vocab: the tokens a live SOp is tabulated on; unused for text.
        max_seq_len: the length a live SOp is tabulated for; unused for text.

    Raises:
        RaspSyntaxError: the text is not a program of the accepted syntax; it
            carries the place of the first error.
        ProgramError: ``source`` is of no accepted kind, or a live SOp cannot
            be read.
    """
    if isinstance(source, Program):
        return source
    if isinstance(source, str):
        return _parse_text(source, filename)
    from untracr.rasp.tracr_objects import from_tracr, is_tracr_sop

    if is_tracr_sop(source):
        return from_tracr(source, vocab, max_seq_len)
    raise ProgramError(
        f"a program is source text (str), a Tracr SOp or a Program, not {type(source).__name__}"
    )


def _parse_text(text: str, filename: str) -> Program:
    text = text.removeprefix("\ufeff")
    place = _Places(text, filename)
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise RaspSyntaxError("source text must not hold null bytes", line=line, filename=filename)
    try:
        module = ast.parse(text)
        place.check_depth(module)
        return _Reader(place, module).read(module)
    except SyntaxError as error:
        raise RaspSyntaxError(
            f"not Python: {error.msg}",
            line=error.lineno,
            column=max(error.offset, 1) if error.offset is not None else None,
            text=place.line(error.lineno) if error.lineno else None,
            filename=filename,
        ) from None
    except (RecursionError, MemoryError):
        raise RaspSyntaxError(
            f"expressions may nest at most {MAX_DEPTH} deep; give the parts names of their own",
            filename=filename,
        ) from None
    except UnicodeError as error:
        raise RaspSyntaxError(f"source text must be Unicode: {error}", filename=filename) from None


class _Places:
    """Turns positions in the tree into errors that show the place."""

    def __init__(self, text: str, filename: str) -> None:
        self._text = text
        self._lines: list[str] | None = None
        self.filename = filename

    def line(self, number: int) -> str:
        """The text of a 1-based line, or an empty string past the end."""
        if self._lines is None:
            self._lines = re.split(r"\r\n|\r|\n", self._text)
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    def error(self, node: ast.AST, message: str) -> RaspSyntaxError:
        """The error ``message`` at the beginning of ``node``."""
        number = getattr(node, "lineno", None)
        if number is None:
            return RaspSyntaxError(message, filename=self.filename)
        text = self.line(number)
        before = text.encode()[: getattr(node, "col_offset", 0)]
        return RaspSyntaxError(
            message,
            line=number,
            column=len(before.decode(errors="replace")) + 1,
            text=text,
            filename=self.filename,
        )

    def check_depth(self, module: ast.Module) -> None:
        """Checks that no expression nests deeper than `MAX_DEPTH`.

        Raises:
            RaspSyntaxError: one does.
        """
        deep = _first_deeper_than(module, MAX_DEPTH)
        if deep is not None:
            raise self.error(
                deep,
                f"expressions may nest at most {MAX_DEPTH} deep; give the parts names of their own",
            )


def _first_deeper_than(tree: ast.AST, limit: int) -> ast.AST | None:
    level = [tree]
    for _ in range(limit + 3):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return None
    return next((node for node in level if hasattr(node, "lineno")), level[0])


class _Reader:
    """Reads the statements of one module in order, building nodes as it goes."""

    def __init__(self, place: _Places, module: ast.Module) -> None:
        self.place = place
        self.nodes: list[Node] = [Tokens(), Indices()]
        self.names: list[str | None] = [None, None]
        self.default_given: set[Ref] = set()
        self.variable_of: dict[Ref, str] = {}
        self.variables: dict[str, _Meaning] = {}
        self.captured: dict[str, int] = {}
        self.modules = {"rasp"}
        self.assigned_somewhere = {name for stmt in module.body for name in _targets(stmt)}
        self.defining: str | None = None

    # Statements.

    def read(self, module: ast.Module) -> Program:
        """The program of a whole module."""
        output: Ref | None = None
        last = module.body[-1] if module.body else None
        for position, statement in enumerate(module.body):
            if position == 0 and _is_docstring(statement) and statement is not last:
                continue
            meaning = self._statement(statement)
            if isinstance(meaning, _Expression) and self._is_sop(meaning.ref):
                output = meaning.ref
            elif isinstance(statement, ast.Expr) and statement is last:
                raise self.place.error(
                    statement, f"the last line must be a SOp, not {self._describe(meaning)}"
                )
        if output is None:
            raise self.place.error(
                module.body[-1] if module.body else module,
                "a program must compute a SOp; end it with one, "
                "for example: out = Map(lambda x: x + 1, tokens)",
            )
        return self._finish(output)

    def _statement(self, statement: ast.stmt) -> _Meaning | None:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                return self._assign(statement, name, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                return self._assign(statement, name, value)
            case ast.Assign():
                raise self.place.error(
                    statement, "an assignment has one variable on its left, as in name = expression"
                )
            case ast.Expr(value=value):
                return self._evaluate(value)
            case ast.Pass():
                return None
            case ast.Import() | ast.ImportFrom() if self._is_tracr_import(statement):
                return None
            case _:
                what = _STATEMENTS.get(type(statement), "this statement")
                raise self.place.error(statement, f"{what} is not read; {_SUPPORTED}")

    def _assign(self, statement: ast.stmt, name: str, value: ast.expr) -> _Meaning:
        if name in self.modules:
            raise self.place.error(
                statement, f"{name!r} is Tracr's module and cannot be assigned; rename the variable"
            )
        self.defining = name
        meaning = self._evaluate(value)
        self.defining = None
        if name in self.captured and meaning != self.variables[name]:
            raise self.place.error(
                statement,
                f"{name!r} is used by a lambda on line {self.captured[name]} and must keep its "
                "value, since Python would give the lambda the new one; use another name",
            )
        self.variables[name] = meaning
        if isinstance(meaning, _Expression) and meaning.ref not in (TOKENS, INDICES):
            self.variable_of.setdefault(meaning.ref, name)
        return meaning

    def _is_tracr_import(self, statement: ast.Import | ast.ImportFrom) -> bool:
        names = statement.names
        if isinstance(statement, ast.ImportFrom):
            if statement.module == "__future__":
                return True
            if statement.module == "tracr.rasp" and all(a.name == "rasp" for a in names):
                self.modules |= {alias.asname or alias.name for alias in names}
                return True
            if statement.module == "tracr.rasp.rasp":
                for alias in names:
                    self._require_importable(statement, alias)
                return True
            return False
        if all(alias.name == "tracr.rasp.rasp" and alias.asname for alias in names):
            self.modules |= {alias.asname for alias in names if alias.asname}
            return True
        return False

    def _require_importable(self, statement: ast.stmt, alias: ast.alias) -> None:
        if alias.asname and alias.asname != alias.name:
            raise self.place.error(
                statement, f"import {alias.name} under its own name, without 'as {alias.asname}'"
            )
        if alias.name in _UNSUPPORTED_NAMES:
            raise self.place.error(statement, _unsupported_name(alias.name))

    # Expressions.

    def _evaluate(self, node: ast.expr) -> _Meaning:
        match node:
            case ast.Constant(value=value):
                return _Constant(self.require_value(node, value))
            case ast.Name() | ast.Attribute():
                return self._lookup(node)
            case ast.Lambda():
                return self._lambda(node)
            case ast.Call():
                return self._call(node)
            case ast.BinOp():
                return self._binary(node)
            case ast.UnaryOp():
                return self._unary(node)
            case ast.Compare():
                return self._compare(node)
            case _:
                fix = _EXPRESSIONS.get(
                    type(node), "it is neither a SOp, a selector, a constant nor a lambda"
                )
                raise self.place.error(node, f"this expression is not read: {fix}")

    def require_value(self, node: ast.expr, value: object) -> Value:
        """Checks that a literal is of a kind that positions may hold.

        Raises:
            RaspSyntaxError: it is not.
        """
        if value is not None and not isinstance(value, (bool, int, float, str)):
            raise self.place.error(
                node, f"a constant must be None, bool, int, float or str, not {value!r}"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise self.place.error(node, f"a constant must be finite, not {value!r}")
        return value

    def _lookup(self, node: ast.Name | ast.Attribute) -> _Meaning:
        if isinstance(node, ast.Name) and node.id in self.variables:
            meaning = self.variables[node.id]
            return _Expression(meaning.ref, False) if isinstance(meaning, _Expression) else meaning
        path = self._path(node)
        match path:
            case ["tokens"]:
                return _Expression(TOKENS, False)
            case ["indices"]:
                return _Expression(INDICES, False)
            case ["Comparison", member]:
                return self._member(node, Comparison, member)
            case ["Encoding", member]:
                return self._member(node, Encoding, member)
            case [name]:
                raise self.place.error(node, self._unknown_name(name, isinstance(node, ast.Name)))
            case _:
                raise self.place.error(
                    node, f"{ast.unparse(node)!r} is not read; {self._method_hint(node)}"
                )

    def _path(self, node: ast.expr) -> list[str]:
        """The dotted names of an expression without the module; empty if it has none."""
        match node:
            case ast.Name(id=name):
                return [name]
            case ast.Attribute(value=ast.Name(id=module), attr=name) if self._is_module(module):
                return [name]
            case ast.Attribute(value=value, attr=name):
                before = self._path(value)
                is_variable = isinstance(value, ast.Name) and value.id in self.variables
                return [*before, name] if before and not is_variable else []
            case _:
                return []

    def _is_module(self, name: str) -> bool:
        return name in self.modules

    def _member(self, node: ast.expr, kind: type[_E], member: str) -> _E:
        if member not in kind.__members__:
            known = ", ".join(kind.__members__)
            raise self.place.error(
                node,
                f"{kind.__name__} has {known}, not {member!r}."
                f"{did_you_mean(member, kind.__members__)}",
            )
        return kind[member]

    def _method_hint(self, node: ast.expr) -> str:
        if isinstance(node, ast.Attribute) and node.attr in ("named", "annotated"):
            return f".{node.attr} must be called"
        return "an expression has the methods .named(...) and .annotated(...) only"

    def _unknown_name(self, name: str, bare: bool) -> str:
        if name in _UNSUPPORTED_NAMES:
            return _unsupported_name(name)
        if name in _SIGNATURES or name in ("Comparison", "Encoding") or name in self.modules:
            return f"{name!r} must be called or looked into, as in {_usage(name)}"
        if bare and name == self.defining:
            return f"{name!r} is used in its own definition, a cycle; it is not defined before"
        if bare and name in self.assigned_somewhere:
            return (
                f"{name!r} is used before it is defined; move its definition up "
                "(programs have no cycles)"
            )
        known = ["tokens", "indices", "Comparison", *_SIGNATURES]
        hint = did_you_mean(name, [*self.variables, *known] if bare else known)
        return f"unknown name {name!r}.{hint}"

    # Functions.

    def _lambda(self, node: ast.Lambda) -> Function:
        parameters = self._parameters(node)
        table = self._table(node.body, parameters)
        if table is not None:
            return table
        body = _Binder(self, parameters).visit(node.body)
        try:
            return formula_from_ast(body, ARGUMENT_NAMES[: len(parameters)])
        except RaspSyntaxError:
            raise
        except ProgramError as error:
            raise self.place.error(node.body, str(error)) from None

    def _parameters(self, node: ast.Lambda) -> tuple[str, ...]:
        args = node.args
        names = tuple(arg.arg for arg in args.args)
        if args.posonlyargs or args.kwonlyargs or args.vararg or args.kwarg or args.defaults:
            raise self.place.error(node, "a lambda takes plain arguments only, as in lambda x, y:")
        if not 1 <= len(names) <= 2 or len(set(names)) != len(names):
            raise self.place.error(
                node,
                "a lambda takes one argument (Map) or two different ones (SequenceMap, Select)",
            )
        return names

    def _table(self, body: ast.expr, parameters: tuple[str, ...]) -> Table | None:
        match body:
            case ast.Subscript(value=ast.Dict(keys=keys, values=values), slice=index):
                pass
            case _:
                return None
        order = _index_order(index, parameters)
        if order is None:
            wanted = ", ".join(parameters)
            raise self.place.error(index, f"a lookup table must be indexed by [{wanted}]")
        entries: dict[tuple[Value, ...], Value] = {}
        for key, value in zip(keys, values, strict=True):
            if key is None:
                raise self.place.error(value, "a lookup table must list its entries, not **")
            arguments = self._key(key, len(parameters))
            entries[tuple(arguments[i] for i in order)] = self._value(value)
        return Table.from_mapping(entries, len(parameters))

    def _key(self, node: ast.expr, arity: int) -> tuple[Value, ...]:
        if arity == 1:
            return (self._value(node),)
        if not isinstance(node, ast.Tuple) or len(node.elts) != arity:
            raise self.place.error(node, "a key of a two-argument table is a pair, as in (0, 1)")
        return tuple(self._value(element) for element in node.elts)

    def _function(self, node: ast.expr, arity: int) -> Function:
        function = self._callable(node, arity)
        if not isinstance(function, (Formula, Table)):
            raise self.place.error(node, f"a function is wanted here, not {function!r}")
        return function

    def _callable(self, node: ast.expr, arity: int) -> Predicate:
        if isinstance(node, ast.Name) and node.id in CALLABLES and node.id not in self.variables:
            return formula(f"{node.id}({', '.join(ARGUMENT_NAMES[:arity])})", arity)
        meaning = self._evaluate(node)
        if isinstance(meaning, Comparison):
            return meaning
        if not isinstance(meaning, (Formula, Table)):
            raise self.place.error(
                node, f"a function is wanted here, such as a lambda, not {self._describe(meaning)}"
            )
        if meaning.arity != arity:
            raise self.place.error(
                node, f"this function must take {arity} argument(s), not {meaning.arity}"
            )
        return meaning

    def capture(self, node: ast.Name) -> ast.expr:
        """The constant that a free name of a lambda stands for, as a node.

        Raises:
            RaspSyntaxError: the name is not that of a constant.
        """
        meaning = self.variables.get(node.id)
        if isinstance(meaning, _Constant):
            self.captured.setdefault(node.id, node.lineno)
            return _constant_node(meaning.value)
        if meaning is not None:
            raise self.place.error(
                node,
                f"{node.id!r} is {self._describe(meaning)}; a lambda may use its arguments and "
                "constants, and two SOps are joined by SequenceMap(lambda x, y: ..., a, b)",
            )
        if node.id in self.assigned_somewhere:
            raise self.place.error(node, self._unknown_name(node.id, True))
        raise self.place.error(
            node,
            f"unknown name {node.id!r} in a lambda; it may use its arguments, constants and "
            f"{', '.join(CALLABLES)}."
            f"{did_you_mean(node.id, [*self.variables, *CALLABLES])}",
        )

    # Calls.

    def _call(self, node: ast.Call) -> _Meaning:
        function = node.func
        if isinstance(function, ast.Attribute) and not self._path(function):
            return self._method(node, function)
        path = self._path(function)
        if isinstance(function, ast.Name) and function.id in self.variables:
            raise self.place.error(node, f"{function.id!r} is a variable and cannot be called")
        if len(path) == 2 and path[1] in ("named", "annotated"):
            return self._method(node, function)
        if len(path) != 1 or path[0] not in _SIGNATURES:
            raise self.place.error(function, self._unknown_call(function, path))
        name = path[0]
        return self._operation(node, name, self._bind(node, name))

    def _unknown_call(self, function: ast.expr, path: list[str]) -> str:
        if len(path) == 1 and path[0] in _UNSUPPORTED_NAMES:
            return _unsupported_name(path[0])
        name = path[-1] if path else ast.unparse(function)
        return f"{name!r} cannot be called here.{did_you_mean(name, _SIGNATURES)}"

    def _method(self, node: ast.Call, function: ast.expr) -> _Meaning:
        assert isinstance(function, ast.Attribute)
        target = self._evaluate(function.value)
        if not isinstance(target, _Expression) or function.attr not in ("named", "annotated"):
            methods = ("named", "annotated")
            raise self.place.error(
                node,
                f"{self._describe(target)} has no method {function.attr!r} that is read here."
                f"{did_you_mean(function.attr, methods)}",
            )
        if function.attr == "named":
            match node:
                case ast.Call(args=[name], keywords=[]):
                    pass
                case ast.Call(args=[], keywords=[ast.keyword(arg="name", value=name)]):
                    pass
                case _:
                    raise self.place.error(node, '.named takes one name, as in .named("hist")')
            return self._annotate(node, target, name=self._text(name))
        bound = {keyword.arg: keyword.value for keyword in node.keywords}
        if node.args or not set(bound) <= {"name", "encoding"}:
            raise self.place.error(node, ".annotated takes name=... and encoding=... only")
        return self._annotated(node, target, bound.get("name"), bound.get("encoding"))

    def _annotated(
        self,
        node: ast.expr,
        target: _Expression,
        name: ast.expr | None,
        encoding: ast.expr | None,
    ) -> _Expression:
        chosen: Encoding | None = None
        if encoding is not None:
            meaning = self._evaluate(encoding)
            if not isinstance(meaning, Encoding):
                raise self.place.error(
                    encoding, "an encoding is Encoding.CATEGORICAL or Encoding.NUMERICAL"
                )
            chosen = meaning
        text = self._text(name) if name is not None else None
        return self._annotate(node, target, name=text, encoding=chosen)

    def _bind(self, node: ast.Call, name: str) -> dict[str, ast.expr]:
        required, optional = _SIGNATURES[name]
        known = (*required, *optional)
        usage = f"{name}({', '.join((*required, *(f'{o}=...' for o in optional)))})"
        if len(node.args) > len(known):
            raise self.place.error(
                node.args[len(known)], f"{name} takes {len(known)} argument(s): {usage}"
            )
        bound: dict[str, ast.expr] = {}
        for parameter, argument in zip(known, node.args, strict=False):
            if isinstance(argument, ast.Starred):
                raise self.place.error(argument, "arguments must be written out, not *")
            bound[parameter] = argument
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg not in known:
                shown = keyword.arg or "**"
                raise self.place.error(
                    keyword,
                    f"{name} has no argument {shown!r}: {usage}.{did_you_mean(shown, known)}",
                )
            if keyword.arg in bound:
                raise self.place.error(keyword, f"argument {keyword.arg!r} is given twice")
            bound[keyword.arg] = keyword.value
        for parameter in required:
            if parameter not in bound:
                raise self.place.error(node, f"{name} needs the argument {parameter!r}: {usage}")
        return bound

    def _operation(self, node: ast.Call, name: str, bound: dict[str, ast.expr]) -> _Expression:
        match name:
            case "Map":
                function = self._function(bound["f"], 1)
                return self._map(node, function, self._sop(bound["inner"]), self._flag(bound))
            case "sop_not":
                return self._map(node, _NOT, self._sop(bound["sop"]))
            case "numerical" | "categorical":
                target = _Expression(*self._sop_and_freshness(bound["sop"]))
                encoding = NUMERICAL if name == "numerical" else CATEGORICAL
                return self._annotate(node, target, encoding=encoding)
            case "annotate":
                meaning = self._evaluate(bound["expr"])
                if not isinstance(meaning, _Expression):
                    raise self.place.error(bound["expr"], "annotate takes a SOp or a selector")
                return self._annotated(node, meaning, bound.get("name"), bound.get("encoding"))
            case "selector_and" | "selector_or" | "SelectorAnd" | "SelectorOr":
                fst, snd = self._selector(bound["fst"]), self._selector(bound["snd"])
                word = "and" if name in ("selector_and", "SelectorAnd") else "or"
                simplify = name.startswith("selector_") and self._flag(bound)
                return self._join(node, word, fst, snd, simplify)
            case "selector_not" | "SelectorNot":
                inner = self._selector(bound["inner"])
                return self._not(node, inner, name == "selector_not" and self._flag(bound))
            case "Aggregate":
                return self._aggregate(bound)
            case _:
                return self._add(self._plain(name, bound))

    def _plain(self, name: str, bound: dict[str, ast.expr]) -> Node:
        match name:
            case "SequenceMap":
                function = self._function(bound["f"], 2)
                return SequenceMap(function, self._sop(bound["fst"]), self._sop(bound["snd"]))
            case "LinearSequenceMap":
                fst, snd = self._sop(bound["fst"]), self._sop(bound["snd"])
                factors = self._number(bound["fst_fac"]), self._number(bound["snd_fac"])
                return LinearSequenceMap(fst, snd, *factors, CATEGORICAL)
            case "Select":
                keys, queries = self._sop(bound["keys"]), self._sop(bound["queries"])
                return Select(keys, queries, self._callable(bound["predicate"], 2))
            case "SelectorWidth":
                return SelectorWidth(self._selector(bound["selector"]))
            case _:
                raise AssertionError(name)

    def _aggregate(self, bound: dict[str, ast.expr]) -> _Expression:
        selector, sop = self._selector(bound["selector"]), self._sop(bound["sop"])
        default = self._value(bound["default"]) if "default" in bound else None
        added = self._add(Aggregate(selector, sop, default))
        if "default" in bound:
            self.default_given.add(added.ref)
        return added

    # Arguments.

    def _sop(self, node: ast.expr) -> Ref:
        return self._sop_and_freshness(node)[0]

    def _sop_and_freshness(self, node: ast.expr) -> tuple[Ref, bool]:
        meaning = self._evaluate(node)
        if not isinstance(meaning, _Expression) or not self._is_sop(meaning.ref):
            raise self.place.error(node, f"a SOp is wanted here, not {self._describe(meaning)}")
        return meaning.ref, meaning.fresh

    def _selector(self, node: ast.expr) -> Ref:
        meaning = self._evaluate(node)
        if not isinstance(meaning, _Expression) or self._is_sop(meaning.ref):
            raise self.place.error(
                node, f"a selector is wanted here, not {self._describe(meaning)}"
            )
        return meaning.ref

    def _value(self, node: ast.expr) -> Value:
        meaning = self._evaluate(node)
        if not isinstance(meaning, _Constant):
            raise self.place.error(
                node, f"a constant is wanted here, not {self._describe(meaning)}"
            )
        return meaning.value

    def _number(self, node: ast.expr) -> int | float:
        value = self._value(node)
        if not isinstance(value, (int, float)):
            raise self.place.error(node, f"a number is wanted here, not {value!r}")
        return value

    def _text(self, node: ast.expr) -> str:
        value = self._value(node)
        if not isinstance(value, str) or not value:
            raise self.place.error(node, f"a name must be a non-empty string, not {value!r}")
        return value

    def _flag(self, bound: dict[str, ast.expr]) -> bool:
        if "simplify" not in bound:
            return True
        value = self._value(bound["simplify"])
        if not isinstance(value, bool):
            raise self.place.error(
                bound["simplify"], f"simplify must be True or False, not {value!r}"
            )
        return value

    def _is_sop(self, ref: Ref) -> bool:
        return isinstance(self.nodes[ref], SOP_TYPES)

    def _describe(self, meaning: _Meaning | None) -> str:
        match meaning:
            case _Expression(ref=ref):
                return "a SOp" if self._is_sop(ref) else "a selector"
            case _Constant(value=value):
                return f"the constant {value!r}"
            case Formula() | Table():
                return "a lambda"
            case None:
                return "nothing"
            case _:
                return repr(meaning)

    # Nodes.

    def _add(self, node: Node) -> _Expression:
        self.nodes.append(node)
        self.names.append(None)
        return _Expression(len(self.nodes) - 1, True)

    def _map(
        self, place: ast.expr, function: Function, inner: Ref, simplify: bool = True
    ) -> _Expression:
        node = self.nodes[inner]
        if simplify and isinstance(node, Map):
            return self._add(Map(self._merge(place, function, node.function), node.inner))
        return self._add(Map(function, inner))

    def _merge(self, place: ast.expr, outer: Function, inner: Function) -> Function:
        if isinstance(inner, Table):
            return _table_after(outer, inner)
        if isinstance(outer, Table):
            raise self.place.error(
                place,
                "this Map of a Map would merge a lookup table with a formula; write one lookup "
                "table, or keep them apart with Map(..., simplify=False)",
            )
        uses = len(re.findall(r"\bx\b", outer.source))
        if len(outer.source) + uses * len(inner.source) <= MAX_FORMULA_LENGTH:
            merged = compose(outer, inner)
            deep = len(merged.source) > MAX_DEPTH and _first_deeper_than(
                ast.parse(merged.source), MAX_DEPTH - 10
            )
            if not deep:
                return merged
        raise self.place.error(
            place,
            "merging this Map with the Map it reads makes too long a function; keep them apart "
            "with Map(..., simplify=False)",
        )

    def _join(
        self, place: ast.expr, word: str, fst: Ref, snd: Ref, simplify: bool = True
    ) -> _Expression:
        a, b = self.nodes[fst], self.nodes[snd]
        if (
            simplify
            and isinstance(a, Select)
            and isinstance(b, Select)
            and (a.keys, a.queries) == (b.keys, b.queries)
        ):
            try:
                predicate = combine(a.predicate, b.predicate, word)
            except ProgramError as error:
                raise self.place.error(place, str(error)) from None
            return self._add(Select(a.keys, a.queries, predicate))
        return self._add(SelectorAnd(fst, snd) if word == "and" else SelectorOr(fst, snd))

    def _not(self, place: ast.expr, inner: Ref, simplify: bool = True) -> _Expression:
        node = self.nodes[inner]
        if not simplify or not isinstance(node, Select):
            return self._add(SelectorNot(inner))
        try:
            return self._add(Select(node.keys, node.queries, negate(node.predicate)))
        except ProgramError as error:
            raise self.place.error(place, str(error)) from None

    def _annotate(
        self,
        place: ast.expr,
        target: _Expression,
        *,
        name: str | None = None,
        encoding: Encoding | None = None,
    ) -> _Expression:
        """A copy of ``target`` with another name or encoding; itself if it is fresh."""
        node = self.nodes[target.ref]
        if isinstance(node, SELECTOR_TYPES) and encoding is not None:
            raise self.place.error(place, "a selector has no encoding, only a SOp has one")
        if isinstance(node, (Tokens, Indices)):
            if encoding is NUMERICAL:
                source = "tokens" if target.ref == TOKENS else "indices"
                raise self.place.error(
                    place,
                    f"{source} is always categorical; write numerical(Map(lambda x: x, {source}))",
                )
            return target
        ref = target.ref
        if not target.fresh:
            self.names.append(self.names[ref])
            self.nodes.append(node)
            if ref in self.default_given:
                self.default_given.add(len(self.nodes) - 1)
            ref = len(self.nodes) - 1
        if encoding is not None:
            self.nodes[ref] = self._encoded(ref, encoding)
        if name is not None:
            self.names[ref] = name
        return _Expression(ref, True)

    def _encoded(self, ref: Ref, encoding: Encoding) -> Node:
        node = self.nodes[ref]
        assert isinstance(node, SOP_TYPES)
        if isinstance(node, Aggregate) and ref not in self.default_given:
            default = 0 if encoding is NUMERICAL else None
            return dataclasses.replace(node, encoding=encoding, default=default)
        return dataclasses.replace(node, encoding=encoding)

    # Operators.

    def _binary(self, node: ast.BinOp) -> _Meaning:
        fst, snd = self._evaluate(node.left), self._evaluate(node.right)
        symbol = _SYMBOLS.get(type(node.op))
        if isinstance(fst, _Constant) and isinstance(snd, _Constant):
            return self._arithmetic(node, symbol, fst.value, snd.value)
        if self._selects(fst) and self._selects(snd) and symbol in ("&", "|"):
            assert isinstance(fst, _Expression)
            assert isinstance(snd, _Expression)
            return self._join(node, _SOP_OPERATORS[symbol], fst.ref, snd.ref)
        if self._selects(fst) or self._selects(snd):
            raise self.place.error(node, "selectors are joined by & and | with selectors only")
        if symbol not in _SOP_OPERATORS:
            shown = symbol or ast.unparse(node)
            raise self.place.error(
                node,
                f"Tracr's SOps have no operator {shown!r}, only + - * / & | ~ and comparisons; "
                f"use Map(lambda x: x {symbol or '+'} ..., a)",
            )
        word = _SOP_OPERATORS[symbol]
        match fst, snd:
            case _Expression(), _Expression():
                return self._add(SequenceMap(formula(f"x {word} y", 2), fst.ref, snd.ref))
            case _Expression(), _Constant():
                return self._map(node, formula(f"x {word} {snd.value!r}"), fst.ref)
            case _Constant(), _Expression() if word == "or":  # Tracr keeps the SOp first here
                return self._map(node, formula(f"x or {fst.value!r}"), snd.ref)
            case _Constant(), _Expression():
                return self._map(node, formula(f"{fst.value!r} {word} x"), snd.ref)
            case _:
                wrong = fst if not isinstance(fst, (_Expression, _Constant)) else snd
                raise self.place.error(
                    node, f"{symbol!r} takes SOps and constants, not {self._describe(wrong)}"
                )

    def _selects(self, meaning: _Meaning) -> bool:
        return isinstance(meaning, _Expression) and not self._is_sop(meaning.ref)

    def _compare(self, node: ast.Compare) -> _Meaning:
        symbol = _SYMBOLS.get(type(node.ops[0]))
        if len(node.ops) > 1:
            raise self.place.error(
                node, "comparisons of SOps cannot be chained; write (a < 1) & (a > 0)"
            )
        if symbol is None:
            raise self.place.error(node, "SOps have the comparisons ==, !=, <, <=, > and >= only")
        fst, snd = self._evaluate(node.left), self._evaluate(node.comparators[0])
        match fst, snd:
            case _Expression(), _Constant() if not self._selects(fst):
                return self._map(node, formula(f"x {symbol} {snd.value!r}"), fst.ref)
            case _Constant(), _Expression() if not self._selects(snd):
                text = f"x {_REFLECTED[symbol]} {fst.value!r}"
                return self._map(node, formula(text), snd.ref)
            case _Expression(), _Expression():
                raise self.place.error(
                    node,
                    f"Tracr's {symbol!r} compares a SOp with a constant; for two SOps use "
                    f"SequenceMap(lambda x, y: x {symbol} y, a, b)",
                )
            case _:
                raise self.place.error(
                    node,
                    f"{symbol!r} compares a SOp with a constant, not {self._describe(fst)} with "
                    f"{self._describe(snd)}",
                )

    def _unary(self, node: ast.UnaryOp) -> _Meaning:
        operand = self._evaluate(node.operand)
        match operand, node.op:
            case _Constant(value=value), ast.Not():
                return _Constant(not value)
            case _Constant(value=int() | float() as value), ast.USub():
                return _Constant(-value)
            case _Constant(value=int() | float() as value), ast.UAdd():
                return _Constant(+value)
            case _Expression(ref=ref), ast.Invert():
                return self._map(node, _NOT, ref) if self._is_sop(ref) else self._not(node, ref)
            case _Expression(), ast.Not():
                raise self.place.error(node, "'not' does not build a SOp; use ~, as in ~a")
            case _Expression(), _:
                raise self.place.error(
                    node, "Tracr's SOps have no sign operator; write -1 * a instead of -a"
                )
            case _:
                raise self.place.error(
                    node, f"this operator does not take {self._describe(operand)}"
                )

    def _arithmetic(self, node: ast.BinOp, symbol: str | None, fst: Value, snd: Value) -> _Constant:
        try:
            result = _calculate(symbol, fst, snd)
        except ArithmeticError as error:
            raise self.place.error(node, f"this constant cannot be computed: {error}") from None
        if result is None:
            raise self.place.error(
                node,
                "constants are computed with + - * / // % and ** on numbers and + on strings "
                f"only, not {ast.unparse(node)!r}",
            )
        return _Constant(self.require_value(node, result))

    # The end.

    def _finish(self, output: Ref) -> Program:
        whole = Program(tuple(self.nodes), output, ("",) * len(self.nodes))
        needed = sorted({TOKENS, INDICES, *whole.reachable})
        new = {old: position for position, old in enumerate(needed)}
        nodes = tuple(renumber(self.nodes[old], new) for old in needed)
        names = tuple(self.names[old] for old in needed)
        variables = tuple(self.variable_of.get(old) for old in needed)
        labels = _unique_labels(tracr_labels(nodes, new[output], names), names, variables)
        return Program(nodes, new[output], labels)


_NOT = Formula("not x", 1)


class _Binder(ast.NodeTransformer):
    """Renames a lambda's arguments to x and y and puts constants in for free names."""

    def __init__(self, reader: _Reader, parameters: tuple[str, ...]) -> None:
        self.reader = reader
        self.names = dict(zip(parameters, ARGUMENT_NAMES, strict=False))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.names:
            return ast.Name(self.names[node.id], ast.Load())
        if node.id in CALLABLES and node.id not in self.reader.variables:
            return node
        return self.reader.capture(node)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        self.reader.require_value(node, node.value)
        return ast.Constant(node.value)

    def visit_Lambda(self, node: ast.Lambda) -> NoReturn:
        raise self.reader.place.error(node, "a lambda cannot stand inside another lambda")


def _targets(statement: ast.stmt) -> Iterable[str]:
    match statement:
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


def _is_docstring(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case _:
            return False


def _unsupported_name(name: str) -> str:
    return f"rasp.{name} cannot be used; {_UNSUPPORTED_NAMES[name]}"


def _usage(name: str) -> str:
    if name in _SIGNATURES:
        return f"{name}({', '.join(_SIGNATURES[name][0])})"
    return {"Comparison": "Comparison.EQ", "Encoding": "Encoding.NUMERICAL"}.get(
        name, f"{name}.tokens"
    )


def _index_order(index: ast.expr, parameters: tuple[str, ...]) -> tuple[int, ...] | None:
    """Where in a table's key each parameter stands; None if the index is something else."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    if len(names) != len(parts) or sorted(names) != sorted(parameters):
        return None
    return tuple(names.index(parameter) for parameter in parameters)


def _constant_node(value: Value) -> ast.expr:
    return ast.parse(repr(value), mode="eval").body


def _table_after(outer: Function, inner: Table) -> Table:
    """The table of ``outer(inner(...))``; entries on which ``outer`` fails are left out."""
    entries: list[tuple[tuple[Value, ...], Value]] = []
    for arguments, value in inner.entries:
        try:
            entries.append((arguments, outer(value)))
        except (ArithmeticError, TypeError, ValueError, ProgramError):
            continue
    return Table(tuple(entries), inner.arity)


def _calculate(symbol: str | None, fst: Value, snd: Value) -> Value:
    """A constant computed from two; None where that is not supported."""
    if isinstance(fst, str) and isinstance(snd, str) and symbol == "+":
        return fst + snd
    if not isinstance(fst, (int, float)) or not isinstance(snd, (int, float)):
        return None
    if symbol == "**":
        bits = fst.bit_length() if isinstance(fst, int) else 1
        if abs(snd) * bits > _MAX_BITS:
            raise ArithmeticError(f"{fst} ** {snd} is too large")
        power = fst**snd
        return power if isinstance(power, (int, float)) else None
    if symbol not in _ARITHMETIC:
        return None
    result = _ARITHMETIC[symbol](fst, snd)
    if isinstance(result, int) and result.bit_length() > _MAX_BITS:
        raise ArithmeticError("it is too large")
    return result


def _unique_labels(
    fallback: tuple[str, ...], names: tuple[str | None, ...], variables: tuple[str | None, ...]
) -> tuple[str, ...]:
    """Variable names where they are free, else Tracr's labels with a free number."""
    labels: list[str | None] = [*fallback[:2], *[None] * (len(fallback) - 2)]
    taken = set(fallback[:2])
    for ref, variable in enumerate(variables):
        if variable is not None and names[ref] is None and variable not in taken:
            labels[ref] = variable
            taken.add(variable)
    for ref, label in enumerate(labels):
        if label is None:
            labels[ref] = free = _free_label(fallback[ref], taken, len(fallback))
            taken.add(free)
    return tuple(label for label in labels if label is not None)


def _free_label(label: str, taken: set[str], number: int) -> str:
    stem = label.rpartition("_")[0]
    while label in taken:
        label, number = f"{stem}_{number}", number + 1
    return label
