"""Inputs in a task's words, as token ids with the special tokens put in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from untracr.errors import InputError, ProgramError, did_you_mean
from untracr.rasp.values import Value, plain_value
from untracr.shown_text import shown
from untracr.task.naming import TokenNames, text_of
from untracr.task.task import Lengths, Task, layout_text, quoted

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Given:
    """One input.

    Attributes:
        ids: all of its token ids, special ones included.
        answered: whether an answer y is among them; True where the task has none.
    """

    ids: Ids
    answered: bool


class Inputs:
    """Reads inputs in a task's words."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.names = TokenNames(task.tokens, {})

    def given(self, tokens: str | Sequence[Value]) -> Given:
        """One input as ids.

        Args:
            tokens: names of tokens, or one text (`words`); special tokens may be left out,
                where the layout says where they stand. What stands behind the layout's
                separator is an answer.

        Raises:
            InputError: a token is unknown, there are too few or too many, or special tokens
                stand where none may.
        """
        words = self.words(tokens) if isinstance(tokens, str) else _listed(tokens)
        ids = tuple(self.id_of(word, place) for place, word in enumerate(words))
        layout = self.task.layout
        inner = self._without_ends(ids)
        x, y = _split(inner, layout.between)
        self._require(x, self.task.lengths, "an input")
        if layout.between is None:
            return Given((*layout.before, *x, *layout.after), True)
        head = (*layout.before, *x, *layout.between)
        if y is None:
            return Given(head, False)
        self._require(y, self.task.answer_lengths, "an answer")
        return Given((*head, *y, *layout.after), True)

    def id_of(self, name: Value, place: int) -> int:
        """The id of a token by its name.

        Raises:
            InputError: there is none.
        """
        if (token := self.names.find(name)) is not None:
            return token
        names = [str(token) for token in self.task.tokens]
        hint = did_you_mean(text_of(name), names)
        raise InputError(
            f"token {shown(name)} at position {place} is none of the task's "
            f"{len(names)} tokens {shown(list(self.task.tokens))}.{hint}"
        )

    def words(self, text: str) -> list[Value]:
        """The tokens in a text: parted by commas or by spaces, else a character each.

        Commas part only where none is a token, spaces likewise. A text that is a token's
        name is that token, and a special token's name is one among characters, too. Quotes
        around a part make it one name.
        """
        if not text or self.names.find(text) is not None:
            return [text] if text else []
        for separator, pattern in ((",", _COMMAS), (" ", _SPACES)):
            if separator in text and self.names.find(separator) is None:
                return [_unquoted(part) for part in pattern.split(text.strip()) if part]
        if self._letters is not None:
            return list(self._letters.findall(text))
        return [_unquoted(text)]

    @cached_property
    def _letters(self) -> re.Pattern[str] | None:
        """The tokens of a text, where all but special ones have names of one character.

        A special token's longer name is one, unless other tokens spell it.
        """
        special = self.task.specials.ids
        letters = {text_of(n) for i, n in enumerate(self.task.tokens) if i not in special}
        if any(len(name) != 1 for name in letters):
            return None
        names = [text_of(self.task.tokens[token]) for token in special]
        longer = [re.escape(name) for name in names if len(name) > 1 and not letters >= set(name)]
        return re.compile("|".join([*sorted(longer, key=len, reverse=True), "."]), re.DOTALL)

    def _without_ends(self, ids: Ids) -> Ids:
        """Ids without the layout's tokens at their ends, where these are special and were given.

        Ordinary tokens there may be the input's own, so they always count as these.
        """
        before, after = self.task.layout.before, self.task.layout.after
        special = self.task.specials.ids
        if before and special.issuperset(before) and ids[: len(before)] == before:
            ids = ids[len(before) :]
        if after and special.issuperset(after) and ids[len(ids) - len(after) :] == after:
            ids = ids[: len(ids) - len(after)]
        return ids

    def _require(self, ids: Ids, lengths: Lengths, what: str) -> None:
        if not lengths.allows(len(ids)):
            most = "any number of" if lengths.most is None else f"{lengths.most}"
            raise InputError(
                f"{what} may have {lengths.fewest} to {most} tokens, special ones not counted; "
                f"this has {len(ids)}"
            )
        wrong = next((token for token in ids if token in self._reserved), None)
        if wrong is not None:
            raise InputError(
                f"{what} holds the special token {quoted(self.task.tokens[wrong])}; inputs are "
                f"{layout_text(self.task)!r}"
            )

    @cached_property
    def _reserved(self) -> frozenset[int]:
        """Special tokens that stand nowhere but where the layout has them."""
        sep = self.task.specials.sep
        placed = self.task.layout.between or ()
        return self.task.specials.ids - ({sep} if sep not in placed else set())


def given_inputs(task: Task, inputs: Iterable[str | Sequence[Value]]) -> list[Given]:
    """Inputs as token ids.

    Raises:
        InputError: one of them is none; the message says which.
    """
    if isinstance(inputs, str) or not isinstance(inputs, Iterable):
        raise InputError(f"inputs are a list of inputs, not {shown(inputs)}")
    reader = Inputs(task)
    read = []
    for number, tokens in enumerate(inputs):
        try:
            read.append(reader.given(tokens))
        except InputError as error:
            raise InputError(f"input {number}: {error}") from None
    return read


_COMMAS = re.compile(r"\s*,\s*")
_SPACES = re.compile(r"\s+")


def _unquoted(part: str) -> str:
    if len(part) > 1 and part[0] == part[-1] and part[0] in "'\"":
        return part[1:-1]
    return part


def _listed(tokens: Iterable[Value]) -> list[Value]:
    try:
        return list(map(plain_value, tokens))
    except (TypeError, ProgramError):
        raise InputError(
            f"an input is a list of token names, or one text, not {shown(tokens)}"
        ) from None


def _split(ids: Ids, between: Ids | None) -> tuple[Ids, Ids | None]:
    """What stands before a separator and behind it; None behind where there is none."""
    if between is None:
        return ids, None
    for place in range(len(ids) - len(between) + 1):
        if ids[place : place + len(between)] == between:
            behind = ids[place + len(between) :]
            return ids[:place], behind or None
    return ids, None
