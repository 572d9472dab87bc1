"""What is told of a task, made whole for a network; what had to be assumed is said."""

from __future__ import annotations

from untracr.errors import TaskError
from untracr.network.network import Network
from untracr.rasp.values import Value
from untracr.shown_text import shown
from untracr.task.layouts import layout_of
from untracr.task.naming import TokenNames
from untracr.task.special_names import ROLES, roles_of
from untracr.task.task import (
    AfterToken,
    AtToken,
    Counted,
    EveryPosition,
    FromToken,
    Label,
    LastPosition,
    Layout,
    Lengths,
    Meaning,
    NextToken,
    NextTokens,
    Number,
    Role,
    Specials,
    Task,
    counted_text,
    layout_text,
    meaning_text,
    quoted,
)
from untracr.task.told import Outputs, TokenName, Told, Where


def masked_token(told: Told, tokens: int) -> int | None:
    """The id of the token that, as a task tells, no position attends to; None for none.

    Args:
        told: what is told of the task.
        tokens: rows of the token embedding.

    Raises:
        TaskError: there is no such token.
    """
    if told.pad is None:
        return None
    try:
        return _Settling(told, tokens).names.named(told.pad)
    except TaskError as error:
        raise TaskError(f"{told.source}: pad: {error}") from None


def settled(told: Told, network: Network) -> tuple[Task, tuple[str, ...]]:
    """A task for a network, of what is told and of what the network's shapes show.

    Returns:
        The task, and in sentences what was assumed because nobody tells it.

    Raises:
        TaskError: what is told does not fit the network, or not itself.
    """
    try:
        settling = _Settling(told, network.n_tokens)
        return settling.task(network), tuple(settling.said)
    except TaskError as error:
        raise TaskError(f"{told.source}: {error}") from None


