"""Loaded models are traced and patched in their tasks' words."""

from __future__ import annotations

import numpy as np
import pytest

import untracr
from untracr.errors import HookPointError, InputError
from untracr.loading.model import LoadedModel
from untracr.network import FromInputs, Place, Replace, Values


@pytest.fixture(scope="module")
def reverse() -> LoadedModel:
    """A compiled model, which has BOS, a read-out and names."""
    program = untracr.named_program("reverse")
    return untracr.load(untracr.compile_rasp_to_model(program, {"a", "b", "c"}, 5))


def test_a_trace_is_of_inputs_in_words(reverse: LoadedModel) -> None:
    found = reverse.trace(["abc", "cab"])
    assert found.ids.shape == (2, 4)
    assert found["hook_embed"].shape == (2, 4, reverse.network.d_model)
    np.testing.assert_array_equal(reverse.trace(found.ids).logits, found.logits)


def test_outputs_of_a_patched_model_are_in_words(reverse: LoadedModel) -> None:
    """The head of the last layer moves tokens: with another input's, it is reversed instead."""
    inputs, others = ["abc", "aab"], ["ccb", "bbb"]
    assert reverse.run(inputs) == [["c", "b", "a"], ["b", "a", "a"]]
    last = f"blocks.{reverse.network.n_layers - 1}.hook_attn_out"
    exchanged = reverse.patched(Replace(Place(last), FromInputs(reverse.trace(others))))
    assert exchanged.run(inputs) == reverse.run(others)
    at_2 = reverse.patched(Replace(Place(last, positions=2), FromInputs(reverse.trace(others))))
    assert at_2.run(inputs) == [["c", "c", "a"], ["b", "b", "a"]]
    np.testing.assert_array_equal(at_2.trace(inputs)[last][:, 2], reverse.trace(others)[last][:, 2])
    assert len(repr(at_2)) < 200


def test_mistakes_are_told_before_anything_runs(reverse: LoadedModel) -> None:
    with pytest.raises(HookPointError, match=r"Near: blocks.0.attn.hook_z"):
        reverse.patched(Replace(Place("blocks.0.attn.z"), Values(0)))
    with pytest.raises(InputError, match="token 'd'"):
        reverse.trace(["abd"])
