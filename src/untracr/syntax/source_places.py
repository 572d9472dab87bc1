"""Places in source text: errors that show them, and how deep the text nests."""

from __future__ import annotations

import ast
import re

from untracr.bounds import MAX_DEPTH
from untracr.errors import RaspSyntaxError

TOO_DEEP = f"expressions may nest at most {MAX_DEPTH} deep; give the parts names of their own"


class Places:
    """Turns positions in the tree into errors that show the place."""

    def __init__(self, text: str, filename: str) -> None:
        self._text = text
        self._lines: list[str] | None = None
        self.filename = filename

    def line(self, number: int) -> str:
        """The text of a 1-based line, or an empty string past the end."""
        if self._lines is None:
            self._lines = re.split(r"\r\n|\r|\n", self._text)
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    def error(self, node: ast.AST, message: str) -> RaspSyntaxError:
        """The error ``message`` at the beginning of ``node``."""
        number = getattr(node, "lineno", None)
        if number is None:
            return RaspSyntaxError(message, filename=self.filename)
        text = self.line(number)
        before = text.encode()[: getattr(node, "col_offset", 0)]
        return RaspSyntaxError(
            message,
            line=number,
            column=len(before.decode(errors="replace")) + 1,
            text=text,
            filename=self.filename,
        )

    def check_depth(self, module: ast.Module) -> None:
        """Checks that no expression nests deeper than `MAX_DEPTH`.

        Raises:
            RaspSyntaxError: one does.
        """
        deep = first_deeper_than(module, MAX_DEPTH)
        if deep is not None:
            raise self.error(deep, TOO_DEEP)


def first_deeper_than(tree: ast.AST, limit: int) -> ast.AST | None:
    """A node deeper in the tree than ``limit`` expressions; None if there is none."""
    level = [tree]
    for _ in range(limit + 3):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return None
    return next((node for node in level if hasattr(node, "lineno")), level[0])
