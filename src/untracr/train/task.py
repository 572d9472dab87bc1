"""The meta-model as a training task."""

from __future__ import annotations

import functools

import torch
from torch import nn

from untracr.metamodel.examples import DEFAULT, ExampleSettings, training_example
from untracr.metamodel.network import Network, NetworkConfig, loss_and_hits
from untracr.train.batching import as_batch, collate_arrays
from untracr.train.metrics import Score
from untracr.train.stream import Arrays
from untracr.train.training import Task

VALIDATION_SEED = 1_000_000_007
"""A stream of its own, so that no training seed in use meets it."""

VALIDATION_EXAMPLES = 512

TASK_NAME = "half-layer reader"


def metamodel_task(config: NetworkConfig, settings: ExampleSettings = DEFAULT) -> Task:
    """Programs from components (`network.Network`).

    Args:
        config: the network's sizes.
        settings: what it is trained and validated on.
    """
    return Task(
        name=TASK_NAME,
        config={**config.as_dict(), **settings.as_dict()},
        build=functools.partial(Network, config),
        make=functools.partial(make_batch, settings=settings),
        loss=score_of,
        evaluate=functools.partial(_evaluate, settings),
    )


def make_batch(seed: int, start: int, count: int, settings: ExampleSettings = DEFAULT) -> Arrays:
    """Arrays of fresh examples ``start`` to ``start + count``."""
    return collate_arrays([training_example(seed, start + i, settings) for i in range(count)])


def score_of(network: nn.Module, arrays: Arrays, device: torch.device) -> Score:
    """How well the network writes a batch."""
    assert isinstance(network, Network)
    return Score.of(*loss_and_hits(network, as_batch(arrays).to(device)))


@functools.lru_cache(maxsize=1)
def _validation(settings: ExampleSettings) -> Arrays:
    return make_batch(VALIDATION_SEED, 0, VALIDATION_EXAMPLES, settings)


def validation_metrics(
    network: nn.Module, arrays: Arrays, device: torch.device
) -> dict[str, float]:
    """What the log says of examples that are not trained on."""
    with torch.no_grad():
        score = score_of(network, arrays, device)
    return {
        "validation_loss": score.loss.item(),
        "validation_exact": score.exact,
        "validation_tokens": score.tokens,
    }


def _evaluate(
    settings: ExampleSettings, network: nn.Module, device: torch.device
) -> dict[str, float]:
    return validation_metrics(network, _validation(settings), device)
