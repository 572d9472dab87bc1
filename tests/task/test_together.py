"""Inputs of several lengths as one array of token ids."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from known_networks import network_of_table
from untracr.errors import InputError
from untracr.network.network import Network
from untracr.task.documents import told_of
from untracr.task.settling import settled
from untracr.task.task import Task
from untracr.task.together import ids_together, outputs_together

LETTERS = ["a", "b", "c", "d", "<bos>", "<sep>", "<eos>", "<pad>"]


def network_with(**which: object) -> Network:
    """A network that gives each token itself."""
    return network_of_table(np.eye(8), **which)  # type: ignore[arg-type]


def task_of(network: Network, **document: object) -> Task:
    document = {"tokens": LETTERS, "outputs": "at every position: next token"} | document
    return settled(told_of(document), network)[0]


def test_shorter_inputs_are_filled_up_where_nobody_looks_at_that() -> None:
    for network in (network_with(causal=True), network_with(causal=False, masked=7)):
        task = task_of(network, input="BOS x")
        ids = ids_together(network, task, ["ab", "dcb", []])
        assert ids.tolist() == [[4, 0, 1, 7], [4, 3, 2, 1], [4, 7, 7, 7]]
        outputs = outputs_together(task, ids, np.eye(8)[ids])
        assert outputs == [["<bos>", "a", "b"], ["<bos>", "d", "c", "b"], ["<bos>"]]


def test_where_padding_would_be_seen_lengths_must_be_one() -> None:
    network = network_with(causal=False)
    task = task_of(network, input="BOS x")
    assert ids_together(network, task, ["ab", "dc"]).shape == (2, 3)
    with pytest.raises(InputError, match=r"2 to 3 tokens.*not causal.*'<pad>'"):
        ids_together(network, task, ["ab", "c"])


def test_a_task_without_padding_says_so() -> None:
    network = network_of_table(np.eye(4))
    task = task_of(network, tokens=LETTERS[:4], input="x")
    with pytest.raises(InputError, match=r"1 to 2 tokens.*the task has no padding"):
        ids_together(network, task, ["ab", "c"])


def test_a_layout_that_fills_up_goes_before() -> None:
    network = network_with(causal=False)
    task = task_of(network, input="BOS x PAD...", lengths=[0, 3])
    assert ids_together(network, task, ["ab"]).tolist() == [[4, 0, 1, 7]]
    assert ids_together(network, task, ["ab", "c"]).tolist() == [[4, 0, 1, 7], [4, 2, 7, 7]]


def test_arrays_are_token_ids() -> None:
    network = network_with()
    task = task_of(network, input="BOS x")
    for array in (np.array([[0, 1], [2, 3]]), torch.tensor([[0, 1], [2, 3]])):
        assert ids_together(network, task, array).tolist() == [[0, 1], [2, 3]]
    with pytest.raises(InputError, match="0 to 7, not 8"):
        ids_together(network, task, np.array([[8]]))


def test_no_inputs_and_inputs_too_long_are_refused() -> None:
    network = network_with()
    task = task_of(network, input="BOS x")
    with pytest.raises(InputError, match="no inputs"):
        ids_together(network, task, [])
    with pytest.raises(InputError, match=r"0 to 11 tokens.*this has 12"):
        ids_together(network, task, ["a" * 12])
