"""Files of PyTorch, read by its loader that makes nothing but tensors and plain values."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

from untracr.bounds import MAX_NETWORK_BYTES, MAX_TENSORS
from untracr.errors import ModelFileError
from untracr.file_tensors import require_size
from untracr.loading.npz_format import NO_PICKLE
from untracr.shown_text import shown

NO_TORCH = (
    "this is a PyTorch file, and PyTorch, which reads it safely, is not installed: "
    "pip install 'untracr[torch]', or save the weights as .safetensors"
)

_STATE_DICTS = ("state_dict", "model_state_dict", "model", "module", "weights", "params")
"""Keys under which training scripts keep the state dict."""

_CONFIGS = ("model_args", "cfg", "config", "model_config", "hparams")
"""Keys under which they keep the settings."""


def read_torch(data: bytes) -> tuple[Mapping[Any, Any], Mapping[str, Any] | None]:
    """The state dict of a file, and the settings that lie beside it.

    Raises:
        ModelFileError: PyTorch is not installed; the file is damaged, holds more than tensors
            and plain values, or no state dict.
    """
    _require_bounded(data)
    try:
        import torch
    except ImportError:
        raise ModelFileError(NO_TORCH) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile pickle makes it raise
        raise ModelFileError(
            "PyTorch's safe loader (weights_only=True) refuses this file, which must hold tensors "
            f"and plain values only; {NO_PICKLE} ({_first_line(error)})"
        ) from None
    return _state_dict(found)


_FOREIGN = re.compile(r"GLOBAL ([\w.]{1,150})")


def _first_line(error: Exception) -> str:
    """What the loader did not find plain, without its advice to trust it."""
    text = str(error).strip()
    if (found := _FOREIGN.search(text)) is not None:
        return (
            f"it holds {found[1]}; of a module save the weights alone: "
            "torch.save(module.state_dict(), path)"
        )
    return (text.splitlines() or [type(error).__name__])[0].strip()[:200]


def _require_bounded(data: bytes) -> None:
    """Checks what the archive declares before anything is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelFileError(f"the archive is cut short or damaged: {error}") from None
    if len(infos) > MAX_TENSORS:
        raise ModelFileError(f"a model may have at most {MAX_TENSORS:,} tensors; this has more")
    if any("/code/" in info.filename or "constants.pkl" in info.filename for info in infos):
        raise ModelFileError(
            "this is a program of TorchScript, which is not run; save its state_dict()"
        )
    packed = next((one for one in infos if one.compress_type != zipfile.ZIP_STORED), None)
    if packed is not None:
        raise ModelFileError(f"a PyTorch file is not packed; {shown(packed.filename)} is")
    total = sum(info.file_size for info in infos)
    require_size("the archive, unpacked,", total, MAX_NETWORK_BYTES)


def _state_dict(found: object) -> tuple[Mapping[Any, Any], Mapping[str, Any] | None]:
    if not isinstance(found, Mapping):
        raise ModelFileError(f"a PyTorch file must hold a state dict, not {type(found).__name__}")
    if any(_is_tensor(value) for value in found.values()):
        return found, None
    for key in _STATE_DICTS:
        inner = found.get(key)
        if isinstance(inner, Mapping) and any(_is_tensor(value) for value in inner.values()):
            return inner, _settings(found)
    raise ModelFileError(
        "a PyTorch file must hold a state dict: tensors by name, at the top or under one of "
        f"{', '.join(_STATE_DICTS)}; it holds {shown(sorted(map(str, found))[:5])}"
    )


def _settings(found: Mapping[Any, Any]) -> Mapping[str, Any] | None:
    """Plain settings beside a state dict, if they are of a known kind."""
    for key in _CONFIGS:
        values = found.get(key)
        if isinstance(values, Mapping) and {"n_layer", "n_layers", "model_type"} & values.keys():
            return {str(name): value for name, value in values.items()}
    return None


def _is_tensor(value: object) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")
