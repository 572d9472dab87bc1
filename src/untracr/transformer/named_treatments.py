"""Treatments by name: what is done to weights before they are read, or for a share of a data set.

``NAME`` or ``NAME:SIZE``; several are separated by commas, and
``NAME:SIZE:SIZE:...`` stands for one of each size: ``compiled,noisy:0.003:0.01``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from untracr.arrays import Floats
from untracr.errors import UsageError, did_you_mean
from untracr.short_repr import short_repr
from untracr.transformer.controls import gaussian_weights, shuffle_weights
from untracr.transformer.transformer import Transformer
from untracr.transformer.treatments import (
    add_noise,
    change_basis,
    compression_basis,
    random_orthogonal,
)


@dataclass(frozen=True, eq=False)
class Treated:
    """A treated model.

    Attributes:
        model: its weights, of width R.
        basis: [D, R], orthonormal columns: its residual stream is ``x @ basis``
            where that of the compiled model, of width D, is x; None where the
            streams are the same.
        size: the share of the width that a compression kept, or how strong the
            noise is; None where there is no such number.
    """

    model: Transformer
    basis: Floats | None = None
    size: float | None = None


class _Change(Protocol):
    def __call__(
        self, model: Transformer, rng: np.random.Generator, size: float, *, measured: bool
    ) -> Treated:
        """Treats a model; the size is 0 where there is none. See `Treatment.apply`."""


def _compiled(
    model: Transformer, rng: np.random.Generator, size: float, *, measured: bool
) -> Treated:
    return Treated(model)


def _rotated(
    model: Transformer, rng: np.random.Generator, size: float, *, measured: bool
) -> Treated:
    basis = random_orthogonal(model.d_model, rng)
    return Treated(change_basis(model, basis), basis)


def _compressed(
    model: Transformer,
    rng: np.random.Generator,
    size: float,
    *,
    measured: bool,
    include_bos: bool = False,
    rotated: bool = False,
) -> Treated:
    basis = compression_basis(model, rng, size, include_bos=include_bos, measured=measured)
    if rotated:
        basis = basis @ random_orthogonal(basis.shape[1], rng)
    return Treated(change_basis(model, basis), basis, size)


def _noisy(model: Transformer, rng: np.random.Generator, size: float, *, measured: bool) -> Treated:
    return Treated(add_noise(model, rng, size), size=size)


def _shuffled(
    model: Transformer, rng: np.random.Generator, size: float, *, measured: bool
) -> Treated:
    return Treated(shuffle_weights(model, rng))


def _gaussian(
    model: Transformer, rng: np.random.Generator, size: float, *, measured: bool
) -> Treated:
    return Treated(gaussian_weights(model, rng))


@dataclass(frozen=True)
class _Kind:
    """A treatment without its size.

    Attributes:
        what: one sentence.
        change: what it does to weights.
        default: the size if none is given; None where it takes none.
        sizes: which sizes make sense, in words, for errors.
        largest: the largest of them; the smallest is 0.
        open_end: whether 0 itself makes no sense.
        is_control: whether nothing of the program is left in the weights.
    """

    what: str
    change: _Change
    default: float | None = None
    sizes: str = ""
    largest: float = float("inf")
    open_end: bool = False
    is_control: bool = False

    def allows(self, size: float) -> bool:
        """Whether the size makes sense; NaN and infinity never do."""
        return (
            0 <= size <= self.largest and size < float("inf") and not (self.open_end and not size)
        )


def _compression(what: str, change: _Change) -> _Kind:
    return _Kind(what, change, 0.9, "above 0 and at most 1", 1.0, open_end=True)


TREATMENTS: dict[str, _Kind] = {
    "compiled": _Kind("nothing is done", _compiled),
    "rotated": _Kind("a random rotation of the residual stream", _rotated),
    "compressed": _compression(
        "main directions of the residual stream kept, fitted without BOS as the paper's code does",
        _compressed,
    ),
    "rotated-compressed": _compression(
        "compressed, then rotated", functools.partial(_compressed, rotated=True)
    ),
    "compressed-bos": _compression(
        "main directions kept, fitted on inputs behind BOS as in use",
        functools.partial(_compressed, include_bos=True),
    ),
    "rotated-compressed-bos": _compression(
        "compressed-bos, then rotated",
        functools.partial(_compressed, include_bos=True, rotated=True),
    ),
    "noisy": _Kind(
        "Gaussian noise of that share of each matrix's scale", _noisy, 0.01, "from 0 up"
    ),
    "shuffled": _Kind(
        "the entries of each layer's matrices permuted, embeddings kept", _shuffled, is_control=True
    ),
    "gaussian": _Kind(
        "every weight drawn anew with its matrix's mean and deviation", _gaussian, is_control=True
    ),
}
"""What may be done to weights. A compression's size is the share of the width that is kept; that
of noise, its share of each matrix's root mean square."""


@dataclass(frozen=True)
class Treatment:
    """One treatment with its size.

    Attributes:
        name: a key of `TREATMENTS`.
        size: its size, None where it takes none.
    """

    name: str
    size: float | None = None

    __repr__ = short_repr

    @property
    def label(self) -> str:
        """As typed: the size is left out where it is the default."""
        default = TREATMENTS[self.name].default
        return self.name if self.size in (None, default) else f"{self.name}:{self.size:g}"

    @property
    def what(self) -> str:
        """One sentence on it."""
        return TREATMENTS[self.name].what

    @property
    def is_control(self) -> bool:
        """Whether nothing of the program is left in the weights."""
        return TREATMENTS[self.name].is_control

    def apply(
        self, model: Transformer, rng: np.random.Generator, *, measured: bool = True
    ) -> Treated:
        """Treats a model.

        Args:
            model: any model.
            rng: decides on all that is drawn.
            measured: whether numbers are drawn as `rotate_and_compress` draws them, which
                measures a compression on inputs before it rotates; data sets do not.
        """
        return TREATMENTS[self.name].change(model, rng, self.size or 0.0, measured=measured)


CONTROLS = (Treatment("shuffled"), Treatment("gaussian"))


def parse_treatments(text: str) -> tuple[Treatment, ...]:
    """Reads a list of treatments.

    Raises:
        UsageError: there is none of that name, a size is no number or makes no
            sense, or one of them comes twice.
    """
    treatments: list[Treatment] = []
    for word in text.split(","):
        treatments += _parse(word.strip())
    repeated = [t for number, t in enumerate(treatments) if t in treatments[:number]]
    if repeated:
        raise UsageError(f"a treatment may be asked for once, {repeated[0].label} comes twice")
    return tuple(treatments)


def _parse(word: str) -> Sequence[Treatment]:
    name, *sizes = word.split(":")
    if name not in TREATMENTS:
        known = ", ".join(TREATMENTS)
        hint = did_you_mean(name, TREATMENTS)
        raise UsageError(f"a treatment is one of {known}, not {name!r}{hint and '.'}{hint}")
    kind = TREATMENTS[name]
    if kind.default is None:
        if sizes:
            raise UsageError(f"the treatment {name} takes no size, not {sizes[0]!r}")
        return [Treatment(name)]
    return [Treatment(name, _size(kind, name, text)) for text in sizes or [str(kind.default)]]


def _size(kind: _Kind, name: str, text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = float("nan")
    if not kind.allows(size):
        raise UsageError(f"the size of {name} must be a number {kind.sizes}, not {text!r}")
    return size
