"""What a file of weights cannot say: the words of a network's inputs and outputs.

A `Task` names the tokens, says where special tokens stand in an input, at which
positions outputs count, and what an output means. All of it is values, so that two
tasks are equal when they mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from untracr.rasp.values import Value
from untracr.short_repr import short_repr
from untracr.shown_text import cut

Role = Literal["BOS", "SEP", "EOS", "PAD"]
"""What a special token is for: begins, separates, ends, fills up."""


@dataclass(frozen=True)
class Specials:
    """Ids of the special tokens; None where there is none."""

    bos: int | None = None
    sep: int | None = None
    eos: int | None = None
    pad: int | None = None

    def of(self, role: Role) -> int | None:
        """The id of the token with a role."""
        token: int | None = getattr(self, role.lower())
        return token

    @property
    def ids(self) -> frozenset[int]:
        """All of them."""
        return frozenset(x for x in (self.bos, self.sep, self.eos, self.pad) if x is not None)


@dataclass(frozen=True)
class Layout:
    """Which tokens stand around what is given: ``before x between y after``.

    Attributes:
        before: ids of the tokens before the input.
        between: ids of those between the input x and its answer y; None where there is no y.
        after: ids of those at the end.
        fill: id of the token that fills an input up to the longest length; None for no filling.
    """

    before: tuple[int, ...] = ()
    between: tuple[int, ...] | None = None
    after: tuple[int, ...] = ()
    fill: int | None = None

    __repr__ = short_repr


@dataclass(frozen=True)
class EveryPosition:
    """Outputs count at every position."""


@dataclass(frozen=True)
class AtToken:
    """Outputs count where a token stands."""

    token: int


@dataclass(frozen=True)
class AfterToken:
    """Outputs count behind the first place where a token stands, not there itself."""

    token: int


@dataclass(frozen=True)
class FromToken:
    """Outputs count from the first place on where a token stands, there itself included."""

    token: int


@dataclass(frozen=True)
class LastPosition:
    """Only the last output counts."""


Counted = EveryPosition | AtToken | AfterToken | FromToken | LastPosition
"""Where outputs count; never where a token fills up, nor, of next tokens, at the end token."""


@dataclass(frozen=True)
class NextToken:
    """The largest logit is the token that comes next."""


@dataclass(frozen=True)
class NextTokens:
    """The tokens that may come next are those whose logit is above a threshold."""

    above: float = 0.0


@dataclass(frozen=True)
class Label:
    """The largest logit says which of several values the output is.

    Attributes:
        names: the value of each column of the read-out.
    """

    names: tuple[Value, ...]

    __repr__ = short_repr


@dataclass(frozen=True)
class Number:
    """The output is a number, the only column of the read-out."""


Meaning = NextToken | NextTokens | Label | Number
"""What an output means."""


@dataclass(frozen=True)
class Lengths:
    """How many tokens something has, from the fewest to the most; None for as many as fit."""

    fewest: int = 0
    most: int | None = None

    def allows(self, count: int) -> bool:
        """Whether a number of tokens is one of these."""
        return self.fewest <= count and (self.most is None or count <= self.most)


@dataclass(frozen=True)
class Task:
    """The words of a network's inputs and outputs.

    Attributes:
        tokens: the name of each token id.
        specials: which of them are special.
        layout: where these stand in an input.
        lengths: how many tokens an input x has, those of the layout not counted.
        answer_lengths: likewise of an answer y.
        counted: the positions at which outputs count.
        meaning: what an output means; None where there is no read-out.
        about: what is said of the outputs besides, in the task's author's words.
    """

    tokens: tuple[Value, ...]
    specials: Specials = Specials()
    layout: Layout = Layout()
    lengths: Lengths = Lengths()
    answer_lengths: Lengths = Lengths()
    counted: Counted = EveryPosition()
    meaning: Meaning | None = None
    about: str = ""

    def __repr__(self) -> str:
        shape, outputs = cut(layout_text(self), 100), cut(outputs_text(self), 120)
        return f"<Task: {len(self.tokens)} tokens, input {shape!r}, {outputs}>"


def quoted(name: Value) -> str:
    """A token's name as it is shown in a layout, cut where it is long."""
    text = cut(str(name), LONGEST_SHOWN)
    plain = text.isprintable() and not any(c.isspace() or c in "'\"" for c in text)
    return text if text and plain and text not in SLOTS else repr(text)


LONGEST_SHOWN = 60
"""Characters of a token's name."""

SLOTS = ("x", "y", "w")
"""Words of a layout that stand for what is given (x, or w) and for what comes out (y)."""


def layout_text(task: Task) -> str:
    """A layout in words: ``<bos> x <sep> y <eos>``."""
    layout = task.layout
    words = [*_quoted(task, layout.before), "x"]
    if layout.between is not None:
        words += [*_quoted(task, layout.between), "y"]
    text = " ".join([*words, *_quoted(task, layout.after)])
    return text if layout.fill is None else f"{text} {quoted(task.tokens[layout.fill])}..."


def _quoted(task: Task, ids: tuple[int, ...]) -> list[str]:
    return [quoted(task.tokens[token]) for token in ids]


def outputs_text(task: Task) -> str:
    """Where outputs count and what they mean, in words."""
    return f"{counted_text(task)}: {meaning_text(task.meaning)}"


def counted_text(task: Task) -> str:
    """Where outputs count, in words."""
    match task.counted:
        case EveryPosition():
            return "at every position"
        case LastPosition():
            return "at the last position"
        case AtToken(token):
            return f"at {quoted(task.tokens[token])}"
        case AfterToken(token):
            return f"after {quoted(task.tokens[token])}"
        case FromToken(token):
            return f"from {quoted(task.tokens[token])} on"


def meaning_text(meaning: Meaning | None) -> str:
    """What an output means, in words."""
    match meaning:
        case None:
            return "nothing is known, for there is no read-out"
        case NextToken():
            return "the next token, the largest logit"
        case NextTokens(above):
            return f"the next tokens, allowed where the logit is above {above:g}"
        case Label(names):
            return f"the largest of {len(names)} logits"
        case Number():
            return "a number"
