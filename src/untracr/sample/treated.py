"""Treated weights: rotated, compressed, noisy, each for a share of the items of a stream.

The names are those of `untracr eval --treatment`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np

from untracr.arrays import Floats
from untracr.transformer.transformer import Transformer
from untracr.transformer.treatments import (
    add_noise,
    change_basis,
    compression_basis,
    random_orthogonal,
)

COMPRESSION_RATIO = 0.9
"""The share of the width that is kept, as in the paper."""

NOISE = (0.001, 0.03)
"""The least and the most noise, relative to each matrix's scale; log-uniform between them."""


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


def _rotated(model: Transformer, rng: np.random.Generator) -> Treated:
    return _changed(model, random_orthogonal(model.d_model, rng))


def _compressed(model: Transformer, rng: np.random.Generator) -> Treated:
    return _changed(model, compression_basis(model, rng, COMPRESSION_RATIO), COMPRESSION_RATIO)


def _rotated_compressed(model: Transformer, rng: np.random.Generator) -> Treated:
    basis = compression_basis(model, rng, COMPRESSION_RATIO)
    return _changed(model, basis @ random_orthogonal(basis.shape[1], rng), COMPRESSION_RATIO)


def _compressed_bos(model: Transformer, rng: np.random.Generator) -> Treated:
    basis = compression_basis(model, rng, COMPRESSION_RATIO, include_bos=True)
    return _changed(model, basis, COMPRESSION_RATIO)


def _rotated_compressed_bos(model: Transformer, rng: np.random.Generator) -> Treated:
    basis = compression_basis(model, rng, COMPRESSION_RATIO, include_bos=True)
    return _changed(model, basis @ random_orthogonal(basis.shape[1], rng), COMPRESSION_RATIO)


def _noisy(model: Transformer, rng: np.random.Generator) -> Treated:
    least, most = map(math.log, NOISE)
    scale = math.exp(rng.uniform(least, most))
    return Treated(add_noise(model, rng, scale), size=scale)


def _changed(model: Transformer, basis: Floats, size: float | None = None) -> Treated:
    return Treated(change_basis(model, basis), basis, size)


TREATMENTS: dict[str, Callable[[Transformer, np.random.Generator], Treated]] = {
    "rotated": _rotated,
    "compressed": _compressed,
    "rotated-compressed": _rotated_compressed,
    "compressed-bos": _compressed_bos,
    "rotated-compressed-bos": _rotated_compressed_bos,
    "noisy": _noisy,
}


@dataclass(frozen=True)
class TreatmentShares:
    """How many examples of a stream are of which treated weights; the rest is as compiled.

    Attributes:
        shares: keys of `TREATMENTS` in any order, each with its share from 0 to 1.

    Raises:
        ValueError: there is no treatment of that name, one comes twice, or the
            shares are not from 0 to 1, all together too.
    """

    shares: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        names = [name for name, _ in self.shares]
        for name, share in self.shares:
            if name not in TREATMENTS:
                raise ValueError(f"a treatment is one of {', '.join(TREATMENTS)}, not {name!r}")
            if names.count(name) > 1:
                raise ValueError(f"the share of {name} is given twice")
            if not 0 <= share <= 1:
                raise ValueError(f"the share of {name} must be from 0 to 1, not {share:g}")
        total = math.fsum(share for _, share in self.shares)
        if total > 1 + 1e-9:
            raise ValueError(f"shares of treatments must add up to at most 1, not {total:g}")

    def name(self, seed: int, index: int) -> str | None:
        """The treatment of example ``index`` of the stream ``seed``; None for none."""
        if not self.shares:
            return None
        point = Random(f"treatment/{seed}/{index}").random()
        for name, share in self.shares:
            point -= share
            if point < 0:
                return name
        return None

    def treat(self, model: Transformer, seed: int, index: int) -> Treated:
        """Treats the compiled weights of example ``index`` of the stream ``seed``.

        A pure function of the settings and its arguments.
        """
        name = self.name(seed, index)
        if name is None:
            return Treated(model)
        return TREATMENTS[name](model, np.random.default_rng([seed, index]))

    def as_pairs(self) -> list[list[str | float]]:
        """The settings as plain JSON values, in order: another order treats other examples."""
        return [[name, share] for name, share in self.shares]


AS_COMPILED = TreatmentShares()
