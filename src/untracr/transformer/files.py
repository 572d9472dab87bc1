"""Weights files: reading strangers' files with suspicion, writing ours atomically.

Two formats, told apart by their content and not by their name:

* safetensors, tensors named as in TransformerLens (``blocks.0.attn.W_Q`` of
  shape [n_heads, d_model, d_head], ...), the read-out as ``unembed.W_U``;
* npz, arrays named as in Tracr's Haiku parameters joined by ``/``
  (``transformer/layer_0/attn/query/w`` of shape [d_model, n_heads * d_head],
  ...), with the optional entries ``num_heads`` (1 if absent), ``causal``,
  ``unembed`` [d_model, outputs] and ``output_values`` [outputs].

What has no tensor of its own (``causal``, ``output_values``, free metadata) is
one JSON document under the key ``untracr``, see `_document`. Nothing in a file
is ever executed: pickles, and object arrays with them, are refused. Every size
that a file declares is checked before memory is set aside for it.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import secrets
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from untracr.errors import ModelFileError, UsageError, did_you_mean
from untracr.transformer.haiku import haiku_params, transformer_from_haiku
from untracr.transformer.transformer import Array, Transformer

FORMAT_VERSION = 1
DOCUMENT_KEY = "untracr"
MAX_BYTES = 2 * 2**30
"""The largest model that is read, in bytes on disk, unpacked and in memory: 2 GiB."""

Scalar = None | bool | int | float | str

NO_PICKLE = "a pickle is never loaded: it can run code"


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


def load_model(path: str | os.PathLike[str]) -> LoadedModel:
    """Reads a weights file.

    Floats of any width become float32. Layers with fewer neurons, or in
    safetensors fewer heads, than the largest are filled up with zeros, which
    changes nothing they compute.

    Raises:
        ModelFileError: the file is missing, damaged, of another format, unsafe,
            larger than `MAX_BYTES`, or its tensors are not a model's.
    """
    place = Path(path)
    try:
        data = _read(place)
        transformer, document = _reader(data)(data)
        return LoadedModel(transformer.validate(), document, place)
    except ModelFileError as error:
        raise ModelFileError(f"{place}: {error}") from error


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
        UsageError: another suffix, or metadata that JSON cannot hold.
        ModelFileError: the weights are not a valid model, or the file cannot be
            written (disk full, no permission).
    """
    place = Path(path)
    writers = {".safetensors": _safetensors_bytes, ".npz": _npz_bytes}
    if place.suffix.lower() not in writers:
        raise UsageError(
            f"a weights file must be named .safetensors or .npz, not {place.name!r}; "
            "the suffix decides the format"
        )
    document = _document(transformer, dict(metadata or {}))
    _write_atomically(place, writers[place.suffix.lower()](_storable(transformer), document))


# Reading: any file


def _read(path: Path) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ModelFileError("a model is one file; this is a directory")
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError("a model is a regular file; this is a device or a pipe")
        _require_size("the file", status.st_size)
        data = path.read_bytes()
    except FileNotFoundError:
        raise ModelFileError("there is no such file") from None
    except (OSError, ValueError) as error:
        raise ModelFileError(f"the file cannot be read: {error}") from error
    if not data:
        raise ModelFileError("the file is empty (0 bytes)")
    return data


def _require_size(what: str, size: int) -> None:
    if size > MAX_BYTES:
        raise ModelFileError(f"models of up to {MAX_BYTES} bytes are read; {what} has {size}")


_Reader = Callable[[bytes], tuple[Transformer, dict[str, object]]]


def _reader(data: bytes) -> _Reader:
    """Tells the format by its first bytes."""
    if data.startswith(b"PK\x03\x04"):
        return _read_npz
    if _looks_like_safetensors(data):
        return _read_safetensors
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
    if len(data) < 9:
        return f"only {len(data)} bytes long, perhaps cut short"
    return f"an unknown format that begins with the bytes {data[:8].hex(' ')}"


# Reading: names and shapes


