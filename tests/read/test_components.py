"""Components of half-layers: what is read off compiled weights in the true frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from untracr.compile.compiler import Compiled, compile_program
from untracr.metamodel.vocabulary import Kind, arguments_of, kind_of
from untracr.rasp.nodes import INDICES, TOKENS, Ref
from untracr.rasp.program import Program
from untracr.read.components import (
    Component,
    Head,
    Linear,
    Lookup,
    Mean,
    Move,
    Pairs,
    StairToNumber,
    StairToValues,
    Sum,
    UnknownNeurons,
    Width,
    first_of,
    is_operation,
    number_of,
    variables_of,
)
from untracr.read.frame import MAX_SOLVED, Base, Directions, Variable
from untracr.read.matching import matches
from untracr.read.operations import LinearOperation, Operation, operation_of
from untracr.read.reader import Reader
from untracr.read.result_groups import MAX_GROUPS, direction_groups
from untracr.read.scope import true_variables
from untracr.read.tolerances import MAX_COMPONENTS
from untracr.sample.sampler import PAPER, sample_program
from untracr.sample.treatment_shares import TreatmentShares
from untracr.syntax.parsing import parse
from untracr.transformer import treatments
from untracr.transformer.half_layer import FIRST_HALF_LAYER, attention, mlp
from untracr.transformer.named_treatments import Treated
from untracr.transformer.transformer import Transformer

VOCAB, LENGTH = PAPER.domain.vocab, PAPER.domain.max_seq_len

FORMS: dict[Kind, tuple[type[Component], ...]] = {
    Kind.MAP_TO_CATEGORIES: (Lookup, StairToValues),
    Kind.MAP_TO_NUMBERS: (Sum, StairToNumber),
    Kind.SEQUENCE_MAP: (Pairs,),
    Kind.LINEAR: (Linear,),
    Kind.MOVE: (Move,),
    Kind.MEAN: (Mean,),
    Kind.WIDTH: (Width,),
}


@dataclass(frozen=True)
class Found:
    """An operation of a program, and the component that was found in its place."""

    program: Program
    operation: Operation
    component: Component


def in_true_frame(
    program: Program, compiled: Compiled, treated: Treated | None = None
) -> Iterator[tuple[list[Operation], list[Component]]]:
    """For each half-layer its operations, and the components found knowing all earlier ones."""
    treated = treated or Treated(compiled.transformer)
    base = Base.of(treated.model, VOCAB)
    variables, order = true_variables(program, compiled, base, treated.basis)
    slots: dict[Ref, int] = {TOKENS: 0, INDICES: 1, **{r: 2 + n for n, r in enumerate(order)}}
    reader = Reader(treated.model, base)
    for half_layer in reader.half_layers:
        here = [r for r in order if compiled.node_map[r].half_layer == half_layer]
        components = [c for c in reader.components(half_layer, variables) if is_operation(c)]
        yield [operation_of(program, ref, slots) for ref in here], components


@pytest.fixture(scope="module")
def found() -> list[Found]:
    """All operations of 100 sampled programs with their components."""
    pairs = []
    for index in range(100):
        program = sample_program(41, index)
        compiled = compile_program(program, VOCAB, LENGTH)
        for operations, components in in_true_frame(program, compiled):
            assert len(operations) == len(components)
            pairs += [Found(program, o, c) for o, c in zip(operations, components, strict=True)]
    return pairs


def test_one_component_an_operation_of_the_right_form(found: list[Found]) -> None:
    """Every operation is found as one component whose form fits it."""
    for one in found:
        assert type(one.component) in FORMS[kind_of(one.operation)], one
    assert {kind_of(one.operation) for one in found} == set(Kind)


def test_reads_are_right(found: list[Found]) -> None:
    """A component reads the variables that its operation names, in their order."""
    for one in found:
        slots = tuple(v.slot for v in variables_of(one.component) if v is not None)
        assert slots == one.operation.slots, one


def test_true_function_matches_exactly(found: list[Found]) -> None:
    """The true function or predicate is always among those that fit entirely."""
    for one in found:
        assert _fits(one.operation, one.component), one


def test_factors_of_linear_are_read(found: list[Found]) -> None:
    """The effects of a LinearSequenceMap are its factors, up to a sign that may stay open."""
    for one in found:
        if isinstance(one.operation, LinearOperation):
            wanted = np.array(one.operation.factors)
            number = number_of(one.component)
            assert number is not None
            assert np.allclose(number.sizes, wanted, atol=1e-3) or (
                number.orientation == 0 and np.allclose(number.sizes, -wanted, atol=1e-3)
            )


TREATMENTS: dict[str, tuple[float, float]] = {
    "rotated": (1.0, 1.0),
    "rotated-compressed": (0.97, 0.97),
    "rotated-compressed-bos": (0.97, 0.97),
    "noisy": (0.88, 0.9),
}
"""Least share of operations found in the right form, and of functions that fit. Compression may
drop what is read, and noise may drown it."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TREATMENTS)
def test_treated_weights_show_the_same(name: str) -> None:
    """Rotated, compressed and noisy weights are described as the compiled ones are."""
    forms, functions = [], []
    shares = TreatmentShares(((name, 1.0),))
    for index in range(100):
        program = sample_program(45, index)
        compiled = compile_program(program, VOCAB, LENGTH)
        treated = shares.treat(compiled.transformer, 45, index)
        for operations, components in in_true_frame(program, compiled, treated):
            pairs = list(zip(operations, components, strict=False))
            forms += [type(c) in FORMS[kind_of(o)] for o, c in pairs]
            forms += [False] * abs(len(operations) - len(components))
            functions += [_fits(o, c) for o, c in pairs]
    least_forms, least_functions = TREATMENTS[name]
    assert np.mean(forms) >= least_forms
    assert np.mean(functions) >= least_functions
    assert len(functions) > 300


