"""A network as the subject of a hypothesis: how a program's inputs and outputs are its own.

A program reads either what is given (the tokens of an input x) or all that the network
reads, special tokens included; its position i is the i-th of these. Outputs are kept as
numbers: the column of the largest logit, a set of columns as the bits of one integer, or the
logit itself. Axes: N inputs of T tokens, S = T and the special tokens around them, O outputs.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from untracr.errors import ModelFileError, UsageError
from untracr.network.forward import Hooks, forward
from untracr.network.network import Array, Network
from untracr.rasp.interpreter import Column
from untracr.rasp.values import Value, number_or
from untracr.short_repr import short_repr
from untracr.shown_text import shown
from untracr.task.positions import counted_positions
from untracr.task.task import (
    AfterToken,
    EveryPosition,
    Label,
    NextTokens,
    Number,
    Task,
)

Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Outputs = npt.NDArray[np.float64 | np.int64]

WITHIN = 1e-3
"""Numbers put out that differ by no more, relative to 1, are the same: single precision's share."""

WITHIN_AFTER_EXCHANGE = 0.05
"""The same where a number was exchanged, whose coordinates are estimated."""

MOST_SET_COLUMNS = 62
"""Outputs of which a set is the bits of one 64-bit integer."""

NO_OUTPUT = -1
"""Stands for a value that the network cannot put out."""

NO_NUMBER = -2
"""Stands for the network's output where a logit is not a number; it is no program's output."""


class View(enum.Enum):
    """What a program reads of what the network reads."""

    GIVEN = "input"
    """The tokens of the input x."""
    WHOLE = "all"
    """Every token, special ones included."""


def usual_view(task: Task) -> View:
    """The tokens of x where each of them has its own output; else everything."""
    match task.counted:
        case EveryPosition():
            each = True
        case AfterToken(token):
            each = task.layout.before[-1:] == (token,)
        case _:
            each = False
    labels = isinstance(task.meaning, (Label, Number)) and task.layout.between is None
    return View.GIVEN if each and labels else View.WHOLE


