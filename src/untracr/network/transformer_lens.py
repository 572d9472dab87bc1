"""A network as a model of the TransformerLens library, weights unprocessed.

Version 4 has no `HookedTransformer` any more: its `TransformerBridge` is built around the
library's own small transformer (``boot_native``). Of versions 2 and 3 a `HookedTransformer`
is made. Either computes the network's logits and has its hook points.

What to know of such a model:

* **Nothing is folded or centred**, unless you ask. Version 4's ``enable_compatibility_mode()``
  does, unless it is given ``no_processing=True``. It centres the read-out: logits move by a
  constant at each position, so that a threshold at 0 is off, and a read-out of one number
  gives 0 always. It folds value biases, which is wrong at positions that may see nothing.
* **Inputs are token ids** [B, T]. There is no tokenizer, and no BOS is put in front
  (``default_prepend_bos`` is False): ids hold it where the task has one.
* **Attention** looks both ways (``attention_dir="bidirectional"``) unless the network is causal.
* **Masked tokens and windows** are kept by hooks that ``reset_hooks()`` leaves alone. A copy of
  the model has them; its `state_dict` has not. Do not give an ``attention_mask`` besides.
* **Losses and ``generate``** take outputs for the next token of the same vocabulary.
* **Results of each head** (``set_use_attn_result``) version 4 has for no model of this kind.
* **What the library has no place for** is put in its form: positions of no kind are a table
  of zeros, rows of a table before the first position are left out, layers with fewer heads or
  neurons than the largest are filled up with zeros, a network without a read-out gets the
  identity, and rotary pairs (j, j + n) become (2j, 2j + 1), with queries and keys in another order.
* **Precision** is the network's, float32 or float64. Version 4 works out RMS norms and rotary
  angles in float32 in any case.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from untracr.errors import ModelFileError, UntracrError
from untracr.network.architecture import Rotary
from untracr.network.lens_form import lens_config, uniform_network
from untracr.network.network import Network
from untracr.network.state_dict import network_of_state_dict, scores_of, state_dict

LONGEST = 512
"""The longest input of a network that takes any length: the library fixes one."""


def to_transformer_lens(network: Network, *, longest: int = LONGEST) -> Any:
    """The network as the library's model; the module's text tells its pitfalls.

    Args:
        network: the weights; they are copied.
        longest: positions of a network whose positions have no table.

    Returns:
        A `TransformerBridge`; of versions before 4 a `HookedTransformer`.

    Raises:
        ModelFileError: the network has a part that the library's models lack.
        UntracrError: the library is not installed.
    """
    try:
        import transformer_lens
    except ModuleNotFoundError as error:
        if error.name != "transformer_lens":
            raise
        raise UntracrError(
            "this needs TransformerLens, which is not installed: pip install 'untracr[lens]'"
        ) from None
    try:
        hooked = transformer_lens.HookedTransformer
    except ImportError:  # what version 4 raises for what it has no more
        model, form = _bridge(network, longest)
    else:
        config = transformer_lens.HookedTransformerConfig
        model, form = _hooked(hooked, config, network, longest)
    setattr(model, _MADE_OF, (form.architecture.masked_token, scores_of(form)))
    return model


_MADE_OF = "untracr_made_of"
"""An attribute of the models that are made here: what their configuration cannot say."""


def as_it_was_made(model: object, network: Network) -> Network:
    """A network that was read off a model of the library, with what only hooks of it say.

    Args:
        model: of the library; if `to_transformer_lens` made it, it knows of masked tokens,
            of windows, and of scores that differ from layer to layer.
        network: what its tensors and its configuration say.
    """
    made_of = getattr(model, _MADE_OF, None)
    if made_of is None:
        return network
    masked, scores = made_of
    architecture = dataclasses.replace(network.architecture, masked_token=masked)
    if (architecture, scores) == (network.architecture, scores_of(network)):
        return network
    return network_of_state_dict(state_dict(network), architecture, scores)


def _bridge(network: Network, longest: int) -> tuple[Any, Network]:
    """A `TransformerBridge` of version 4, and the form of the network that it holds."""
    import torch
    from transformer_lens import TransformerBridge, TransformerBridgeConfig

    uniform = uniform_network(network, longest, both_pairs=False)
    divisors = [layer.attention.divisor for layer in uniform.layers]
    dtype = torch.float64 if uniform.W_E.dtype == np.float64 else torch.float32
    config = TransformerBridgeConfig(
        **lens_config(uniform, longest),
        architecture="TransformerLensNative",
        dtype=dtype,
        init_weights=False,
    )
    if isinstance(uniform.architecture.positions, Rotary):
        config.rotary_base = uniform.architecture.positions.base  # the constructor rounds it
    model = TransformerBridge.boot_native(config, dtype=dtype, model_name="untracr")
    tensors = state_dict(uniform, "transformer_bridge")
    if model.cfg.gated_mlp:  # whose linear layers have no biases
        biases = [name for name in tensors if name.endswith(("mlp.in.bias", "mlp.out.bias"))]
        if any(tensors.pop(name).any() for name in biases):
            raise ModelFileError("TransformerLens 4 has no neurons with both gates and biases")
    copies = {name: torch.from_numpy(array.copy()) for name, array in tensors.items()}
    model.load_state_dict(copies, strict=True)
    _set_scores(model, divisors, "scale")
    _mask_bridge(model, uniform)
    model.eval()
    return model, uniform


def _hooked(hooked: Any, config: Any, network: Network, longest: int) -> tuple[Any, Network]:
    """A `HookedTransformer` of versions 2 and 3, and the form of the network that it holds."""
    import torch

    uniform = uniform_network(network, longest, both_pairs=True)
    dtype = torch.float64 if uniform.W_E.dtype == np.float64 else torch.float32
    masked = uniform.architecture.masked_token is not None
    settings = lens_config(uniform, longest)
    model = hooked(config(**settings, dtype=dtype, init_weights=False, use_hook_tokens=masked))
    tensors = {name: torch.from_numpy(a.copy()) for name, a in state_dict(uniform).items()}
    left = model.load_state_dict(tensors, strict=False)
    lacking = [name for name in left.missing_keys if not name.endswith((".mask", ".IGNORE"))]
    lacking = [name for name in lacking if ".rotary_" not in name] + list(left.unexpected_keys)
    if lacking:
        raise ModelFileError(f"TransformerLens has no such tensors, or more: {lacking}")
    _set_scores(model, [layer.attention.divisor for layer in uniform.layers], "attn_scale")
    _mask_hooked(model, uniform)
    model.eval()
    return model, uniform


def _set_scores(model: Any, divisors: Sequence[float], attribute: str) -> None:
    """What scores are divided by: the library takes one number for all layers, and not 1."""
    for block, divisor in zip(model.blocks, divisors, strict=True):
        attention = getattr(block.attn, "original_component", block.attn)
        setattr(attention, attribute, divisor)
    if not math.isclose(divisors[0], math.sqrt(model.cfg.d_head)):
        model.cfg.attn_scale = divisors[0]


def _mask_bridge(model: Any, network: Network) -> None:
    """Masked tokens and windows as masks that the native model is handed with each input."""
    masked = network.architecture.masked_token
    if masked is not None:

        def hide_tokens(module: Any, args: Any, kwargs: dict[str, Any]) -> Any:
            ids = args[0] if args else kwargs.get("input_ids")
            if ids is not None and kwargs.get("attention_mask") is None:
                hidden = (ids == masked)[:, None, None, :]
                kwargs["attention_mask"] = hidden.expand(-1, 1, ids.shape[1], -1)
            return args, kwargs

        model.original_model.register_forward_pre_hook(hide_tokens, with_kwargs=True)
    for block, layer in zip(model.blocks, network.layers, strict=True):
        if (window := layer.attention.window) is not None:

            def hide_far(
                module: Any, args: Any, kwargs: dict[str, Any], window: int = window
            ) -> Any:
                stream = args[0] if args else kwargs["hidden_states"]
                far = _far(stream.shape[1], window, stream.device)[None, None]
                far = far.expand(len(stream), 1, -1, -1)
                mask = kwargs.get("attention_mask")
                kwargs["attention_mask"] = far if mask is None else far | mask
                return args, kwargs

            block.attn.register_forward_pre_hook(hide_far, with_kwargs=True)


def _mask_hooked(model: Any, network: Network) -> None:
    """Masked tokens and windows as permanent hooks on the scores."""
    import torch

    masked, seen = network.architecture.masked_token, {}

    def note_tokens(tokens: Any, hook: Any) -> None:
        seen["hidden"] = (tokens == masked)[:, None, None, :]

    def hide_tokens(scores: Any, hook: Any) -> Any:
        return scores.masked_fill(seen["hidden"], -torch.inf)

    if masked is not None:
        model.hook_tokens.add_hook(note_tokens, is_permanent=True)
    for block, layer in zip(model.blocks, network.layers, strict=True):
        place = block.attn.hook_attn_scores
        if masked is not None:
            place.add_hook(hide_tokens, is_permanent=True)
        if (window := layer.attention.window) is not None:

            def hide_far(scores: Any, hook: Any, window: int = window) -> Any:
                return scores.masked_fill(_far(scores.shape[-1], window, scores.device), -torch.inf)

            place.add_hook(hide_far, is_permanent=True)


def _far(length: int, window: int, device: Any) -> Any:
    """[T, T], whether a key lies further back than a query's window."""
    import torch

    places = torch.arange(length, device=device)
    return places[:, None] - places >= window
