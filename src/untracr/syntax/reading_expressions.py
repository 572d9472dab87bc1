"""Expressions in source text, each by its kind."""

from __future__ import annotations

import ast
from typing import TypeVar

from untracr.errors import did_you_mean
from untracr.rasp.functions import Comparison
from untracr.rasp.nodes import INDICES, TOKENS, Encoding
from untracr.syntax.node_building import Expression
from untracr.syntax.reading_arguments import Reader
from untracr.syntax.reading_calls import read_call
from untracr.syntax.reading_lambdas import read_lambda
from untracr.syntax.reading_names import Constant, Meaning
from untracr.syntax.reading_operators import read_binary, read_compare, read_unary

_NOT_READ: dict[type[ast.expr], str] = {
    ast.BoolOp: "'and' and 'or' do not build a SOp; use & and |, as in a & b",
    ast.IfExp: "if-else stands only inside a lambda; use Map(lambda x: ... if ... else ..., a)",
    ast.Dict: "a lookup table stands only inside a lambda, as in lambda x: {0: 1, 1: 0}[x]",
    ast.Subscript: "only a lookup table inside a lambda may be subscripted, "
    "as in lambda x: {0: 1, 1: 0}[x]",
    ast.JoinedStr: "f-strings are not read; write the text out",
    ast.NamedExpr: "':=' is not read; use one assignment a line",
}

_E = TypeVar("_E", Comparison, Encoding)


class ExpressionReader(Reader):
    """Reads any expression."""

    def evaluate(self, node: ast.expr) -> Meaning:
        match node:
            case ast.Constant(value=value):
                return Constant(self.require_value(node, value))
            case ast.Tuple(elts=elements):
                return Constant(self.require_value(node, tuple(map(self.value, elements))))
            case ast.Name() | ast.Attribute():
                return self._lookup(node)
            case ast.Lambda():
                return read_lambda(self, node)
            case ast.Call():
                return read_call(self, node)
            case ast.BinOp():
                return read_binary(self, node)
            case ast.UnaryOp():
                return read_unary(self, node)
            case ast.Compare():
                return read_compare(self, node)
            case _:
                fix = _NOT_READ.get(
                    type(node), "it is neither a SOp, a selector, a constant nor a lambda"
                )
                raise self.place.error(node, f"this expression is not read: {fix}")

    def _lookup(self, node: ast.Name | ast.Attribute) -> Meaning:
        if isinstance(node, ast.Name) and node.id in self.scope.variables:
            meaning = self.scope.variables[node.id]
            return Expression(meaning.ref, False) if isinstance(meaning, Expression) else meaning
        path = self.scope.path(node)
        match path:
            case ["tokens"]:
                return Expression(TOKENS, False)
            case ["indices"]:
                return Expression(INDICES, False)
            case ["Comparison", member]:
                return self._member(node, Comparison, member)
            case ["Encoding", member]:
                return self._member(node, Encoding, member)
            case [name]:
                raise self.place.error(
                    node, self.scope.unknown_name(name, isinstance(node, ast.Name))
                )
            case _:
                raise self.place.error(
                    node, f"{ast.unparse(node)!r} is not read; {_method_hint(node)}"
                )

    def _member(self, node: ast.expr, kind: type[_E], member: str) -> _E:
        if member not in kind.__members__:
            known = ", ".join(kind.__members__)
            raise self.place.error(
                node,
                f"{kind.__name__} has {known}, not {member!r}."
                f"{did_you_mean(member, kind.__members__)}",
            )
        return kind[member]


def _method_hint(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute) and node.attr in ("named", "annotated"):
        return f".{node.attr} must be called"
    return "an expression has the methods .named(...) and .annotated(...) only"
