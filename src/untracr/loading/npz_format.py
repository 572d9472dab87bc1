"""Models as npz, arrays named as in Tracr's Haiku parameters.

An npz file is a zip archive of .npy files; both are read here byte by byte, so
that nothing is unpacked or set aside beyond what was declared and checked.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
import zipfile
import zlib
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from untracr.bounds import MAX_AXES, MAX_DOCUMENT, MAX_TENSORS
from untracr.errors import ModelFileError
from untracr.file_tensors import (
    AxisSizes,
    float32,
    layer_axes,
    n_layers,
    padded,
    require_filled_up_size,
    require_names,
    require_size,
)
from untracr.loading.haiku import haiku_params, transformer_from_haiku
from untracr.loading.model_document import DOCUMENT_KEY, output_values, parse_document
from untracr.rasp.values import Value
from untracr.shown_text import shown
from untracr.transformer.transformer import Transformer

NO_PICKLE = "a pickle is never loaded: it can run code"

_LAYER = {
    **{f"attn/{part}/w": ("d_model", "heads * d_head") for part in ("query", "key", "value")},
    **{f"attn/{part}/b": ("heads * d_head",) for part in ("query", "key", "value")},
    "attn/linear/w": ("heads * d_head", "d_model"),
    "attn/linear/b": ("d_model",),
    "mlp/linear_1/w": ("d_model", "d_mlp@"),
    "mlp/linear_1/b": ("d_mlp@",),
    "mlp/linear_2/w": ("d_mlp@", "d_model"),
    "mlp/linear_2/b": ("d_model",),
}
_EMBED = {
    "token_embed/embeddings": ("tokens", "d_model"),
    "pos_embed/embeddings": ("positions", "d_model"),
}
_EXTRAS = {"num_heads", "causal", "unembed", "output_values", DOCUMENT_KEY}


def read_npz(data: bytes, max_bytes: int) -> tuple[Transformer, dict[str, object]]:
    """A model and its metadata."""
    entries = npz_entries(data, max_bytes)
    layers = n_layers(entries, r"transformer/layer_(\d+)/")
    axes = _axes(layers)
    require_names("Tracr's parameters", set(entries), axes, _EXTRAS)
    if "unembed" in entries:
        axes["unembed"] = ("d_model", "outputs")
    sizes, weights = AxisSizes(), {}
    for name, wanted in axes.items():
        sizes.bind(name, entries[name].shape, wanted)
    numbers = sum(entries[name].size for name in axes)
    require_size("the model, in single precision,", 4 * numbers, max_bytes)
    for name in axes:
        weights[name] = float32(name, entries[name])
    largest = sizes.largest("d_mlp")
    width, all_heads = sizes.sizes["d_model"], sizes.sizes["heads * d_head"]
    require_filled_up_size(layers, width, all_heads, largest, max_bytes)
    for name, wanted in axes.items():
        for axis, label in enumerate(wanted):
            if label.startswith("d_mlp@"):
                weights[name] = padded(weights[name], axis, largest)
    unembed = weights.pop("unembed", None)
    document = _described_by(entries, sizes.sizes.get("outputs"))
    transformer = transformer_from_haiku(
        weights,
        _num_heads(entries.get("num_heads"), all_heads),
        causal=bool(document.get("causal", False)),
    )
    transformer = transformer.replace(W_U=unembed, output_values=document["output_values"])
    return transformer, document.get("metadata", {})


def _axes(layers: int) -> dict[str, tuple[str, ...]]:
    """The axes of every required array, by its name in the file."""
    axes: dict[str, tuple[str, ...]] = dict(_EMBED)
    for layer in range(layers):
        for name, wanted in _LAYER.items():
            axes[f"transformer/layer_{layer}/{name}"] = layer_axes(wanted, layer)
    return axes


DIRECTORY_ENTRY = b"PK\x01\x02"
"""How each entry begins in the directory of a zip archive, read whole before anything else."""


ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)
"""What `zipfile` raises on damaged archives, by experiment: offsets may be negative or huge."""


def npz_entries(data: bytes, max_bytes: int) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an npz file by their names; large ones are views of the file's bytes.

    Raises:
        ModelFileError: it is damaged, packed in an unusual way, holds pickles, or is too large.
    """
    if data.count(DIRECTORY_ENTRY) > MAX_TENSORS:
        raise ModelFileError(f"a model may have at most {MAX_TENSORS:,} arrays; this has more")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _require_npz(infos, max_bytes)
            return {
                info.filename.removesuffix(".npy"): _npy(info.filename, _unpacked(archive, info))
                for info in infos
            }
    except ZIP_ERRORS as error:
        raise ModelFileError(f"the zip archive is cut short or damaged: {error}") from error