class _Settling:
    """One task on the way from told to whole; ``said`` grows while it is settled."""

    def __init__(self, told: Told, count: int) -> None:
        self.told = told
        self.said: list[str] = []
        self.tokens = self._tokens(count)
        roles = self._roles()
        self.specials = Specials(**{role.lower(): token for role, token in roles.items()})
        self.names = TokenNames(self.tokens, roles)

    def task(self, network: Network) -> Task:
        columns = None if network.W_U is None else network.W_U.shape[1]
        outputs = self.told.outputs or Outputs()
        meaning = self._meaning(outputs, columns)
        layout = self._layout(outputs.where, meaning)
        task = Task(
            self.tokens,
            self.specials,
            layout,
            self._lengths(layout, network.n_positions),
            self.told.answer_lengths or Lengths(),
            self._counted(outputs.where, layout, meaning),
            meaning,
            outputs.about,
        )
        self._tell(task)
        return task

    def _tokens(self, count: int) -> tuple[Value, ...]:
        if self.told.tokens is None:
            self.said.append(
                f"tokens have no names; they are called by their ids, 0 to {count - 1}"
            )
            return tuple(range(count))
        if len(self.told.tokens) != count:
            raise TaskError(
                f"tokens must name each of the {count} rows of the token embedding; "
                f"they name {len(self.told.tokens)}"
            )
        return self.told.tokens

    def _roles(self) -> dict[Role, int]:
        """Ids of special tokens: as told, else as their names tell."""
        names = TokenNames(self.tokens, {})
        told: dict[Role, int] = {}
        for role, name in self.told.specials.items():
            if name is not None:
                told[role] = names.named(name)
        taken = set(told.values())
        for role, token in roles_of(self.tokens).items():
            if role not in self.told.specials and token not in taken:
                told[role] = token
        if self.told.pad is not None and "PAD" not in {*told, *self.told.specials}:
            told["PAD"] = TokenNames(self.tokens, told).named(self.told.pad)
        return {role: told[role] for role in ROLES if role in told}

    def _meaning(self, outputs: Outputs, columns: int | None) -> Meaning | None:
        if columns is None:
            self.said.append("there is no read-out, so outputs have no meaning")
            return None
        if outputs.means is None:
            return self._assumed_meaning(outputs, columns)
        match outputs.means:
            case "next token":
                self._take_columns_for_tokens(outputs.means, columns)
                return NextToken()
            case "next-token set":
                self._take_columns_for_tokens(outputs.means, columns)
                return NextTokens(outputs.above or 0.0)
            case "number":
                if columns != 1:
                    raise TaskError(f"a number is one column; the read-out has {columns}")
                return Number()
            case "label":
                return Label(self._labels(outputs.labels, columns))

    def _take_columns_for_tokens(self, means: str, columns: int) -> None:
        """Next tokens are one column each; tokens behind the last column never come next."""
        count = len(self.tokens)
        if columns > count:
            raise TaskError(
                f"outputs that mean {means!r} are one logit for each of the {count} tokens; "
                f"the read-out has {columns} columns"
            )
        if columns < count:
            self.said.append(
                f"the read-out has {columns} columns for {count} tokens; they are taken for the "
                f"first {columns} of these"
            )

    def _labels(self, labels: tuple[Value, ...] | None, columns: int) -> tuple[Value, ...]:
        if labels is None and columns == len(self.tokens):
            return self.tokens
        if labels is None:
            self.said.append(f"outputs have no names; they are called 0 to {columns - 1}")
            return tuple(range(columns))
        if len(labels) != columns:
            raise TaskError(
                f"outputs must name each of the {columns} columns of the read-out; "
                f"they name {len(labels)}"
            )
        return labels

    def _assumed_meaning(self, outputs: Outputs, columns: int) -> Meaning:
        why = "nobody says what outputs mean"
        if outputs.unread:
            why = f"the words {shown(outputs.unread)} about the outputs are not understood"
        if columns == len(self.tokens):
            # Words that are not understood need not be about next tokens.
            meaning: Meaning = Label(self.tokens) if outputs.unread else NextToken()
        elif columns == 1:
            meaning = Number()
        else:
            meaning = Label(tuple(range(columns)))
        self.said.append(f"{why}; an output is taken to be {meaning_text(meaning)}")
        return meaning

    def _layout(self, where: Where | None, meaning: Meaning | None) -> Layout:
        if self.told.layout is not None:
            return layout_of(self.told.layout, self.names.named)
        bos, eos = self.specials.bos, self.specials.eos
        if bos is not None and bos == eos:  # one token between documents, as in GPT-2
            bos = eos = None
        before, after = _one(bos), _one(eos)
        between = None
        if isinstance(meaning, NextToken) and (sep := self._separator(where)) is not None:
            between = (sep,) if sep not in (*before, *after) else None
        return Layout(before, between, after)

    def _separator(self, where: Where | None) -> int | None:
        """The token from which on next tokens are an answer, where one stands out."""
        if where is not None and where.place == "from" and where.token is not None:
            return self.names.named(where.token)
        return self.specials.sep if where is None else None

    def _lengths(self, layout: Layout, positions: int | None) -> Lengths:
        taken = len(layout.before) + len(layout.between or ()) + len(layout.after)
        room = None if positions is None else positions - taken
        told = self.told.lengths or Lengths(0 if taken else 1)
        most = room if told.most is None else told.most
        if most is None and layout.fill is not None:
            raise TaskError(
                "inputs are filled up to the longest length, which nothing tells: the network has "
                "no table of positions; give lengths"
            )
        if room is not None and (room < told.fewest or (most or 0) > room):
            raise TaskError(
                f"an input must fit the network's {positions} positions, with {room} left "
                f"beside special tokens; lengths are {told.fewest} to {most}"
            )
        return Lengths(told.fewest, most)

    def _counted(self, where: Where | None, layout: Layout, meaning: Meaning | None) -> Counted:
        if where is None:
            answers = layout.between is not None and isinstance(meaning, NextToken)
            counted = FromToken(layout.between[-1]) if answers and layout.between else None
            return counted or EveryPosition()
        match where.place:
            case "every position":
                return EveryPosition()
            case "last position":
                return LastPosition()
            case "at":
                return AtToken(self._at(where.token))
            case "after":
                return AfterToken(self._at(where.token))
            case "from":
                return FromToken(self._at(where.token))

    def _at(self, token: TokenName | None) -> int:
        assert token is not None
        return self.names.named(token)

    def _tell(self, task: Task) -> None:
        """Says what was assumed of specials, layout and counted positions."""
        ids = [task.specials.of(role) for role in ROLES if role not in self.told.specials]
        special = [quoted(self.tokens[token]) for token in ids if token is not None]
        if special:
            self.said.append(f"taken for special tokens by their names: {', '.join(special)}")
        if self.told.layout is None:
            text = layout_text(task)
            self.said.append(
                f"nobody says where tokens stand in an input; it is taken to be {text}"
            )
        if self.told.outputs is None or self.told.outputs.where is None:
            where = counted_text(task)
            self.said.append(f"nobody says where outputs count; it is taken to be {where}")
        if task.about:
            self.said.append(
                f"the words {shown(task.about)} about the outputs are kept as a remark"
            )


def _one(token: int | None) -> tuple[int, ...]:
    return () if token is None else (token,)
