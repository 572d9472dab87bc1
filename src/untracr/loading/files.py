"""Weights files of strangers, read with suspicion.

The format is told by the content and not by the name. Nothing in a file is ever
executed: pickles, and object arrays with them, are refused. Every size that a file
declares is checked before memory is set aside for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from untracr.bounds import MAX_MODEL_BYTES
from untracr.errors import ModelFileError
from untracr.loading.model import LoadedModel
from untracr.strangers_files import read_file
from untracr.transformer.npz_format import NO_PICKLE, read_npz
from untracr.transformer.safetensors_format import read_safetensors
from untracr.transformer.transformer import Transformer


def model_of_file(path: Path) -> LoadedModel:
    """The model in a weights file.

    Floats of any width become float32. Layers with fewer neurons, or in
    safetensors fewer heads, than the largest are filled up with zeros, which
    changes nothing they compute.

    Raises:
        ModelFileError: the file is missing, damaged, of another format, unsafe,
            larger than `MAX_MODEL_BYTES`, or its tensors are not a model's.
    """
    data = read_file(path, MAX_MODEL_BYTES, "a model", ModelFileError)
    transformer, metadata = _reader(data)(data, MAX_MODEL_BYTES)
    return LoadedModel(transformer.validate(), metadata, path)


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
