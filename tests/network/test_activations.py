"""Activations are those of their definitions, in double and in single precision."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from untracr.network.activations import activated
from untracr.network.architecture import Activation

THEIRS: dict[Activation, Callable[[torch.Tensor], torch.Tensor]] = {
    Activation.RELU: F.relu,
    Activation.GELU: F.gelu,
    Activation.GELU_TANH: lambda x: F.gelu(x, approximate="tanh"),
    Activation.SILU: F.silu,
}


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 3e-7), (np.float64, 1e-15)])
@pytest.mark.parametrize("activation", Activation)
def test_each_is_pytorchs(activation: Activation, dtype: type, bound: float) -> None:
    """To rounding, relative to the larger of 1 and |x|: at small, large and huge numbers."""
    x = np.concatenate([np.linspace(-12, 12, 100_001), [-1e30, -100, -0.0, 1e-30, 100, 1e30]])
    x = x.astype(dtype)
    found = activated(activation, x)
    wanted = THEIRS[activation](torch.from_numpy(x.astype(np.float64))).numpy()
    assert found.dtype == dtype
    assert (np.abs(found - wanted) / np.maximum(1, np.abs(x))).max() < bound
