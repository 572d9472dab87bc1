"""Treated weights, each treatment for a share of the items of a stream."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np

from untracr.transformer.named_treatments import TREATMENTS, Treated, Treatment
from untracr.transformer.transformer import Transformer

NOISE_RANGE = (0.001, 0.03)
"""The least and the most noise, relative to each matrix's scale; log-uniform between them."""

SHARED = tuple(
    name for name, kind in TREATMENTS.items() if name != "compiled" and not kind.is_control
)
"""Treatments that a share of the items may have."""


def treat_item(name: str, model: Transformer, rng: np.random.Generator) -> Treated:
    """Treats one item: compressed to the usual share, with noise of a size that is drawn.

    Args:
        name: one of `SHARED`.
        model: its compiled weights.
        rng: the item's own.
    """
    size = TREATMENTS[name].default
    if name == "noisy":
        least, most = map(math.log, NOISE_RANGE)
        size = math.exp(rng.uniform(least, most))
    return Treatment(name, size).apply(model, rng, measured=False)


@dataclass(frozen=True)
class TreatmentShares:
    """How many examples of a stream are of which treated weights; the rest is as compiled.

    Attributes:
        shares: names in `SHARED` in any order, each with its share from 0 to 1.

    Raises:
        ValueError: there is no treatment of that name, one comes twice, or the
            shares are not from 0 to 1, all together too.
    """

    shares: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        names = [name for name, _ in self.shares]
        for name, share in self.shares:
            if name not in SHARED:
                raise ValueError(f"a treatment is one of {', '.join(SHARED)}, not {name!r}")
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
        return treat_item(name, model, np.random.default_rng([seed, index]))

    def as_pairs(self) -> list[list[str | float]]:
        """The settings as plain JSON values, in order: another order treats other examples."""
        return [[name, share] for name, share in self.shares]


ALL_AS_COMPILED = TreatmentShares()
