"""Settings of the whole test suite."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine must not fail a property that holds: no test here is about time.
settings.register_profile("untracr", deadline=None)
settings.load_profile("untracr")


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A meta-model that was never trained: it writes anything that the grammar allows."""
    import torch

    from untracr.metamodel.network import Network, NetworkConfig
    from untracr.train.checkpoint import save_checkpoint

    torch.manual_seed(2)
    config = NetworkConfig(width=32, layers=1, heads=2)
    path = tmp_path_factory.mktemp("network") / "untrained.safetensors"
    save_checkpoint(path, Network(config), None, {"task": "", "config": config.as_dict()})
    return path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of all treatments, by one worker process; nobody may change it."""
    from dataset_samples import SETTINGS
    from untracr.dataset import LocalEngine, build_dataset

    root = tmp_path_factory.mktemp("built") / "set"
    build_dataset(root, SETTINGS, LocalEngine(1))
    return root


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(built, tmp_path / "copied"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the smallest data set."""
    from dataset_samples import HERE, TINY, contents
    from untracr.dataset import build_dataset

    root = tmp_path_factory.mktemp("tiny")
    build_dataset(root, TINY, HERE)
    return contents(root)
