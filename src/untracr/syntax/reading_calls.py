"""Calls in source text: Tracr's constructors and helpers, ``.named`` and ``.annotated``."""

from __future__ import annotations

import ast

from untracr.errors import did_you_mean
from untracr.rasp.nodes import (
    CATEGORICAL,
    NUMERICAL,
    Aggregate,
    Encoding,
    LinearSequenceMap,
    Node,
    Select,
    SelectorWidth,
    SequenceMap,
)
from untracr.syntax.node_building import Expression
from untracr.syntax.reading_arguments import Reader
from untracr.syntax.reading_lambdas import read_function, read_predicate
from untracr.syntax.reading_names import SIGNATURES, UNSUPPORTED_NAMES, Meaning, unsupported_name


def read_call(reader: Reader, node: ast.Call) -> Meaning:
    """What a constructor, a helper or a method gives."""
    function = node.func
    if isinstance(function, ast.Attribute) and not reader.scope.path(function):
        return _method(reader, node, function)
    path = reader.scope.path(function)
    if isinstance(function, ast.Name) and function.id in reader.scope.variables:
        raise reader.place.error(node, f"{function.id!r} is a variable and cannot be called")
    if len(path) == 2 and path[1] in ("named", "annotated"):
        return _method(reader, node, function)
    if len(path) != 1 or path[0] not in SIGNATURES:
        raise reader.place.error(function, _unknown_call(function, path))
    name = path[0]
    return _operation(reader, node, name, _bind(reader, node, name))


def _unknown_call(function: ast.expr, path: list[str]) -> str:
    if len(path) == 1 and path[0] in UNSUPPORTED_NAMES:
        return unsupported_name(path[0])
    name = path[-1] if path else ast.unparse(function)
    return f"{name!r} cannot be called here.{did_you_mean(name, SIGNATURES)}"


def _method(reader: Reader, node: ast.Call, function: ast.expr) -> Meaning:
    assert isinstance(function, ast.Attribute)
    target = reader.evaluate(function.value)
    if not isinstance(target, Expression) or function.attr not in ("named", "annotated"):
        methods = ("named", "annotated")
        raise reader.place.error(
            node,
            f"{reader.describe(target)} has no method {function.attr!r} that is read here."
            f"{did_you_mean(function.attr, methods)}",
        )
    if function.attr == "named":
        match node:
            case ast.Call(args=[name], keywords=[]):
                pass
            case ast.Call(args=[], keywords=[ast.keyword(arg="name", value=name)]):
                pass
            case _:
                raise reader.place.error(node, '.named takes one name, as in .named("hist")')
        return reader.nodes.annotate(node, target, name=reader.text(name))
    bound = {keyword.arg: keyword.value for keyword in node.keywords}
    if node.args or not set(bound) <= {"name", "encoding"}:
        raise reader.place.error(node, ".annotated takes name=... and encoding=... only")
    return _annotated(reader, node, target, bound.get("name"), bound.get("encoding"))


def _annotated(
    reader: Reader,
    node: ast.expr,
    target: Expression,
    name: ast.expr | None,
    encoding: ast.expr | None,
) -> Expression:
    chosen: Encoding | None = None
    if encoding is not None:
        meaning = reader.evaluate(encoding)
        if not isinstance(meaning, Encoding):
            raise reader.place.error(
                encoding, "an encoding is Encoding.CATEGORICAL or Encoding.NUMERICAL"
            )
        chosen = meaning
    text = reader.text(name) if name is not None else None
    return reader.nodes.annotate(node, target, name=text, encoding=chosen)


def _bind(reader: Reader, node: ast.Call, name: str) -> dict[str, ast.expr]:
    required, optional = SIGNATURES[name]
    known = (*required, *optional)
    usage = f"{name}({', '.join((*required, *(f'{o}=...' for o in optional)))})"
    if len(node.args) > len(known):
        raise reader.place.error(
            node.args[len(known)], f"{name} takes {len(known)} argument(s): {usage}"
        )
    bound: dict[str, ast.expr] = {}
    for parameter, argument in zip(known, node.args, strict=False):
        if isinstance(argument, ast.Starred):
            raise reader.place.error(argument, "arguments must be written out, not *")
        bound[parameter] = argument
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg not in known:
            shown = keyword.arg or "**"
            raise reader.place.error(
                keyword,
                f"{name} has no argument {shown!r}: {usage}.{did_you_mean(shown, known)}",
            )
        if keyword.arg in bound:
            raise reader.place.error(keyword, f"argument {keyword.arg!r} is given twice")
        bound[keyword.arg] = keyword.value
    for parameter in required:
        if parameter not in bound:
            raise reader.place.error(node, f"{name} needs the argument {parameter!r}: {usage}")
    return bound


def _operation(reader: Reader, node: ast.Call, name: str, bound: dict[str, ast.expr]) -> Expression:
    match name:
        case "Map":
            function = read_function(reader, bound["f"], 1)
            return reader.nodes.map(node, function, reader.sop(bound["inner"]), reader.flag(bound))
        case "sop_not":
            return reader.nodes.sop_not(node, reader.sop(bound["sop"]))
        case "numerical" | "categorical":
            target = reader.sop_expression(bound["sop"])
            encoding = NUMERICAL if name == "numerical" else CATEGORICAL
            return reader.nodes.annotate(node, target, encoding=encoding)
        case "annotate":
            meaning = reader.evaluate(bound["expr"])
            if not isinstance(meaning, Expression):
                raise reader.place.error(bound["expr"], "annotate takes a SOp or a selector")
            return _annotated(reader, node, meaning, bound.get("name"), bound.get("encoding"))
        case "selector_and" | "selector_or" | "SelectorAnd" | "SelectorOr":
            fst, snd = reader.selector(bound["fst"]), reader.selector(bound["snd"])
            word = "and" if name in ("selector_and", "SelectorAnd") else "or"
            simplify = name.startswith("selector_") and reader.flag(bound)
            return reader.nodes.join_selectors(node, word, fst, snd, simplify)
        case "selector_not" | "SelectorNot":
            inner = reader.selector(bound["inner"])
            return reader.nodes.selector_not(
                node, inner, name == "selector_not" and reader.flag(bound)
            )
        case "Aggregate":
            return _aggregate(reader, bound)
        case _:
            return reader.nodes.add(_plain(reader, name, bound))


def _plain(reader: Reader, name: str, bound: dict[str, ast.expr]) -> Node:
    match name:
        case "SequenceMap":
            function = read_function(reader, bound["f"], 2)
            return SequenceMap(function, reader.sop(bound["fst"]), reader.sop(bound["snd"]))
        case "LinearSequenceMap":
            fst, snd = reader.sop(bound["fst"]), reader.sop(bound["snd"])
            factors = reader.number(bound["fst_fac"]), reader.number(bound["snd_fac"])
            return LinearSequenceMap(fst, snd, *factors, CATEGORICAL)
        case "Select":
            keys, queries = reader.sop(bound["keys"]), reader.sop(bound["queries"])
            return Select(keys, queries, read_predicate(reader, bound["predicate"], 2))
        case "SelectorWidth":
            return SelectorWidth(reader.selector(bound["selector"]))
        case _:
            raise AssertionError(name)


def _aggregate(reader: Reader, bound: dict[str, ast.expr]) -> Expression:
    selector, sop = reader.selector(bound["selector"]), reader.sop(bound["sop"])
    default = reader.value(bound["default"]) if "default" in bound else None
    added = reader.nodes.add(Aggregate(selector, sop, default))
    if "default" in bound:
        reader.nodes.default_given.add(added.ref)
    return added
