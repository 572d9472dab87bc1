"""Which tokens are special, by the names that people use for these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from untracr.rasp.values import Value
from untracr.task.task import Role

ROLES: tuple[Role, ...] = get_args(Role)

_USUAL: dict[Role, tuple[str, ...]] = {
    "BOS": ("bos", "start", "begin", "sos", "s", "cls", "startoftext", "begin_of_text"),
    "SEP": ("sep", "separator"),
    "EOS": ("eos", "end", "stop", "/s", "endoftext", "end_of_text"),
    "PAD": ("pad", "padding"),
}
_ROLE_OF = {name: role for role, names in _USUAL.items() for name in names}
_BRACKETS = ("<|", "|>"), ("<", ">"), ("[", "]"), ("{", "}")


def role_of(name: object) -> Role | None:
    """The role that a token's name tells, or None.

    A name in brackets may be written in any case (``<bos>``, ``[PAD]``), one without in
    capitals only (``START``): lower-case words may be ordinary tokens.
    """
    if not isinstance(name, str):
        return None
    for opening, closing in _BRACKETS:
        if name.startswith(opening) and name.endswith(closing):
            inner = name[len(opening) : len(name) - len(closing)]
            return _ROLE_OF.get(inner.lower())
    bare = name.removeprefix("compiler_").upper() if name.startswith("compiler_") else name
    return _ROLE_OF.get(bare.lower()) if len(bare) > 1 and bare.isupper() else None


def role_of_word(word: str) -> Role | None:
    """The role that somebody means by a word, in any case: ``separator``, ``<EOS>``."""
    return role_of(word) or _ROLE_OF.get(word.lower() if len(word) > 1 else "")


def roles_of(names: Sequence[Value]) -> dict[Role, int]:
    """The ids of special tokens by role; a role that several names tell has none."""
    by_role: dict[Role, list[int]] = {}
    for token, name in enumerate(names):
        if (role := role_of(name)) is not None:
            by_role.setdefault(role, []).append(token)
    return {role: ids[0] for role, ids in by_role.items() if len(ids) == 1}
