"""Tensors under other names: whose tensor is which of TransformerLens', transposed or joined.

A mapping has their names on the left, TransformerLens' on the right, ``{layer}`` standing for a
layer's number on both sides::

    {
        "h.{layer}.attn.c_attn.weight": ["blocks.{layer}.attn.W_Q", "blocks.{layer}.attn.W_K",
                                         "blocks.{layer}.attn.W_V"],
        "h.{layer}.mlp.fc.weight": "blocks.{layer}.mlp.W_in.T",
        "h.{layer}.attn.bias": None,
    }

``.T`` says that theirs is the transpose; several names that theirs are joined along the last axis
(of the transpose, where they say so); None that it is no weight and is left out. Where heads lie
side by side, as [d_model, n_heads * d_head], they are taken apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from untracr.errors import ModelFileError, UsageError
from untracr.loading.tensors import Tensors
from untracr.shown_text import shown

Target = str | Sequence[str] | None
"""What one of their tensors is of TransformerLens'."""

Names = Mapping[str, Target]
"""Their names, and what each is."""

LAYER = "{layer}"

_HEADS_FIRST = re.compile(r"attn\.[Wb]_[QKV]$")
_HEADS_LAST = re.compile(r"attn\.W_O$")


@dataclass(frozen=True)
class _Piece:
    """Where a tensor of TransformerLens' is found.

    Attributes:
        source: their tensor's name.
        transposed: whether it is to be turned round first.
        part, parts: which of how many equal parts of its last axis it is.
    """

    source: str
    transposed: bool
    part: int
    parts: int


def renamed(
    tensors: Tensors, names: Names, heads: int | None, style: str = "TransformerLens"
) -> Tensors:
    """Tensors by TransformerLens' names.

    Args:
        tensors: by their own names; those that ``names`` does not have keep theirs.
        names: the mapping.
        heads: of a layer, where they lie side by side; None where it is not known.
        style: whose names these are.

    Raises:
        UsageError: the mapping is none.
        ModelFileError: two tensors are to be the same one.
    """
    pieces: dict[str, _Piece] = {}
    patterns = [_pattern(theirs, target) for theirs, target in names.items()]
    for source in sorted(tensors.names):
        for ours, piece in _pieces(source, patterns):
            if ours in pieces:
                raise ModelFileError(
                    f"{ours} is there twice, as {shown(pieces[ours].source)} and as {shown(source)}"
                )
            pieces[ours] = piece

    def called(name: str) -> str:
        source = pieces[name].source
        return tensors.called(source) + (f" ({name})" if source != name else "")

    def shape(name: str) -> tuple[int, ...]:
        return _shape(name, called(name), tensors.shape(pieces[name].source), pieces[name], heads)

    def read(name: str) -> npt.NDArray[Any]:
        array = _cut(tensors.read(pieces[name].source), pieces[name])
        wanted = shape(name)
        if array.shape == wanted:
            return array
        if _HEADS_FIRST.search(name) and len(wanted) == 3:
            H, D, K = wanted
            return array.reshape(D, H, K).transpose(1, 0, 2)
        return array.reshape(wanted)

    return Tensors(frozenset(pieces), shape, read, called, style, _expected(tensors.names, names))


def _expected(there: frozenset[str], names: Names) -> Callable[[str], str]:
    """What their name of a tensor of TransformerLens' would be, whether or not it is there.

    Of several the one that begins as others do that are there.
    """
    beginnings = {name.partition(".")[0] for name in there}
    theirs: dict[str, str] = {}
    for name in sorted(names, key=lambda name: name.partition(".")[0] in beginnings):
        target = names[name]
        targets = () if target is None else (target,) if isinstance(target, str) else target
        theirs |= {ours.removesuffix(".T"): name for ours in targets}

    def expected(ours: str) -> str:
        numbered = re.match(r"blocks\.(\d+)\.", ours)
        layer = "" if numbered is None else numbered[1]
        pattern = re.sub(r"^blocks\.\d+\.", f"blocks.{LAYER}.", ours)
        return theirs.get(pattern, ours).replace(LAYER, layer)

    return expected


