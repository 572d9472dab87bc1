"""A task as a document that tells all of it."""

from __future__ import annotations

from collections.abc import Sequence

from untracr.task.documents import document_of
from untracr.task.special_names import ROLES
from untracr.task.task import (
    AfterToken,
    AtToken,
    EveryPosition,
    FromToken,
    Label,
    LastPosition,
    Layout,
    Lengths,
    NextToken,
    NextTokens,
    Number,
    Task,
)
from untracr.task.told import Fill, LayoutWord, Outputs, Slot, TokenName, Told, Where


def task_document(task: Task) -> dict[str, object]:
    """A document, of plain JSON values, from which the same task is settled for the same network.

    Where nothing says what outputs mean the document does not either. Tokens stand by their
    names where these are plain texts, else by their ids.
    """
    name = _Naming(task.tokens)
    roles = {role: task.specials.of(role) for role in ROLES}
    outputs = _meaning(task)
    told = Told(
        tokens=task.tokens,
        specials={r: None if token is None else name(token) for r, token in roles.items()},
        layout=_layout(task.layout, name),
        lengths=task.lengths,
        answer_lengths=None if task.answer_lengths == Lengths() else task.answer_lengths,
        outputs=Outputs(
            _where(task, name), outputs.means, outputs.labels, outputs.above, task.about
        ),
    )
    return document_of(told)


class _Naming:
    """Names tokens so that they are found again, whatever word they might be taken for."""

    def __init__(self, tokens: Sequence[object]) -> None:
        self._tokens = tokens

    def __call__(self, token: int) -> TokenName:
        name = self._tokens[token]
        return name if isinstance(name, str) and name not in ("x", "y") else token


def _layout(layout: Layout, name: _Naming) -> tuple[LayoutWord, ...]:
    words: list[LayoutWord] = [*map(name, layout.before), Slot.INPUT]
    if layout.between is not None:
        words += [*map(name, layout.between), Slot.ANSWER]
    words += map(name, layout.after)
    return (*words, Fill(name(layout.fill))) if layout.fill is not None else tuple(words)


def _where(task: Task, name: _Naming) -> Where:
    match task.counted:
        case EveryPosition():
            return Where("every position")
        case LastPosition():
            return Where("last position")
        case AtToken(token):
            return Where("at", name(token))
        case AfterToken(token):
            return Where("after", name(token))
        case FromToken(token):
            return Where("from", name(token))


def _meaning(task: Task) -> Outputs:
    match task.meaning:
        case None:
            return Outputs()
        case NextToken():
            return Outputs(means="next token")
        case NextTokens(above):
            return Outputs(means="next-token set", above=above)
        case Label(names):
            return Outputs(means="label", labels=names)
        case Number():
            return Outputs(means="number")
