"""How far numbers that are read off noisy weights may be off, as it is estimated and as it is."""

from __future__ import annotations

import numpy as np
import pytest

from compiled_models import model_of
from untracr import Domain
from untracr.read.components import Sum
from untracr.read.frame import Base
from untracr.read.reader import Reader
from untracr.transformer.half_layer import mlp
from untracr.transformer.transformer import Transformer
from untracr.transformer.treatments import add_noise

DOMAIN = Domain((0, 1, 2, 3, 4), 5)
NUMBERS = "a = numerical(Map(lambda x: {{0: 1, 1: 2, 2: 3, 3: 4, 4: 5}}[x], {}))\n"
OUTPUT = "numerical(LinearSequenceMap(a, a, 1, 1))"
DRAWS = 60


def off_and_estimated(model: Transformer, seed: int) -> tuple[float, float]:
    """Mean squares of one draw of noise: how far numbers are off, and how far they may be."""
    noisy = add_noise(model, np.random.default_rng(seed), 0.01)
    base = Base.of(noisy, DOMAIN.vocab)
    components = Reader(noisy, base).components(mlp(0), [base.tokens, base.indices])
    (number,) = (part.number for part in components if isinstance(part, Sum))
    off = np.abs(number.sizes) - np.arange(1, 6)
    return float(np.square(off).mean()), number.spread**2


@pytest.mark.parametrize(("inner", "least"), [("tokens", 0.85), ("indices", 0.6)])
def test_the_spread_of_numbers_is_that_of_the_noise(inner: str, least: float) -> None:
    """Within 15% for tokens; less for positions, whose directions are not a difference of two."""
    model = model_of(NUMBERS.format(inner) + OUTPUT, DOMAIN)
    off, estimated = np.array([off_and_estimated(model, seed) for seed in range(DRAWS)]).sum(axis=0)
    assert least < np.sqrt(off / estimated) < 1.15
