"""`untracr run` with models of any architecture: in the words of their task."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from command_line import Run
from foreign_tensors import lens_arrays
from known_networks import averaging, network_of_table, successor
from untracr.network.network import Network
from untracr.network.state_dict import state_dict

LETTERS = ["a", "b", "c", "(", "<bos>", "<sep>", "<eos>"]
NEXT = {"tokens": LETTERS, "outputs": "next token, the largest logit", "causal": True}


def folder_of(path: Path, network: Network, **task: object) -> Path:
    """A folder with a network and its task file."""
    path.mkdir()
    save_file(dict(state_dict(network)), path / "model.safetensors")
    (path / "task.json").write_text(json.dumps(task))
    return path


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gives a token's successor; after <sep> the end."""
    return folder_of(tmp_path_factory.mktemp("chain") / "model", successor(7), **NEXT)


def test_a_folder_and_its_weights_file(run: Run, chain: Path) -> None:
    found = run("run", chain, "ab<sep>".replace("<sep>", ""), "a <sep> b c")
    assert (found.code, found.out) == (0, "\n<eos> c (\n")
    assert "it is taken to be <bos> x <sep> y <eos>" in found.err
    assert run("run", chain / "model.safetensors", "a,<sep>,b,c").out == "<eos> c (\n"


def test_json_tells_positions(run: Run, chain: Path) -> None:
    assert run("run", chain, "a <sep> b", "((", "--json").objects == [
        {"input": "a <sep> b", "output": ["<eos>", "c"], "positions": [2, 3]},
        {"input": "((", "output": [], "cut": False},
    ]


def test_an_answer_without_an_end_is_said_to_be_cut(run: Run, tmp_path: Path) -> None:
    table = np.eye(7)[[0, 1, 2, 3, 4, 1, 6]]  # after <sep> comes b, after b again b
    folder = folder_of(tmp_path / "model", network_of_table(table), **NEXT)
    found = run("run", folder, "abc")
    assert found.out == "b b b b b b b\n"
    assert "the answer to 'abc' is cut" in found.err
    (folder / "task.json").write_text(json.dumps({**NEXT, "answer_lengths": 2}))
    found = run("run", folder, "abc", "--json")
    assert found.objects == [{"input": "abc", "output": ["b", "b"], "cut": False}]
    assert "is cut" not in found.err


def test_options_go_before_the_task_file(run: Run, chain: Path, tmp_path: Path) -> None:
    every = ("--outputs", "at every position: a token", "--layout", "x")
    assert run("run", chain, "abc", *every).out == "b c (\n"
    assert run("run", chain, "u,-", *every, "--rows", "u,v,w,x,y,z,-").out == "v u\n"
    path = tmp_path / "other.toml"
    path.write_text('outputs = "at the last position: a token"')
    assert run("run", chain, "ab", "--task", path, "--layout", "x").out == "c\n"


def test_sets_numbers_and_names_that_need_quotes(run: Run, tmp_path: Path) -> None:
    table = network_of_table(np.array([[1, 1, 0], [0, 0, 0], [0, 1, 1]]))
    sets = folder_of(
        tmp_path / "sets", table, tokens=["a b", "b", "END"], outputs="next-token sets"
    )
    assert run("run", sets, "'a b',b").out == "{'a b',b} {}\n"
    mean = averaging(np.array([1.0, 2.0]), causal=True)
    number = folder_of(tmp_path / "number", mean, tokens=[1, 2], outputs="a number", causal=True)
    assert run("run", number, "1,2,2").out == "1 1.5 1.66667\n"


def test_a_compiled_model_runs_as_before_and_with_a_task_in_its_words(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "m.npz"
    run("compile", "reverse", "-o", path)
    assert run("run", path, "a,b,c").out == "c,b,a\n"
    assert run("run", path, "abc", "--outputs", "after BOS: a number").code == 1
    (tmp_path / "task.json").write_text('{"tokens": ["of another model"]}')
    assert run("run", path, "a,b,c").out == "c,b,a\n"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("z",), 1, "input 0: token 'z' at position 0 is none of the task's 7 tokens"),
        (("a" * 20,), 1, "0 to 9 tokens"),
        (("a", "--rows", "a,b"), 1, "the options and "),
        (("a", "--outputs", "at EDN: 0 to 6"), 1, "no token is called 'EDN'"),
        (("a", "--layout", "BOS"), 1, "one x"),
        (("a", "--task", "none.json"), 1, "none.json: there is no such file"),
        (("a", "--vocab", "a,b"), 2, "--rows names all tokens"),
        (("a", "--max-seq-len", "3"), 2, "--max-seq-len is for programs"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    run: Run, chain: Path, options: tuple[str, ...], code: int, words: str
) -> None:
    error = run.fails(code, "run", chain, *options)
    assert words in error
    assert "\n" not in error


def test_task_options_are_for_models(run: Run) -> None:
    assert "--outputs is for models" in run.fails(2, "run", "hist", "a", "--outputs", "next token")


def test_a_folder_of_a_library_programs_name_is_no_model(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reverse").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run("run", "reverse", "a,b").out == "b,a\n"


def test_a_trained_model_of_compiled_form_is_told_how_its_outputs_are_said(
    run: Run, tmp_path: Path
) -> None:
    """Not only what to do with a compiled one; and what is told works."""
    arrays, path = lens_arrays(norm=False), tmp_path / "m.safetensors"
    del arrays["unembed.b_U"]
    save_file(arrays, path)
    error = run.fails(1, "run", path, "1,2")
    assert error.endswith('of untracr run an option (--outputs "next token")')
    assert run("run", path, "1,2", "--outputs", "next token").code == 0


def test_a_model_without_a_read_out_is_shown_by_explain(run: Run, tmp_path: Path) -> None:
    arrays, path = lens_arrays(norm=False), tmp_path / "m.safetensors"
    del arrays["unembed.b_U"], arrays["unembed.W_U"]
    save_file(arrays, path)
    assert "shown by untracr explain" in run.fails(1, "run", path, "1,2")
    assert run("explain", path, "1,2").code == 0
