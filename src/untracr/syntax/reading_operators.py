"""Operators in source text: those Tracr gives SOps and selectors, and constants computed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable

from untracr.bounds import MAX_BITS
from untracr.rasp.functions import Value, formula
from untracr.rasp.nodes import SequenceMap
from untracr.syntax.node_building import Expression
from untracr.syntax.reading_arguments import Reader
from untracr.syntax.reading_names import Constant, Meaning

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


def read_binary(reader: Reader, node: ast.BinOp) -> Meaning:
    """What an operator between two expressions gives."""
    fst, snd = reader.evaluate(node.left), reader.evaluate(node.right)
    symbol = _SYMBOLS.get(type(node.op))
    if isinstance(fst, Constant) and isinstance(snd, Constant):
        return _arithmetic(reader, node, symbol, fst.value, snd.value)
    if _selects(reader, fst) and _selects(reader, snd) and symbol in ("&", "|"):
        assert isinstance(fst, Expression)
        assert isinstance(snd, Expression)
        return reader.nodes.join_selectors(node, _SOP_OPERATORS[symbol], fst.ref, snd.ref)
    if _selects(reader, fst) or _selects(reader, snd):
        raise reader.place.error(node, "selectors are joined by & and | with selectors only")
    if symbol not in _SOP_OPERATORS:
        shown = symbol or ast.unparse(node)
        raise reader.place.error(
            node,
            f"Tracr's SOps have no operator {shown!r}, only + - * / & | ~ and comparisons; "
            f"use Map(lambda x: x {symbol or '+'} ..., a)",
        )
    word = _SOP_OPERATORS[symbol]
    match fst, snd:
        case Expression(), Expression():
            return reader.nodes.add(SequenceMap(formula(f"x {word} y", 2), fst.ref, snd.ref))
        case Expression(), Constant():
            return reader.nodes.map(node, formula(f"x {word} {snd.value!r}"), fst.ref)
        case Constant(), Expression() if word == "or":  # Tracr keeps the SOp first here
            return reader.nodes.map(node, formula(f"x or {fst.value!r}"), snd.ref)
        case Constant(), Expression():
            return reader.nodes.map(node, formula(f"{fst.value!r} {word} x"), snd.ref)
        case _:
            wrong = fst if not isinstance(fst, (Expression, Constant)) else snd
            raise reader.place.error(
                node, f"{symbol!r} takes SOps and constants, not {reader.describe(wrong)}"
            )


def read_compare(reader: Reader, node: ast.Compare) -> Meaning:
    """What a comparison gives."""
    symbol = _SYMBOLS.get(type(node.ops[0]))
    if len(node.ops) > 1:
        raise reader.place.error(
            node, "comparisons of SOps cannot be chained; write (a < 1) & (a > 0)"
        )
    if symbol is None:
        raise reader.place.error(node, "SOps have the comparisons ==, !=, <, <=, > and >= only")
    fst, snd = reader.evaluate(node.left), reader.evaluate(node.comparators[0])
    match fst, snd:
        case Expression(), Constant() if not _selects(reader, fst):
            return reader.nodes.map(node, formula(f"x {symbol} {snd.value!r}"), fst.ref)
        case Constant(), Expression() if not _selects(reader, snd):
            text = f"x {_REFLECTED[symbol]} {fst.value!r}"
            return reader.nodes.map(node, formula(text), snd.ref)
        case Expression(), Expression():
            raise reader.place.error(
                node,
                f"Tracr's {symbol!r} compares a SOp with a constant; for two SOps use "
                f"SequenceMap(lambda x, y: x {symbol} y, a, b)",
            )
        case _:
            raise reader.place.error(
                node,
                f"{symbol!r} compares a SOp with a constant, not {reader.describe(fst)} with "
                f"{reader.describe(snd)}",
            )


def read_unary(reader: Reader, node: ast.UnaryOp) -> Meaning:
    """What an operator before an expression gives."""
    operand = reader.evaluate(node.operand)
    match operand, node.op:
        case Constant(value=value), ast.Not():
            return Constant(not value)
        case Constant(value=int() | float() as value), ast.USub():
            return Constant(-value)
        case Constant(value=int() | float() as value), ast.UAdd():
            return Constant(+value)
        case Expression(ref=ref), ast.Invert() if _selects(reader, operand):
            return reader.nodes.selector_not(node, ref)
        case Expression(ref=ref), ast.Invert():
            return reader.nodes.sop_not(node, ref)
        case Expression(), ast.Not():
            raise reader.place.error(node, "'not' does not build a SOp; use ~, as in ~a")
        case Expression(), _:
            raise reader.place.error(
                node, "Tracr's SOps have no sign operator; write -1 * a instead of -a"
            )
        case _:
            raise reader.place.error(
                node, f"this operator does not take {reader.describe(operand)}"
            )


def _selects(reader: Reader, meaning: Meaning) -> bool:
    return isinstance(meaning, Expression) and not reader.nodes.is_sop(meaning.ref)


def _arithmetic(
    reader: Reader, node: ast.BinOp, symbol: str | None, fst: Value, snd: Value
) -> Constant:
    try:
        result = _calculate(symbol, fst, snd)
    except ArithmeticError as error:
        raise reader.place.error(node, f"this constant cannot be computed: {error}") from None
    if result is None:
        raise reader.place.error(
            node,
            "constants are computed with + - * / // % and ** on numbers and + on strings "
            f"only, not {ast.unparse(node)!r}",
        )
    return Constant(reader.require_value(node, result))


def _calculate(symbol: str | None, fst: Value, snd: Value) -> Value:
    """A constant computed from two; None where that is not supported."""
    if isinstance(fst, str) and isinstance(snd, str) and symbol == "+":
        return fst + snd
    if not isinstance(fst, (int, float)) or not isinstance(snd, (int, float)):
        return None
    if symbol == "**":
        bits = fst.bit_length() if isinstance(fst, int) else 1
        if abs(snd) * bits > MAX_BITS:
            raise ArithmeticError(f"{fst} ** {snd} is too large")
        power = fst**snd
        return power if isinstance(power, (int, float)) else None
    if symbol not in _ARITHMETIC:
        return None
    result = _ARITHMETIC[symbol](fst, snd)
    if isinstance(result, int) and result.bit_length() > MAX_BITS:
        raise ArithmeticError("it is too large")
    return result
