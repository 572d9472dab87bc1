"""What is told of a model's task, from wherever a model comes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import untracr
from compiled_models import model_of
from known_networks import averaging, network_of_table, successor
from random_networks import KINDS, D, V, network_of
from tracr_reference import build, compile_with_tracr
from untracr.errors import ModelFileError, TaskError
from untracr.network.forward import forward
from untracr.network.network import Network
from untracr.network.state_dict import state_dict
from untracr.task.task import AfterToken, Label, Layout, NextToken, Specials

TASK = {"tokens": ["u", "v", "-"], "outputs": "at every position: a token"}


def saved(folder: Path, network: Network, **task: object) -> Path:
    """A folder with a network's tensors by TransformerLens' names, and a task file."""
    from safetensors.numpy import save_file

    save_file(dict(state_dict(network)), folder / "model.safetensors")
    if task:
        (folder / "task.json").write_text(json.dumps(task))
    return folder


def test_a_task_file_beside_weights(tmp_path: Path) -> None:
    model = untracr.load(saved(tmp_path, successor(3), **TASK, causal=True))
    assert model.run(["uv"]) == [["v", "-"]]
    assert untracr.load(tmp_path / "model.safetensors").task == model.task
    assert any("nobody says where tokens stand" in sentence for sentence in model.said)


def test_what_a_task_tells_of_the_network_is_heeded(tmp_path: Path) -> None:
    """Masked padding, attention to all positions, no normalisation."""
    network = averaging(np.array([2.0, 6.0, 100.0]), masked_token=2)
    told = {"pad": "-", "causal": False, "layer_norm": False, "outputs": {"means": "number"}}
    model = untracr.load(saved(tmp_path, network, tokens=["u", "v", "-"], **told))
    assert model.network.architecture == network.architecture
    assert model.run_ids([[0, 1, 2]]) == [[4.0, 4.0]]
    assert not any("causal assumed" in sentence for sentence in model.said)


def test_a_layer_norm_without_gains_is_seen_where_the_task_tells(tmp_path: Path) -> None:
    model = untracr.load(saved(tmp_path, successor(3), **TASK, layer_norm=True))
    assert model.network.architecture.norm is not None


def test_what_is_given_goes_before_what_lies_beside(tmp_path: Path) -> None:
    folder = saved(tmp_path, successor(3), **TASK, causal=True)
    model = untracr.load(folder, task={"tokens": ["a", "b", "c"]}, causal=False)
    assert model.run(["ab"]) == [["b", "c"]]
    assert not model.network.architecture.causal
    (tmp_path / "other.toml").write_text('outputs = "at the last position: 0 to 2"')
    assert untracr.load(folder, task=tmp_path / "other.toml").run(["uv"]) == [[2]]


@pytest.mark.parametrize("form", ["network", "state dict", "loaded"])
def test_models_in_memory_are_told_their_task(form: str) -> None:
    network = successor(3)
    model: object = network if form != "state dict" else state_dict(network)
    model = untracr.load(model) if form == "loaded" else model
    loaded = untracr.load(model, task=TASK)
    assert loaded.run([["u", "-"]]) == [["v", "u"]]
    assert untracr.load(model, task=loaded.task).task == loaded.task


def test_a_model_in_memory_is_masked_as_its_task_tells() -> None:
    network = averaging(np.array([2.0, 6.0, 100.0]))
    told = {"tokens": ["u", "v", "-"], "pad": "-", "outputs": {"means": "number"}}
    assert untracr.load(network, task=told).run_ids([[0, 1, 2]]) == [[4.0, 4.0]]
    model = untracr.load(network, task=told | {"causal": True})
    assert model.run_ids([[0, 1, 2]]) == [[2.0, 4.0]]


def test_a_compiled_model_needs_no_task() -> None:
    compiled = untracr.compile_rasp_to_model(
        "Map(lambda x: x + 1, tokens)", vocab=range(3), max_seq_len=4
    )
    loaded = untracr.load(compiled)
    assert loaded.run([[2, 0], "1"]) == [[3, 1], [2]]
    assert loaded.task.layout == Layout((loaded.task.tokens.index("compiler_bos"),))
    assert isinstance(loaded.task.counted, AfterToken)
    assert loaded.said == ()


def test_a_compiled_model_may_be_told_other_names() -> None:
    model = untracr.load(model_of("Map(lambda x: x + 1, tokens)"), task={"specials": {"PAD": None}})
    assert model.task.specials.bos is not None
    assert model.task.specials.pad is None
    assert model.run([[3]]) == [[4]]


def test_a_network_of_which_nothing_is_told() -> None:
    """Tokens and columns are numbers; with special tokens that nothing shows there are none."""
    network = network_of_table(np.eye(4)).replace(b_U=np.array([0, 0, 2, 0], np.float32))
    model = untracr.load(network)
    assert model.task.meaning == NextToken()
    assert model.run([[0, 3]]) == [[2, 2]]
    assert "tokens have no names; they are called by their ids, 0 to 3" in model.said


def test_a_hugging_face_folder_tells_its_special_tokens(tmp_path: Path) -> None:
    network = network_of(KINDS["gpt2"])
    folder = saved(tmp_path, network)
    config = {"n_layers": 2, "d_model": D, "act_fn": "gelu_new", "n_ctx": 11}
    specials = {"bos_token_id": 5, "eos_token_id": 6, "pad_token_id": V}
    (folder / "config.json").write_text(json.dumps(config | specials))
    model = untracr.load(folder)
    assert model.task.specials == Specials(bos=5, eos=6)
    assert model.task.layout == Layout((5,), None, (6,))
    said = "config.json has pad_token_id 7, but ids are 0 to 6; left out"
    assert said in model.said


def test_labels_of_a_network_of() -> None:
    network = network_of(KINDS["llama"])
    loaded = untracr.load(network, task={"outputs": "at the last position: 0 to 4"})
    assert loaded.task.meaning == Label((0, 1, 2, 3, 4))
    ids = np.array([[1, 2, 6, 0]])
    wanted = int(forward(network, ids)[0, -1].argmax())
    assert loaded.run([[1, 2, 6, 0]]) == [[wanted]]


def test_contradictions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="layer_norm is true, but the network has none"):
        untracr.load(successor(3), task={"layer_norm": True})
    with pytest.raises(TaskError, match=r"task\.json: .*each of the 3 rows"):
        untracr.load(saved(tmp_path, successor(3), tokens=["a", "b"]))
    with pytest.raises(TaskError, match="a task must be an"):
        untracr.load(successor(3), task=3)


def test_a_config_that_says_otherwise_is_refused() -> None:
    config = {"n_layers": 1, "d_model": 3, "attention_dir": "causal"}
    with pytest.raises(ModelFileError, match="task says causal false, the configuration true"):
        untracr.load(state_dict(successor(3)), config=config, task={"causal": False})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reverse", "hist", "frac_prevs", "sort_unique", "pair_balance"])
def test_tracrs_own_models_say_what_tracr_says(name: str) -> None:
    """Words, BOS and all: the outputs of Tracr's own `apply`."""
    named = untracr.named_program(name)
    live, _ = build(named.program)
    theirs = compile_with_tracr(live, set(named.vocab), 4)
    inputs = [list(tokens) for tokens in itertools.islice(named.domain, 3, 60, 5)]
    wanted = [theirs.apply(["compiler_bos", *tokens]).decoded[1:] for tokens in inputs]
    ours = untracr.load(theirs).run(inputs)
    if isinstance(wanted[0][0], float):
        theirs_flat = list(itertools.chain.from_iterable(wanted))
        assert list(itertools.chain.from_iterable(ours)) == pytest.approx(theirs_flat, abs=1e-5)
    else:
        assert ours == wanted
