"""JSON as the standard has it, from files that strangers made."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

from untracr.bounds import MAX_JSON_DIGITS
from untracr.shown_text import shown


def parse_json(data: bytes | str) -> object:
    """Reads JSON; nothing that Python's reader accepts besides.

    There is no NaN and no Infinity, not as a number too large for a float (``1e999``)
    either; no key stands twice in an object; and text is Unicode, without half a
    character.

    Raises:
        ValueError: it is something else; the message says what.
    """
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        document = json.loads(
            text,
            parse_constant=_refuse,
            parse_float=_float,
            parse_int=_int,
            object_pairs_hook=_object,
        )
        if "\\u" in text or not text.isascii():
            _require_unicode(document)
    except UnicodeDecodeError as error:
        raise ValueError(f"it must be UTF-8 text; byte {error.start} is not") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return document


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"numbers must fit a float; {shown(text)} does not")
    return number


def _int(text: str) -> int:
    if len(text) > MAX_JSON_DIGITS:
        raise ValueError(f"numbers must fit a float; {shown(text)} does not")
    _float(text)
    return int(text)


def _object(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {shown(twice)} is there twice")
    return found


def _require_unicode(found: object) -> None:
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("text must be Unicode; half a surrogate pair is none") from None