def _require_names(style: str, names: set[str], wanted: Iterable[str], optional: set[str]) -> None:
    """Checks that ``names`` has all of ``wanted`` and nothing else but ``optional``."""
    wanted = list(wanted)
    missing = [name for name in wanted if name not in names]
    unknown = sorted(names - set(wanted) - optional)
    problems = [
        f"unknown: {_some([_shown(n) + did_you_mean(n, missing or wanted) for n in unknown])}"
    ] * bool(unknown)
    problems += [f"missing: {_some([_shown(n) for n in missing])}"] * bool(missing)
    if any(re.search(r"\bln\w*\.", name) for name in unknown):
        problems.append("models with layer norm are not read")
    if problems:
        raise ModelFileError(f"tensors must be named as in {style}; {'; '.join(problems)}")


def _some(items: list[str]) -> str:
    more = f" and {len(items) - 5} more" if len(items) > 5 else ""
    return ", ".join(items[:5]) + more


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:77] + "...")


def _n_layers(names: Iterable[str], pattern: str) -> int:
    """How many layers the names speak of; they must be numbered from 0 without a gap."""
    found = {m[1] for name in names if (m := re.match(pattern, name))}
    for layer in range(len(found)):
        if str(layer) not in found:
            raise ModelFileError(
                f"layers must be numbered from 0 without a gap; there are {len(found)} layers "
                f"and none is numbered {layer}"
            )
    return max(1, len(found))


class _Sizes:
    """The size of each named axis, bound by the first tensor that has it.

    An axis ``d_mlp@1`` belongs to layer 1 alone.
    """

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}

    def bind(self, name: str, shape: tuple[int, ...], axes: tuple[str, ...]) -> None:
        """Checks one tensor's shape against the axes known so far."""
        if 0 in shape:
            raise ModelFileError(f"tensors must not be empty; {name} has shape {list(shape)}")
        known = [self.sizes.get(axis) for axis in axes]
        wrong = [
            axis
            for axis, want, have in zip(axes, known, shape, strict=False)
            if want not in (None, have)
        ]
        if len(shape) != len(axes) or wrong:
            parts = (
                axis.split("@")[0] + (f"={size}" if size is not None else "")
                for axis, size in zip(axes, known, strict=True)
            )
            raise ModelFileError(
                f"{name} must have shape [{', '.join(parts)}] to fit the other tensors, "
                f"not {list(shape)}" + _ONE_HEAD_SIZE * ("d_head" in wrong)
            )
        self.sizes.update(zip(axes, shape, strict=True))

    def largest(self, axis: str) -> int:
        """The largest size of an axis over the layers."""
        return max(size for name, size in self.sizes.items() if name.split("@")[0] == axis)


_ONE_HEAD_SIZE = (
    "; d_head must be the same in every layer, since queries.keys are divided by its root"
)


def _float32(name: str, array: npt.NDArray[Any]) -> Array:
    """Converts to float32, refusing what is not a finite real number."""
    if array.dtype.kind != "f":
        raise ModelFileError(f"weights must be floating-point numbers; {name} has {array.dtype}")
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(array, dtype=np.float32)
    finite = np.isfinite(converted)
    if not finite.all():
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        value = array[place]
        rule = "must fit float32" if np.isfinite(value) else "must be finite numbers"
        raise ModelFileError(f"weights {rule}; {name}{list(place)} is {value}")
    return converted


def _padded(array: Array, axis: int, size: int) -> Array:
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, size - array.shape[axis])
    return np.pad(array, widths)


# Reading: the JSON document


def _document(transformer: Transformer, metadata: dict[str, object]) -> str:
    """What is stored as JSON: format_version, causal, output_values, metadata."""
    content = {
        "format_version": FORMAT_VERSION,
        "causal": transformer.causal,
        "output_values": None if (v := transformer.output_values) is None else list(v),
        "metadata": metadata,
    }
    for name, value in content.items():
        _require_json(value, name)
    try:
        return json.dumps(content, allow_nan=False, sort_keys=True)
    except ValueError as error:  # an integer of thousands of digits
        raise UsageError(f"metadata must be JSON: {error}") from error


