"""Which tokens are special, by their names."""

from __future__ import annotations

import pytest

from untracr.task.special_names import role_of, role_of_word, roles_of

ROLES = {
    "BOS": ["<bos>", "<BOS>", "[CLS]", "START", "<s>", "<|startoftext|>", "compiler_bos"],
    "SEP": ["<sep>", "[SEP]", "SEP"],
    "EOS": ["</s>", "END", "<|endoftext|>", "{eos}"],
    "PAD": ["<pad>", "[PAD]", "PAD", "compiler_pad"],
}


@pytest.mark.parametrize("role", ROLES)
def test_usual_names(role: str) -> None:
    assert {role_of(name) for name in ROLES[role]} == {role}


@pytest.mark.parametrize("name", ["end", "start", "S", "s", "<a>", "<", "", "Pad", 3, None, "<>"])
def test_other_names_are_ordinary_tokens(name: object) -> None:
    """A vocabulary of words may hold any of them."""
    assert role_of(name) is None


def test_somebody_who_says_end_means_the_end_token() -> None:
    """Where there is no token of that very name."""
    assert role_of_word("end") == role_of_word("<EOS>") == "EOS"
    assert role_of_word("s") is None


def test_a_role_that_two_names_tell_is_nobodys() -> None:
    assert roles_of(["START", "<bos>", "END"]) == {"EOS": 2}
