"""What files that are no task files tell of a task."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from compiled_models import model_of
from known_networks import network_of_table
from untracr.errors import TaskError
from untracr.loading.loading import load_model
from untracr.network.compiled_form import network_of_compiled
from untracr.task.compiled import compiled_task
from untracr.task.hints import hints_beside, hints_of_live, hints_of_metadata
from untracr.task.running import run
from untracr.task.settling import settled
from untracr.task.task import Layout, Specials


def folder_of(path: Path, **files: object) -> Path:
    """A folder with JSON files."""
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    return path


def test_an_empty_folder_tells_nothing(tmp_path: Path) -> None:
    found = hints_beside(tmp_path, 4)
    assert found.told.tokens is None
    assert (found.told.specials, found.said) == ({}, ())


def test_ids_of_a_configuration_and_names_of_a_vocabulary(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        config={"bos_token_id": 2, "eos_token_id": [3], "pad_token_id": None},
        vocab={"u": 0, "v": 1, "^": 2, "$": 3},
    )
    hints = hints_beside(folder, 4)
    task, _ = settled(hints.told, network_of_table(np.eye(4)))
    assert task.tokens == ("u", "v", "^", "$")
    assert task.specials == Specials(bos=2, eos=3)
    assert task.layout == Layout((2,), None, (3,))


def test_a_tokenizer_names_tokens_that_were_added(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        tokenizer={
            "model": {"type": "WordLevel", "vocab": {"u": 0, "v": 1}},
            "added_tokens": [{"id": 2, "content": "|"}],
        },
        tokenizer_config={"sep_token": {"content": "|"}, "bos_token": "<s>"},
    )
    told = hints_beside(folder, 3).told
    assert told.tokens == ("u", "v", "|")
    assert told.specials == {"SEP": "|"}


class Live:
    """A model in memory, as other libraries have them."""

    class config:
        @staticmethod
        def to_dict() -> dict[str, object]:
            return {"eos_token_id": 1, "bos_token_id": 50256}

    class tokenizer:
        @staticmethod
        def get_vocab() -> dict[str, int]:
            return {"u": 0, "v": 1}


def test_a_model_in_memory_tells_by_its_configuration_and_tokenizer() -> None:
    hints = hints_of_live(Live(), 2)
    assert hints.told.tokens == ("u", "v")
    assert hints.told.specials == {"EOS": 1}
    assert "the configuration has bos_token_id 50256, but ids are 0 to 1; left out" in hints.said
    assert hints_of_live(object(), 2).said == ()


def test_what_does_not_fit_is_left_out_and_said(tmp_path: Path) -> None:
    """GPT-2's own ids stand in configurations of small networks."""
    folder = folder_of(tmp_path, config={"bos_token_id": 50256}, vocab={"u": 0, "v": 9})
    hints = hints_beside(folder, 4)
    assert (hints.told.tokens, hints.told.specials) == (None, {})
    assert [("50256" in said, "vocab.json" in said) for said in hints.said] == [
        (True, False),
        (False, True),
    ]


def test_one_token_between_documents_stands_nowhere(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, config={"bos_token_id": 3, "eos_token_id": 3})
    network = network_of_table(np.eye(4))
    assert settled(hints_beside(folder, 4).told, network)[0].layout == Layout()


def test_tokens_that_a_vocabulary_lacks_are_called_by_their_ids(tmp_path: Path) -> None:
    hints = hints_beside(folder_of(tmp_path, vocab={"u": 1}), 3)
    assert hints.told.tokens == (0, "u", 2)
    assert "names 1 of 3 tokens" in hints.said[0]


def test_a_damaged_file_is_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text("{")
    assert "vocab.json is left out: " in hints_beside(tmp_path, 3).said[0]


def test_a_task_in_a_models_file() -> None:
    assert hints_of_metadata({}).told.tokens is None
    assert hints_of_metadata({"task": {"tokens": ["u"]}}).told.tokens == ("u",)
    with pytest.raises(TaskError, match="the file's task: "):
        hints_of_metadata({"task": {"tokns": ["u"]}})


def test_a_compiled_models_domain() -> None:
    model = model_of("Map(lambda x: x + 1, tokens)")
    task, said = compiled_task(load_model(model))
    assert run(network_of_compiled(model), task, [[3, 1], "0"]) == [[4, 2], [1]]
    assert said == (
        "tokens have no names; they are called 0, 1, 2, ... in the order of their rows",
    )


@pytest.mark.parametrize("piece", ["\u0120cat", "\u2581cat", "##cat"])
def test_pieces_of_text_are_said_not_to_be_cut_as_by_their_tokenizer(
    tmp_path: Path, piece: str
) -> None:
    """The text "the cat" would be run as other tokens than the tokenizer's, and nobody know."""
    folder = folder_of(tmp_path, vocab={"the": 0, "cat": 1, piece: 2})
    (sentence,) = hints_beside(folder, 3).said
    assert sentence.startswith(f"tokens of vocab.json are pieces of text, as '{piece}'")
    assert hints_beside(folder_of(tmp_path, vocab={"#": 0, "a#": 1}), 2).said == ()