def _require_json(value: object, place: str, depth: int = 0) -> None:
    if depth > 100:
        raise UsageError(f"metadata must not be nested deeper than 100; {place[:60]}... is")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise UsageError(f"metadata keys must be strings, not {key!r} in {place}")
            _require_json(item, f"{place}[{key!r}]", depth + 1)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _require_json(item, f"{place}[{i}]", depth + 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise UsageError(f"metadata must be JSON, which has no {value}: {place}")
    elif not (value is None or isinstance(value, (bool, int, str))):
        raise UsageError(f"metadata must be JSON, not {type(value).__name__}: {place}")


def _parse_document(text: str) -> dict[str, Any]:
    """Reads back what `_document` wrote."""
    content = _parse_json(text, f"the entry {DOCUMENT_KEY!r}")
    if "format_version" not in content:
        raise ModelFileError(f"the entry {DOCUMENT_KEY!r} must state its format_version")
    version = content["format_version"]
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise ModelFileError(
            f"format version {FORMAT_VERSION} is read; the file has {version!r:.60}. "
            "A newer untracr may read it"
        )
    kinds: dict[str, type | tuple[type, ...]] = {
        "causal": bool,
        "output_values": (list, type(None)),
        "metadata": dict,
    }
    unknown = sorted(content.keys() - kinds.keys() - {"format_version"})
    if unknown:
        raise ModelFileError(f"the entry {DOCUMENT_KEY!r} has an unknown key {_shown(unknown[0])}")
    for key, kind in kinds.items():
        if key in content and not isinstance(content[key], kind):
            raise ModelFileError(f"{key} has the wrong type: {content[key]!r:.60}")
    content["output_values"] = _output_values(content.get("output_values"))
    return content


def _parse_json(data: str | bytes, what: str) -> dict[str, Any]:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        content = json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{what} must be JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelFileError(f"{what} must be a JSON object, not {type(content).__name__}")
    return content


def _output_values(values: list[object] | None) -> tuple[Scalar, ...] | None:
    if values is None:
        return None
    checked: list[Scalar] = []
    for i, value in enumerate(values):
        if value is not None and not isinstance(value, (bool, int, float, str)):
            raise ModelFileError(
                f"output_values must be numbers, strings, true, false or null; "
                f"[{i}] is {value!r:.60}"
            )
        checked.append(value)
    return tuple(checked)


# Reading: safetensors

_LENS_LAYER = {
    "W_Q": ("attn.W_Q", ("n_heads@", "d_model", "d_head")),
    "b_Q": ("attn.b_Q", ("n_heads@", "d_head")),
    "W_K": ("attn.W_K", ("n_heads@", "d_model", "d_head")),
    "b_K": ("attn.b_K", ("n_heads@", "d_head")),
    "W_V": ("attn.W_V", ("n_heads@", "d_model", "d_head")),
    "b_V": ("attn.b_V", ("n_heads@", "d_head")),
    "W_O": ("attn.W_O", ("n_heads@", "d_head", "d_model")),
    "b_O": ("attn.b_O", ("d_model",)),
    "W_in": ("mlp.W_in", ("d_model", "d_mlp@")),
    "b_in": ("mlp.b_in", ("d_mlp@",)),
    "W_out": ("mlp.W_out", ("d_mlp@", "d_model")),
    "b_out": ("mlp.b_out", ("d_model",)),
}
_LENS_EMBED = {
    "W_E": ("embed.W_E", ("tokens", "d_model")),
    "W_pos": ("pos_embed.W_pos", ("positions", "d_model")),
}
_LENS_UNEMBED = ("unembed.W_U", ("d_model", "outputs"))
_LENS_NO_BIAS = "unembed.b_U"
# Constants that TransformerLens keeps beside the weights: its causal mask and its "-infinity".
_LENS_BUFFERS = re.compile(r"blocks\.\d+\.attn\.(mask|IGNORE)")

_FLOATS: dict[str, type[np.floating[Any]]] = {
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
}
_FLOAT_BYTES = {"BF16": 2, "F16": 2, "F32": 4, "F64": 8}


def _read_safetensors(data: bytes) -> tuple[Transformer, dict[str, object]]:
    header = _safetensors_header(data)
    notes = header.pop("__metadata__", None) or {}
    if not isinstance(notes, dict):
        raise ModelFileError("the header's __metadata__ must be an object")
    buffers = {name for name in header if _LENS_BUFFERS.fullmatch(name)}
    layers = _n_layers(header.keys() - buffers, r"blocks\.(\d+)\.")
    axes = _lens_axes(layers)
    optional = buffers | {_LENS_UNEMBED[0], _LENS_NO_BIAS}
    _require_names("TransformerLens", set(header), axes, optional)
    axes[_LENS_UNEMBED[0]] = _LENS_UNEMBED[1]
    sizes = _Sizes()
    for name, wanted in axes.items():
        if name in header:
            sizes.bind(name, _declared_shape(name, header[name]), wanted)
    _require_size("the model, all layers as large as the largest,", 4 * _padded_size(layers, sizes))
    tensors = _safetensors_tensors(data, set(header) - buffers)
    bias = tensors.pop(_LENS_NO_BIAS, None)
    if bias is not None and bias.any():
        raise ModelFileError(f"{_LENS_NO_BIAS} must be zero: the read-out has no bias")
    transformer = _from_lens(tensors, layers, sizes)
    if DOCUMENT_KEY not in notes:
        return transformer, {}
    if not isinstance(notes[DOCUMENT_KEY], str):
        raise ModelFileError(f"the header's {DOCUMENT_KEY!r} must be a string")
    document = _parse_document(notes[DOCUMENT_KEY])
    return _described(transformer, document), document.get("metadata", {})


def _described(transformer: Transformer, document: dict[str, Any]) -> Transformer:
    return transformer.replace(
        causal=document.get("causal", False), output_values=document["output_values"]
    )


def _safetensors_header(data: bytes) -> dict[str, Any]:
    """The header, its declared sizes checked against the file's."""
    length = int.from_bytes(data[:8], "little")
    have = len(data) - 8
    if length > have:
        raise ModelFileError(
            f"the file is cut short, or not safetensors: its header declares {length} bytes "
            f"and {have} follow"
        )
    header = _parse_json(data[8 : 8 + length], "the header")
    end = 0
    for name, entry in header.items():
        if name != "__metadata__":
            offsets: Any = entry.get("data_offsets") if isinstance(entry, dict) else None
            if not _are_sizes(offsets) or len(offsets) != 2:
                raise ModelFileError(f"the header's entry {_shown(name)} has no valid data_offsets")
            end = max(end, offsets[1])
    if end > have - length:
        raise ModelFileError(
            f"the file is cut short: its header declares {end} bytes of tensors "
            f"and {have - length} follow"
        )
    return header


def _are_sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(v) is int and v >= 0 for v in value)


