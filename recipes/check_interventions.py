"""Compares patches with the same interventions made by pyvene and by nnsight.

    python recipes/check_interventions.py

A random GPT-2 of transformers is loaded live, and other inputs' activations are put in at a
position: in the stream, in one head's output, in the neurons, and along a random subspace; they
are taken at another position. One line each says how far logits are apart, relative to the
largest, and how far the intervention moves them. Both libraries ask for packages of their own,
and so for an environment of their own. The exit code is 1 if any logits are further off than
1e-5, or neither library is there.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

import untracr
from untracr.network import (
    Add,
    FromInputs,
    Network,
    Patch,
    Place,
    Replace,
    patched,
    trace,
)

CLOSE = 1e-5
"""How far off logits may be, relative to the largest."""

LAYERS, WIDTH, HEADS, TOKENS = 3, 24, 3, 17
INPUTS, LENGTH = 7, 10
AT, TAKEN = 6, 3
"""The position where values are put, and the one where they are taken."""

Array = npt.NDArray[np.floating[Any]]


def random_gpt2() -> Any:
    """A GPT-2 of transformers with random weights."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    sizes = {"n_layer": LAYERS, "n_embd": WIDTH, "n_head": HEADS, "vocab_size": TOKENS}
    config = GPT2Config(**sizes, n_positions=LENGTH, bos_token_id=0, eos_token_id=0)
    config._attn_implementation = "eager"
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def subspace() -> Array:
    """Orthonormal columns [D, 3]."""
    numbers = np.random.default_rng(3).normal(size=(WIDTH, 3))
    return np.linalg.qr(numbers)[0].astype(np.float32)


def ours(network: Network, base: Any, source: Any) -> dict[str, Array]:
    """The logits with each intervention made as a patch."""
    taken = FromInputs(trace(network, source), positions=TAKEN)
    stream, mid = "blocks.0.hook_resid_post", "blocks.1.hook_resid_post"
    patches: dict[str, Patch] = {
        "the stream at a position": Replace(Place(stream, AT), taken),
        "one head's z at a position": Replace(Place("blocks.1.attn.hook_z", AT, heads=1), taken),
        "neurons at a position": Replace(Place("blocks.1.mlp.hook_post", AT), taken),
        "the stream along a subspace": Replace(Place(mid, AT, subspace=subspace()), taken),
        "the stream, added": Add(Place(stream, AT), taken),
    }
    return {name: patched(network, patch).run(base) for name, patch in patches.items()}


def by_pyvene(model: Any, base: Any, source: Any) -> Iterator[tuple[str, Array]]:
    """The same with pyvene."""
    import pyvene
    import torch

    def run(component: str, layer: int, kind: Any, **more: Any) -> Array:
        unit = "h.pos" if component.startswith("head") else "pos"
        settings: dict[str, Any] = {"layer": layer, "component": component, "unit": unit}
        settings |= {"intervention_type": kind, **more}
        intervened = pyvene.IntervenableModel(pyvene.IntervenableConfig([settings]), model)
        if "low_rank_dimension" in more:
            (intervention,) = intervened.interventions.values()
            intervention.rotate_layer.weight = torch.from_numpy(subspace())
        places = tuple(_units(unit, position) for position in (TAKEN, AT))
        with torch.no_grad():
            _, outputs = intervened(
                {"input_ids": torch.tensor(base)},
                [{"input_ids": torch.tensor(source)}],
                {"sources->base": places},
            )
        return np.asarray(outputs.logits)

    swap = pyvene.VanillaIntervention
    rotated = pyvene.LowRankRotatedSpaceIntervention
    yield "the stream at a position", run("block_output", 0, swap)
    yield "one head's z at a position", run("head_attention_value_output", 1, swap)
    yield "neurons at a position", run("mlp_activation", 1, swap)
    yield "the stream along a subspace", run("block_output", 1, rotated, low_rank_dimension=3)
    yield "the stream, added", run("block_output", 0, pyvene.AdditionIntervention)


def _units(unit: str, position: int) -> list[Any]:
    """What pyvene calls a place: a position for each input, or a head and a position."""
    at: list[Any] = [[position]] * INPUTS
    return [at] if unit == "pos" else [[[[1]] * INPUTS, at]]


def by_nnsight(model: Any, base: Any, source: Any) -> Iterator[tuple[str, Array]]:
    """The same with nnsight."""
    import nnsight
    import torch

    wrapped = nnsight.NNsight(model)
    blocks = wrapped.transformer.h
    width = WIDTH // HEADS

    def run(module: Any, part: str, change: Callable[[Any, Any], None]) -> Array:
        with torch.no_grad(), wrapped.trace(torch.tensor(source)):
            taken = getattr(module, part).clone().save()
        with torch.no_grad(), wrapped.trace(torch.tensor(base)):
            change(getattr(module, part), taken)
            logits = wrapped.lm_head.output.save()
        return np.asarray(logits)

    def swap(value: Any, taken: Any) -> None:
        value[:, AT] = taken[:, TAKEN]

    def swap_head(value: Any, taken: Any) -> None:
        value[:, AT, width : 2 * width] = taken[:, TAKEN, width : 2 * width]

    def swap_along(value: Any, taken: Any) -> None:
        basis = torch.from_numpy(subspace())
        value[:, AT] += (taken[:, TAKEN] - value[:, AT]) @ basis @ basis.T

    def add(value: Any, taken: Any) -> None:
        value[:, AT] += taken[:, TAKEN]

    yield "the stream at a position", run(blocks[0], "output", swap)
    yield "one head's z at a position", run(blocks[1].attn.c_proj, "input", swap_head)
    yield "neurons at a position", run(blocks[1].mlp.c_proj, "input", swap)
    yield "the stream along a subspace", run(blocks[1], "output", swap_along)
    yield "the stream, added", run(blocks[0], "output", add)


def apart(found: Array, wanted: Array) -> float:
    """The largest difference by the largest number."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def main() -> int:
    """Prints one line an intervention and library."""
    warnings.simplefilter("ignore")
    base, source = np.random.default_rng(1).integers(0, TOKENS, (2, INPUTS, LENGTH))
    network = untracr.load(random_gpt2()).network
    made, clean = ours(network, base, source), trace(network, base).logits
    worst: list[float] = []
    for library, run in (("pyvene", by_pyvene), ("nnsight", by_nnsight)):
        if importlib.util.find_spec(library) is None:
            print(f"{library} is not installed")
            continue
        for name, logits in run(random_gpt2(), base, source):
            worst.append(apart(made[name], logits))
            moved = apart(clean, logits)
            print(f"{library}: {name}: {worst[-1]:.1e}; it moves logits by {moved:.2f}")
    return 0 if worst and max(worst) <= CLOSE else 1


if __name__ == "__main__":
    sys.exit(main())
