"""Compares what networks compute inside, and what patches do, with TransformerLens.

    python recipes/check_hooks.py

The models of `recipes/check_lens.py` that the installed version has are loaded, and run in both.
Lines say how far activations at any hook point, and logits, are apart; and how far logits are
when the same interventions are made as the library's hooks (``run_with_hooks``) and as our
patches: at each point, another input's activations at a position, or of one head; a vector added;
an exchange along a subspace. In single and in double precision, relative to the largest number.
The exit code is 1 if any is above 1e-5 in single precision (3e-5 where nothing normalises
streams: scores grow large, and so does their rounding), or no model was compared.

Version 4 differs on its own terms at two points, which are left out there. What is changed at
``hook_resid_mid`` reaches the neurons but not the stream behind them (so much is compared), and
its own small transformer shows patterns at ``hook_attn_scores``, where changes do nothing.
Points that a version lacks are told.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import untracr
from check_lens import CLOSE, INPUTS, LENGTH, TOKENS, Case, Ids, cases, major
from untracr.network import (
    Add,
    FromInputs,
    Network,
    Patch,
    Place,
    Replace,
    Trace,
    Values,
    patched,
    trace,
)
from untracr.network.points import Axes, HookPoint

Array = npt.NDArray[np.floating[Any]]

POSITION = 4
"""Where interventions are made."""


@dataclass(frozen=True)
class Agreement:
    """How far a model and its network are apart.

    Attributes:
        activations: by hook point, ``logits`` among them.
        interventions: the logits, by hook point and kind of intervention.
        reach: the logits when the neurons alone are to see what is added at ``hook_resid_mid``.
        lacking: hook points of ours that the library does not have.
        more: the library's, by the names that both versions have, that we do not.
    """

    activations: dict[str, float]
    interventions: dict[str, float]
    reach: dict[str, float]
    lacking: list[str]
    more: list[str]


def relative(found: Array, wanted: Array) -> float:
    """The largest difference by the largest number; infinite where infinities differ.

    A bridge around a model of transformers has the lowest number there is for minus infinity.
    """
    wanted = np.where(wanted <= np.finfo(wanted.dtype).min, -np.inf, wanted)
    if found.shape != wanted.shape:
        return float("inf")
    finite = np.isfinite(wanted)
    if not np.array_equal(found[~finite], wanted[~finite]):
        return float("inf")
    apart = np.abs(found[finite].astype(np.float64) - wanted[finite]).max(initial=0.0)
    return float(apart / (np.abs(wanted[finite]).max(initial=0.0) or 1.0))


def agreement(case: Case, double: bool = False) -> Agreement:
    """Compares a model with the network that is loaded of it."""
    import torch

    model = case.model
    if double:
        model.cfg.dtype = torch.float64  # what TransformerLens casts to within layers
        model = model.double()
    if hasattr(model, "set_use_attn_result") and major("transformer-lens") < 4:
        model.set_use_attn_result(True)
    network = untracr.load(model).network
    network = network.astype(np.float64 if double else np.float32)
    ids, others = np.random.default_rng(0).integers(0, TOKENS, (2, INPUTS, LENGTH))
    found, source = trace(network, ids), trace(network, others)
    logits, cache = _cached(model, ids)
    shared = [name for name in found if name in cache]
    seen = [name for name in shared if not _shows_patterns(model, name)]
    activations = {name: relative(found[name], cache[name]) for name in seen}
    activations["logits"] = relative(found.logits, logits)
    interventions = {
        f"{name} {kind}": relative(patched(network, patch).run(found), _hooked(model, ids, hook))
        for name in seen
        if not (name.endswith("hook_resid_mid") and _is_bridge())
        for kind, patch, hook in _interventions(found.points[name], source)
    }
    lacking = [name for name in found if name not in cache]
    reach = _reach(model, network, found) if _is_bridge() else {}
    return Agreement(activations, interventions, reach, lacking, _more(cache, found))


def _is_bridge() -> bool:
    return major("transformer-lens") >= 4


def _shows_patterns(model: Any, name: str) -> bool:
    native = _is_bridge() and model.cfg.architecture == "TransformerLensNative"
    return native and name.endswith("hook_attn_scores")


def _reach(model: Any, network: Network, found: Trace) -> dict[str, float]:
    """A vector added at ``hook_resid_mid``, and taken off again from what the neurons add."""
    import torch

    differences = {}
    for name in [name for name in found if name.endswith("hook_resid_mid")]:
        vector = np.random.default_rng(1).normal(size=network.d_model).astype(network.W_E.dtype)
        behind = Place(name.replace("resid_mid", "mlp_out"))
        patches = [Add(Place(name), Values(vector)), Add(behind, Values(vector), times=-1.0)]
        wanted = _hooked(model, found.ids, (name, _adding(torch.tensor(vector))))
        differences[name] = relative(patched(network, patches).run(found), wanted)
    return differences


def _adding(vector: Any) -> Callable[[Any], None]:
    return lambda value: value.add_(vector)


def _cached(model: Any, ids: Ids) -> tuple[Array, dict[str, Array]]:
    import torch

    with torch.no_grad():
        logits, cache = model.run_with_cache(torch.tensor(ids))
    return logits.numpy(), {name: np.asarray(value) for name, value in cache.items()}


def _more(cache: dict[str, Array], found: Trace) -> list[str]:
    """Hook points that a `HookedTransformer` has, too; a bridge has all parts' in- and outputs."""
    own = ("hook_in", "hook_out", "hook_unembed", "hook_hidden_states")
    return [name for name in cache if name not in found and not name.endswith(own)]