def _declared_shape(name: str, entry: dict[str, Any]) -> tuple[int, ...]:
    shape, dtype = entry.get("shape"), entry.get("dtype")
    if not isinstance(shape, list) or not _are_sizes(shape):
        raise ModelFileError(f"{name} must declare a shape, not {shape!r:.60}")
    if dtype not in _FLOAT_BYTES:
        raise ModelFileError(
            f"weights must be floating-point numbers ({', '.join(_FLOAT_BYTES)}); "
            f"{name} has {dtype!r:.60}"
        )
    have = entry["data_offsets"][1] - entry["data_offsets"][0]
    want = _FLOAT_BYTES[dtype] * math.prod(shape)
    if have != want:
        raise ModelFileError(
            f"{name} of shape {shape} and type {dtype} takes {want} bytes; it has {have}"
        )
    return tuple(shape)


def _safetensors_tensors(data: bytes, names: set[str]) -> dict[str, Array]:
    try:
        entries = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise ModelFileError(f"the file is damaged: {error}") from error
    return {name: _float32(name, _decoded(name, entry)) for name, entry in entries if name in names}


def _decoded(name: str, entry: Mapping[str, Any]) -> npt.NDArray[Any]:
    raw, dtype = bytes(entry["data"]), entry["dtype"]
    if dtype == "BF16":  # the upper half of a float32
        bits = np.frombuffer(raw, dtype="<u2").astype("<u4") << 16
        return bits.view("<f4").reshape(entry["shape"])
    if dtype not in _FLOATS:
        raise ModelFileError(f"weights must be floating-point numbers; {name} has {dtype}")
    little_endian = np.dtype(_FLOATS[dtype]).newbyteorder("<")
    return np.frombuffer(raw, dtype=little_endian).reshape(entry["shape"])


def _lens_axes(layers: int) -> dict[str, tuple[str, ...]]:
    """The axes of every required tensor, by its name in the file."""
    axes: dict[str, tuple[str, ...]] = {}
    axes.update(_LENS_EMBED.values())
    for layer in range(layers):
        for name, wanted in _LENS_LAYER.values():
            axes[f"blocks.{layer}.{name}"] = tuple(
                f"{axis}{layer}" if axis.endswith("@") else axis for axis in wanted
            )
    return axes


