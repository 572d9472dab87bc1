"""The meta-model as a training task."""

from __future__ import annotations

import functools

import torch
from torch import nn

from untracr.metamodel.batching import as_batch, collate_arrays
from untracr.metamodel.examples import DEFAULT, ExampleSettings, training_example
from untracr.metamodel.network import Network, NetworkConfig, loss_and_hits
from untracr.metamodel.score import Score
from untracr.metamodel.stream import Arrays
from untracr.metamodel.training import Task

VALIDATION_SEED = 1_000_000_007
"""A stream of its own, so that no training seed in use meets it."""

VALIDATION_EXAMPLES = 512


def metamodel_task(config: NetworkConfig, settings: ExampleSettings = DEFAULT) -> Task:
    """Programs from components (`network.Network`).

    Args:
        config: the network's sizes.
        settings: what it is trained and validated on.
    """
    return Task(
        name="half-layer reader",
        config={**config.as_dict(), **settings.as_dict()},
        build=functools.partial(Network, config),
        make=functools.partial(make_batch, settings=settings),
        loss=_loss,
        evaluate=functools.partial(_evaluate, settings),
    )


def make_batch(seed: int, start: int, count: int, settings: ExampleSettings = DEFAULT) -> Arrays:
    """Arrays of fresh examples ``start`` to ``start + count``."""
    return collate_arrays([training_example(seed, start + i, settings) for i in range(count)])


def _loss(network: nn.Module, arrays: Arrays, device: torch.device) -> Score:
    assert isinstance(network, Network)
    return Score.of(*loss_and_hits(network, as_batch(arrays).to(device)))


@functools.lru_cache(maxsize=1)
def _validation(settings: ExampleSettings) -> Arrays:
    return make_batch(VALIDATION_SEED, 0, VALIDATION_EXAMPLES, settings)


def _evaluate(
    settings: ExampleSettings, network: nn.Module, device: torch.device
) -> dict[str, float]:
    with torch.no_grad():
        score = _loss(network, _validation(settings), device)
    return {
        "validation_loss": score.loss.item(),
        "validation_exact": score.exact,
        "validation_tokens": score.tokens,
    }
