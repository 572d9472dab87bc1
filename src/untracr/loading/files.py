"""Weights files of strangers, read with suspicion.

The format is told by the content and not by the name. Nothing in a file is ever
executed: pickles, and object arrays with them, are refused, but for what PyTorch's
safe loader makes of its own. Every size that a file declares is checked before
memory is set aside for it.
"""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from untracr.bounds import MAX_MODEL_BYTES, MAX_NETWORK_BYTES, MAX_TENSORS
from untracr.errors import ModelFileError
from untracr.loading.model import LoadedModel
from untracr.loading.model_document import DOCUMENT_KEY
from untracr.loading.network_file import SavedNetwork, document_of_network, read_network_file
from untracr.loading.npz_format import (
    DIRECTORY_ENTRY,
    NO_PICKLE,
    ZIP_ERRORS,
    npz_entries,
    read_npz,
)
from untracr.loading.reading import Config
from untracr.loading.safetensors_format import read_header, read_safetensors
from untracr.loading.safetensors_tensors import tensors_of_safetensors
from untracr.loading.tensors import Tensors, tensors_of_mapping
from untracr.loading.torch_files import read_torch
from untracr.strangers_files import read_file
from untracr.task.documents import told_of
from untracr.task.told import Told

SUFFIXES = (".safetensors", ".npz", ".pt", ".pth", ".bin")
"""Of files that may hold a model's weights."""


@dataclass(frozen=True)
class BareTensors:
    """What a file holds that is not of our own form.

    Attributes:
        tensors: by their names.
        config: settings that lie in the same file.
    """

    tensors: Tensors
    config: Config | None = None


def contents_of_file(path: Path) -> LoadedModel | BareTensors:
    """A model of our own form, or the tensors of a stranger's.

    Floats of any width become float32. Layers with fewer neurons than the largest are filled up
    with zeros in our own form, which changes nothing they compute.

    Raises:
        ModelFileError: the file is missing, damaged, of another format, unsafe, or too large.
    """
    data = read_file(path, MAX_NETWORK_BYTES, "a model", ModelFileError)
    if _looks_like_safetensors(data):
        return _of_safetensors(data, path)
    if data.startswith(_ARCHIVE):
        return _of_archive(data, path)
    raise ModelFileError(
        f"a model is a safetensors, an npz or a PyTorch file; this is {_what_is(data)}. "
        "Save the weights as .safetensors or .npz"
    )


def _of_safetensors(data: bytes, path: Path) -> LoadedModel | BareTensors:
    header = read_header(data)
    notes = header.get("__metadata__")
    if notes is None or (isinstance(notes, dict) and DOCUMENT_KEY not in notes):
        return BareTensors(tensors_of_safetensors(data))
    if (document := document_of_network(header)) is not None:
        return _of_network_file(read_network_file(data, header, document), path)
    transformer, metadata = read_safetensors(data, MAX_MODEL_BYTES)
    return LoadedModel(transformer.validate(), metadata, path)


def _of_network_file(saved: SavedNetwork, path: Path) -> LoadedModel:
    told = Told() if saved.task is None else told_of(saved.task, "the file's task")
    return LoadedModel(saved.network, saved.metadata, path, told=told)


_OF_TRACR = re.compile(r"transformer/layer_\d+/|(token|pos)_embed/embeddings\.npy$")


def _of_archive(data: bytes, path: Path) -> LoadedModel | BareTensors:
    names = _names_in(data)
    if any(name.endswith("data.pkl") for name in names):
        state_dict, settings = read_torch(data)
        config = None if settings is None else Config(settings, "the file's settings")
        return BareTensors(tensors_of_mapping(state_dict), config)
    if names and not any(name == f"{DOCUMENT_KEY}.npy" or _OF_TRACR.match(name) for name in names):
        return BareTensors(tensors_of_mapping(npz_entries(data, MAX_MODEL_BYTES)))
    transformer, metadata = read_npz(data, MAX_MODEL_BYTES)
    return LoadedModel(transformer.validate(), metadata, path)


def _names_in(data: bytes) -> list[str]:
    """The names in a zip archive; none of one that is damaged, which its readers say."""
    if data.count(DIRECTORY_ENTRY) > MAX_TENSORS:
        return []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.namelist()
    except ZIP_ERRORS:
        return []


_ARCHIVE = b"PK\x03\x04"


def begins_as_weights(beginning: bytes) -> bool:
    """Whether a file is one of weights, or a pickle, by its first bytes, whatever it is called."""
    pickled = beginning[:1] == b"\x80" and _PICKLE.match(beginning) is not None
    return beginning.startswith(_ARCHIVE) or _looks_like_safetensors(beginning) or pickled


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