def _fits(operation: Operation, component: Component) -> bool:
    """Whether the operation's function or predicate is among those that fit its component."""
    unary, binary, predicate = matches(component).exact()
    fits = {"unary": unary, "binary": binary, "predicate": predicate}
    pairs = zip(kind_of(operation).arguments, arguments_of(operation), strict=True)
    return all(bool(fits[name][argument]) for name, argument in pairs if name in fits)


def test_permuted_heads_change_only_the_order() -> None:
    """Reordering the heads of a layer reorders its components and changes nothing else."""
    rng = np.random.default_rng(5)
    reordered = 0
    for index in range(40):
        program = sample_program(43, index)
        compiled = compile_program(program, VOCAB, LENGTH)
        model = compiled.transformer
        orders = np.stack([rng.permutation(model.n_heads) for _ in range(model.n_layers)])
        moved = treatments.permute_heads(model, rng, orders)
        base = Base.of(model, VOCAB)
        variables, _ = true_variables(program, compiled, base)
        raw, other = Reader(model, base), Reader(moved, base)
        for half_layer in map(attention, range(model.n_layers)):
            before = {first_of(c): c for c in raw.components(half_layer, variables)}
            order = orders[half_layer.layer].tolist()
            after = other.components(half_layer, variables)
            assert sorted(order[first_of(c)] for c in after) == sorted(before)
            for component in after:
                assert isinstance(component, Head)
                same = before[order[component.head]]
                assert isinstance(same, type(component))
                assert _slots(component) == _slots(same)
                assert np.array_equal(component.outputs, same.outputs)
                table, wanted = component.selection.table, same.selection.table
                assert np.array_equal(np.asarray(table), np.asarray(wanted))
            reordered += order != sorted(order)
    assert reordered >= 5


def _slots(component: Component) -> list[int]:
    return [-1 if v is None else v.slot for v in variables_of(component)]


def test_random_weights_give_few_components() -> None:
    """Weights that nobody compiled are cut off at a fixed number of components."""
    rng = np.random.default_rng(0)
    model = _random_model(rng, width=20, neurons=300)
    base = Base.of(model, VOCAB)
    reader = Reader(model, base)
    for half_layer in reader.half_layers:
        found = reader.components(half_layer, [base.tokens, base.indices])
        assert len(found) <= MAX_COMPONENTS


def test_neurons_on_a_number_and_a_value_are_unknown() -> None:
    """Neurons that read a number and a category at once fit no operation."""
    rng = np.random.default_rng(1)
    model = _random_model(rng, width=20, neurons=6)
    base = Base.of(model, VOCAB)
    direction = np.zeros((1, model.d_model))
    direction[0, 3] = 1.0
    number = Variable(2, False, (0, 1, 2), direction, FIRST_HALF_LAYER)
    found = Reader(model, base).components(mlp(0), [base.tokens, number])
    assert {type(component) for component in found} == {UnknownNeurons}


