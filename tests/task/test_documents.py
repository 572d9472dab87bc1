"""Task files and mappings: what is read, and how the rest is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import RELAXED
from untracr.bounds import MAX_TASK_BYTES
from untracr.errors import TaskError
from untracr.task.documents import document_of, told_of
from untracr.task.files import task_beside, task_file
from untracr.task.task import Lengths
from untracr.task.told import Fill, Outputs, Slot, Told, Where

WHOLE = {
    "tokens": ["a", "b", 3, "<s>"],
    "specials": {"BOS": "<s>", "PAD": None},
    "input": "BOS x 'a b' y PAD...",
    "lengths": [1, 5],
    "answer_lengths": 2,
    "outputs": {"where": {"from": 3}, "means": "next-token set", "above": 1},
    "pad": 3,
    "causal": True,
    "layer_norm": False,
    "accuracy": {"short": 1, "long": None},
    "names": "TransformerLens",
}


def test_every_key() -> None:
    assert told_of(WHOLE) == Told(
        ("a", "b", 3, "<s>"),
        {"BOS": "<s>", "PAD": None},
        ("BOS", Slot.INPUT, "a b", Slot.ANSWER, Fill("PAD")),
        Lengths(1, 5),
        Lengths(2, 2),
        Outputs(Where("from", 3), "next-token set", above=1.0),
        3,
        True,
        False,
        {"short": 1.0},
        "TransformerLens",
    )


def test_a_document_of_what_was_told_tells_the_same() -> None:
    told = told_of(WHOLE)
    assert told_of(json.loads(json.dumps(document_of(told)))) == told


def test_ids_by_name_are_a_list_of_names() -> None:
    assert told_of({"tokens": {"b": 1, "a": 0}}).tokens == ("a", "b")


def test_json_and_toml_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"tokens": ["a", 1], "outputs": "at a: 0 no, 1 yes"}')
    (tmp_path / "a.toml").write_text('tokens = ["a", 1]\noutputs = "at a: 0 no, 1 yes"')
    one, other = task_file(tmp_path / "a.json"), task_file(tmp_path / "a.toml")
    assert one.tokens == other.tokens == ("a", 1)
    assert one.outputs == other.outputs


def test_the_task_beside_a_model(tmp_path: Path) -> None:
    assert task_beside(tmp_path) is None
    (tmp_path / "task.toml").write_text("causal = true")
    found = task_beside(tmp_path)
    assert found is not None
    assert found.causal is True
    (tmp_path / "task.json").write_text("{}")
    with pytest.raises(TaskError, match="one task file"):
        task_beside(tmp_path)


REFUSED: list[tuple[object, str]] = [
    ([], "a task must be an object"),
    ({"token": ["a"]}, "has no key 'token'.*Did you mean 'tokens'"),
    ({1: 2}, "has no key 1"),
    ({"tokens": []}, "tokens must be a list of names"),
    ({"tokens": "ab"}, "tokens must be a list of names"),
    ({"tokens": ["a", ["b"]]}, r"tokens\[1\]: a token must be"),
    ({"tokens": ["a", None]}, r"tokens\[1\]: a token must be"),
    ({"tokens": ["a", float("nan")]}, r"tokens\[1\]: a token must be at most"),
    ({"tokens": ["a", 10**400]}, r"tokens\[1\]: a token must be at most"),
    ({"tokens": ["a", "b", "a"]}, "'a' is 0 as well as 2"),
    ({"tokens": [1, True]}, "True is 0 as well as 1"),
    ({"tokens": {"a": 0, "b": 2}}, "ids 0 to 1"),
    ({"tokens": {"a": 0, "b": False}}, "ids 0 to 1"),
    ({"tokens": ["x" * 2000]}, r"tokens\[0\]: a text may hold"),
    ({"specials": ["a"]}, "specials must be an object"),
    ({"specials": {"BSO": 1}}, "no key 'BSO'.*Did you mean 'BOS'"),
    ({"specials": {"BOS": 1.0}}, "specials.BOS must be a token's name"),
    ({"specials": {"BOS": True}}, "specials.BOS must be a token's name"),
    ({"input": ""}, "one x"),
    ({"input": "BOS"}, "one x"),
    ({"input": "x x"}, "one x"),
    ({"input": "y = x"}, "one x"),
    ({"input": "x y"}, "between x and y"),
    ({"input": "PAD... x"}, "last word fills up"),
    ({"input": "x " + "a " * 200}, "up to 100 words"),
    ({"input": ["x", {"fil": 1}]}, r"input\[1\] must be"),
    ({"input": ["x", 1.5]}, r"input\[1\] must be"),
    ({"lengths": [5, 1]}, "the fewer first"),
    ({"lengths": [-1, 1]}, "whole numbers from 0"),
    ({"lengths": [1, 10**9]}, "whole numbers from 0"),
    ({"lengths": [True, 1]}, "whole numbers from 0"),
    ({"lengths": "all"}, "lengths must be a number of tokens"),
    ({"outputs": 3}, "outputs must be a phrase"),
    (
        {"outputs": {"means": "next tokn"}},
        "outputs.means must be one of.*Did you mean 'next token'",
    ),
    ({"outputs": {"wher": "last position"}}, "no key 'wher'.*Did you mean 'where'"),
    ({"outputs": {"where": "last"}}, "outputs.where must be one of"),
    ({"outputs": {"where": {"at": 1, "from": 2}}}, "one of at, after and from"),
    ({"outputs": {"where": {"near": 1}}}, "no key 'near'"),
    ({"outputs": {"means": "label", "labels": ["a", "a"]}}, "outputs.labels must be different"),
    ({"outputs": {"means": "label", "labels": []}}, "outputs.labels must be a list"),
    ({"outputs": {"means": "number", "labels": ["a"]}}, "outputs.labels is for the meaning"),
    ({"outputs": {"means": "label", "above": 1}}, "outputs.above is for the meaning"),
    ({"outputs": {"means": "next-token set", "above": float("inf")}}, "a finite number"),
    ({"pad": [1]}, "pad must be a token's name"),
    ({"causal": "yes"}, "causal must be true or false"),
    ({"layer_norm": 1}, "layer_norm must be true or false"),
    ({"accuracy": {"short": "all"}}, "accuracy.short must be a number"),
    ({"names": 3}, "names must be text"),
]


@pytest.mark.parametrize(("document", "words"), REFUSED)
def test_what_no_task_says_is_refused_with_its_place(document: object, words: str) -> None:
    with pytest.raises(TaskError, match=f"^here: .*{words}") as caught:
        told_of(document, "here")
    assert "\n" not in str(caught.value)


FILES = [
    ("task.json", b"", "empty"),
    ("task.json", b"{", "cannot be read"),
    ("task.json", b"[1]", "one object"),
    ("task.json", b'{"causal": NaN}', "NaN"),
    ("task.json", b'{"causal": true, "causal": true}', "twice"),
    ("task.json", b"[" * 100_000, "cannot be read|nested too deeply"),
    ("task.json", b"\xff\xfe", "UTF-8"),
    ("task.toml", b"causal = ", "cannot be read"),
    ("task.toml", b"a = " + b"[" * 10_000, "nested too deeply|cannot be read"),
    ("task.toml", b"lengths = " + b"9" * 10_000, "cannot be read"),
    ("task.toml", b"lengths = 1979-05-27", "number of tokens"),
    ("task.yaml", b"causal: true", "named .json or .toml"),
    ("task.json", b" " * (MAX_TASK_BYTES + 1), "at most"),
]


@pytest.mark.parametrize(("name", "content", "words"), FILES)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TaskError, match=words) as caught:
        task_file(path)
    assert str(caught.value).startswith(str(path))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from([*WHOLE, "where", "means", "at", "BOS"])


@RELAXED
@given(st.dictionaries(KEYS, JSON | st.dictionaries(KEYS, JSON, max_size=2), max_size=3))
def test_any_document_is_read_or_refused(document: object) -> None:
    with suppress(TaskError):
        told_of(document)
