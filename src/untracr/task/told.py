"""What somebody says of a task: a file, options, a configuration; mostly not all of it."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from untracr.rasp.values import Value
from untracr.short_repr import short_repr
from untracr.task.task import Lengths, Role

TokenName = str | int
"""A token as it is told: its name as text, or its id as a whole number."""


class Slot(enum.Enum):
    """What stands in an input besides tokens: what is given, and the answer to it."""

    INPUT = "x"
    ANSWER = "y"


@dataclass(frozen=True)
class Fill:
    """A token that fills an input up to the longest length."""

    token: TokenName


LayoutWord = Slot | Fill | TokenName

Place = Literal["every position", "last position", "at", "after", "from"]
Means = Literal["next token", "next-token set", "label", "number"]


@dataclass(frozen=True)
class Where:
    """Where outputs count.

    Attributes:
        place: the rule.
        token: the token of the rules ``at``, ``after`` and ``from``.
    """

    place: Place
    token: TokenName | None = None


@dataclass(frozen=True)
class Outputs:
    """What is said of outputs; None where nothing is.

    Attributes:
        where: where they count.
        means: what one means.
        labels: names of the read-out's columns, of the meaning ``label``.
        above: the threshold of the meaning ``next-token set``.
        about: words besides, which are kept and not understood.
        unread: a phrase of which what it means was not understood.
    """

    where: Where | None = None
    means: Means | None = None
    labels: tuple[Value, ...] | None = None
    above: float | None = None
    about: str = ""
    unread: str = ""


@dataclass(frozen=True)
class Told:
    """What is said of a task and of its network; None where nothing is.

    Attributes:
        tokens: names by id.
        specials: special tokens by role; None for a role that no token has.
        layout: where they stand in an input (`untracr.task.layouts`).
        lengths, answer_lengths: of an input x and of its answer y, in tokens.
        outputs: where they count and what they mean.
        pad: the token that no position attends to.
        causal: whether positions attend to earlier ones only.
        layer_norm: whether the network normalises.
        accuracy: shares of whole sequences that are said to be right, by a name.
        names: whose names the tensors have.
        source: who says it, for errors.
    """

    tokens: tuple[Value, ...] | None = None
    specials: Mapping[Role, TokenName | None] = field(default_factory=dict)
    layout: tuple[LayoutWord, ...] | None = None
    lengths: Lengths | None = None
    answer_lengths: Lengths | None = None
    outputs: Outputs | None = None
    pad: TokenName | None = None
    causal: bool | None = None
    layer_norm: bool | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)
    names: str | None = None
    source: str = "the task"

    __repr__ = short_repr

    def over(self, other: Told) -> Told:
        """This, and what another says where this says nothing; both are the source."""
        mine = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        said = {name: value for name, value in mine.items() if value is not None}
        said["source"] = _sources(self, other)
        said["specials"] = {**other.specials, **self.specials}
        said["accuracy"] = {**other.accuracy, **self.accuracy}
        return dataclasses.replace(other, **said)


def _sources(one: Told, other: Told) -> str:
    """Who says something, of two."""
    named = [told.source for told in (one, other) if told != Told(source=told.source)]
    return " and ".join(dict.fromkeys(named)) or one.source
