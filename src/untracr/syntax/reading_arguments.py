"""What is asked of the parts of an expression: a SOp here, a constant there."""

from __future__ import annotations

import ast
import math
from abc import ABC, abstractmethod

from untracr.bounds import MAX_BITS, MAX_PARTS, MAX_TEXT
from untracr.rasp.functions import Formula, Table
from untracr.rasp.nodes import Ref
from untracr.rasp.values import SCALARS, TOO_MANY_PARTS, Value, parts
from untracr.syntax.node_building import Expression, NodeBuilder
from untracr.syntax.reading_names import Constant, Meaning, Scope
from untracr.syntax.source_places import Places


class Reader(ABC):
    """Reads expressions, and checks that they are of the kind that is wanted.

    Each check raises a `RaspSyntaxError` at the expression if it fails.

    Attributes:
        place: shows places in the text.
        scope: the names known so far.
        nodes: the nodes built so far.
    """

    def __init__(self, place: Places, scope: Scope) -> None:
        self.place = place
        self.scope = scope
        self.nodes = NodeBuilder(place)

    @abstractmethod
    def evaluate(self, node: ast.expr) -> Meaning:
        """What an expression stands for."""

    def sop(self, node: ast.expr) -> Ref:
        """The node of a SOp."""
        return self.sop_expression(node).ref

    def sop_expression(self, node: ast.expr) -> Expression:
        """A SOp, and whether no variable holds it yet."""
        meaning = self.evaluate(node)
        if not isinstance(meaning, Expression) or not self.nodes.is_sop(meaning.ref):
            raise self.place.error(node, f"a SOp is wanted here, not {self.describe(meaning)}")
        return meaning

    def selector(self, node: ast.expr) -> Ref:
        """The node of a selector."""
        meaning = self.evaluate(node)
        if not isinstance(meaning, Expression) or self.nodes.is_sop(meaning.ref):
            raise self.place.error(node, f"a selector is wanted here, not {self.describe(meaning)}")
        return meaning.ref

    def value(self, node: ast.expr) -> Value:
        """A constant."""
        meaning = self.evaluate(node)
        if not isinstance(meaning, Constant):
            raise self.place.error(node, f"a constant is wanted here, not {self.describe(meaning)}")
        return meaning.value

    def number(self, node: ast.expr) -> int | float:
        """A constant number."""
        value = self.value(node)
        if not isinstance(value, (int, float)):
            raise self.place.error(node, f"a number is wanted here, not {value!r}")
        return value

    def text(self, node: ast.expr) -> str:
        """A constant name."""
        value = self.value(node)
        if not isinstance(value, str) or not value:
            raise self.place.error(node, f"a name must be a non-empty string, not {value!r}")
        return value

    def flag(self, bound: dict[str, ast.expr]) -> bool:
        """The argument ``simplify``, True if it is not given."""
        if "simplify" not in bound:
            return True
        value = self.value(bound["simplify"])
        if not isinstance(value, bool):
            raise self.place.error(
                bound["simplify"], f"simplify must be True or False, not {value!r}"
            )
        return value

    def require_value(self, node: ast.expr, value: object) -> Value:
        """Checks that a literal is of a kind that positions may hold.

        Raises:
            RaspSyntaxError: it is not.
        """
        if isinstance(value, tuple):
            if parts(value) > MAX_PARTS:
                raise self.place.error(node, TOO_MANY_PARTS)
            return tuple(self.require_value(node, part) for part in value)
        if value is not None and not isinstance(value, SCALARS):
            raise self.place.error(
                node, f"a constant must be None, bool, int, float or str, not {value!r}"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise self.place.error(node, f"a constant must be finite, not {value!r}")
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise self.place.error(node, f"a whole number may have at most {MAX_BITS:,} bits")
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise self.place.error(node, f"a text may hold at most {MAX_TEXT:,} characters")
        return value

    def describe(self, meaning: Meaning | None) -> str:
        """What errors call something that was read."""
        match meaning:
            case Expression(ref=ref):
                return "a SOp" if self.nodes.is_sop(ref) else "a selector"
            case Constant(value=value):
                return f"the constant {value!r}"
            case Formula() | Table():
                return "a lambda"
            case None:
                return "nothing"
            case _:
                return repr(meaning)
