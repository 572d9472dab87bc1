"""Hook points and patches are TransformerLens': each activation, and logits with its hooks.

They run with version 4 and with version 3, whichever is installed; each model is the library's own.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from check_hooks import Agreement, agreement, allowed, lens_cases, relative
from check_lens import major
from random_networks import KINDS, ids_of, network_of
from untracr.network.lens_form import uniform_network
from untracr.network.tracing import trace
from untracr.network.transformer_lens import to_transformer_lens

pytest.importorskip("transformer_lens")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # the library's own
]

CASES = lens_cases()
LACKING = {"hook_result", "hook_rot_q", "hook_rot_k"} if major("transformer-lens") >= 4 else set()
"""Points that version 4 has in none, or not in all, of its models."""


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("double", [False, True])
def test_activations_and_interventions_are_the_librarys(name: str, double: bool) -> None:
    """Version 4 works out RMS norms, and both versions rotary angles, in single precision."""
    found = agreement(CASES[name](), double)
    exact = double and not any(word in name for word in ("RMS", "rotary", "Llama"))
    bound = 1e-12 if exact else allowed(name)
    for differences in (found.activations, found.interventions, found.reach):
        assert {key: value for key, value in differences.items() if not value < bound} == {}
    _require_all_points(found)


def _require_all_points(found: Agreement) -> None:
    assert {name.rsplit(".", 1)[-1] for name in found.lacking} <= LACKING
    assert not [name for name in found.more if "hook_cos" not in name and "hook_sin" not in name]
    assert len(found.activations) > 15
    assert len(found.interventions) > 2 * len(found.activations)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "gates and biases"])
def test_activations_of_models_that_we_made(name: str) -> None:
    """Masked tokens, windows and uneven layers, which no setting of the library's gives."""
    bridge = major("transformer-lens") >= 4
    network = network_of(KINDS[name])
    ids = ids_of(network)
    _, cache = to_transformer_lens(network).run_with_cache(torch.from_numpy(ids))
    found = trace(uniform_network(network, 512, both_pairs=not bridge), ids)
    shared = [name for name in found if name in cache]
    if bridge:
        shared = [name for name in shared if not name.endswith("hook_attn_scores")]
    assert len(shared) > 15
    scores = [found[name] for name in found if name.endswith("hook_attn_scores")]
    largest = max(np.abs(value[np.isfinite(value)]).max() for value in scores)
    for point in shared:
        apart = relative(found[point], cache[point].detach().numpy())
        assert apart < max(1e-5, 3e-7 * largest), point
