"""A task as a document: what JSON and TOML hold, and Python's own mappings.

The keys, all of them optional:

* ``tokens``: names by id, a list; or the id of each name.
* ``specials``: the token of each role, ``{"BOS": "<bos>", "SEP": ..., "EOS": ..., "PAD": ...}``.
* ``input``: where they stand, ``"BOS x SEP y EOS"`` (`untracr.task.layouts`), or a list of such
  words, ids and {"fill": TOKEN}.
* ``lengths``, ``answer_lengths``: of x and of y, a number, [fewest, most], or [fewest].
* ``outputs``: a phrase (`untracr.task.phrases`), or an object with ``where`` ("every position",
  "last position", {"at": TOKEN}, {"after": TOKEN}, {"from": TOKEN}), ``means`` ("next token",
  "next-token set", "label", "number"), ``labels``, ``above`` and ``about``.
* ``pad``: the token that no position attends to.
* ``causal``, ``layer_norm``: what the weights' names do not say of the network.
* ``accuracy``, ``names``: what is said of it besides.

A token is told by its name as text, or by its id as a whole number.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, get_args

from untracr.errors import ProgramError, TaskError, did_you_mean
from untracr.rasp.values import Value, plain_value, token_fault, value_fault
from untracr.shown_text import shown
from untracr.task.layouts import MOST_WORDS, read_layout, require_slots
from untracr.task.phrases import read_phrase
from untracr.task.special_names import ROLES
from untracr.task.task import Lengths, Role
from untracr.task.told import (
    Fill,
    LayoutWord,
    Means,
    Outputs,
    Place,
    Slot,
    TokenName,
    Told,
    Where,
)

MOST_LENGTH = 1_000_000
"""Tokens of an input."""


def told_of(document: object, source: str = "the task") -> Told:
    """What a document says.

    Args:
        document: a mapping of the keys above.
        source: how errors call it.

    Raises:
        TaskError: it is no mapping, has an unknown key, or a value of a wrong type.
    """
    try:
        return _told(document, source)
    except TaskError as error:
        raise TaskError(f"{source}: {error}") from None


def _told(document: object, source: str) -> Told:
    fields = {}
    for key, value in _mapping(document, "a task").items():
        name, read = _known("a task", key, _KEYS)
        if value is not None:
            fields[name] = read(value, key)
    return Told(**fields, source=source)


def _wrong(place: str, rule: str, value: object) -> NoReturn:
    raise TaskError(f"{place} must be {rule}, not {shown(value)}")


def _mapping(value: object, place: str) -> Mapping[object, object]:
    if not isinstance(value, Mapping):
        _wrong(place, "an object of names and values", value)
    return value


def _known(what: str, key: object, known: Mapping[str, Any]) -> Any:
    """What stands for a key.

    Raises:
        TaskError: there is no such key; the message has a near match.
    """
    if not isinstance(key, str) or key not in known:
        hint = did_you_mean(key, known) if isinstance(key, str) else ""
        raise TaskError(f"{what} has no key {shown(key)}; its keys are {', '.join(known)}.{hint}")
    return known[key]


def _tokens(value: object, place: str) -> tuple[Value, ...]:
    if isinstance(value, Mapping):
        return _by_id(value, place)
    if not isinstance(value, (list, tuple)) or not value:
        _wrong(place, "a list of names in the order of their ids, or the id of each name", value)
    names = tuple(_name(item, f"{place}[{i}]", token_fault) for i, item in enumerate(value))
    return _distinct(names, place)


def _by_id(value: Mapping[Any, object], place: str) -> tuple[Value, ...]:
    ids = list(value.values())
    whole = all(type(token) is int for token in ids)
    if not ids or not whole or sorted(ids) != list(range(len(ids))):  # type: ignore[type-var]
        _wrong(place, f"the ids 0 to {len(ids) - 1}, each of one name", ids)
    names = sorted(value, key=lambda name: value[name])  # type: ignore[arg-type,return-value]
    return _distinct(tuple(_name(name, place, token_fault) for name in names), place)


def _name(value: object, place: str, fault_of: Callable[[Value], str]) -> Value:
    try:
        name = plain_value(_with_tuples(value))
    except (ProgramError, RecursionError):
        _wrong(place, "a text or a number", value)
    if fault := fault_of(name):
        raise TaskError(f"{place}: {fault}")
    return name


def _with_tuples(value: object) -> object:
    return tuple(map(_with_tuples, value)) if isinstance(value, (list, tuple)) else value


def _distinct(names: tuple[Value, ...], place: str) -> tuple[Value, ...]:
    places: dict[Value, int] = {}
    for number, name in enumerate(names):
        if name in places:
            raise TaskError(
                f"{place} must be different; {shown(name)} is {places[name]} as well as {number}"
            )
        places[name] = number
    return names


def _token(value: object, place: str) -> TokenName:
    if type(value) is not str and type(value) is not int:
        _wrong(place, "a token's name as text, or its id as a whole number", value)
    return value


def _specials(value: object, place: str) -> dict[Role, TokenName | None]:
    roles: dict[str, Role] = {role: role for role in ROLES}
    return {
        _known(place, role, roles): None if token is None else _token(token, f"{place}.{role}")
        for role, token in _mapping(value, place).items()
    }


def _text(value: object, place: str) -> str:
    if not isinstance(value, str):
        _wrong(place, "text", value)
    return value


def _layout(value: object, place: str) -> tuple[LayoutWord, ...]:
    if isinstance(value, str):
        return read_layout(value)
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= MOST_WORDS:
        _wrong(place, f"text such as 'BOS x SEP y EOS', or up to {MOST_WORDS} words", value)
    words = tuple(_layout_word(word, f"{place}[{i}]") for i, word in enumerate(value))
    require_slots(words, value)
    return words


def _layout_word(value: object, place: str) -> LayoutWord:
    if isinstance(value, Mapping):
        if list(value) != ["fill"]:
            _wrong(place, 'a token, x, y or {"fill": TOKEN}', value)
        return Fill(_token(value["fill"], f"{place}.fill"))
    word = _token(value, place)
    return _SLOTS.get(word, word)


_SLOTS: dict[TokenName, Slot] = {slot.value: slot for slot in Slot}


def _flag(value: object, place: str) -> bool:
    if not isinstance(value, bool):
        _wrong(place, "true or false", value)
    return value


def _finite(value: object, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _wrong(place, "a number", value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        _wrong(place, "a finite number", value)
    return number


def _lengths(value: object, place: str) -> Lengths:
    ends = [value, value] if type(value) is int else value
    if not isinstance(ends, (list, tuple)) or len(ends) not in (1, 2):
        _wrong(place, "a number of tokens, or [fewest, most], or [fewest]", value)
    fewest, most = ends[0], ends[1] if len(ends) == 2 else None
    if type(fewest) is not int or not 0 <= fewest <= MOST_LENGTH:
        _wrong(place, f"whole numbers from 0 to {MOST_LENGTH:,}", value)
    if most is not None and (type(most) is not int or not fewest <= most <= MOST_LENGTH):
        _wrong(place, f"whole numbers from 0 to {MOST_LENGTH:,}, the fewer first", value)
    return Lengths(fewest, most)


def _accuracy(value: object, place: str) -> dict[str, float]:
    return {
        _text(name, f"a name in {place}"): _finite(share, f"{place}.{name}")
        for name, share in _mapping(value, place).items()
        if share is not None
    }


def _outputs(value: object, place: str) -> Outputs:
    if isinstance(value, str):
        return read_phrase(value)
    if not isinstance(value, Mapping):
        _wrong(place, "a phrase, or an object with where and means", value)
    parts: dict[str, Any] = {}
    for key, part in value.items():
        read = _known(place, key, _OUTPUTS)
        if part is not None:
            parts[key] = read(part, f"{place}.{key}")
    outputs = Outputs(**parts)
    for name, means in (("labels", "label"), ("above", "next-token set")):
        if getattr(outputs, name) is not None and outputs.means != means:
            raise TaskError(f"{place}.{name} is for the meaning {means!r}, not {outputs.means!r}")
    return outputs


def _labels(value: object, place: str) -> tuple[Value, ...]:
    if not isinstance(value, (list, tuple)) or not value:
        _wrong(place, "a list with the name of each column of the read-out", value)
    names = tuple(_name(item, f"{place}[{i}]", value_fault) for i, item in enumerate(value))
    return _distinct(names, place)


def _means(value: object, place: str) -> Means:
    known: dict[str, Means] = {means: means for means in get_args(Means)}
    means: Means = _one_of(value, place, known)
    return means


def _where(value: object, place: str) -> Where:
    if isinstance(value, Mapping):
        if len(value) != 1:
            _wrong(place, "one of at, after and from, with a token", value)
        ((key, token),) = value.items()
        return Where(_known(place, key, _AT_TOKENS), _token(token, f"{place}.{key}"))
    return Where(_one_of(value, place, _ANYWHERE))


def _one_of(value: object, place: str, known: Mapping[str, Any]) -> Any:
    if not isinstance(value, str) or value not in known:
        names = ", ".join(map(repr, known))
        hint = did_you_mean(value, known) if isinstance(value, str) else ""
        raise TaskError(f"{place} must be one of {names}, not {shown(value)}.{hint}")
    return known[value]


_AT_TOKENS: dict[str, Place] = {"at": "at", "after": "after", "from": "from"}
_ANYWHERE: dict[str, Place] = {
    "every position": "every position",
    "last position": "last position",
}

_Read = Callable[[object, str], object]

_OUTPUTS: dict[str, _Read] = {
    "where": _where,
    "means": _means,
    "labels": _labels,
    "above": _finite,
    "about": _text,
}

_KEYS: dict[str, tuple[str, _Read]] = {
    "tokens": ("tokens", _tokens),
    "specials": ("specials", _specials),
    "input": ("layout", _layout),
    "lengths": ("lengths", _lengths),
    "answer_lengths": ("answer_lengths", _lengths),
    "outputs": ("outputs", _outputs),
    "pad": ("pad", _token),
    "causal": ("causal", _flag),
    "layer_norm": ("layer_norm", _flag),
    "accuracy": ("accuracy", _accuracy),
    "names": ("names", _text),
}
"""The field of `Told` for each key of a document, and what reads it."""


def document_of(told: Told) -> dict[str, object]:
    """A document that says the same, as plain JSON values; phrases stand in structured form."""
    document: dict[str, object] = {}
    for key, (name, _) in _KEYS.items():
        value = getattr(told, name)
        if value is None or (isinstance(value, Mapping) and not value):
            continue
        document[key] = _plain(value)
    return document


def _plain(value: object) -> object:
    match value:
        case Lengths(fewest, most):
            return [fewest] if most is None else [fewest, most]
        case Slot():
            return value.value
        case Fill(token):
            return {"fill": token}
        case Where(place, None):
            return place
        case Where(place, token):
            return {place: token}
        case Outputs():
            parts = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            return {k: _plain(v) for k, v in parts.items() if v not in (None, "") and k in _OUTPUTS}
        case Mapping():
            return dict(value)
        case Sequence() if not isinstance(value, str):
            return list(map(_plain, value))
        case _:
            return value
