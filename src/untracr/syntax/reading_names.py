"""Names in source text: Tracr's, those of its modules, and the program's variables."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from untracr.errors import did_you_mean
from untracr.rasp.functions import Comparison, Formula, Table, Value
from untracr.rasp.nodes import Encoding
from untracr.syntax.node_building import Expression

SIGNATURES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
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
"""The arguments that Tracr's constructors and helpers need, and those they may have."""

UNSUPPORTED_NAMES: dict[str, str] = {
    "length": "write SelectorWidth(Select(tokens, tokens, Comparison.TRUE))",
    "Full": "Tracr compiles it nowhere but inside a Select; write the value into the predicate, "
    "Select(keys, keys, lambda k, q: k == 1), or Map(lambda x: 1, tokens)",
    "ConstantSOp": "Tracr cannot compile it; compute the values from tokens and indices",
    "ConstantSelector": "Tracr cannot compile it; select by a predicate on tokens or indices",
}


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal, or a constant computed from literals."""

    value: Value


Meaning = Expression | Constant | Formula | Table | Comparison | Encoding
"""What an expression of the source text may stand for."""


@dataclass
class Scope:
    """The names known where reading stands.

    Attributes:
        assigned_somewhere: variables assigned before or after.
        modules: names of Tracr's rasp module.
        variables: what the variables assigned so far stand for.
        captured: constants that a lambda uses, with its line.
        defining: the variable whose expression is being read.
    """

    assigned_somewhere: frozenset[str]
    modules: set[str] = field(default_factory=lambda: {"rasp"})
    variables: dict[str, Meaning] = field(default_factory=dict)
    captured: dict[str, int] = field(default_factory=dict)
    defining: str | None = None

    def path(self, node: ast.expr) -> list[str]:
        """The dotted names of an expression without the module; empty if it has none."""
        match node:
            case ast.Name(id=name):
                return [name]
            case ast.Attribute(value=ast.Name(id=module), attr=name) if module in self.modules:
                return [name]
            case ast.Attribute(value=value, attr=name):
                before = self.path(value)
                is_variable = isinstance(value, ast.Name) and value.id in self.variables
                return [*before, name] if before and not is_variable else []
            case _:
                return []

    def unknown_name(self, name: str, bare: bool) -> str:
        """What is wrong with a name that stands for nothing; ``bare`` if no module is before it."""
        if name in UNSUPPORTED_NAMES:
            return unsupported_name(name)
        if name in SIGNATURES or name in ("Comparison", "Encoding") or name in self.modules:
            return f"{name!r} must be called or looked into, as in {_usage(name)}"
        if bare and name == self.defining:
            return f"{name!r} is used in its own definition, a cycle; it is not defined before"
        if bare and name in self.assigned_somewhere:
            return (
                f"{name!r} is used before it is defined; move its definition up "
                "(programs have no cycles)"
            )
        known = ["tokens", "indices", "Comparison", *SIGNATURES]
        hint = did_you_mean(name, [*self.variables, *known] if bare else known)
        return f"unknown name {name!r}.{hint}"


def unsupported_name(name: str) -> str:
    """Why a name of Tracr's cannot be used, and what to write instead."""
    return f"rasp.{name} cannot be used; {UNSUPPORTED_NAMES[name]}"


def _usage(name: str) -> str:
    if name in SIGNATURES:
        return f"{name}({', '.join(SIGNATURES[name][0])})"
    return {"Comparison": "Comparison.EQ", "Encoding": "Encoding.NUMERICAL"}.get(
        name, f"{name}.tokens"
    )
