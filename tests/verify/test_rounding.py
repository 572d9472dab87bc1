"""Weights that are a program's but for rounding: whether that shows beside large numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from compiled_models import bare, model_of, program_of
from untracr import Domain, Transformer
from untracr.ambiguity.checking import Check, check
from untracr.arrays import Floats
from untracr.compile.blocks import COLDNESS
from untracr.compile.compiler import compile_program
from untracr.decompile.bundled import bundled_decompiler
from untracr.diagnose.blur import UNIT, UNITS_OF_LOGIT
from untracr.transformer import treatments
from untracr.verify.alignment import align
from untracr.verify.rounding import rounded

DOMAIN = Domain((1, 2, 3), 3)

STEP = """
a = numerical(Map(lambda x: x, tokens))
b = numerical(Map(lambda x: x + 1, indices))
c = numerical(LinearSequenceMap(a, b, 40000, 1))
Map(lambda x: 'p' if x > 60000 else 'q', c)
"""
"""Its steps are 100 times numbers of 1e5: the rounding of 100 is a whole step there."""

SMALL_VALUES = """
a = numerical(Map(lambda x: x, tokens))
b = numerical(Map(lambda x: x * 1e-8, indices))
numerical(LinearSequenceMap(a, b, 1, 1e8))
"""

LARGE_BESIDE = """
a = numerical(Map(lambda x: x * 1e9, tokens))
b = numerical(Map(lambda x: x, indices))
numerical(LinearSequenceMap(a, b, 0, 1))
"""

HIST = "SelectorWidth(Select(tokens, tokens, Comparison.EQ))"


def judged(model: Transformer, source: str) -> Check:
    return check(model, program_of(source), DOMAIN, settle=False)


def one_step_rounded(model: Transformer) -> Transformer:
    """One of the two neurons of the step at 60,000 reads by two units of single precision less."""
    reads = model.W_in.copy()
    layer, _, neuron = (int(n) for n in np.argwhere(np.abs(reads + 6_000_200) < 2)[0])
    number = int(np.flatnonzero(reads[layer, :, neuron] == 100)[0])
    reads[layer, number, neuron] *= np.float32(1 - 2.3e-7)
    return model.replace(W_in=reads)


def next_to_nothing(model: Transformer) -> Transformer:
    """All zeros of W_in are 2.4e-7."""
    return model.replace(W_in=np.where(model.W_in == 0, np.float32(2.4e-7), model.W_in))


def many_small_neurons(model: Transformer) -> Transformer:
    """3,000 neurons all of whose weights are below 1e-6."""
    more = 3_000
    reads = np.pad(model.W_in, ((0, 0), (0, 0), (0, more)), constant_values=0.9e-6)
    writes = np.pad(model.W_out, ((0, 0), (0, more), (0, 0)), constant_values=0.9e-6)
    return model.replace(W_in=reads, W_out=writes, b_in=np.zeros(reads.shape[::2], np.float32))


@pytest.mark.parametrize(
    ("source", "change"),
    [
        (STEP, one_step_rounded),
        (LARGE_BESIDE, next_to_nothing),
        (LARGE_BESIDE, many_small_neurons),
    ],
    ids=["step", "large beside", "small neurons"],
)
def test_rounding_that_shows_is_a_departure(source: str, change: object) -> None:
    """The weights are the program's to single precision; what they give is not the program's."""
    assert callable(change)
    model = model_of(source, DOMAIN)
    assert judged(model, source).departures == 0
    found = judged(change(model), source)
    assert found.verdict == "identical"
    assert found.departures > 0
    assert "inputs they give something else than the program" in found.detail


def test_small_values_are_not_taken_for_nothing() -> None:
    """A hundred millionth counts where it is multiplied with a hundred million."""
    nothing = SMALL_VALUES.replace("x * 1e-8", "x * 0")
    assert judged(model_of(SMALL_VALUES, DOMAIN), nothing).departures > 0
    assert not bundled_decompiler().decompile(model_of(SMALL_VALUES, DOMAIN)).is_proved


def test_a_rotation_may_lose_what_a_program_computes() -> None:
    """Single precision holds no steps at 1e5 in every basis."""
    turned = treatments.rotate(model_of(STEP, DOMAIN), np.random.default_rng(0))
    found = judged(bare(turned), STEP)
    assert found.evidence.weights == "rotated"
    assert found.departures > 0


@pytest.mark.parametrize("change", [next_to_nothing, many_small_neurons])
def test_rounding_that_does_not_show_changes_nothing(change: object) -> None:
    assert callable(change)
    found = judged(change(model_of(HIST, DOMAIN)), HIST)
    assert (found.verdict, found.departures) == ("identical", 0)


def test_most_rotations_need_no_run() -> None:
    """An analysis shows that what a rotation rounds does not matter."""
    turned = treatments.rotate(model_of(HIST, DOMAIN), np.random.default_rng(0))
    found = judged(turned, HIST)
    assert (found.verdict, found.departures) == ("identical", 0)
    assert found.evidence.weights == "rotated"


def test_logits_are_off_by_no_more_than_the_analysis_allows() -> None:
    """What is measured of a head covers the largest difference of a logit on all inputs."""
    program = program_of(HIST)
    compiled = compile_program(program, DOMAIN.vocab, DOMAIN.max_seq_len)
    ours = compiled.transformer
    off = np.random.default_rng(5).normal(size=ours.W_Q.shape).astype(np.float32)
    model = ours.replace(W_Q=ours.W_Q * (1 + np.float32(3e-7) * off))
    seen = rounded(model, program, compiled, align(model, ours))
    assert seen is not None
    streams = ours.forward([(4, *(t - 1 for t in tokens)) for tokens in full_inputs()]).residuals[0]
    x = streams.astype(np.float64)

    def logits(weights: Transformer) -> Floats:
        queries, keys = x @ weights.W_Q[0, 0].astype(float), x @ weights.W_K[0, 0].astype(float)
        return np.asarray(queries @ keys.swapaxes(1, 2) / np.sqrt(weights.d_head))

    largest = float(np.abs(logits(model) - logits(ours)).max())
    sharp = COLDNESS / np.sqrt(ours.d_head)
    allowed = sharp * UNITS_OF_LOGIT * (seen.blur.unit - UNIT)
    assert 0 < largest <= allowed < 10 * largest


def full_inputs() -> list[tuple[int, ...]]:
    return [tuple(inputs) for inputs in itertools.product(range(1, 4), repeat=3)]
