"""Weights files: reading strangers' files with suspicion, writing ours atomically.

Two formats, told apart by their content and not by their name:

* safetensors, tensors named as in TransformerLens (``blocks.0.attn.W_Q`` of
  shape [n_heads, d_model, d_head], ...), the read-out as ``unembed.W_U``;
* npz, arrays named as in Tracr's Haiku parameters joined by ``/``
  (``transformer/layer_0/attn/query/w`` of shape [d_model, n_heads * d_head],
  ...), with the optional entries ``num_heads`` (1 if absent), ``causal``,
  ``unembed`` [d_model, outputs] and ``output_values`` [outputs].

What has no tensor of its own (``causal``, ``output_values``, free metadata) is
one JSON document under the key ``untracr`` (`untracr.transformer.model_document`).
Nothing in a file is ever executed: pickles, and object arrays with them, are
refused. Every size that a file declares is checked before memory is set aside
for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from untracr.atomic_write import write_atomically
from untracr.bounds import MAX_MODEL_BYTES
from untracr.errors import ModelFileError, UsageError
from untracr.shown_text import printable
from untracr.strangers_files import read_file
from untracr.transformer.file_tensors import float32
from untracr.transformer.model_document import DOCUMENT_KEY, FORMAT_VERSION, document_text
from untracr.transformer.npz_format import NO_PICKLE, npz_bytes, read_npz
from untracr.transformer.safetensors_format import read_safetensors, safetensors_bytes
from untracr.transformer.transformer import Transformer

__all__ = [
    "DOCUMENT_KEY",
    "FORMAT_VERSION",
    "LoadedModel",
    "load_model",
    "save_model",
]


@dataclass(frozen=True)
class LoadedModel:
    """A model and what its file says about it.

    Attributes:
        transformer: the weights, checked.
        metadata: the metadata given to `save_model`; empty for other files.
        path: where it was read.
    """

    transformer: Transformer
    metadata: dict[str, object]
    path: Path


def load_model(path: str | os.PathLike[str], *, causal: bool | None = None) -> LoadedModel:
    """Reads a weights file.

    Floats of any width become float32. Layers with fewer neurons, or in
    safetensors fewer heads, than the largest are filled up with zeros, which
    changes nothing they compute.

    Args:
        path: the file.
        causal: whether attention is masked to later positions; what the file says, else
            not, if not given. Files of TransformerLens' tensors do not say.

    Raises:
        ModelFileError: the file is missing, damaged, of another format, unsafe,
            larger than `MAX_MODEL_BYTES`, or its tensors are not a model's.
    """
    place = Path(path)
    try:
        data = read_file(place, MAX_MODEL_BYTES, "a model", ModelFileError)
        transformer, metadata = _reader(data)(data, MAX_MODEL_BYTES)
        masked = transformer.causal if causal is None else causal
        return LoadedModel(transformer.replace(causal=masked).validate(), metadata, place)
    except ModelFileError as error:
        raise ModelFileError(f"{printable(place)}: {error}") from error


def save_model(
    path: str | os.PathLike[str],
    transformer: Transformer,
    metadata: Mapping[str, object] | None = None,
) -> None:
    """Writes a weights file; the old file stays until the new one is complete.

    The same model and metadata give the same bytes. Tuples in the metadata come
    back as lists.

    Args:
        path: ends in ``.safetensors`` or ``.npz``, which decides the format.
        transformer: the weights.
        metadata: anything JSON can hold: vocabulary, source, labels, ...

    Raises:
        UsageError: another suffix, no `Transformer`, or metadata that JSON cannot hold.
        ModelFileError: the weights are not a valid model, or the file cannot be
            written (disk full, no permission).
    """
    if not isinstance(transformer, Transformer):
        raise UsageError(
            f"what is saved must be a Transformer, not {type(transformer).__name__}; "
            "compiled and loaded models have one as .transformer, and "
            "untracr.transformer.live_model makes one of a model of Tracr's"
        )
    place = Path(path)
    writers = {".safetensors": safetensors_bytes, ".npz": npz_bytes}
    if place.suffix.lower() not in writers:
        raise UsageError(
            f"a weights file must be named .safetensors or .npz, not {place.name!r}; "
            "the suffix decides the format"
        )
    document = document_text(transformer, dict(metadata or {}))
    data = writers[place.suffix.lower()](_storable(transformer), document)
    try:
        write_atomically(place, data)
    except OSError as error:
        raise ModelFileError(
            f"{place} cannot be written: {error.strerror or error}; "
            "a file that was there before is unchanged"
        ) from error


_Reader = Callable[[bytes, int], tuple[Transformer, dict[str, object]]]


def _reader(data: bytes) -> _Reader:
    """Tells the format by its first bytes."""
    if data.startswith(b"PK\x03\x04"):
        return read_npz
    if _looks_like_safetensors(data):
        return read_safetensors
    raise ModelFileError(
        f"a model is a safetensors or an npz file; this is {_what_is(data)}. "
        "Save the weights as .safetensors or .npz"
    )


def _looks_like_safetensors(data: bytes) -> bool:
    """Eight bytes of header length, which text never looks like, then JSON."""
    return data[8:9] == b"{" and (b"\0" in data[:8] or not data[:8].isascii())


_PICKLE = re.compile(rb"\x80[\x02-\x05]|\([dlt]p?\d*\n?|c[\w.]+\n[\w.]+\n|[\]}]q|\]\.|\}\.")

_MAGIC = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "a single NumPy array (.npy)"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"GGUF", "a GGUF file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file it stands for"),
)


def _what_is(data: bytes) -> str:
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if _PICKLE.match(data):
        return f"a pickle (or an old PyTorch file, which is one); {NO_PICKLE}"
    if data.lstrip()[:1] in (b"{", b"["):
        return "JSON"
    if len(data) > 8 and data[:512].isascii() and b"\0" not in data[:512]:
        return "text"
    if len(data) < 9:
        return f"only {len(data)} bytes long, perhaps cut short"
    return f"an unknown format that begins with the bytes {data[:8].hex(' ')}"


def _storable(transformer: Transformer) -> Transformer:
    """The model checked, so that nothing is written that could not be read back."""
    transformer.validate()
    arrays = transformer.arrays()
    if transformer.W_U is not None:
        arrays["W_U"] = transformer.W_U
    for name, array in arrays.items():
        if array.size == 0:
            raise ModelFileError(f"arrays must not be empty; {name} has shape {list(array.shape)}")
        arrays[name] = float32(name, array)
    return transformer.replace(**arrays)