def _padded_size(layers: int, sizes: _Sizes) -> int:
    heads = sizes.largest("n_heads") * sizes.sizes["d_head"]
    return layers * sizes.sizes["d_model"] * (4 * heads + 2 * sizes.largest("d_mlp"))


def _from_lens(tensors: dict[str, Array], layers: int, sizes: _Sizes) -> Transformer:
    arrays = {ours: tensors[name] for ours, (name, _) in _LENS_EMBED.items()}
    for ours, (name, axes) in _LENS_LAYER.items():
        slices = [tensors[f"blocks.{layer}.{name}"] for layer in range(layers)]
        for axis, label in enumerate(axes):
            if label.endswith("@"):
                size = sizes.largest(label[:-1])
                slices = [_padded(array, axis, size) for array in slices]
        arrays[ours] = np.stack(slices)
    return Transformer(**arrays, W_U=tensors.get(_LENS_UNEMBED[0]))  # type: ignore[arg-type]


# Reading: npz

_HAIKU_LAYER = {
    **{f"attn/{part}/w": ("d_model", "heads * d_head") for part in ("query", "key", "value")},
    **{f"attn/{part}/b": ("heads * d_head",) for part in ("query", "key", "value")},
    "attn/linear/w": ("heads * d_head", "d_model"),
    "attn/linear/b": ("d_model",),
    "mlp/linear_1/w": ("d_model", "d_mlp@"),
    "mlp/linear_1/b": ("d_mlp@",),
    "mlp/linear_2/w": ("d_mlp@", "d_model"),
    "mlp/linear_2/b": ("d_model",),
}
_HAIKU_EMBED = {
    "token_embed/embeddings": ("tokens", "d_model"),
    "pos_embed/embeddings": ("positions", "d_model"),
}
_NPZ_EXTRAS = {"num_heads", "causal", "unembed", "output_values", DOCUMENT_KEY}


def _read_npz(data: bytes) -> tuple[Transformer, dict[str, object]]:
    entries = _npz_entries(data)
    layers = _n_layers(entries, r"transformer/layer_(\d+)/")
    axes = _haiku_axes(layers)
    _require_names("Tracr's parameters", set(entries), axes, _NPZ_EXTRAS)
    if "unembed" in entries:
        axes["unembed"] = ("d_model", "outputs")
    sizes, weights = _Sizes(), {}
    for name, wanted in axes.items():
        sizes.bind(name, entries[name].shape, wanted)
        weights[name] = _float32(name, entries[name])
    largest = sizes.largest("d_mlp")
    width, all_heads = sizes.sizes["d_model"], sizes.sizes["heads * d_head"]
    _require_size(
        "the model, all layers as large as the largest,",
        4 * layers * width * (4 * all_heads + 2 * largest),
    )
    for name, wanted in axes.items():
        for axis, label in enumerate(wanted):
            if label.startswith("d_mlp@"):
                weights[name] = _padded(weights[name], axis, largest)
    unembed = weights.pop("unembed", None)
    document = _npz_document(entries)
    transformer = transformer_from_haiku(
        weights,
        _num_heads(entries.get("num_heads"), all_heads),
        causal=bool(document.get("causal", False)),
    )
    transformer = transformer.replace(W_U=unembed, output_values=document["output_values"])
    return transformer, document.get("metadata", {})


def _haiku_axes(layers: int) -> dict[str, tuple[str, ...]]:
    axes: dict[str, tuple[str, ...]] = dict(_HAIKU_EMBED)
    for layer in range(layers):
        for name, wanted in _HAIKU_LAYER.items():
            axes[f"transformer/layer_{layer}/{name}"] = tuple(
                f"{axis}{layer}" if axis.endswith("@") else axis for axis in wanted
            )
    return axes


# What `zipfile` raises on damaged archives, by experiment: offsets may be negative or huge.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


