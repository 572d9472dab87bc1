"""Reads RASP programs written in Tracr's own Python syntax, without running them.

The text is read with `ast` and every statement and expression is understood
node by node (statements here, expressions in `untracr.syntax.reading_expressions`);
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
import warnings
from collections.abc import Iterable, Sequence

from untracr.bounds import MAX_SOURCE
from untracr.errors import ProgramError, RaspSyntaxError
from untracr.rasp.functions import Value
from untracr.rasp.nodes import Ref
from untracr.rasp.program import Program
from untracr.syntax.node_building import Expression
from untracr.syntax.reading_expressions import ExpressionReader
from untracr.syntax.reading_names import UNSUPPORTED_NAMES, Meaning, Scope, unsupported_name
from untracr.syntax.source_places import TOO_DEEP, Places
from untracr.syntax.tracr_objects import from_tracr, is_tracr_selector, is_tracr_sop

__all__ = ["parse"]

_NOT_READ: dict[type[ast.stmt], str] = {
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

_SUPPORTED = (
    "a program is made of assignments (name = expression), bare expressions and imports of "
    "tracr.rasp; write out what the statement would build"
)


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
        source: source text, a live ``tracr.rasp`` SOp, a `Program`, which is
            returned unchanged, or a named program, whose program is.
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
    if is_tracr_sop(source):
        return from_tracr(source, vocab, max_seq_len)
    if isinstance(held := getattr(source, "program", None), Program):
        return held
    raise ProgramError(
        "a program is source text (str), a Tracr SOp, a Program or a named program, "
        f"not {type(source).__name__}{_what_to_do(source)}"
    )


def _what_to_do(source: object) -> str:
    if is_tracr_selector(source):
        return "; a program gives a SOp, so put the selector into SelectorWidth or Aggregate"
    return "; call it to get its SOp" if callable(source) else ""


def _parse_text(text: str, filename: str) -> Program:
    if len(text) > MAX_SOURCE:
        raise RaspSyntaxError(
            f"a program may have at most {MAX_SOURCE:,} characters, not {len(text):,}",
            filename=filename,
        )
    text = text.removeprefix("\ufeff")
    places = Places(text, filename)
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise RaspSyntaxError("source text must not hold null bytes", line=line, filename=filename)
    try:
        with warnings.catch_warnings():  # Python's own, of text that it takes to be strange
            warnings.simplefilter("ignore", SyntaxWarning)
            module = ast.parse(text)
        places.check_depth(module)
        return _StatementReader(places, module).read(module)
    except SyntaxError as error:
        raise RaspSyntaxError(
            f"not Python: {error.msg}",
            line=error.lineno,
            column=max(error.offset, 1) if error.offset is not None else None,
            text=places.line(error.lineno) if error.lineno else None,
            filename=filename,
        ) from None
    except (RecursionError, MemoryError):
        raise RaspSyntaxError(TOO_DEEP, filename=filename) from None
    except UnicodeError as error:
        raise RaspSyntaxError(f"source text must be Unicode: {error}", filename=filename) from None


class _StatementReader:
    """Reads the statements of one module in order, building nodes as it goes."""

    def __init__(self, place: Places, module: ast.Module) -> None:
        assigned = frozenset(name for statement in module.body for name in _targets(statement))
        self._place = place
        self._scope = Scope(assigned)
        self._expressions = ExpressionReader(place, self._scope)
        self._nodes = self._expressions.nodes

    def read(self, module: ast.Module) -> Program:
        """The program of a whole module."""
        output: Ref | None = None
        last = module.body[-1] if module.body else None
        for position, statement in enumerate(module.body):
            if position == 0 and _is_docstring(statement) and statement is not last:
                continue
            meaning = self._statement(statement)
            if isinstance(meaning, Expression) and self._nodes.is_sop(meaning.ref):
                output = meaning.ref
            elif isinstance(statement, ast.Expr) and statement is last:
                raise self._place.error(
                    statement,
                    f"the last line must be a SOp, not {self._expressions.describe(meaning)}",
                )
        if output is None:
            raise self._place.error(
                module.body[-1] if module.body else module,
                "a program must compute a SOp; end it with one, "
                "for example: out = Map(lambda x: x + 1, tokens)",
            )
        return self._nodes.program(output)

    def _statement(self, statement: ast.stmt) -> Meaning | None:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                return self._assign(statement, name, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                return self._assign(statement, name, value)
            case ast.Assign():
                raise self._place.error(
                    statement, "an assignment has one variable on its left, as in name = expression"
                )
            case ast.Expr(value=value):
                return self._expressions.evaluate(value)
            case ast.Pass():
                return None
            case ast.Import() | ast.ImportFrom() if self._is_tracr_import(statement):
                return None
            case _:
                what = _NOT_READ.get(type(statement), "this statement")
                raise self._place.error(statement, f"{what} is not read; {_SUPPORTED}")

    def _assign(self, statement: ast.stmt, name: str, value: ast.expr) -> Meaning:
        if name in self._scope.modules:
            raise self._place.error(
                statement, f"{name!r} is Tracr's module and cannot be assigned; rename the variable"
            )
        self._scope.defining = name
        meaning = self._expressions.evaluate(value)
        self._scope.defining = None
        if name in self._scope.captured and meaning != self._scope.variables[name]:
            raise self._place.error(
                statement,
                f"{name!r} is used by a lambda on line {self._scope.captured[name]} and must keep "
                "its value, since Python would give the lambda the new one; use another name",
            )
        self._scope.variables[name] = meaning
        if isinstance(meaning, Expression):
            self._nodes.assign(meaning.ref, name)
        return meaning

    def _is_tracr_import(self, statement: ast.Import | ast.ImportFrom) -> bool:
        names = statement.names
        if isinstance(statement, ast.ImportFrom):
            if statement.module == "__future__":
                return True
            if statement.module == "tracr.rasp" and all(a.name == "rasp" for a in names):
                self._scope.modules |= {alias.asname or alias.name for alias in names}
                return True
            if statement.module == "tracr.rasp.rasp":
                for alias in names:
                    self._require_importable(statement, alias)
                return True
            return False
        if all(alias.name == "tracr.rasp.rasp" and alias.asname for alias in names):
            self._scope.modules |= {alias.asname for alias in names if alias.asname}
            return True
        return False

    def _require_importable(self, statement: ast.stmt, alias: ast.alias) -> None:
        if alias.asname and alias.asname != alias.name:
            raise self._place.error(
                statement, f"import {alias.name} under its own name, without 'as {alias.asname}'"
            )
        if alias.name in UNSUPPORTED_NAMES:
            raise self._place.error(statement, unsupported_name(alias.name))


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