@dataclass(frozen=True, eq=False)
class Subject:
    """A network and how a program's inputs and outputs are its own.

    Attributes:
        network: the network.
        task: its words.
        view: what the program reads of them.
        within: numbers put out that differ by no more, relative to the larger of 1 and the
            program's, are the same.

    Raises:
        UsageError: the program would read the input alone, but that has no output at each
            token; or outputs are sets of more than `MOST_SET_COLUMNS` columns.
        ModelFileError: the network has no read-out.
    """

    network: Network
    task: Task
    view: View
    within: float = WITHIN

    __repr__ = short_repr

    def __post_init__(self) -> None:
        if self.task.meaning is None or self.network.W_U is None:
            raise ModelFileError("a network without a read-out has no outputs to compare")
        if self.view is View.GIVEN and self.task.layout.between is not None:
            raise UsageError("outputs stand behind the input, so a program must read all tokens")
        if isinstance(self.task.meaning, NextTokens) and self.columns > MOST_SET_COLUMNS:
            raise UsageError(
                f"sets of at most {MOST_SET_COLUMNS} tokens are compared, not {self.columns}"
            )

    @property
    def columns(self) -> int:
        """O, columns of the read-out."""
        assert self.network.W_U is not None
        return int(self.network.W_U.shape[1])

    @cached_property
    def token_ids(self) -> Codes:
        """Ids of the tokens that a program may read, in the order of their ids."""
        special = self.task.specials.ids if self.view is View.GIVEN else frozenset()
        left_out = special | {self.task.specials.pad, self.task.layout.fill}
        kept = [token for token in range(len(self.task.tokens)) if token not in left_out]
        return np.array(kept, dtype=np.int64)

    @cached_property
    def vocab(self) -> tuple[Value, ...]:
        """The tokens that a program may read."""
        return tuple(self.task.tokens[token] for token in self.token_ids.tolist())

    @property
    def before(self) -> tuple[int, ...]:
        """Ids of what the network reads before the program's first token."""
        return self.task.layout.before if self.view is View.GIVEN else ()

    @property
    def after(self) -> tuple[int, ...]:
        """Ids of what the network reads behind the program's last token."""
        return self.task.layout.after if self.view is View.GIVEN else ()

    @property
    def first(self) -> int:
        """The network's position at which the program's first token stands."""
        return len(self.before)

    def ids(self, tokens: Codes) -> Codes:
        """[N, S], ids of inputs given as places in the vocabulary, [N, T]."""
        around = (np.array(ids, dtype=np.int64) for ids in (self.before, self.after))
        before, after = (np.tile(ids, (len(tokens), 1)) for ids in around)
        return np.concatenate([before, self.token_ids[tokens], after], axis=1)

    def own(self, values: Array) -> Array:
        """[N, T, ...] of [N, S, ...]: what stands at the program's positions."""
        return values[:, self.first : values.shape[1] - len(self.after)]

    def logits(self, ids: Codes, hooks: Hooks | None = None) -> Array:
        """[N, T, O], logits at the program's positions."""
        return self.own(forward(self.network, ids, hooks))

    def counted(self, ids: Codes) -> Mask:
        """[N, T], where outputs count."""
        mask = counted_positions(self.task, ids)
        own: Mask = mask[:, self.first : mask.shape[1] - len(self.after)]
        return own

    def outputs(self, logits: Array) -> Outputs:
        """[N, T], outputs of logits [N, T, O]; `NO_NUMBER` where one is not a number."""
        match self.task.meaning:
            case NextTokens(above):
                bits = 1 << np.arange(self.columns, dtype=np.int64)
                outputs = (logits > above) @ bits
            case Number():
                return np.asarray(logits[..., 0], dtype=np.float64)
            case _:
                outputs = logits.argmax(axis=-1)
        return np.where(np.isnan(logits).any(axis=-1), NO_NUMBER, outputs).astype(np.int64)

    def wanted(self, output: Column) -> Outputs:
        """[N, T], a program's outputs as the network's would be; `NO_OUTPUT` or NaN for none."""
        match self.task.meaning:
            case Number():
                numbers = [number_or(value, math.nan) for value in output.values]
                return np.array(numbers, dtype=np.float64)[output.codes]
            case NextTokens():
                table = [self._set_of(value) for value in output.values]
            case _:
                table = [self._places.get(value, NO_OUTPUT) for value in output.values]
        return np.array(table, dtype=np.int64)[output.codes]

    def possible(self, wanted: Outputs) -> Mask:
        """[N, T], whether the network can put it out at all."""
        if isinstance(self.task.meaning, Number):
            return np.asarray(np.isfinite(wanted))
        return np.asarray(np.not_equal(wanted, NO_OUTPUT))

    def same(self, got: Outputs, wanted: Outputs) -> Mask:
        """[N, T], whether outputs are those that are wanted; numbers `within`."""
        return self._same(got, wanted, self.within)

    def same_after_exchange(self, got: Outputs, wanted: Outputs) -> Mask:
        """[N, T], likewise; numbers within `WITHIN_AFTER_EXCHANGE` or `within`."""
        return self._same(got, wanted, max(self.within, WITHIN_AFTER_EXCHANGE))

    def _same(self, got: Outputs, wanted: Outputs, within: float) -> Mask:
        if not isinstance(self.task.meaning, Number):
            return np.asarray(np.equal(got, wanted))
        with np.errstate(invalid="ignore"):  # infinite weights
            near = np.abs(got - wanted) <= within * np.maximum(1.0, np.abs(wanted))
        return np.asarray(near & np.isfinite(got) & np.isfinite(wanted))

    def value_of(self, output: float | int) -> Value:
        """An output as a program would give it; a set as its tokens; None where there is none."""
        match self.task.meaning:
            case meaning if not isinstance(meaning, Number) and output == NO_NUMBER:
                return None
            case Number():
                return float(output)
            case NextTokens():
                names = (n for i, n in enumerate(self.task.tokens) if int(output) >> i & 1)
                return " ".join(map(str, names))
            case _:
                return self._names[int(output)]

    @cached_property
    def _names(self) -> tuple[Value, ...]:
        return self.task.meaning.names if isinstance(self.task.meaning, Label) else self.task.tokens

    @cached_property
    def _places(self) -> Mapping[object, int]:
        return {name: place for place, name in enumerate(self._names)}

    def _set_of(self, value: object) -> int:
        """The set of tokens that a value names: one token, or several parted by spaces."""
        if value in self._places:
            return 1 << self._places[value]
        if not isinstance(value, str):
            return NO_OUTPUT
        by_text = {str(name): place for place, name in enumerate(self.task.tokens)}
        places = [by_text.get(word, NO_OUTPUT) for word in value.split()]
        return NO_OUTPUT if NO_OUTPUT in places else sum(1 << place for place in set(places))

    def require_tokens(self, tokens: frozenset[Value]) -> None:
        """Checks that a program's tokens are the network's.

        Raises:
            UsageError: one is not.
        """
        if unknown := [token for token in tokens if token not in self.vocab]:
            raise UsageError(f"the network has no token {shown(unknown[0])}")
