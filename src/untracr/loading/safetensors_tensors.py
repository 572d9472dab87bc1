"""Tensors of a safetensors file, each read where it lies."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from untracr.loading.safetensors_format import FLOAT_BYTES, declared_shape, read_header
from untracr.loading.tensors import Tensors

_PLAIN = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "BOOL": "|b1",
    "U8": "|u1",
    "I8": "|i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
}
_KINDS = FLOAT_BYTES | {name: np.dtype(kind).itemsize for name, kind in _PLAIN.items()}


def tensors_of_safetensors(data: bytes) -> Tensors:
    """The tensors of a file, as views of its bytes where they are in single precision.

    Raises:
        ModelFileError: the header is damaged, too long, or the file is cut short.
    """
    header = read_header(data)
    header.pop("__metadata__", None)
    start = 8 + int.from_bytes(data[:8], "little")

    def shape(name: str) -> tuple[int, ...]:
        return declared_shape(name, header[name], _KINDS)

    def read(name: str) -> npt.NDArray[Any]:
        wanted, entry = shape(name), header[name]
        first, last = entry["data_offsets"]
        return _decoded(memoryview(data)[start + first : start + last], entry["dtype"], wanted)

    return Tensors(frozenset(header), shape, read, str)


def _decoded(raw: memoryview, kind: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if kind == "BF16":  # the upper half of a float32
        bits = np.frombuffer(raw, dtype="<u2").astype("<u4") << 16
        return bits.view("<f4").reshape(shape)
    return np.frombuffer(raw, dtype=_PLAIN[kind]).reshape(shape)
