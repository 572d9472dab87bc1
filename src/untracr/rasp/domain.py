"""The inputs a program is defined on: a vocabulary and a maximum length."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from untracr.errors import InputError, ProgramError
from untracr.rasp.values import SCALARS, Value, plain_value, types_of
from untracr.short_repr import short_repr

BOS = "compiler_bos"
PAD = "compiler_pad"
"""Tracr's names of the special tokens, which no vocabulary holds unless they are renamed."""


def plain_tokens(vocab: Iterable[Value]) -> set[Value] | frozenset[Value] | tuple[Value, ...]:
    """Tokens as Python's own values; a set of such stays as it is, order and all.

    Raises:
        InputError: there are none to go through.
        ProgramError: one is of no type that a position may hold.
    """
    try:
        tokens = tuple(map(plain_value, vocab))
    except TypeError:
        raise InputError(f"a vocabulary is a set or list of tokens, not {vocab!r:.60}") from None
    if not isinstance(vocab, (set, frozenset)):
        return tokens
    return vocab if types_of(vocab) == types_of(tokens) else set(tokens)


def plain_length(length: object) -> int:
    """A longest input as Python's own number.

    Raises:
        InputError: it is no whole number.
    """
    try:
        return operator.index(length)  # type: ignore[arg-type]
    except TypeError:
        raise InputError(f"max_seq_len must be a whole number, not {length!r:.60}") from None


def plain_inputs(inputs: Iterable[Sequence[Value]]) -> list[list[Value]]:
    """Inputs as lists of Python's own values.

    Raises:
        InputError: they are no sequences of tokens.
    """
    try:
        rows = list(inputs)
    except TypeError:
        raise InputError(f"inputs are a list of token sequences, not {inputs!r:.60}") from None
    return list(map(plain_input, rows))


def plain_input(tokens: Iterable[Value]) -> list[Value]:
    """One input as a list of Python's own values.

    Raises:
        InputError: it is no sequence of tokens.
    """
    try:
        return [token if type(token) in SCALARS else plain_value(token) for token in tokens]
    except TypeError:
        raise InputError(
            f"an input is a sequence of tokens such as [3, 1, 4], not {tokens!r:.60}; inputs are "
            "a list of these"
        ) from None
    except ProgramError as error:
        raise InputError(f"an input holds what is no token: {error}") from None


@dataclass(frozen=True)
class Domain:
    """All sequences of 1 to ``max_seq_len`` tokens of ``vocab``.

    Attributes:
        vocab: distinct tokens, in the order in which inputs are enumerated.
        max_seq_len: the longest sequence, at least 1.

    Raises:
        InputError: the vocabulary is empty or repeats a token, or the length
            is not positive.
    """

    vocab: tuple[Value, ...]
    max_seq_len: int

    __repr__ = short_repr

    def __post_init__(self) -> None:
        if not self.vocab:
            raise InputError("a vocabulary must hold at least one token")
        if len(set(self.vocab)) != len(self.vocab):
            raise InputError(f"a vocabulary must not repeat a token: {list(self.vocab)}")
        if plain_length(self.max_seq_len) < 1:
            raise InputError(f"max_seq_len must be at least 1, not {self.max_seq_len}")

    @property
    def written(self) -> str:
        """All of it as text; digests rest on these very letters."""
        return f"Domain(vocab={self.vocab!r}, max_seq_len={self.max_seq_len!r})"

    @functools.cached_property
    def size(self) -> int:
        """How many inputs there are: the sum of ``len(vocab) ** length``."""
        return sum(len(self.vocab) ** n for n in range(1, self.max_seq_len + 1))

    def __iter__(self) -> Iterator[tuple[Value, ...]]:
        """Every input, shorter ones first."""
        for n in range(1, self.max_seq_len + 1):
            yield from itertools.product(self.vocab, repeat=n)

    def require(self, tokens: Sequence[Value]) -> None:
        """Checks one input.

        Raises:
            InputError: it is empty, too long, or holds a token outside the vocabulary.
        """
        if len(tokens) == 0:
            raise InputError("an input must hold at least one token")
        if len(tokens) > self.max_seq_len:
            raise InputError(
                f"an input may hold at most max_seq_len={self.max_seq_len} tokens, "
                f"not {len(tokens)}: {list(tokens)}"
            )
        known = set(self.vocab)
        for position, token in enumerate(tokens):
            if token not in known:
                raise InputError(
                    f"token {token!r} at position {position} is outside the vocabulary "
                    f"{list(self.vocab)}"
                )


PAPER_DOMAIN = Domain((0, 1, 2, 3, 4), 5)
"""The paper's domain: 3,905 inputs."""