def _require_npz(infos: list[zipfile.ZipInfo], max_bytes: int) -> None:
    names = [info.filename for info in infos]
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        raise ModelFileError(
            f"a model is a safetensors or an npz file; this is a PyTorch file, which holds "
            f"a pickle, and {NO_PICKLE}. Save the weights as .safetensors or .npz"
        )
    for info in infos:
        if not info.filename.endswith(".npy"):
            raise ModelFileError(
                f"an npz file is a zip archive of .npy files; this one holds {shown(info.filename)}"
            )
        if info.flag_bits & 1 or info.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise ModelFileError(
                f"an npz file is stored or deflated; {shown(info.filename)} is encrypted or "
                "packed in another way"
            )
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise ModelFileError(f"an array must be there once; {shown(twice)} is there twice")
    require_size("the archive, unpacked,", sum(info.file_size for info in infos), max_bytes)


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    # A bounded read: what is declared is all that is ever unpacked.
    with archive.open(info) as stream:
        return stream.read(info.file_size)


def _npy(name: str, data: bytes) -> npt.NDArray[Any]:
    """Reads one .npy; unlike `numpy.load` never sets aside more than ``data`` fills."""
    stream = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # headers written by Python 2
            version = np.lib.format.read_magic(stream)
            if version == (1, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            elif version == (2, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
            else:
                raise ModelFileError(f"{shown(name)} has npy version {version}; 1 and 2 are read")
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise ModelFileError(f"{shown(name)} is not a .npy file: {error}") from error
    if dtype.hasobject:
        raise ModelFileError(f"{shown(name)} holds Python objects as a pickle; {NO_PICKLE}")
    have = len(data) - stream.tell()
    if dtype.itemsize == 0 or len(shape) > MAX_AXES:
        raise ModelFileError(
            f"an array holds numbers or texts and has at most {MAX_AXES} axes; {shown(name)} "
            f"has {len(shape)} axes of {shown(str(dtype))}"
        )
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != have:
        raise ModelFileError(
            f"{shown(name)} declares shape {list(shape)} of {shown(str(dtype))} "
            f"and has {have} bytes: it is cut short or damaged"
        )
    flat = np.frombuffer(data, dtype=dtype, offset=stream.tell(), count=math.prod(shape))
    return flat.reshape(shape, order="F" if fortran else "C")


def _num_heads(entry: npt.NDArray[Any] | None, columns: int) -> int:
    number = 1 if entry is None else _integer("num_heads", entry)
    if number < 1 or columns % number:
        raise ModelFileError(
            f"num_heads must divide the {columns} columns of attn/query/w; it is {number}"
        )
    return number


def _integer(name: str, entry: npt.NDArray[Any]) -> int:
    if entry.size != 1 or entry.dtype.kind not in "iub":
        raise ModelFileError(
            f"{name} must be one integer, not an array of {entry.dtype}, shape {list(entry.shape)}"
        )
    return int(entry.reshape(()))


def _described_by(entries: dict[str, npt.NDArray[Any]], outputs: int | None) -> dict[str, Any]:
    """The JSON document, or one made from the plain entries of a stranger's file.

    Args:
        entries: of the file.
        outputs: columns of the read-out, None without one.
    """
    document: dict[str, Any] = {"output_values": None}
    if DOCUMENT_KEY in entries:
        text = entries[DOCUMENT_KEY]
        if text.dtype.kind != "U" or text.size != 1 or text.itemsize > 4 * MAX_DOCUMENT:
            raise ModelFileError(
                f"the entry {DOCUMENT_KEY!r} must be one string of at most {MAX_DOCUMENT:,} "
                f"characters, not {shown(str(text.dtype))} of shape {list(text.shape)}"
            )
        document = parse_document(str(text.reshape(())))
    plain: dict[str, Any] = {}
    if "causal" in entries:
        plain["causal"] = _flag(_integer("causal", entries["causal"]))
    if "output_values" in entries:
        plain["output_values"] = _plain_values(entries["output_values"], outputs)
    for key, value in plain.items():
        if document.get(key) not in (None, value):
            raise ModelFileError(
                f"{key} is given twice, as {shown(document[key])} and as {shown(value)}"
            )
    return document | plain


def _flag(value: int) -> bool:
    if value not in (0, 1):
        raise ModelFileError(f"causal must be 0 or 1, not {value}")
    return bool(value)


def _plain_values(entry: npt.NDArray[Any], outputs: int | None) -> tuple[Value, ...]:
    """The values of an array; none is made before it is known that each has its column."""
    if entry.ndim != 1 or entry.dtype.kind not in "biufU" or entry.dtype == np.longdouble:
        raise ModelFileError(
            f"output_values must be a list of numbers or strings, not {shown(str(entry.dtype))} "
            f"of shape {list(entry.shape)}"
        )
    if entry.size != outputs:
        raise ModelFileError(
            "output_values must name each column of W_U (unembed); there are "
            f"{entry.size:,} values and {outputs or 'no'} columns"
        )
    return output_values(entry.tolist())


def npz_bytes(transformer: Transformer, document: str) -> bytes:
    """The file of a model and its JSON document."""
    arrays: dict[str, npt.NDArray[Any]] = {
        f"{module}/{leaf}": np.asarray(array)
        for module, leaves in haiku_params(transformer).items()
        for leaf, array in leaves.items()
    }
    arrays["num_heads"] = np.array(transformer.n_heads)
    arrays["causal"] = np.array(transformer.causal)
    arrays[DOCUMENT_KEY] = np.array(document)
    if transformer.W_U is not None:
        arrays["unembed"] = transformer.W_U
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
