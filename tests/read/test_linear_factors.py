"""Factors of a LinearSequenceMap are read off the weights, whatever numbers they are."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from compiled_models import bare
from untracr import compile_rasp_to_model, decompile_model
from untracr.compile.compiler import compile_program
from untracr.rasp.domain import PAPER_DOMAIN
from untracr.rasp.nodes import LinearSequenceMap
from untracr.rasp.program import Program
from untracr.read.operations import LinearOperation
from untracr.sample.factors import with_drawn_factors
from untracr.sample.sampler import sample_program
from untracr.transformer import treatments
from untracr.transformer.transformer import Transformer

SOURCE = """
first = numerical(Map(lambda x: x == 1, tokens))
second = numerical(Map(lambda x: x > 1, tokens))
sum = numerical(LinearSequenceMap(first, second, {}, {}))
"""


def model_of(fst: float, snd: float) -> Transformer:
    """A compiled model without its read-out."""
    model = compile_rasp_to_model(SOURCE.format(fst, snd), range(4), 3, strict=False)
    return bare(model.transformer)


def factors_of(program: Program | None) -> tuple[float, float]:
    """Those of the only LinearSequenceMap."""
    assert program is not None
    nodes = [program.nodes[ref] for ref in program.reachable]
    (found,) = [node for node in nodes if isinstance(node, LinearSequenceMap)]
    return found.fst_factor, found.snd_factor


@pytest.mark.parametrize(
    "factors",
    [(5, -7), (0.5, 0.25), (10, 1), (1, 100), (-1.5, 0.1), (0, 4), (1 / 3, 2), (0.37, -0.013)],
)
def test_factors_are_numbers(factors: tuple[float, float]) -> None:
    """They were taken for one of 1 to 3, invented."""
    result = decompile_model(model_of(*factors))
    assert result.verdict == "identical"
    assert factors_of(result.program) == pytest.approx(factors, rel=1e-7)


@pytest.mark.parametrize("factors", [(1, 2), (-3, 3), (2, -1)])
def test_listed_factors_are_whole(factors: tuple[float, float]) -> None:
    """Those of the meta-model's list come back as they were written."""
    result = decompile_model(model_of(*factors))
    assert factors_of(result.program) == factors
    assert f", {factors[0]}, {factors[1]}))" in result.source
    assert LinearOperation.of(2, 3, factors).is_listed


def test_a_rotation_hides_the_sign_alone() -> None:
    """Of a number that nothing reads; the sizes and their proportion stand."""
    rotated = treatments.rotate(model_of(0.5, -4), np.random.default_rng(2))
    result = decompile_model(rotated)
    assert result.verdict == "identical"
    assert factors_of(result.program) in ((0.5, -4), (-0.5, 4))
    assert result.other_programs


def test_sampled_programs_with_other_factors() -> None:
    """Whatever later parts do with the numbers."""
    seen = 0
    for index in range(60):
        program = with_drawn_factors(sample_program(73, index), Random(index))
        if not any(isinstance(program.nodes[ref], LinearSequenceMap) for ref in program.sops):
            continue
        compiled = compile_program(program, PAPER_DOMAIN.vocab, 5)
        model = bare(compiled.transformer)
        assert decompile_model(model).verdict == "identical", index
        seen += 1
    assert seen > 5
