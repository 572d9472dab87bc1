"""The phrases in which a task may say what its outputs are; a small fixed grammar.

    phrase   = [where ":"] meaning [clause ...]
    where    = "at every position" | "at the last position" | ("at" | "after" | "from") TOKEN ["on"]
    meaning  = "next token" | "next-token sets" | [WORDS ","] labels | "a token" | "a number"
    labels   = N NAME {"," N NAME} | "0 to" N
    clause   = "the largest logit" | "one logit a token" | "allowed where it is above" N | where

Words before labels, and those that follow them after a comma, are a remark, which is kept. A
phrase of another form is not guessed at: `Outputs.unread` has it.
"""

from __future__ import annotations

import re
from dataclasses import replace

from untracr.task.told import Outputs, Place, Where

MOST_LABELS = 10_000
"""Names that a phrase such as ``0 to 25`` stands for."""

_NAME = r"""(?P<quote>['"])(?P<quoted>.+?)(?P=quote)|(?P<bare>\S+?)"""
_WHERE = re.compile(
    r"(?:(?:at|in) (?P<every>every|each) (?:position|token)"
    r"|at the (?P<last>end|(?:last|final) (?:position|token))"
    rf"|(?P<at>at|after|from) (?:the )?(?:{_NAME})(?: on)?)(?=\s*(?::(?:\s|$)|,|$))",
    re.IGNORECASE,
)
_NEXT_TOKEN = re.compile(r"(?:the )?next[- ]token\b(?![- ]sets?\b)", re.IGNORECASE)
_NEXT_TOKENS = re.compile(
    r"(?:the )?next[- ]token[- ]sets?\b|(?:the )?(?:set of )?next[- ]tokens\b", re.IGNORECASE
)
_LABEL = re.compile(
    r"(?P<column>\d+)(?:\s*[:=]\s*|\s+)(?:(?:if|means|for) )?(?P<name>[^,;]+)|(?P<bare>\d+)"
)
_BEFORE_A_LABEL = re.compile(r"(?:\s*[,;]\s*(?:or\s+|and\s+)?|\s+(?:or|and)\s+)(?=\d)")
_BEGINS_A_RANGE = re.compile(r"\d+\s*(?:to|-|\.\.\.?)\s*\d", re.IGNORECASE)
_RANGE = re.compile(
    r"0\s*(?:to|-|\.\.\.?)\s*(?P<last>\d{1,6})(?:\s*[,;]\s*(?P<about>.+))?", re.IGNORECASE
)
_WORDS_BEFORE = re.compile(r"(?P<words>[^\d,;:][^,;:]*)[,;:] ?(?=\d)")
_TOKEN = re.compile(r"(?:a|the|its) (?:token|largest logit)\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?:(?:a|the) )?(?:number|value of the only column)\b", re.IGNORECASE)
_CLAUSES = (
    (
        "largest",
        re.compile(
            r"(?:with |by )?(?:(?:the|its) (?:largest|highest) logit|argmax)\b", re.IGNORECASE
        ),
    ),
    ("each", re.compile(r"one logit (?:a|per|for each) token\b", re.IGNORECASE)),
    (
        "above",
        re.compile(
            r"(?:(?:allowed|those) )?(?:(?:where|if|when|whose|with) )?"
            r"(?:(?:it|(?:(?:its|the|a) )?logits?) )?(?:(?:is|are) )?"
            r"(?:above|over|greater than|>) ?(?P<above>[-+]?\d+(?:\.\d+)?)",
            re.IGNORECASE,
        ),
    ),
)


def read_phrase(text: str) -> Outputs:
    """What a phrase says of outputs; in `Outputs.unread` what is no phrase of the grammar."""
    text = " ".join(text.split()).rstrip(".")
    where, rest = _leading_where(text)
    outputs = _meaning(rest)
    if outputs is None:
        return Outputs(where=where, unread=text)
    if where is None:
        return outputs
    return replace(outputs, where=where) if outputs.where is None else Outputs(unread=text)


