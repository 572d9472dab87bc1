"""Phrases that say what outputs are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import RELAXED
from untracr.task.phrases import read_phrase
from untracr.task.told import Outputs, Where

EVERY, LAST = Where("every position"), Where("last position")

UNDERSTOOD = {
    "next token, the largest logit": Outputs(means="next token"),
    "next token": Outputs(means="next token"),
    "Next token, the largest logit.": Outputs(means="next token"),
    "next token after <sep>": Outputs(Where("from", "<sep>"), "next token"),
    "next token from [SEP] on, the largest logit": Outputs(Where("from", "[SEP]"), "next token"),
    "after =: next token": Outputs(Where("after", "="), "next token"),
    "at every position: next token": Outputs(EVERY, "next token"),
    "next-token sets, one logit a token, allowed where it is above 0": Outputs(
        means="next-token set", above=0.0
    ),
    "next-token sets, allowed where the logit is above -1.5": Outputs(
        means="next-token set", above=-1.5
    ),
    "next-token sets at every position": Outputs(EVERY, "next-token set"),
    "at END: 1 palindrome, 0 not": Outputs(Where("at", "END"), "label", ("not", "palindrome")),
    "at 'the end': 0 no; 1 yes": Outputs(Where("at", "the end"), "label", ("no", "yes")),
    "at every position: 0 negative, 1 zero, 2 positive, of the sum so far": Outputs(
        EVERY, "label", ("negative", "zero", "positive"), about="of the sum so far"
    ),
    "at the last position: 0: less or equal, 1: more": Outputs(
        LAST, "label", ("less or equal", "more")
    ),
    "at the last position: 0 or 1": Outputs(LAST, "label", (0, 1)),
    "from START on: 0 to 3, how deep": Outputs(
        Where("from", "START"), "label", (0, 1, 2, 3), about="how deep"
    ),
    "at every position: a token, the largest logit": Outputs(EVERY, "label"),
    "at the end: the rotation, 0 to 2": Outputs(LAST, "label", (0, 1, 2), about="the rotation"),
    "at every position: how many a so far: 0-2, no more": Outputs(
        EVERY, "label", (0, 1, 2), about="how many a so far, no more"
    ),
    "at SEP: 1 if sorted, 0 if not": Outputs(Where("at", "SEP"), "label", ("not", "sorted")),
    "next token (the largest logit)": Outputs(means="next token"),
    "next-token sets, those with a logit > 0": Outputs(means="next-token set", above=0.0),
    "next tokens, logits above 0.5, at every position": Outputs(EVERY, "next-token set", above=0.5),
    "at :: a number": Outputs(Where("at", ":"), "number"),
}

NOT_UNDERSTOOD = (
    "",
    "1 yes",  # 0 has no name
    "0 a, 1 a",
    "0 a, 0 b",
    "0 to 99999999",
    "2 to 5",
    "as many as there are, 1 to 5",
    "5 above all",
    "next token, where it is above 0",
    "next-token sets, the largest logit",
    "next token, the smallest logit",
    "next token after = after +",
    "at END: next token after =",
    "something else",
)


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_phrases_of_the_grammar(text: str) -> None:
    assert read_phrase(text) == UNDERSTOOD[text]


@pytest.mark.parametrize("text", NOT_UNDERSTOOD)
def test_other_phrases_are_kept_and_not_guessed_at(text: str) -> None:
    assert read_phrase(text) == Outputs(unread=text)


def test_a_place_is_known_where_a_meaning_is_not() -> None:
    text = "at END: as it comes"
    assert read_phrase(text) == Outputs(Where("at", "END"), unread=text)


WORDS = st.sampled_from(
    [*" ,;:=.'\"01-", "at ", "after ", "next token", "next-token sets", "0 to ", "a token", "or "]
)


@RELAXED
@given(st.lists(st.one_of(WORDS, st.text(max_size=3)), max_size=30).map("".join))
def test_any_text_is_read_or_kept(text: str) -> None:
    """Nothing else happens to it."""
    found = read_phrase(text)
    assert (found.means is None) == (found.unread == " ".join(text.split()).rstrip("."))


def test_long_texts_take_no_longer_than_they_are() -> None:
    """Patterns do not go back over what they read: a million characters at once."""
    for part in ("0 a, ", "next token ", "at ", "' ", "0", " "):
        read_phrase(part * 200_000)
        read_phrase("next token" + part * 200_000)
        read_phrase("at " + part * 200_000)
