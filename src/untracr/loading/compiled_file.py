"""Compiled weights written to files, each at once or not at all (`untracr.loading.files` reads).

Two formats: safetensors with TransformerLens' names, and npz with those of Tracr's Haiku
parameters. What has no tensor of its own is one JSON document under the key ``untracr``
(`untracr.loading.model_document`). `docs/formats.md` lists every tensor and every key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from untracr.atomic_write import write_atomically
from untracr.errors import ModelFileError, UsageError
from untracr.file_tensors import float32
from untracr.loading.model_document import document_text
from untracr.loading.npz_format import npz_bytes
from untracr.loading.safetensors_format import safetensors_bytes
from untracr.transformer.transformer import Transformer


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
            "untracr.load(...) makes a model of anything that is read, which .save(path) writes; "
            "compiled weights it has as .transformer"
        )
    target = Path(path)
    writers = {".safetensors": safetensors_bytes, ".npz": npz_bytes}
    if target.suffix.lower() not in writers:
        raise UsageError(
            f"a weights file must be named .safetensors or .npz, not {target.name!r}; "
            "the suffix decides the format"
        )
    document = document_text(transformer, dict(metadata or {}))
    data = writers[target.suffix.lower()](_storable(transformer), document)
    try:
        write_atomically(target, data)
    except OSError as error:
        raise ModelFileError(
            f"{target} cannot be written: {error.strerror or error}; "
            "a file that was there before is unchanged"
        ) from error


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
