"""The meta-model as a training task on a data set; needs ``untracr[dataset]``."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import nn

from untracr.dataset.manifest import Manifest, read_manifest
from untracr.metamodel.network import Network, NetworkConfig
from untracr.train.dataset_examples import identity_of, make_dataset_batch
from untracr.train.stream import Arrays
from untracr.train.task import TASK_NAME, VALIDATION_EXAMPLES, score_of, validation_metrics
from untracr.train.training import Task


def dataset_task(config: NetworkConfig, root: Path) -> Task:
    """Programs from components, trained on a data set's rows and validated on its others.

    Args:
        config: the network's sizes.
        root: the data set's folder.

    Raises:
        DatasetError: there is no finished data set.
    """
    manifest = read_manifest(root)
    count = min(VALIDATION_EXAMPLES, rows_of(manifest, "validation"))
    return Task(
        name=TASK_NAME,
        config={**config.as_dict(), "dataset": identity_of(manifest)},
        build=functools.partial(Network, config),
        make=functools.partial(make_dataset_batch, root=root),
        loss=score_of,
        evaluate=functools.partial(_evaluate, root, count),
    )


def rows_of(manifest: Manifest, split: str) -> int:
    """How many rows a split has."""
    return sum(shard.rows for shard in manifest.of_split(split))


@functools.lru_cache(maxsize=1)
def _validation(root: Path, count: int) -> Arrays:
    return make_dataset_batch(0, 0, count, root, "validation")


def _evaluate(root: Path, count: int, network: nn.Module, device: torch.device) -> dict[str, float]:
    if not count:
        return {}
    return validation_metrics(network, _validation(root, count), device)