def _leading_where(text: str) -> tuple[Where | None, str]:
    """Where outputs count, if a phrase begins with that and a colon, and the rest of it."""
    match = _WHERE.match(text)
    if match is None or not (rest := text[match.end() :].lstrip()).startswith(":"):
        return None, text
    return _where(match), rest[1:].strip()


def _where(match: re.Match[str]) -> Where:
    if match["every"]:
        return Where("every position")
    if match["last"]:
        return Where("last position")
    places: dict[str, Place] = {"at": "at", "after": "after", "from": "from"}
    return Where(places[match["at"].lower()], match["quoted"] or match["bare"])


def _meaning(text: str) -> Outputs | None:
    """What a phrase without its leading place says; None for what is not understood."""
    if _BEGINS_A_RANGE.match(text):
        return _range(text)
    if text[:1].isdigit():
        return _labels(text)
    if match := _WORDS_BEFORE.match(text):
        outputs = _meaning(text[match.end() :])
        return None if outputs is None else _about(match["words"].strip(), outputs)
    for pattern, outputs in (
        (_NEXT_TOKENS, Outputs(means="next-token set")),
        (_NEXT_TOKEN, Outputs(means="next token")),
        (_TOKEN, Outputs(means="label")),
        (_NUMBER, Outputs(means="number")),
    ):
        if match := pattern.match(text):
            return _with_clauses(outputs, text[match.end() :])
    return None


def _about(words: str, outputs: Outputs) -> Outputs:
    """Labels with the words before them among the remark."""
    return replace(outputs, about=", ".join(filter(None, (words, outputs.about))))


def _with_clauses(outputs: Outputs, text: str) -> Outputs | None:
    """A meaning with the clauses behind it; None if one is not understood."""
    while text := text.lstrip(" ,;()"):
        if (clause := _clause(outputs, text)) is None:
            return None
        outputs, text = clause
    return outputs


def _clause(outputs: Outputs, text: str) -> tuple[Outputs, str] | None:
    for kind, pattern in _CLAUSES:
        if match := pattern.match(text):
            fits = (kind == "largest") != (outputs.means in ("next-token set", "number"))
            if not fits or (kind == "above" and outputs.above is not None):
                return None
            if kind == "above":
                outputs = replace(outputs, above=float(match["above"]))
            return outputs, text[match.end() :]
    match = _WHERE.match(text)
    if match is None or outputs.where is not None:
        return None
    where = _where(match)
    if where.place == "after" and outputs.means in ("next token", "next-token set"):
        # The token that comes after = is what the output at = is.
        where = Where("from", where.token)
    return replace(outputs, where=where), text[match.end() :]


def _range(text: str) -> Outputs | None:
    """Numbers that are their own names: ``0 to 25``, and perhaps a remark after a comma."""
    match = _RANGE.fullmatch(text)
    if match is None or int(match["last"]) >= MOST_LABELS:
        return None
    labels = tuple(range(int(match["last"]) + 1))
    return Outputs(means="label", labels=labels, about=match["about"] or "")


def _labels(text: str) -> Outputs | None:
    """Names of columns: ``1 palindrome, 0 not``, and perhaps a remark after a comma."""
    parts = _BEFORE_A_LABEL.split(text)
    last, _, about = parts[-1].partition(",")
    matches = [_LABEL.fullmatch(part.strip()) for part in (*parts[:-1], last)]
    names: dict[int, str | int] = {}
    for match in matches[:MOST_LABELS]:
        if match is None:
            return None
        column = int((match["column"] or match["bare"])[:9])
        names[column] = match["name"].strip() if match["name"] else column
    if len(names) != len(matches) or sorted(names) != list(range(len(names))):
        return None
    if len(set(names.values())) != len(names):
        return None
    labels = tuple(names[column] for column in range(len(names)))
    return Outputs(means="label", labels=labels, about=about.strip())
