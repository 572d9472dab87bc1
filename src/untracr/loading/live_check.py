"""Whether a module in memory computes what was read of it: it is run beside the network.

Settings may lie, and hooks or a forward pass of one's own are seen in no weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from untracr.errors import ModelFileError
from untracr.network.forward import forward
from untracr.network.network import Network

INPUTS, LONGEST = 4, 16
"""How many inputs are run, and how long they are at most."""

CLOSE = 1e-3
"""How far apart outputs may be, relative to the largest: another function is further off."""

CLOSE_IN_HALF = 0.1
"""The same of a module in half precision."""


def require_same_outputs(
    module: Any, network: Network, assumed: Sequence[str] = ()
) -> tuple[str, ...]:
    """Runs a module and the network read of it on the same random inputs.

    Args:
        module: it.
        network: what was read of it.
        assumed: in sentences, what was inferred or assumed of it, as errors tell.

    Returns:
        In sentences why they could not be compared; nothing where they were.

    Raises:
        ModelFileError: they give other outputs.
    """
    if not callable(module):
        return ()
    ids = _inputs(network)
    try:
        theirs = _outputs(module, ids)
    except Exception as error:  # a stranger's code may raise anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        return (f"not compared with the module itself, which cannot be run so: {reason}",)
    ours = forward(network, ids)
    if theirs.shape != ours.shape:
        return (
            f"not compared with the module itself: it gives {list(theirs.shape)}, the weights "
            f"{list(ours.shape)}",
        )
    close = CLOSE_IN_HALF if theirs.dtype == np.float16 else CLOSE
    largest = max(float(np.abs(theirs).max(initial=0.0)), 1e-12)
    off = float(np.abs(ours - theirs.astype(np.float64)).max()) / largest
    if not off <= close:
        raise ModelFileError(
            "the module computes something else than its weights and settings say: on "
            f"{INPUTS} random inputs outputs differ by {off:.2g} of the largest; hooks, a forward "
            "pass of its own, or names and settings that are not its own" + _otherwise(assumed)
        )
    return ()


def _otherwise(assumed: Sequence[str]) -> str:
    if not assumed:
        return ""
    return f" (taken of it: {'; '.join(assumed)}). causal=... or config={{...}} say otherwise"


def _inputs(network: Network) -> npt.NDArray[np.int64]:
    """Random token ids [inputs, positions], without a masked one."""
    length = min(LONGEST, network.n_positions or LONGEST)
    tokens = np.arange(network.n_tokens)
    if network.n_tokens > 1:
        tokens = tokens[tokens != network.architecture.masked_token]
    return np.random.default_rng(0).choice(tokens, (INPUTS, length)).astype(np.int64)


def _outputs(module: Any, ids: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """What a module gives, in evaluation mode, as it was left before."""
    import torch

    first = next(module.parameters(), torch.zeros(()))
    training = bool(getattr(module, "training", False))
    try:
        if training:
            module.eval()
        with torch.no_grad():
            outputs = module(torch.from_numpy(ids).to(first.device))
    finally:
        if training:
            module.train()
    outputs = getattr(outputs, "logits", getattr(outputs, "last_hidden_state", outputs))
    outputs = outputs[0] if isinstance(outputs, tuple) else outputs
    half = outputs.dtype in (torch.float16, torch.bfloat16)
    array = outputs.detach().cpu().float() if half else outputs.detach().cpu()
    return np.asarray(array.half() if half else array)
