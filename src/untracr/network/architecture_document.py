"""An architecture as JSON, in the document that a network's file holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from untracr.errors import ModelFileError, did_you_mean
from untracr.network.architecture import (
    Activation,
    Architecture,
    LayerNorm,
    Normalisation,
    Positions,
    PositionTable,
    RmsNorm,
    Rotary,
)
from untracr.network.state_dict import Scores
from untracr.shown_text import shown

_T = TypeVar("_T")


def architecture_document(
    architecture: Architecture, scores: Sequence[Scores]
) -> dict[str, object]:
    """An architecture and the scores of each layer, as `read_architecture` reads them."""
    return {
        "norm": _norm_document(architecture.norm),
        "activation": architecture.activation.value,
        "positions": _positions_document(architecture.positions),
        "causal": architecture.causal,
        "masked_token": architecture.masked_token,
        "scores": [{"divisor": of.divisor, "window": of.window} for of in scores],
    }


def _norm_document(norm: Normalisation | None) -> dict[str, object] | None:
    match norm:
        case None:
            return None
        case LayerNorm(epsilon):
            return {"kind": "layer norm", "epsilon": epsilon}
        case RmsNorm(epsilon):
            return {"kind": "RMS norm", "epsilon": epsilon}


def _positions_document(positions: Positions) -> dict[str, object] | None:
    match positions:
        case None:
            return None
        case PositionTable(first):
            return {"kind": "table", "first": first}
        case Rotary(dimensions, base, adjacent, first):
            sizes = {"dimensions": dimensions, "base": base}
            return {"kind": "rotary", **sizes, "adjacent": adjacent, "first": first}


def read_architecture(document: object) -> tuple[Architecture, tuple[Scores, ...]]:
    """An architecture and the scores of each layer, checked.

    Raises:
        ModelFileError: a key is missing or unknown, or a value is none that is supported.
    """
    fields = _fields(
        document,
        "architecture",
        ("norm", "activation", "positions", "causal", "masked_token", "scores"),
    )
    scores = fields["scores"]
    if not isinstance(scores, list):
        raise _wrong("architecture.scores", "a list with one entry a layer", scores)
    architecture = Architecture(
        norm=_optional(fields["norm"], "architecture.norm", _norm),
        activation=_activation(fields["activation"]),
        positions=_optional(fields["positions"], "architecture.positions", _positions),
        causal=_flag(fields["causal"], "architecture.causal"),
        masked_token=_optional(fields["masked_token"], "architecture.masked_token", _count),
    )
    places = (f"architecture.scores[{layer}]" for layer in range(len(scores)))
    return architecture, tuple(map(_scores, scores, places))


def _norm(document: object, place: str) -> Normalisation:
    kind = _kind(document, place, ("layer norm", "RMS norm"))
    fields = _fields(document, place, ("kind", "epsilon"))
    epsilon = _positive(fields["epsilon"], f"{place}.epsilon")
    return LayerNorm(epsilon) if kind == "layer norm" else RmsNorm(epsilon)


def _positions(document: object, place: str) -> Positions:
    if _kind(document, place, ("table", "rotary")) == "table":
        fields = _fields(document, place, ("kind", "first"))
        return PositionTable(_count(fields["first"], f"{place}.first"))
    fields = _fields(document, place, ("kind", "dimensions", "base", "adjacent", "first"))
    return Rotary(
        _count(fields["dimensions"], f"{place}.dimensions"),
        _positive(fields["base"], f"{place}.base"),
        _flag(fields["adjacent"], f"{place}.adjacent"),
        _count(fields["first"], f"{place}.first"),
    )


def _scores(document: object, place: str) -> Scores:
    fields = _fields(document, place, ("divisor", "window"))
    divisor = _positive(fields["divisor"], f"{place}.divisor")
    window = _optional(fields["window"], f"{place}.window", _count)
    if window == 0:
        raise _wrong(f"{place}.window", "at least 1, or null", window)
    return Scores(divisor, window)


def _activation(value: object) -> Activation:
    names = [activation.value for activation in Activation]
    if value not in names:
        raise _wrong("architecture.activation", "one of " + ", ".join(names), value)
    return Activation(value)


def _kind(document: object, place: str, kinds: Sequence[str]) -> str:
    """What kind of thing an object says that it describes."""
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise _wrong(place, f"null or an object of kind {' or '.join(map(repr, kinds))}", document)
    return kind


def _fields(document: object, place: str, keys: Sequence[str]) -> dict[str, object]:
    """A JSON object that has these keys and no others."""
    if not isinstance(document, dict):
        raise _wrong(place, "an object", document)
    for key in sorted(document.keys() - set(keys)):
        raise ModelFileError(f"{place} has an unknown key {shown(key)}.{did_you_mean(key, keys)}")
    for key in keys:
        if key not in document:
            raise ModelFileError(f"{place} must have a key {key!r}")
    return document


def _optional(value: object, place: str, read: Callable[[object, str], _T]) -> _T | None:
    return None if value is None else read(value, place)


def _flag(value: object, place: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(place, "true or false", value)
    return value


def _count(value: object, place: str) -> int:
    if type(value) is not int or value < 0:
        raise _wrong(place, "a whole number from 0", value)
    return value


def _positive(value: object, place: str) -> float:
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not known or not math.isfinite(value) or value <= 0:  # type: ignore[arg-type, operator]
        raise _wrong(place, "a number above 0", value)
    return float(value)  # type: ignore[arg-type]


def _wrong(place: str, rule: str, value: object) -> ModelFileError:
    return ModelFileError(f"{place} must be {rule}, not {shown(value)}")
