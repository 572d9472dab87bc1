"""Models as safetensors, tensors named as in TransformerLens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from untracr.bounds import MAX_AXES, MAX_HEADER_BYTES, MAX_TENSORS
from untracr.errors import ModelFileError
from untracr.file_tensors import float32
from untracr.loading.lens_tensors import (
    lens_sizes,
    lens_tensors,
    transformer_from_lens,
    without_buffers,
)
from untracr.loading.model_document import DOCUMENT_KEY, parse_document, parse_json
from untracr.shown_text import shown
from untracr.transformer.transformer import Array, Transformer

_FLOATS: dict[str, type[np.floating[Any]]] = {
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
}
FLOAT_BYTES = {"BF16": 2, "F16": 2, "F32": 4, "F64": 8}


def read_safetensors(data: bytes, max_bytes: int) -> tuple[Transformer, dict[str, object]]:
    """A model and its metadata."""
    header = read_header(data)
    notes = header.pop("__metadata__", None) or {}
    if not isinstance(notes, dict):
        raise ModelFileError("the header's __metadata__ must be an object")
    names = without_buffers(header)
    sizes = lens_sizes(names, lambda name: declared_shape(name, header[name]), max_bytes)
    transformer = transformer_from_lens(read_tensors(data, names), sizes)
    if DOCUMENT_KEY not in notes:
        return transformer, {}
    if not isinstance(notes[DOCUMENT_KEY], str):
        raise ModelFileError(f"the header's {DOCUMENT_KEY!r} must be a string")
    document = parse_document(notes[DOCUMENT_KEY])
    return _described(transformer, document), document.get("metadata", {})


def _described(transformer: Transformer, document: dict[str, Any]) -> Transformer:
    return transformer.replace(
        causal=document.get("causal", False), output_values=document["output_values"]
    )


def read_header(data: bytes) -> dict[str, Any]:
    """The header, its declared sizes checked against the file's.

    Raises:
        ModelFileError: it is damaged, too long, or the file is cut short.
    """
    length = int.from_bytes(data[:8], "little")
    have = len(data) - 8
    if length > have:
        raise ModelFileError(
            f"the file is cut short, or not safetensors: its header declares {length} bytes "
            f"and {have} follow"
        )
    if length > MAX_HEADER_BYTES:
        raise ModelFileError(
            f"a header may have at most {MAX_HEADER_BYTES:,} bytes; this declares {length:,}"
        )
    header = parse_json(data[8 : 8 + length], "the header")
    if len(header) > MAX_TENSORS:
        raise ModelFileError(
            f"a model may have at most {MAX_TENSORS:,} tensors; this has {len(header):,}"
        )
    end = 0
    for name, entry in header.items():
        if name != "__metadata__":
            offsets: Any = entry.get("data_offsets") if isinstance(entry, dict) else None
            if not _are_sizes(offsets) or len(offsets) != 2:
                raise ModelFileError(f"the header's entry {shown(name)} has no valid data_offsets")
            end = max(end, offsets[1])
    if end > have - length:
        raise ModelFileError(
            f"the file is cut short: its header declares {end} bytes of tensors "
            f"and {have - length} follow"
        )
    return header


def _are_sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(v) is int and v >= 0 for v in value)


def declared_shape(
    name: str, entry: dict[str, Any], kinds: Mapping[str, int] = FLOAT_BYTES
) -> tuple[int, ...]:
    """The shape of a tensor, checked against its bytes.

    Args:
        name: the tensor's.
        entry: what the header says of it.
        kinds: types of numbers that are read, and the bytes of one.

    Raises:
        ModelFileError: it has none, or another number of bytes.
    """
    shape, dtype = entry.get("shape"), entry.get("dtype")
    if not isinstance(shape, list) or len(shape) > MAX_AXES or not _are_sizes(shape):
        raise ModelFileError(
            f"{name} must declare a shape of at most {MAX_AXES} axes, not {shown(shape)}"
        )
    if not isinstance(dtype, str) or dtype not in kinds:
        raise ModelFileError(
            f"weights must be floating-point numbers ({', '.join(FLOAT_BYTES)}); "
            f"{name} has {shown(dtype)}"
        )
    have = entry["data_offsets"][1] - entry["data_offsets"][0]
    want = kinds[dtype] * math.prod(shape)
    if have != want:
        raise ModelFileError(
            f"{name} of shape {shape} and type {dtype} takes {want} bytes; it has {have}"
        )
    return tuple(shape)


def read_tensors(data: bytes, names: Set[str]) -> dict[str, Array]:
    """The tensors of these names, in single precision.

    Raises:
        ModelFileError: the file is damaged, or a tensor holds something else than
            finite floating-point numbers.
    """
    return {name: float32(name, array) for name, array in _tensors(data, names)}


def tensors_of(data: bytes, names: Set[str]) -> dict[str, Array]:
    """The tensors of these names, double precision as it is and all else in single precision.

    Raises:
        ModelFileError: as `read_tensors`.
    """
    return {
        name: array if array.dtype == np.float64 else float32(name, array)
        for name, array in _tensors(data, names)
    }


def _tensors(data: bytes, names: Set[str]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    try:
        entries = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise ModelFileError(f"the file is damaged: {error}") from error
    return ((name, _decoded(name, entry)) for name, entry in entries if name in names)


def _decoded(name: str, entry: Mapping[str, Any]) -> npt.NDArray[Any]:
    raw, dtype = bytes(entry["data"]), entry["dtype"]
    if dtype == "BF16":  # the upper half of a float32
        bits = np.frombuffer(raw, dtype="<u2").astype("<u4") << 16
        return bits.view("<f4").reshape(entry["shape"])
    if dtype not in _FLOATS:
        raise ModelFileError(f"weights must be floating-point numbers; {name} has {dtype}")
    little_endian = np.dtype(_FLOATS[dtype]).newbyteorder("<")
    return np.frombuffer(raw, dtype=little_endian).reshape(entry["shape"])


def safetensors_bytes(transformer: Transformer, document: str) -> bytes:
    """The file of a model and its JSON document."""
    return safetensors.numpy.save(lens_tensors(transformer), metadata={DOCUMENT_KEY: document})