Hook = tuple[str, Callable[[Any], None]]
"""A hook point, and what changes its values in the tensor itself."""


def _hooked(model: Any, ids: Ids, hook: Hook) -> Array:
    """The library's logits with a hook."""
    import torch

    name, change = hook

    def changed(value: Any, hook: Any) -> Any:
        value = value.clone()
        change(value)
        return value

    with torch.no_grad():
        logits = model.run_with_hooks(torch.tensor(ids), fwd_hooks=[(name, changed)])
    return np.asarray(logits)


def _interventions(point: HookPoint, source: Trace) -> Iterator[tuple[str, Patch, Hook]]:
    """The same interventions as our patches and as hooks of the library.

    Scales stay positive, and scores of what is masked stay so.
    """
    import torch

    name, dtype = point.name, source.logits.dtype
    other = torch.tensor(source[name])
    yield (
        "interchange",
        Replace(Place(name, POSITION), FromInputs(source)),
        (name, lambda value: _at(point, value).copy_(_at(point, other))),
    )
    if point.axes is Axes.HEADS:
        yield (
            "interchange of a head",
            Replace(Place(name, POSITION, heads=1), FromInputs(source)),
            (name, lambda value: value[:, POSITION, 1].copy_(other[:, POSITION, 1])),
        )
    if point.axes is Axes.PAIRS or point.width < 2:
        return
    rng = np.random.default_rng(1)
    vector = rng.normal(size=point.width).astype(dtype)
    yield (
        "addition",
        Add(Place(name, POSITION), Values(vector), times=2.0),
        (name, lambda value: _at(point, value).add_(2 * torch.tensor(vector))),
    )
    basis = np.linalg.qr(rng.normal(size=(point.width, 2)))[0].astype(dtype)
    onto = torch.tensor(basis @ basis.T)
    yield (
        "interchange along a subspace",
        Replace(Place(name, POSITION, subspace=basis), FromInputs(source)),
        (
            name,
            lambda value: _at(point, value).add_((_at(point, other) - _at(point, value)) @ onto),
        ),
    )


def _at(point: HookPoint, value: Any) -> Any:
    """A position's part of a tensor."""
    return value[:, :, POSITION] if point.axes is Axes.PAIRS else value[:, POSITION]


def allowed(name: str) -> float:
    """How far off a model may be in single precision."""
    return 3 * CLOSE if "normalization_type=None" in name else CLOSE


def lens_cases() -> dict[str, Callable[[], Case]]:
    """The models that TransformerLens has, in the version that is installed."""
    return {name: make for name, make in cases() if name.startswith(("Hooked", "Transformer"))}


def main() -> int:
    """Prints one line a model."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.simplefilter("ignore")
    compared, failed = 0, 0
    for name, make in lens_cases().items():
        single, double = agreement(make()), agreement(make(), double=True)
        print(name)
        for told in ("activations", "interventions", "reach"):
            one, two = (getattr(each, told) for each in (single, double))
            if not one:
                continue
            largest = max(one, key=lambda key: one[key])
            print(
                f"  {len(one)} {told}: at most {one[largest]:.1e} ({largest}), in double "
                f"precision {max(two.values()):.1e} ({max(two, key=lambda key: two[key])})"
            )
            compared += len(one)
            failed += sum(not value <= allowed(name) for value in one.values())
        if single.lacking or single.more:
            print(f"  only ours: {single.lacking}; only the library's: {single.more}")
    print(f"{compared} comparisons, {failed} further off than is allowed")
    return 0 if compared and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
