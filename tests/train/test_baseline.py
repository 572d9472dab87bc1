"""The flattened-weights baseline sees what the paper's meta-model sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from untracr.compile.canonical import paper_tokens
from untracr.compile.compiler import compile_program
from untracr.loading.haiku import haiku_params
from untracr.sample.sampler import sample_program
from untracr.train.baseline import (
    MEAN_WEIGHT,
    PADDING,
    PAPER_TOKENS,
    WEIGHT_DEVIATION,
    BaselineConfig,
    FlatNetwork,
    baseline_task,
    flatten_weights,
    make_flat_batch,
)

TINY = BaselineConfig(width=32, layers=1, heads=2)


def test_every_weight_is_seen_once_in_tracrs_order() -> None:
    """The flat row is Tracr's parameters one after the other."""
    model = compile_program(sample_program(0, 0), range(5), 5).transformer
    row = flatten_weights(model)
    assert row.size == model.n_parameters
    first = haiku_params(model)["pos_embed"]["embeddings"].ravel()
    np.testing.assert_array_equal(row[: first.size], first)


def test_batch_holds_weights_and_the_papers_tokens() -> None:
    """A batch can be turned back into weights and token lists; padding is the paper's 0.1."""
    arrays = make_flat_batch(3, 10, 2, chunk=64)
    for row in range(2):
        program = sample_program(3, 10 + row)
        weights = flatten_weights(compile_program(program, range(5), 5).transformer)
        flat = arrays["chunks"][row].ravel() * WEIGHT_DEVIATION + MEAN_WEIGHT
        np.testing.assert_allclose(flat[: weights.size], weights, atol=1e-3)
        np.testing.assert_allclose(flat[weights.size :], PADDING, atol=1e-4)
        tokens = [PAPER_TOKENS[i] for i in arrays["tokens"][row] if i >= 0]
        assert tokens == paper_tokens(program)


def test_program_is_predicted_causally_and_weights_are_seen_whole() -> None:
    """A later token changes no earlier logits; the last chunk of weights changes the first."""
    torch.manual_seed(0)
    network = FlatNetwork(TINY).eval()
    chunks, tokens = torch.randn(1, 5, 32), torch.randint(0, 10, (1, 7))
    with torch.no_grad():
        before = network(chunks, tokens)
        other = tokens.clone()
        other[0, 5] += 1
        after = network(chunks, other)
        changed = chunks.clone()
        changed[0, 4] += 1
        moved = network(changed, tokens)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])
    assert not torch.allclose(before[:, 0], moved[:, 0])


@pytest.mark.slow
def test_it_learns() -> None:
    """Thirty steps on one batch bring the loss far down: gradients reach the weights."""
    torch.manual_seed(0)
    task = baseline_task(TINY)
    network = task.build()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    arrays = make_flat_batch(0, 0, 8, chunk=32)
    losses = []
    for _ in range(30):
        loss = task.loss(network, arrays, torch.device("cpu")).loss
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
