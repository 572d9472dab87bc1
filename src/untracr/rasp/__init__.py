"""RASP programs as values: nodes and functions, running and comparing them, printing."""

from __future__ import annotations

from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.equivalence import CounterExample, Equivalence, behaviour_key, decide_equivalence
from untracr.rasp.functions import (
    Comparison,
    Formula,
    Function,
    Predicate,
    Table,
    Value,
    formula,
    register_callable,
)
from untracr.rasp.interpreter import run
from untracr.rasp.nodes import (
    CATEGORICAL,
    INDICES,
    NUMERICAL,
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
from untracr.rasp.program import Builder, Program, print_program

__all__ = [
    "CATEGORICAL",
    "INDICES",
    "NUMERICAL",
    "PAPER_DOMAIN",
    "TOKENS",
    "Aggregate",
    "Builder",
    "Comparison",
    "CounterExample",
    "Domain",
    "Encoding",
    "Equivalence",
    "Formula",
    "Function",
    "Indices",
    "LinearSequenceMap",
    "Map",
    "Node",
    "Predicate",
    "Program",
    "Ref",
    "Select",
    "SelectorAnd",
    "SelectorNot",
    "SelectorOr",
    "SelectorWidth",
    "SequenceMap",
    "Table",
    "Tokens",
    "Value",
    "behaviour_key",
    "decide_equivalence",
    "formula",
    "print_program",
    "register_callable",
    "run",
]
