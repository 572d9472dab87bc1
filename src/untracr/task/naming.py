"""Finding a token by what it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from untracr.errors import TaskError, did_you_mean
from untracr.rasp.values import Value, value_fault
from untracr.shown_text import shown
from untracr.task.special_names import role_of_word
from untracr.task.task import Role
from untracr.task.told import TokenName


class TokenNames:
    """The tokens of a task by name.

    A name is looked up as it is, then as text: ``3`` finds the token ``"3"`` where no
    token is the number 3, and ``"3"`` the number 3 where none is that text.

    Args:
        tokens: names by id.
        roles: ids of the special tokens by role.
    """

    def __init__(self, tokens: Sequence[Value], roles: Mapping[Role, int]) -> None:
        self.tokens = tokens
        self._roles = roles
        self._ids = {name: token for token, name in enumerate(tokens)}

    @cached_property
    def _by_text(self) -> dict[str, int]:
        """Ids by their names as text."""
        return {text_of(name): token for token, name in enumerate(self.tokens)}

    def find(self, name: Value) -> int | None:
        """The id of the token with a name, or None."""
        token = self._ids.get(name)
        if token is not None and type(self.tokens[token]) is type(name):
            return token
        by_text = self._by_text.get(text_of(name))
        return token if by_text is None else by_text

    def named(self, told: TokenName) -> int:
        """The id of a token as a task tells it: by name, by role, or by a whole number.

        Raises:
            TaskError: there is none.
        """
        if isinstance(told, int):
            if not 0 <= told < len(self.tokens):
                raise TaskError(f"token ids are 0 to {len(self.tokens) - 1}, not {shown(told)}")
            return told
        if (token := self.find(told)) is not None:
            return token
        role = role_of_word(told)
        if role is not None and role in self._roles:
            return self._roles[role]
        names = [str(name) for name in self.tokens]
        raise TaskError(f"no token is called {shown(told)}.{did_you_mean(told, names)}")


def text_of(name: Value) -> str:
    """A name as text; of a whole number too large for a token none that a token has."""
    return "" if isinstance(name, int) and value_fault(name) else str(name)
