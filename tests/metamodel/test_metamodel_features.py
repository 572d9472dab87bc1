"""Features: they follow from the weights alone and share the weights' symmetries."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from random import Random
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch

from untracr.compile.compiler import Compiled, compile_program
from untracr.metamodel.examples import example_of, shuffle_slots, training_example
from untracr.metamodel.features import FORMS, INTEGER_SIZES, N_NUMBERS, Features, features
from untracr.metamodel.network import Network, NetworkConfig
from untracr.rasp.functions import formula
from untracr.rasp.nodes import CATEGORICAL, Map
from untracr.rasp.program import Program
from untracr.read.components import Component, is_operation
from untracr.read.frame import Base
from untracr.read.reader import Reader
from untracr.read.scope import true_variables
from untracr.sample.sampler import PAPER, sample_program
from untracr.train.batching import collate
from untracr.transformer import treatments
from untracr.transformer.transformer import Transformer

VOCAB, LENGTH = PAPER.domain.vocab, PAPER.domain.max_seq_len

CLOSE = 1e-4
"""Features are at most 1 or logarithms of small numbers; single precision moves them less."""


def compiled_program(seed: int, index: int) -> tuple[Program, Compiled]:
    program = sample_program(seed, index)
    return program, compile_program(program, VOCAB, LENGTH)


def all_features(
    program: Program,
    compiled: Compiled,
    model: Transformer,
    basis: npt.NDArray[np.float64] | None = None,
    *,
    axis_signs: bool,
) -> Iterator[Features]:
    """Features of each half-layer of a changed model, in the true frame changed likewise."""
    base = Base.of(model, VOCAB)
    variables, _ = true_variables(program, compiled, base)
    if basis is not None:
        variables = [
            v if v.slot < 2 else dataclasses.replace(v, directions=v.directions @ basis)
            for v in variables
        ]
    reader = Reader(model, base, axis_signs=axis_signs)
    for half_layer in reader.half_layers:
        components = [c for c in reader.components(half_layer, variables) if is_operation(c)]
        if components:
            known = [v for v in variables if v.available_from <= half_layer]
            yield features(reader, components, known)


def assert_same(fst: list[Features], snd: list[Features]) -> None:
    assert len(fst) == len(snd)
    for a, b in zip(fst, snd, strict=True):
        assert np.array_equal(a.integers, b.integers)
        assert np.abs(a.numbers - b.numbers).max(initial=0.0) <= CLOSE


def test_rotation_changes_nothing() -> None:
    """Under any rotation of the residual stream the features stay, if signs of axes are left out.

    Where nothing shows a number's sign, its direction follows the rotated weights.
    """
    rng = np.random.default_rng(3)
    for index in range(40):
        program, compiled = compiled_program(51, index)
        model = compiled.transformer
        rotation = treatments.random_orthogonal(model.d_model, rng)
        rotated = treatments.rotate(model, rng, rotation)
        before = list(all_features(program, compiled, model, axis_signs=False))
        after = list(all_features(program, compiled, rotated, rotation, axis_signs=False))
        assert_same(before, after)


@pytest.mark.parametrize("axis_signs", [True, False])
def test_reordering_axes_changes_nothing(axis_signs: bool) -> None:
    """Reordering the residual axes changes no feature, signs of axes included."""
    rng = np.random.default_rng(4)
    for index in range(25):
        program, compiled = compiled_program(52, index)
        model = compiled.transformer
        order = rng.permutation(model.d_model)
        moved = treatments.permute_residual(model, rng, order)
        before = list(all_features(program, compiled, model, axis_signs=axis_signs))
        after = list(
            all_features(
                program, compiled, moved, np.eye(model.d_model)[:, order], axis_signs=axis_signs
            )
        )
        assert_same(before, after)


def test_logits_follow_the_features() -> None:
    """Of a raw and a rotated model a network gives the same logits, within 1e-3."""
    torch.manual_seed(0)
    network = Network(NetworkConfig(width=32, layers=2, heads=2)).eval()
    rng = np.random.default_rng(6)
    for index in range(10):
        program, compiled = compiled_program(53, index)
        model = compiled.transformer
        rotation = treatments.random_orthogonal(model.d_model, rng)
        rotated = treatments.rotate(model, rng, rotation)
        example = example_of(program, compiled, axis_signs=False)
        found = list(all_features(program, compiled, rotated, rotation, axis_signs=False))
        other = dataclasses.replace(
            example,
            integers=np.concatenate([f.integers for f in found]),
            numbers=np.concatenate([f.numbers for f in found]),
        )
        with torch.no_grad():
            fst, snd = network(collate([example])), network(collate([other]))
        assert float((fst - snd).abs().max()) < 1e-3


def test_names_do_not_leak() -> None:
    """Other labels in the same order give equal weights and equal features.

    The labels do reach the compiler: its residual labels differ in the two cases.
    """
    for index in range(20):
        program, compiled = compiled_program(54, index)
        renamed = dataclasses.replace(
            program, labels=tuple(label.replace("sop", "r") for label in program.labels)
        )
        other = compile_program(renamed, VOCAB, LENGTH)
        assert other.residual.labels() != compiled.residual.labels()
        a, b = example_of(program, compiled), example_of(renamed, other)
        assert np.array_equal(a.integers, b.integers)
        assert np.array_equal(a.numbers, b.numbers)


@pytest.mark.slow
def test_targets_do_not_leak() -> None:
    """Programs of equal weights have equal features though their targets differ.

    ``x + 1`` and ``x - 1`` at the output have the same weights; whatever looked
    at the program instead would tell them apart.
    """
    pairs = 0
    for index in range(400):
        program = sample_program(55, index)
        node = program.nodes[program.output]
        if not (isinstance(node, Map) and node.encoding is CATEGORICAL):
            continue
        if str(node.function) not in ("lambda x: x + 1", "lambda x: x - 1"):
            continue
        swapped = "x - 1" if str(node.function).endswith("x + 1") else "x + 1"
        nodes = list(program.nodes)
        nodes[program.output] = dataclasses.replace(node, function=formula(swapped))
        other = dataclasses.replace(program, nodes=tuple(nodes))
        one, two = (compile_program(p, VOCAB, LENGTH) for p in (program, other))
        assert all(
            np.array_equal(one.transformer.arrays()[n], two.transformer.arrays()[n])
            for n in one.transformer.arrays()
        )
        a, b = example_of(program, one), example_of(other, two)
        assert np.array_equal(a.integers, b.integers)
        assert np.array_equal(a.numbers, b.numbers)
        assert not np.array_equal(a.targets, b.targets)
        pairs += 1
    assert pairs >= 5


def test_examples_are_functions_of_seed_and_index() -> None:
    """An example depends on its seed and index alone, and is within the coded ranges."""
    for index in (0, 7, 123):
        a, b = training_example(9, index), training_example(9, index)
        for field in dataclasses.fields(a):
            assert np.array_equal(getattr(a, field.name), getattr(b, field.name))
        assert (a.integers >= 0).all()
        assert (a.integers < np.array(INTEGER_SIZES)).all()
        assert a.numbers.shape[1] == N_NUMBERS
        assert np.isfinite(a.numbers).all()
    assert not np.array_equal(training_example(9, 0).targets, training_example(10, 0).targets)


EXAMPLES_OF_STREAM_7 = "c4732ccd2a1db438a0be493bdd0b31f6"


def test_examples_never_change() -> None:
    """The codes and tokens of 50 examples are pinned: the released meta-model was trained on them.

    Numbers are left out: another machine may round their last bits differently.
    """
    digest = hashlib.blake2b(digest_size=16)
    for index in range(50):
        example = training_example(7, index)
        for field in dataclasses.fields(example):
            if field.name != "numbers":
                digest.update(getattr(example, field.name).astype("<i8").tobytes())
    assert digest.hexdigest() == EXAMPLES_OF_STREAM_7


def test_shuffled_slots_keep_inputs_and_targets_together() -> None:
    """Renaming slots changes reads and targets alike: undoing it restores the example."""
    program, compiled = compiled_program(56, 0)
    example = example_of(program, compiled)
    shuffled = shuffle_slots(example, Random(1))
    assert np.array_equal(example.numbers, shuffled.numbers)
    assert np.array_equal(shuffled.inputs[1:], shuffled.targets[:-1])
    renamed: dict[int, int] = {}
    for old, new in zip(example.targets.tolist(), shuffled.targets.tolist(), strict=True):
        assert renamed.setdefault(old, new) == new
    assert len(set(renamed.values())) == len(renamed)


def test_every_form_of_component_has_a_number() -> None:
    """None is missing of the closed union, and only the unknown ones share theirs."""
    assert set(FORMS) == set(get_args(Component))
    assert sorted(set(FORMS.values())) == list(range(len(FORMS) - 1))
