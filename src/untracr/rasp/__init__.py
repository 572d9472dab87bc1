"""RASP programs as values: nodes and functions, running and comparing them, printing."""

from __future__ import annotations

from untracr.rasp.domain import PAPER_DOMAIN, Domain
from untracr.rasp.equivalence import (
    CounterExample,
    Equivalence,
    behaviour_key,
    decide_equivalence,
)
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
from untracr.rasp.printing import print_program
from untracr.rasp.program import (
    CATEGORICAL,
    INDICES,
    NUMERICAL,
    TOKENS,
    Aggregate,
    Builder,
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
)

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
