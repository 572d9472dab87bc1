"""Lambdas and other functions in source text, read as formulas and lookup tables."""

from __future__ import annotations

import ast
from typing import NoReturn

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
    formula,
    formula_from_ast,
)
from untracr.syntax.reading_arguments import Reader
from untracr.syntax.reading_names import Constant


def read_lambda(reader: Reader, node: ast.Lambda) -> Function:
    """The formula or lookup table that a lambda says."""
    parameters = _parameters(reader, node)
    table = _table(reader, node.body, parameters)
    if table is not None:
        return table
    body = _Binder(reader, parameters).visit(node.body)
    try:
        return formula_from_ast(body, ARGUMENT_NAMES[: len(parameters)])
    except RaspSyntaxError:
        raise
    except ProgramError as error:
        raise reader.place.error(node.body, str(error)) from None


def read_function(reader: Reader, node: ast.expr, arity: int) -> Function:
    """The function that an argument names or spells out."""
    function = read_predicate(reader, node, arity)
    if not isinstance(function, (Formula, Table)):
        raise reader.place.error(node, f"a function is wanted here, not {function!r}")
    return function


def read_predicate(reader: Reader, node: ast.expr, arity: int) -> Predicate:
    """A function, or one of Tracr's comparisons."""
    if (
        isinstance(node, ast.Name)
        and node.id in CALLABLES
        and node.id not in reader.scope.variables
    ):
        return formula(f"{node.id}({', '.join(ARGUMENT_NAMES[:arity])})", arity)
    meaning = reader.evaluate(node)
    if isinstance(meaning, Comparison):
        return meaning
    if not isinstance(meaning, (Formula, Table)):
        raise reader.place.error(
            node, f"a function is wanted here, such as a lambda, not {reader.describe(meaning)}"
        )
    if meaning.arity != arity:
        raise reader.place.error(
            node, f"this function must take {arity} argument(s), not {meaning.arity}"
        )
    return meaning


def _parameters(reader: Reader, node: ast.Lambda) -> tuple[str, ...]:
    args = node.args
    names = tuple(arg.arg for arg in args.args)
    if args.posonlyargs or args.kwonlyargs or args.vararg or args.kwarg or args.defaults:
        raise reader.place.error(node, "a lambda takes plain arguments only, as in lambda x, y:")
    if not 1 <= len(names) <= 2 or len(set(names)) != len(names):
        raise reader.place.error(
            node,
            "a lambda takes one argument (Map) or two different ones (SequenceMap, Select)",
        )
    return names


def _table(reader: Reader, body: ast.expr, parameters: tuple[str, ...]) -> Table | None:
    match body:
        case ast.Subscript(value=ast.Dict(keys=keys, values=values), slice=index):
            pass
        case _:
            return None
    order = _index_order(index, parameters)
    if order is None:
        wanted = ", ".join(parameters)
        raise reader.place.error(index, f"a lookup table must be indexed by [{wanted}]")
    entries: dict[tuple[Value, ...], Value] = {}
    for key, value in zip(keys, values, strict=True):
        if key is None:
            raise reader.place.error(value, "a lookup table must list its entries, not **")
        arguments = _key(reader, key, len(parameters))
        entries[tuple(arguments[i] for i in order)] = reader.value(value)
    return Table.from_mapping(entries, len(parameters))


def _key(reader: Reader, node: ast.expr, arity: int) -> tuple[Value, ...]:
    if arity == 1:
        return (reader.value(node),)
    if not isinstance(node, ast.Tuple) or len(node.elts) != arity:
        raise reader.place.error(node, "a key of a two-argument table is a pair, as in (0, 1)")
    return tuple(reader.value(element) for element in node.elts)


def _capture(reader: Reader, node: ast.Name) -> ast.expr:
    """The constant that a free name of a lambda stands for, as a node.

    Raises:
        RaspSyntaxError: the name is not that of a constant.
    """
    meaning = reader.scope.variables.get(node.id)
    if isinstance(meaning, Constant):
        reader.scope.captured.setdefault(node.id, node.lineno)
        return _constant_node(meaning.value)
    if meaning is not None:
        raise reader.place.error(
            node,
            f"{node.id!r} is {reader.describe(meaning)}; a lambda may use its arguments and "
            "constants, and two SOps are joined by SequenceMap(lambda x, y: ..., a, b)",
        )
    if node.id in reader.scope.assigned_somewhere:
        raise reader.place.error(node, reader.scope.unknown_name(node.id, True))
    raise reader.place.error(
        node,
        f"unknown name {node.id!r} in a lambda; it may use its arguments, constants and "
        f"{', '.join(CALLABLES)}."
        f"{did_you_mean(node.id, [*reader.scope.variables, *CALLABLES])}",
    )


def _index_order(index: ast.expr, parameters: tuple[str, ...]) -> tuple[int, ...] | None:
    """Where in a table's key each parameter stands; None if the index is something else."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    if len(names) != len(parts) or sorted(names) != sorted(parameters):
        return None
    return tuple(names.index(parameter) for parameter in parameters)


class _Binder(ast.NodeTransformer):
    """Renames a lambda's arguments to x and y and puts constants in for free names."""

    def __init__(self, reader: Reader, parameters: tuple[str, ...]) -> None:
        self.reader = reader
        self.names = dict(zip(parameters, ARGUMENT_NAMES, strict=False))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.names:
            return ast.Name(self.names[node.id], ast.Load())
        if node.id in CALLABLES and node.id not in self.reader.scope.variables:
            return node
        return _capture(self.reader, node)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        self.reader.require_value(node, node.value)
        return ast.Constant(node.value)

    def visit_Lambda(self, node: ast.Lambda) -> NoReturn:
        raise self.reader.place.error(node, "a lambda cannot stand inside another lambda")


def _constant_node(value: Value) -> ast.expr:
    return ast.parse(repr(value), mode="eval").body
