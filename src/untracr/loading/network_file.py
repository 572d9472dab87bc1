"""A network of any architecture as the bytes of a safetensors file, and back.

Tensors have TransformerLens' names and shapes, float32 or float64. What they do not say
is one JSON document under the key ``untracr`` of the header, of format version 2:
``architecture``, ``task`` (what tokens and outputs mean, or null) and ``metadata``. Files of
compiled models have format version 1 and are written by `untracr.loading.compiled_file`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.numpy

from untracr.bounds import MAX_DOCUMENT, MAX_NETWORK_BYTES
from untracr.errors import ModelFileError, did_you_mean
from untracr.loading.model_document import DOCUMENT_KEY, json_text, parse_json
from untracr.loading.safetensors_format import declared_shape, tensors_of
from untracr.network.architecture_document import architecture_document, read_architecture
from untracr.network.network import Array, Network
from untracr.network.state_dict import network_of_state_dict, scores_of, state_dict
from untracr.shown_text import shown

NETWORK_VERSION = 2
"""The format version of a document that describes an architecture."""

_KEYS = ("format_version", "architecture", "task", "metadata")


@dataclass(frozen=True)
class SavedNetwork:
    """What a file holds.

    Attributes:
        network: the weights and their architecture.
        task: a JSON object that says what tokens and outputs mean, or None.
        metadata: free, whatever JSON holds.
    """

    network: Network
    task: dict[str, Any] | None
    metadata: dict[str, Any]


def network_file(saved: SavedNetwork) -> bytes:
    """The file of a network; the same network gives the same bytes.

    Raises:
        ModelFileError: the network is no valid one, or larger than is read.
        UsageError: the task or the metadata is no JSON.
    """
    network = saved.network.validate()
    tensors = {name: _storable(array) for name, array in state_dict(network).items()}
    size = sum(array.nbytes for array in tensors.values())
    if size > MAX_NETWORK_BYTES:
        raise ModelFileError(
            f"models of up to {MAX_NETWORK_BYTES:,} bytes are read; this has {size:,}"
        )
    document = {
        "format_version": NETWORK_VERSION,
        "architecture": architecture_document(network.architecture, scores_of(network)),
        "task": saved.task,
        "metadata": saved.metadata,
    }
    return safetensors.numpy.save(tensors, metadata={DOCUMENT_KEY: json_text(document)})


def document_of_network(header: Mapping[str, Any]) -> dict[str, Any] | None:
    """The document in a file's header, if it is one of a network's; None for other files.

    Args:
        header: what `read_header` gives.

    Raises:
        ModelFileError: it is one of a network's, and a key is missing or unknown.
    """
    notes = header.get("__metadata__")
    text = notes.get(DOCUMENT_KEY) if isinstance(notes, dict) else None
    if not isinstance(text, str) or len(text) > MAX_DOCUMENT:
        return None  # whoever reads compiled models says what is wrong
    document = parse_json(text, f"the entry {DOCUMENT_KEY!r}")
    if document.get("format_version") != NETWORK_VERSION:
        return None
    for key in sorted(document.keys() - set(_KEYS)):
        raise ModelFileError(
            f"the entry {DOCUMENT_KEY!r} has an unknown key {shown(key)}.{did_you_mean(key, _KEYS)}"
        )
    if "architecture" not in document:
        raise ModelFileError(f"the entry {DOCUMENT_KEY!r} must have a key 'architecture'")
    return document


def read_network_file(
    data: bytes, header: Mapping[str, Any], document: Mapping[str, Any]
) -> SavedNetwork:
    """The network of a file, its tensors exactly as they were written.

    Args:
        data: the file.
        header: its header, from `read_header`.
        document: from `document_of_network`.

    Raises:
        ModelFileError: the document or the tensors are no network's, or contradict each other.
    """
    task, metadata = document.get("task"), document.get("metadata", {})
    if not isinstance(task, (dict, type(None))):
        raise ModelFileError(f"task must be an object or null, not {shown(task)}")
    if not isinstance(metadata, dict):
        raise ModelFileError(f"metadata must be an object, not {shown(metadata)}")
    architecture, scores = read_architecture(document["architecture"])
    names = header.keys() - {"__metadata__"}
    for name in names:
        declared_shape(name, header[name])
    network = network_of_state_dict(tensors_of(data, names), architecture, scores)
    return SavedNetwork(network, task, metadata)


def _storable(array: Array) -> Array:
    """An array as it is stored: contiguous, float64 as it is, all else as float32."""
    kind = np.float64 if array.dtype == np.float64 else np.float32
    return np.ascontiguousarray(array, dtype=kind)