def _npz_entries(data: bytes) -> dict[str, npt.NDArray[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _require_npz(infos)
            return {
                info.filename.removesuffix(".npy"): _npy(info.filename, _unpacked(archive, info))
                for info in infos
            }
    except _ZIP_ERRORS as error:
        raise ModelFileError(f"the zip archive is cut short or damaged: {error}") from error


def _require_npz(infos: list[zipfile.ZipInfo]) -> None:
    names = [info.filename for info in infos]
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        raise ModelFileError(
            f"a model is a safetensors or an npz file; this is a PyTorch file, which holds "
            f"a pickle, and {NO_PICKLE}. Save the weights as .safetensors or .npz"
        )
    for info in infos:
        if not info.filename.endswith(".npy"):
            raise ModelFileError(
                f"an npz file is a zip archive of .npy files; this one holds "
                f"{_shown(info.filename)}"
            )
        if info.flag_bits & 1 or info.compress_type not in (
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        ):
            raise ModelFileError(
                f"an npz file is stored or deflated; {_shown(info.filename)} is encrypted or "
                "packed in another way"
            )
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ModelFileError(f"an array must be there once; {_shown(twice)} is there twice")
    _require_size("the archive, unpacked,", sum(info.file_size for info in infos))


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
                raise ModelFileError(f"{_shown(name)} has npy version {version}; 1 and 2 are read")
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise ModelFileError(f"{_shown(name)} is not a .npy file: {error}") from error
    if dtype.hasobject:
        raise ModelFileError(f"{_shown(name)} holds Python objects as a pickle; {NO_PICKLE}")
    have = len(data) - stream.tell()
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != have:
        raise ModelFileError(
            f"{_shown(name)} declares shape {list(shape)} of {dtype} "
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


def _npz_document(entries: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """The JSON document, or one made from the plain entries of a stranger's file."""
    document: dict[str, Any] = {"output_values": None}
    if DOCUMENT_KEY in entries:
        text = entries[DOCUMENT_KEY]
        if text.dtype.kind != "U" or text.size != 1:
            raise ModelFileError(f"the entry {DOCUMENT_KEY!r} must be one string, not {text.dtype}")
        document = _parse_document(str(text.reshape(())))
    plain: dict[str, Any] = {}
    if "causal" in entries:
        plain["causal"] = _flag(_integer("causal", entries["causal"]))
    if "output_values" in entries:
        plain["output_values"] = _plain_values(entries["output_values"])
    for key, value in plain.items():
        if document.get(key) not in (None, value):
            raise ModelFileError(f"{key} is given twice, as {document[key]} and as {value}")
    return document | plain


def _flag(value: int) -> bool:
    if value not in (0, 1):
        raise ModelFileError(f"causal must be 0 or 1, not {value}")
    return bool(value)


def _plain_values(entry: npt.NDArray[Any]) -> tuple[Scalar, ...]:
    if entry.ndim != 1 or entry.dtype.kind not in "biufU":
        raise ModelFileError(
            f"output_values must be a list of numbers or strings, not {entry.dtype} "
            f"of shape {list(entry.shape)}"
        )
    return tuple(entry.tolist())


# Writing


def _storable(transformer: Transformer) -> Transformer:
    """The model checked, so that nothing is written that could not be read back."""
    transformer.validate()
    arrays = transformer.arrays()
    if transformer.W_U is not None:
        arrays["W_U"] = transformer.W_U
    for name, array in arrays.items():
        if array.size == 0:
            raise ModelFileError(f"arrays must not be empty; {name} has shape {list(array.shape)}")
        arrays[name] = _float32(name, array)
    return transformer.replace(**arrays)


def _safetensors_bytes(transformer: Transformer, document: str) -> bytes:
    tensors = {name: getattr(transformer, ours) for ours, (name, _) in _LENS_EMBED.items()}
    for layer in range(transformer.n_layers):
        for ours, (name, _) in _LENS_LAYER.items():
            tensors[f"blocks.{layer}.{name}"] = getattr(transformer, ours)[layer]
    if transformer.W_U is not None:
        tensors[_LENS_UNEMBED[0]] = transformer.W_U
    return safetensors.numpy.save(tensors, metadata={DOCUMENT_KEY: document})


def _npz_bytes(transformer: Transformer, document: str) -> bytes:
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


def _write_atomically(path: Path, data: bytes) -> None:
    """Writes beside the file, then renames; a failure leaves the old file as it was."""
    target = Path(os.path.realpath(path))  # a link is kept, what it points at is replaced
    temporary = target.with_name(f".untracr-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ModelFileError(
                f"{path} cannot be written: {error.strerror or error}; "
                "a file that was there before is unchanged"
            ) from error
        raise
