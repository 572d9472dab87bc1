"""What has no tensor of its own in a weights file, as one JSON document."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from untracr import strict_json
from untracr.bounds import MAX_DOCUMENT
from untracr.errors import ModelFileError, ProgramError, UsageError
from untracr.rasp.values import Value, plain_value, value_fault
from untracr.shown_text import shown
from untracr.transformer.transformer import Transformer

DOCUMENT_VERSION = 1
DOCUMENT_KEY = "untracr"
"""The document's name in a file."""


def document_text(transformer: Transformer, metadata: dict[str, object]) -> str:
    """What is stored as JSON: format_version, causal, output_values, metadata."""
    content = {
        "format_version": DOCUMENT_VERSION,
        "causal": transformer.causal,
        "output_values": None if (v := transformer.output_values) is None else list(v),
        "metadata": metadata,
    }
    return json_text(content)


def json_text(content: Mapping[str, object]) -> str:
    """A document as it is stored: keys in order, no number that JSON lacks.

    Raises:
        UsageError: something in it is no JSON.
    """
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


def parse_document(text: str) -> dict[str, Any]:
    """Reads back what `document_text` wrote."""
    if len(text) > MAX_DOCUMENT:
        raise ModelFileError(
            f"the entry {DOCUMENT_KEY!r} may have at most {MAX_DOCUMENT:,} characters, "
            f"not {len(text):,}"
        )
    content = parse_json(text, f"the entry {DOCUMENT_KEY!r}")
    if "format_version" not in content:
        raise ModelFileError(f"the entry {DOCUMENT_KEY!r} must state its format_version")
    version = content["format_version"]
    if version != DOCUMENT_VERSION or isinstance(version, bool):
        raise ModelFileError(
            f"format version {DOCUMENT_VERSION} is read; the file has {shown(version)}. "
            "A newer untracr may read it"
        )
    kinds: dict[str, type | tuple[type, ...]] = {
        "causal": bool,
        "output_values": (list, type(None)),
        "metadata": dict,
    }
    unknown = sorted(content.keys() - kinds.keys() - {"format_version"})
    if unknown:
        raise ModelFileError(f"the entry {DOCUMENT_KEY!r} has an unknown key {shown(unknown[0])}")
    for key, kind in kinds.items():
        if key in content and not isinstance(content[key], kind):
            raise ModelFileError(f"{key} has the wrong type: {shown(content[key])}")
    values = content.get("output_values")
    content["output_values"] = None if values is None else output_values(values)
    return content


def parse_json(data: str | bytes, what: str) -> dict[str, Any]:
    """A JSON object; ``what`` is how errors call it."""
    try:
        content = strict_json.parse_json(data)
    except ValueError as error:
        raise ModelFileError(f"{what} must be JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelFileError(f"{what} must be a JSON object, not {type(content).__name__}")
    return content


def output_values(values: list[object]) -> tuple[Value, ...]:
    """Checks the values of a read-out's columns; lists stand for tuples.

    Raises:
        ModelFileError: one of them is no value, or too long.
    """
    return tuple(_output_value(value, f"output_values[{i}]") for i, value in enumerate(values))


def _output_value(value: object, place: str) -> Value:
    try:
        result = plain_value(_with_tuples(value))
    except (ProgramError, RecursionError):
        raise ModelFileError(
            "output_values must be numbers, strings, true, false, null or short lists of "
            f"these; {place} is {shown(value)}"
        ) from None
    fault = value_fault(result)
    if fault:
        raise ModelFileError(f"output_values: {fault}; {place} is {shown(result)}")
    return result


def _with_tuples(value: object) -> object:
    """A value read from JSON, where lists stand for tuples: no value is a list."""
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value