def test_variable_without_values_is_left_out() -> None:
    """A wrongly decoded variable may have no value at all; nothing then reads it."""
    rng = np.random.default_rng(2)
    model = _random_model(rng, width=20, neurons=6)
    base = Base.of(model, VOCAB)
    empty = Variable(2, True, (), np.zeros((0, model.d_model)), FIRST_HALF_LAYER)
    found = Reader(model, base).components(FIRST_HALF_LAYER, [base.tokens, base.indices, empty])
    assert all(v is None or v.slot < 2 for c in found for v in variables_of(c))


def test_groups_are_equal_vectors_not_directions() -> None:
    """Compression brings directions close to each other: only equal vectors are one result."""
    vectors = np.array([[1.0, 0.0], [0.8, 0.3], [1.0, 1e-4], [0.0, 0.0], [2.0, 0.0]])
    assert direction_groups(vectors).tolist() == [0, 1, 0, -1, 2]


@pytest.mark.slow
def test_groups_end_for_numbers_that_are_not_finite() -> None:
    """Grouping by direction always ends, also for vectors without a direction."""
    vectors = np.array([[np.inf, 0.0], [1.0, 0.0], [np.nan, 1.0], [2.0, 0.0]])
    with np.errstate(all="ignore"):
        groups = direction_groups(vectors)
    assert groups.tolist() == [-1, 0, -1, 1]
    many = np.eye(MAX_GROUPS + 5)
    assert direction_groups(many).max() == MAX_GROUPS


def _random_model(rng: np.random.Generator, width: int, neurons: int) -> Transformer:
    def draw(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return rng.standard_normal(shape).astype(np.float32)

    return Transformer(
        W_E=draw(len(VOCAB) + 2, width),
        W_pos=draw(LENGTH + 1, width),
        W_Q=draw(2, 100, width, 4),
        b_Q=draw(2, 100, 4),
        W_K=draw(2, 100, width, 4),
        b_K=draw(2, 100, 4),
        W_V=draw(2, 100, width, 4),
        b_V=draw(2, 100, 4),
        W_O=draw(2, 100, 4, width),
        b_O=draw(2, width),
        W_in=draw(2, width, neurons),
        b_in=draw(2, neurons),
        W_out=draw(2, neurons, width),
        b_out=draw(2, width),
    )


def test_read_out_shows_the_sign_of_a_number() -> None:
    """Of a rotated model's last number the read-out tells the sign, if it may be asked."""
    source = (
        "a = numerical(Map(lambda x: x * 2, tokens))\n"
        "b = numerical(Map(lambda x: x + 1, indices))\n"
        "out = numerical(LinearSequenceMap(a, b, -1, 2))"
    )
    program = parse(source)
    compiled = compile_program(program, VOCAB, LENGTH)
    model = compiled.transformer
    assert model.W_U is not None
    for seed in range(6):
        rng = np.random.default_rng(seed)
        found = treatments.rotate_and_compress(model, rng, include_bos=bool(seed % 2))
        base = Base.of(found.model, VOCAB)
        variables, _ = true_variables(program, compiled, base, found.basis)
        last = mlp(found.model.n_layers - 1)
        for read_out in (True, False):
            (component,) = Reader(found.model, base, read_out=read_out).components(last, variables)
            assert isinstance(component, Linear)
            assert component.number.orientation == int(read_out)
            wanted = [-1.0, 2.0] if read_out else [1.0, 2.0]
            factors = component.number.sizes
            shown = factors if read_out else np.abs(factors)
            assert np.allclose(shown, wanted, atol=1e-2)


def test_large_variables_count_as_independent() -> None:
    """Directions of more than a thousand values are taken as they are compiled: at right angles."""
    rng = np.random.default_rng(0)
    width = MAX_SOLVED + 10
    rows = 2 * np.eye(width)[: MAX_SOLVED + 1]
    variable = Variable(0, True, tuple(range(len(rows))), rows, FIRST_HALF_LAYER)
    base = Base(np.zeros(width), np.zeros(width), variable, variable, is_orthonormal=False)
    known = Directions([variable], base)
    wanted = rng.standard_normal((len(rows), 3))
    vectors = rows.T @ wanted
    assert variable.is_independent
    assert "products" not in vars(variable)  # of the directions with each other: too large
    assert np.allclose(known.solve(variable, known.products_with(vectors)), wanted)
