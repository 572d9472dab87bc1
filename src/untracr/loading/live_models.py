"""Models in memory of other libraries: modules of PyTorch with their settings, state dicts.

They are recognised by what they hold; nothing here imports PyTorch, TransformerLens or
transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from untracr.errors import ModelFileError
from untracr.loading.layouts import LENS_3
from untracr.loading.live_check import require_same_outputs
from untracr.loading.model import LoadedModel
from untracr.loading.reading import Config, Given, model_of_tensors
from untracr.loading.tensors import Tensors, tensors_of_mapping
from untracr.loading.tracr_models import is_tracr_model, is_tracr_params, model_of_tracr, of_params
from untracr.network.transformer_lens import as_it_was_made

KINDS = (
    "a weights file's path, a Transformer, a compiled or loaded model, a model of Tracr's, its "
    "params, a model of TransformerLens or transformers, or a state dict"
)
"""What a model may be given as."""


def live_model(model: object, given: Given) -> LoadedModel:
    """A model in memory as one that was loaded.

    Args:
        model: a Tracr ``AssembledTransformerModel``; a mapping of Haiku's parameters,
            nested or flat; a state dict of NumPy arrays or PyTorch tensors, or a
            module that has one, with its settings as ``cfg`` or ``config``.
        given: what is said besides.

    Raises:
        ModelFileError: it is none of these, or its arrays are not a model's.
    """
    if isinstance(model, type):
        raise ModelFileError(f"a model must be {KINDS}; not the class {model.__name__} itself")
    if is_tracr_model(model):
        return model_of_tracr(model, given.num_heads, given.causal)
    if isinstance(model, Mapping):
        return _of_mapping(model, given)
    if type(model).__module__ == _OUR_MODULE:
        return _of_our_module(model)
    if callable(getattr(model, "tl_named_parameters", None)):
        return _of_bridge(model, given)
    if callable(getattr(model, "state_dict", None)):
        return _of_module(model, given)
    raise ModelFileError(f"a model must be {KINDS}; not {type(model).__name__}")


def _of_mapping(model: Mapping[Any, Any], given: Given) -> LoadedModel:
    if is_tracr_params(model):
        transformer = of_params(model, given.num_heads)
        return LoadedModel(transformer.replace(causal=bool(given.causal)), {}, Path("params"))
    return model_of_tensors(tensors_of_mapping(model), None, given, Path("state dict"))


_OUR_MODULE = "untracr.network.torch_module"
"""Where the module stands that `to_torch` makes: imported only where there is one."""


def _of_our_module(module: Any) -> LoadedModel:
    from untracr.network.torch_module import network_of_module

    return LoadedModel(network_of_module(module), {}, Path(type(module).__name__))


def _of_module(module: Any, given: Given) -> LoadedModel:
    """A module of PyTorch: a ``HookedTransformer``, one of transformers, or any other."""
    name = type(module).__name__
    config = _config(getattr(module, "cfg", None), f"{name}.cfg") or _config(
        getattr(module, "config", None), f"{name}.config"
    )
    return _checked(module, tensors_of_mapping(module.state_dict()), config, given)


def _of_bridge(bridge: Any, given: Given) -> LoadedModel:
    """A ``TransformerBridge``: around a model of transformers, or one of its own.

    Of the first its parameters by TransformerLens' names are read, for how they lie in its
    ``state_dict`` is the wrapped model's affair; of the second the ``state_dict``, for parameters
    have zeros where the model has nothing.
    """
    name = type(bridge).__name__
    config = _config(getattr(bridge.original_model, "config", None), f"{name}'s config")
    if config is None or "model_type" not in config.values:
        config = _config(bridge.cfg, f"{name}.cfg")
        return _checked(bridge, tensors_of_mapping(bridge.state_dict()), config, given)
    tensors = tensors_of_mapping(dict(bridge.tl_named_parameters()))
    return _checked(bridge, tensors, config, replace(given, names=LENS_3.names))


def _checked(module: Any, tensors: Tensors, config: Config | None, given: Given) -> LoadedModel:
    """The model that was read, compared with the module unless the user changes its mask."""
    path = Path(type(module).__name__)
    given = replace(given, divisors=_divisors(module))
    loaded = _as_made(module, model_of_tensors(tensors, config, given, path))
    if given.told.causal is not None:
        return loaded
    notes = require_same_outputs(module, loaded.network, loaded.notes)
    return replace(loaded, notes=(*loaded.notes, *notes))


def _as_made(module: object, loaded: LoadedModel) -> LoadedModel:
    """A model of TransformerLens' with what only its hooks say, if we made it."""
    network = as_it_was_made(module, loaded.network)
    return loaded if network is loaded.network else replace(loaded, weights=network)


def _divisors(module: Any) -> tuple[float, ...]:
    """What a model of TransformerLens divides each layer's scores by; nothing of other modules.

    It stands in each layer, whatever the settings say of all.
    """
    heads = [getattr(block, "attn", None) for block in getattr(module, "blocks", ())]
    heads = [getattr(attention, "original_component", attention) for attention in heads]
    found = [getattr(at, "attn_scale", getattr(at, "scale", None)) for at in heads]
    numbers = [float(one) for one in found if isinstance(one, (int, float)) and one > 0]
    native = all(type(at).__module__.startswith("transformer_lens.") for at in heads)
    return tuple(numbers) if native and len(numbers) == len(heads) else ()


def _config(found: object, source: str) -> Config | None:
    """Settings as a mapping; None where there are none that can be read."""
    if callable(as_dict := getattr(found, "to_dict", None)):
        found = as_dict()
    elif not isinstance(found, Mapping):
        found = getattr(found, "__dict__", None)
    if not isinstance(found, Mapping) or not found:
        return None
    # What runs is the read-out that there is, whether or not a file of it would be tied.
    values = {str(name): value for name, value in found.items()} | {"tie_word_embeddings": False}
    return Config(values, source)
