"""RASP programs as values: reading, printing, running and comparing them."""

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
from untracr.rasp.library import LIBRARY, NamedProgram, named_program
from untracr.rasp.parsing import parse
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
from untracr.rasp.tracr_objects import from_tracr, to_tracr

__all__ = [
    "CATEGORICAL",
    "INDICES",
    "LIBRARY",
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
    "NamedProgram",
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
    "from_tracr",
    "named_program",
    "parse",
    "print_program",
    "register_callable",
    "run",
    "to_tracr",
]
