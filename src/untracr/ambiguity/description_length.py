"""How long a program is as a description: the measure by which the shortest is printed.

Programs with the same weights have the same operations; they differ in functions
and predicates, and so does their length. A function or predicate of the closed
lists (`metamodel.vocabulary`: one token to the network) counts 1. Any other
formula counts its operators, calls, names and constants, and one more. A table
counts two for each entry, and one more for each further argument of it.
"""

from __future__ import annotations

import ast
import functools

from untracr.rasp.functions import Formula, Predicate, Table
from untracr.rasp.listed_functions import BINARY, PREDICATES, UNARY
from untracr.rasp.nodes import Map, Select, SequenceMap
from untracr.rasp.program import Program

_LISTED: frozenset[Predicate] = frozenset((*UNARY, *BINARY, *PREDICATES))

LENGTH_OF_LISTED = 1
"""The length of a function or predicate of the closed lists."""


def description_length(program: Program) -> int:
    """One for each operation and selector, and the length of each function and predicate."""
    return sum(1 + _of_node(program, ref) for ref in program.reachable)


def function_length(function: Predicate) -> int:
    """The length of one function or predicate."""
    if function in _LISTED:
        return LENGTH_OF_LISTED
    if isinstance(function, Table):
        return (1 + function.arity) * len(function.entries)
    return _formula_length(function) if isinstance(function, Formula) else LENGTH_OF_LISTED


@functools.lru_cache(maxsize=4096)
def _formula_length(function: Formula) -> int:
    counted = (ast.operator, ast.unaryop, ast.cmpop, ast.boolop, ast.IfExp, ast.Call, ast.Name)
    nodes = ast.walk(ast.parse(function.source, mode="eval"))
    return 1 + sum(isinstance(node, (*counted, ast.Constant)) for node in nodes)


def _of_node(program: Program, ref: int) -> int:
    match program.nodes[ref]:
        case Map(function=function) | SequenceMap(function=function):
            return function_length(function)
        case Select(predicate=predicate):
            return function_length(predicate)
        case _:
            return 0