def _pieces(
    source: str, patterns: Iterable[tuple[re.Pattern[str], tuple[str, ...]]]
) -> list[tuple[str, _Piece]]:
    """What one of their tensors is; itself where no pattern has its name."""
    for pattern, targets in patterns:
        if (match := pattern.fullmatch(source)) is not None:
            layer = match.groupdict().get("layer", "")
            found = [target.replace(LAYER, layer) for target in targets]
            return [
                (name.removesuffix(".T"), _Piece(source, name.endswith(".T"), part, len(found)))
                for part, name in enumerate(found)
            ]
    return [(source, _Piece(source, False, 0, 1))]


def target_names(theirs: object, target: object) -> tuple[str, ...]:
    """What a tensor is to be, by TransformerLens' names.

    Raises:
        UsageError: it is neither a name, nor several, nor None.
    """
    targets = () if target is None else (target,) if isinstance(target, str) else target
    if (
        not isinstance(theirs, str)
        or not isinstance(targets, Sequence)
        or not all(isinstance(name, str) for name in targets)
    ):
        raise UsageError(
            "names must map each name to one of TransformerLens' names, a list of these, or "
            f"None, not {shown(theirs)} to {shown(target)}"
        )
    return tuple(targets)


def _pattern(theirs: str, target: Target) -> tuple[re.Pattern[str], tuple[str, ...]]:
    targets = target_names(theirs, target)
    before, *after = map(re.escape, theirs.split(LAYER))
    number = r"(?P<layer>0|[1-9]\d{0,5})"
    text = before if not after else before + number + r"(?P=layer)".join(after)
    if not after and any(LAYER in name for name in targets):
        raise UsageError(f"names: {shown(theirs)} has no {LAYER}, but {shown(targets[0])} has one")
    return re.compile(text), targets


def _shape(
    name: str, called: str, theirs: tuple[int, ...], piece: _Piece, heads: int | None
) -> tuple[int, ...]:
    """The shape of a tensor of TransformerLens' by that of theirs."""
    shape = theirs[::-1] if piece.transposed else theirs
    if piece.parts > 1:
        if not shape or shape[-1] % piece.parts:
            raise ModelFileError(
                f"{called} of shape {list(theirs)} must fall into {piece.parts} equal parts"
            )
        shape = (*shape[:-1], shape[-1] // piece.parts)
    joined = (_HEADS_FIRST.search(name) and len(shape) == (2 if ".W_" in name else 1)) or (
        _HEADS_LAST.search(name) and len(shape) == 2
    )
    return _apart(name, called, shape, heads) if joined else shape


def _apart(name: str, called: str, shape: tuple[int, ...], heads: int | None) -> tuple[int, ...]:
    """The shape with an axis of all heads taken apart."""
    axis = 0 if _HEADS_LAST.search(name) else len(shape) - 1
    if heads is None:
        raise ModelFileError(
            f"the heads of {called} lie side by side, and nothing tells how many there are: "
            "give num_heads=..., or a config.json beside the weights"
        )
    if heads < 1 or shape[axis] % heads:
        raise ModelFileError(
            f"the number of heads must divide the {shape[axis]} columns of {called}; it is {heads}"
        )
    apart = (heads, shape[axis] // heads)
    if axis == 0:
        return (*apart, *shape[1:])
    return (apart[0], *shape[:-1], apart[1])


def _cut(array: npt.NDArray[Any], piece: _Piece) -> npt.NDArray[Any]:
    array = array.T if piece.transposed else array
    if piece.parts == 1:
        return array
    size = array.shape[-1] // piece.parts
    return np.asarray(array[..., piece.part * size : (piece.part + 1) * size])
